from hsjp_mm.models.pose_estimators.multiscale import (
    MultiscalePoseEstimator,
    MultiscaleTopdownPoseEstimator,
)

__all__ = ['MultiscalePoseEstimator', 'MultiscaleTopdownPoseEstimator']
