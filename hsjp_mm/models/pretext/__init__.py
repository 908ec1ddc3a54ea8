from hsjp_mm.models.pretext.base import Measure, PretextModel
from hsjp_mm.models.pretext.byol import BYOL
from hsjp_mm.models.pretext.densepose import DensePose
from hsjp_mm.models.pretext.detcon import DetConB, DetConS
from hsjp_mm.models.pretext.hsjp import HSJP
from hsjp_mm.models.pretext.jigclu import JigClu
from hsjp_mm.models.pretext.jointcon import JointCon
from hsjp_mm.models.pretext.mae import MAE
from hsjp_mm.models.pretext.moco import MoCo
from hsjp_mm.models.pretext.part_segmentation import PartSegmentation
from hsjp_mm.models.pretext.peclr import PeCLR
from hsjp_mm.models.pretext.puzzle import PuzzleModel
from hsjp_mm.models.pretext.simclr import SimCLR
from hsjp_mm.models.pretext.simsiam import SimSiam
from hsjp_mm.models.pretext.swav import SwAV
from hsjp_mm.models.pretext.views import ViewsModel

__all__ = [
    'BYOL',
    'HSJP',
    'MAE',
    'DensePose',
    'DetConB',
    'DetConS',
    'JigClu',
    'JointCon',
    'Measure',
    'MoCo',
    'PartSegmentation',
    'PeCLR',
    'PretextModel',
    'PuzzleModel',
    'SimCLR',
    'SimSiam',
    'SwAV',
    'ViewsModel',
]
