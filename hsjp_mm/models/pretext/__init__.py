from hsjp_mm.models.pretext.hsjp import HSJP
from hsjp_mm.models.pretext.jigclu import JigClu

__all__ = ['HSJP', 'JigClu']
