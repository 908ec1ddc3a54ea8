from hsjp_mm.models.pose_estimators.mesh_estimator import MeshEstimator
from hsjp_mm.models.pose_estimators.multiscale import (
    MultiscalePoseEstimator,
    MultiscaleTopdownPoseEstimator,
)

__all__ = ['MeshEstimator', 'MultiscalePoseEstimator', 'MultiscaleTopdownPoseEstimator']
