"""What the tools compute of annotations and predictions."""

from hsjp_mm.analysis.keypoint_errors import diagnose
from hsjp_mm.analysis.keypoint_priors import measure_priors
from hsjp_mm.analysis.oracle import oracle_scores
from hsjp_mm.analysis.part_groups import group_parts
from hsjp_mm.analysis.persons import read_persons
from hsjp_mm.utils.moved import moved_names

__all__ = ['diagnose', 'group_parts', 'measure_priors', 'oracle_scores', 'read_persons']

__getattr__ = moved_names(
    __name__, {'PoseProbe': 'hsjp_mm.probing.PoseProbe', 'probe': 'hsjp_mm.probing.probe'}
)
