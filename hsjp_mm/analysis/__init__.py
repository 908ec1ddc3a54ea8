"""What the tools compute of annotations and predictions."""

from typing import TYPE_CHECKING

from hsjp_mm.utils.lazy import lazy_imports
from hsjp_mm.utils.moved import moved_names

if TYPE_CHECKING:
    from hsjp_mm.analysis.keypoint_errors import diagnose
    from hsjp_mm.analysis.keypoint_priors import measure_priors
    from hsjp_mm.analysis.oracle import oracle_scores
    from hsjp_mm.analysis.part_groups import group_parts
    from hsjp_mm.analysis.persons import read_persons

__all__ = ['diagnose', 'group_parts', 'measure_priors', 'oracle_scores', 'read_persons']

__getattr__ = lazy_imports(
    __name__,
    __file__,
    moved_names(
        __name__, {'PoseProbe': 'hsjp_mm.probing.PoseProbe', 'probe': 'hsjp_mm.probing.probe'}
    ),
)
