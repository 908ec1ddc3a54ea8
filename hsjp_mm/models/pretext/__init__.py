from hsjp_mm.models.pretext.base import Measure, PretextModel
from hsjp_mm.models.pretext.densepose import DensePose
from hsjp_mm.models.pretext.hsjp import HSJP
from hsjp_mm.models.pretext.jigclu import JigClu
from hsjp_mm.models.pretext.part_segmentation import PartSegmentation
from hsjp_mm.models.pretext.puzzle import PuzzleModel

__all__ = [
    'HSJP',
    'DensePose',
    'JigClu',
    'Measure',
    'PartSegmentation',
    'PretextModel',
    'PuzzleModel',
]
