from hsjp_mm.models.heads.higherhrnet_head import HigherHRNetHead
from hsjp_mm.models.heads.hsjp_head import HSJPHead
from hsjp_mm.models.heads.jigclu_head import JigCluHead

__all__ = ['HSJPHead', 'HigherHRNetHead', 'JigCluHead']
