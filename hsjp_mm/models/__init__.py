from hsjp_mm.models.backbones import PartBranchHourglass
from hsjp_mm.models.heads import (
    HigherHRNetHead,
    HSJPHead,
    HSJPStackHead,
    JigCluHead,
    PartBranchHead,
)
from hsjp_mm.models.losses import GroupingLoss, SupervisedContrastiveLoss
from hsjp_mm.models.pose_estimators import (
    MultiscalePoseEstimator,
    MultiscaleTopdownPoseEstimator,
)
from hsjp_mm.models.pretext import HSJP, JigClu, Measure, PretextModel, PuzzleModel

__all__ = [
    'HSJP',
    'GroupingLoss',
    'HSJPHead',
    'HSJPStackHead',
    'HigherHRNetHead',
    'JigClu',
    'JigCluHead',
    'Measure',
    'MultiscalePoseEstimator',
    'MultiscaleTopdownPoseEstimator',
    'PartBranchHead',
    'PartBranchHourglass',
    'PretextModel',
    'PuzzleModel',
    'SupervisedContrastiveLoss',
]
