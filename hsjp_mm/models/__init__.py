from hsjp_mm.models.heads import HSJPHead, JigCluHead
from hsjp_mm.models.pretext import HSJP, JigClu

__all__ = ['HSJP', 'HSJPHead', 'JigClu', 'JigCluHead']
