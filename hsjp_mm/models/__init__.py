from hsjp_mm.models.heads import HigherHRNetHead, HSJPHead, JigCluHead
from hsjp_mm.models.losses import GroupingLoss
from hsjp_mm.models.pose_estimators import MultiscalePoseEstimator
from hsjp_mm.models.pretext import HSJP, JigClu

__all__ = [
    'HSJP',
    'GroupingLoss',
    'HSJPHead',
    'HigherHRNetHead',
    'JigClu',
    'JigCluHead',
    'MultiscalePoseEstimator',
]
