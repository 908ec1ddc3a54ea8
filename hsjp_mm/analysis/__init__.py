"""What the tools compute beyond training."""

from hsjp_mm.analysis.keypoint_errors import diagnose
from hsjp_mm.analysis.keypoint_priors import measure_priors, read_persons
from hsjp_mm.analysis.oracle import oracle_scores
from hsjp_mm.analysis.part_groups import group_parts
from hsjp_mm.analysis.pose_probes import PoseProbe
from hsjp_mm.analysis.probes import probe

__all__ = [
    'PoseProbe',
    'diagnose',
    'group_parts',
    'measure_priors',
    'oracle_scores',
    'probe',
    'read_persons',
]
