from hsjp_mm.models.losses.contrastive_loss import ClusteringLoss, SupervisedContrastiveLoss
from hsjp_mm.models.losses.grouping_loss import GroupingLoss

__all__ = ['ClusteringLoss', 'GroupingLoss', 'SupervisedContrastiveLoss']
