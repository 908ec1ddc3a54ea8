from hsjp_mm.models.losses.clustering_loss import ClusteringLoss

__all__ = ['ClusteringLoss']
