from hsjp_mm.models.pretext.hsjp import HSJP

__all__ = ['HSJP']
