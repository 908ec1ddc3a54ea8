from hsjp_mm.models.heads.higherhrnet_head import HigherHRNetHead
from hsjp_mm.models.heads.hsjp_head import HSJPHead, HSJPStackHead
from hsjp_mm.models.heads.jigclu_head import JigCluHead
from hsjp_mm.models.heads.mae_head import MAEHead
from hsjp_mm.models.heads.part_branch_head import PartBranchHead

__all__ = [
    'HSJPHead',
    'HSJPStackHead',
    'HigherHRNetHead',
    'JigCluHead',
    'MAEHead',
    'PartBranchHead',
]
