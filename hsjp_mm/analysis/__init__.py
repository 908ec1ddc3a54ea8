"""What the tools compute beyond training."""

from hsjp_mm.analysis.oracle import oracle_scores
from hsjp_mm.analysis.probes import probe

__all__ = ['oracle_scores', 'probe']
