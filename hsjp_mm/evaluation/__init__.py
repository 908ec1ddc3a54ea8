from hsjp_mm.evaluation.hsjp_precision import HSJPPrecision

__all__ = ['HSJPPrecision']
