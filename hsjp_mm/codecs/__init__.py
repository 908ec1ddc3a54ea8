from hsjp_mm.codecs.associative_embedding import AssociativeEmbedding

__all__ = ['AssociativeEmbedding']
