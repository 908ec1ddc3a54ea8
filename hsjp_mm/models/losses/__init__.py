from hsjp_mm.models.losses.contrastive_loss import ClusteringLoss, SupervisedContrastiveLoss
from hsjp_mm.models.losses.grouping_loss import GroupingLoss
from hsjp_mm.models.losses.mesh_loss import MeshLoss, MeshTargets

__all__ = ['ClusteringLoss', 'GroupingLoss', 'MeshLoss', 'MeshTargets', 'SupervisedContrastiveLoss']
