from hsjp_mm.codecs.associative_embedding import AssociativeEmbedding
from hsjp_mm.codecs.highest_cell import HighestCell

__all__ = ['AssociativeEmbedding', 'HighestCell']
