from hsjp_mm.models.pretext.base import Measure, PretextModel
from hsjp_mm.models.pretext.hsjp import HSJP
from hsjp_mm.models.pretext.jigclu import JigClu
from hsjp_mm.models.pretext.mae import MAE
from hsjp_mm.models.pretext.puzzle import PuzzleModel

__all__ = ['HSJP', 'MAE', 'JigClu', 'Measure', 'PretextModel', 'PuzzleModel']
