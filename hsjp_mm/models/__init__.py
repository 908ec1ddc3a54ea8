from hsjp_mm.models.backbones import PartBranchHourglass
from hsjp_mm.models.heads import (
    HigherHRNetHead,
    HSJPHead,
    HSJPStackHead,
    JigCluHead,
    MAEHead,
    PartBranchHead,
)
from hsjp_mm.models.losses import GroupingLoss, SupervisedContrastiveLoss
from hsjp_mm.models.pose_estimators import (
    MultiscalePoseEstimator,
    MultiscaleTopdownPoseEstimator,
)
from hsjp_mm.models.pretext import HSJP, MAE, JigClu, Measure, PretextModel, PuzzleModel

__all__ = [
    'HSJP',
    'MAE',
    'GroupingLoss',
    'HSJPHead',
    'HSJPStackHead',
    'HigherHRNetHead',
    'JigClu',
    'JigCluHead',
    'MAEHead',
    'Measure',
    'MultiscalePoseEstimator',
    'MultiscaleTopdownPoseEstimator',
    'PartBranchHead',
    'PartBranchHourglass',
    'PretextModel',
    'PuzzleModel',
    'SupervisedContrastiveLoss',
]
