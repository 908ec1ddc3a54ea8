from hsjp_mm.evaluation.densepose_accuracy import DensePoseAccuracy
from hsjp_mm.evaluation.hsjp_precision import HSJPPrecision
from hsjp_mm.evaluation.jigclu_accuracy import JigCluAccuracy
from hsjp_mm.evaluation.joint_retrieval import JointRetrieval
from hsjp_mm.evaluation.lsp_pck import LSPPCK
from hsjp_mm.evaluation.mae_explained_variance import MAEExplainedVariance
from hsjp_mm.evaluation.mesh_error import MeshError
from hsjp_mm.evaluation.mupots_pck import MupotsPCK
from hsjp_mm.evaluation.part_iou import PartIoU
from hsjp_mm.evaluation.pckh import PCKh
from hsjp_mm.evaluation.view_retrieval import ViewRetrieval

__all__ = [
    'LSPPCK',
    'DensePoseAccuracy',
    'HSJPPrecision',
    'JigCluAccuracy',
    'JointRetrieval',
    'MAEExplainedVariance',
    'MeshError',
    'MupotsPCK',
    'PCKh',
    'PartIoU',
    'ViewRetrieval',
]
