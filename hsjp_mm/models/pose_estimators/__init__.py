from hsjp_mm.models.pose_estimators.multiscale import MultiscalePoseEstimator

__all__ = ['MultiscalePoseEstimator']
