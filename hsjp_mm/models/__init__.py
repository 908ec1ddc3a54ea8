from hsjp_mm.models.backbones import PartBranchHourglass
from hsjp_mm.models.heads import (
    DensePoseHead,
    HigherHRNetHead,
    HSJPHead,
    HSJPStackHead,
    JigCluHead,
    PartBranchHead,
    PartSegmentationHead,
)
from hsjp_mm.models.losses import GroupingLoss, SupervisedContrastiveLoss
from hsjp_mm.models.pose_estimators import (
    MultiscalePoseEstimator,
    MultiscaleTopdownPoseEstimator,
)
from hsjp_mm.models.pretext import (
    HSJP,
    DensePose,
    JigClu,
    Measure,
    PartSegmentation,
    PretextModel,
    PuzzleModel,
)

__all__ = [
    'HSJP',
    'DensePose',
    'DensePoseHead',
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
    'PartSegmentation',
    'PartSegmentationHead',
    'PretextModel',
    'PuzzleModel',
    'SupervisedContrastiveLoss',
]
