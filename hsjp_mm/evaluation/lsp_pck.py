"""PCK on Leeds Sports Pose as the PBN paper reports it."""

from collections.abc import Sequence

import numpy as np
from mmengine.logging import MMLogger
from mmpose.evaluation import PCKAccuracy

from hsjp_mm.evaluation.pck import (
    COLUMNS,
    average,
    column_keypoints,
    keypoint_pck,
    predicted_keypoints,
    table,
)
from hsjp_mm.registry import METRICS

TORSO = ('left_shoulder', 'right_hip')


@METRICS.register_module()
class LSPPCK(PCKAccuracy):
    """PCK@0.2 of tables 4 and 5 of the PBN paper, in percent.

    A joint is correct if it is predicted at most ``thr`` torsos away. The torso is the distance
    from the left shoulder to the right hip in the annotation, person-centric, as in the evaluation
    code behind the published tables (``evaluatePCK.m`` of Pishchulin et al., after Sapp and Taskar,
    CVPR 2013). The middle of the shoulders to that of the hips would be 8 % shorter for the median
    person of LSP's test half.

    Reports ``head`` (the mean of neck and head top), ``shoulder``, ``elbow``, ``wrist``, ``hip``,
    ``knee``, ``ankle``, each the mean of its two joints, and ``mean``, over all labelled joints.

    Stock PCKAccuracy's ``norm_item='torso'`` is for JHMDB: it measures from keypoint 4 to 5, here
    left knee to left ankle, and takes the *predicted* torso where the annotated one is shorter than
    a pixel. Here persons without a torso are left out, and the log says how many. A distance of
    exactly ``thr`` is right, as in the public code, and wrong in stock.

    Args:
        thr: threshold in torsos.
        collect_device, prefix: as in MMEngine's BaseMetric.

    Raises:
        ValueError: ``thr`` is not positive.

    Examples:
        >>> test_evaluator = dict(type='hsjp_mm.LSPPCK', thr=0.1)
    """

    default_prefix = 'pck'

    def __init__(self, thr: float = 0.2, collect_device: str = 'cpu', prefix: str | None = None):
        # without norm_item stock keeps the joints and measures nothing
        super().__init__(thr, norm_item=[], collect_device=collect_device, prefix=prefix)
        if not thr > 0:
            raise ValueError(f'thr={thr} torsos must be positive')

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the joints of each person."""
        for sample in data_samples:
            found = {'keypoints': predicted_keypoints(sample)}
            super().process(data_batch, [{**sample, 'pred_instances': found}])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the values, and log them as a table."""
        names = self.dataset_meta['keypoint_name2id']
        parts = column_keypoints(names, head=['neck', 'head_top'])
        joints = sorted(joint for part in parts.values() for joint in part)
        found, truth, labelled = (
            np.concatenate([result[key] for result in results])
            for key in ('pred_coords', 'gt_coords', 'mask')
        )
        ends = [names[name] for name in TORSO]
        torsos = np.linalg.norm(truth[:, ends[0]] - truth[:, ends[1]], axis=1)
        known = labelled[:, ends].all(axis=1) & (torsos > 0)
        shares = keypoint_pck(found[known], truth[known], labelled[known], torsos[known], self.thr)
        scores = {column: average(shares[part]) for column, part in parts.items()}
        scores['mean'] = average(shares[joints], labelled[known].sum(axis=0)[joints])
        self._report(scores, known)
        return {column: value for column, value in scores.items() if not np.isnan(value)}

    def _report(self, scores: dict[str, float], known: np.ndarray) -> None:
        log = MMLogger.get_current_instance()
        log.info(table(f'PCK@{self.thr:g} of {known.sum()} persons', COLUMNS, {'': scores}))
        if not known.all():
            log.warning(
                f'{(~known).sum()} of {len(known)} persons left out: their left shoulder and right '
                'hip are not both labelled, or in one place, so they have no torso'
            )
        empty = [column for column, value in scores.items() if np.isnan(value)]
        if empty:
            log.warning(f'PCK: nobody has these joints, they are left out: {", ".join(empty)}')
