from hsjp_mm.evaluation.hsjp_precision import HSJPPrecision
from hsjp_mm.evaluation.jigclu_accuracy import JigCluAccuracy

__all__ = ['HSJPPrecision', 'JigCluAccuracy']
