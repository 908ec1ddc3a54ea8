from hsjp_mm.models.pose_estimators.bottomup_maps import BottomupMaps
from hsjp_mm.models.pose_estimators.i2l_meshnet import I2LMeshNet
from hsjp_mm.models.pose_estimators.mesh_estimator import MeshEstimator
from hsjp_mm.models.pose_estimators.multiscale import (
    MultiscalePoseEstimator,
    MultiscaleTopdownPoseEstimator,
)

__all__ = [
    'BottomupMaps',
    'I2LMeshNet',
    'MeshEstimator',
    'MultiscalePoseEstimator',
    'MultiscaleTopdownPoseEstimator',
]
