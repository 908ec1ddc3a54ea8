from hsjp_mm.models.losses.cell_cross_entropy_loss import CellCrossEntropyLoss
from hsjp_mm.models.losses.contrastive_loss import ClusteringLoss, SupervisedContrastiveLoss
from hsjp_mm.models.losses.grouping_loss import GroupingLoss
from hsjp_mm.models.losses.lixel_loss import LixelLoss
from hsjp_mm.models.losses.mesh_loss import MeshLoss, MeshTargets
from hsjp_mm.models.losses.pose2pose_loss import Pose2PoseLoss

__all__ = [
    'CellCrossEntropyLoss',
    'ClusteringLoss',
    'GroupingLoss',
    'LixelLoss',
    'MeshLoss',
    'MeshTargets',
    'Pose2PoseLoss',
    'SupervisedContrastiveLoss',
]
