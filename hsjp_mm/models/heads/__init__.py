from hsjp_mm.models.heads.byol_head import BYOLHead
from hsjp_mm.models.heads.densepose_head import DensePoseHead
from hsjp_mm.models.heads.detcon_head import DetConBHead, DetConSHead
from hsjp_mm.models.heads.higherhrnet_head import HigherHRNetHead
from hsjp_mm.models.heads.hsjp_head import HSJPHead, HSJPStackHead
from hsjp_mm.models.heads.jigclu_head import JigCluHead
from hsjp_mm.models.heads.jointcon_head import JointConHead
from hsjp_mm.models.heads.mae_head import MAEHead
from hsjp_mm.models.heads.mesh import (
    HMR2Head,
    HMRHead,
    LixelHead,
    MeshHead,
    MeshPrediction,
    PAREHead,
    Pose2PoseHead,
    PyMAFHead,
)
from hsjp_mm.models.heads.moco_head import MoCoHead
from hsjp_mm.models.heads.part_branch_head import PartBranchHead
from hsjp_mm.models.heads.part_segmentation_head import PartSegmentationHead
from hsjp_mm.models.heads.peclr_head import PeCLRHead
from hsjp_mm.models.heads.simclr_head import SimCLRHead
from hsjp_mm.models.heads.simsiam_head import SimSiamHead
from hsjp_mm.models.heads.swav_head import SwAVHead

__all__ = [
    'BYOLHead',
    'DensePoseHead',
    'DetConBHead',
    'DetConSHead',
    'HMR2Head',
    'HMRHead',
    'HSJPHead',
    'HSJPStackHead',
    'HigherHRNetHead',
    'JigCluHead',
    'JointConHead',
    'LixelHead',
    'MAEHead',
    'MeshHead',
    'MeshPrediction',
    'MoCoHead',
    'PAREHead',
    'PartBranchHead',
    'PartSegmentationHead',
    'PeCLRHead',
    'Pose2PoseHead',
    'PyMAFHead',
    'SimCLRHead',
    'SimSiamHead',
    'SwAVHead',
]
