from hsjp_mm.models.heads.densepose_head import DensePoseHead
from hsjp_mm.models.heads.higherhrnet_head import HigherHRNetHead
from hsjp_mm.models.heads.hsjp_head import HSJPHead, HSJPStackHead
from hsjp_mm.models.heads.jigclu_head import JigCluHead
from hsjp_mm.models.heads.part_branch_head import PartBranchHead
from hsjp_mm.models.heads.part_segmentation_head import PartSegmentationHead

__all__ = [
    'DensePoseHead',
    'HSJPHead',
    'HSJPStackHead',
    'HigherHRNetHead',
    'JigCluHead',
    'PartBranchHead',
    'PartSegmentationHead',
]
