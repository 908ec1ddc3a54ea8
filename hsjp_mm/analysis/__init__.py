"""What the tools compute beyond training."""

from hsjp_mm.analysis.oracle import oracle_scores
from hsjp_mm.analysis.part_groups import group_parts
from hsjp_mm.analysis.probes import probe

__all__ = [
    'group_parts',
    'oracle_scores',
    'probe',
]
