from hsjp_mm.models.heads.mesh.hmr2_head import HMR2Head
from hsjp_mm.models.heads.mesh.hmr_head import HMRHead
from hsjp_mm.models.heads.mesh.lixel_head import LixelHead
from hsjp_mm.models.heads.mesh.mesh_head import MeshHead, MeshPrediction
from hsjp_mm.models.heads.mesh.pare_head import PAREHead
from hsjp_mm.models.heads.mesh.pose2pose_head import Pose2PoseHead
from hsjp_mm.models.heads.mesh.pymaf_head import PyMAFHead

__all__ = [
    'HMR2Head',
    'HMRHead',
    'LixelHead',
    'MeshHead',
    'MeshPrediction',
    'PAREHead',
    'Pose2PoseHead',
    'PyMAFHead',
]
