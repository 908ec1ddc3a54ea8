from hsjp_mm.models.heads import HSJPHead
from hsjp_mm.models.pretext import HSJP

__all__ = ['HSJP', 'HSJPHead']
