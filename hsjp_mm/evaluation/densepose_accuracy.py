"""How well the points of DensePose are told.

Letters: P points of a person.
"""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from hsjp_mm.registry import METRICS


@METRICS.register_module()
class DensePoseAccuracy(BaseMetric):
    """Charts, and U and V, at the annotated points, with the chance level of each number.

    Reports ``index``, the share of points whose chart is told right among 24 and the background,
    and ``uv_error``, the mean distance in U and V (0 to 1 each), read in the annotated chart
    whatever was told. Chance: the most frequent chart; the mean of U and V of all points.

    These are not the measures of the `DensePose paper <https://arxiv.org/abs/1802.00434>`_: its
    point accuracy counts the geodesic distance on the body's surface, for which the SMPL model is
    needed, so it is not computed, and the numbers here cannot be compared with its own.

    Args:
        collect_device, prefix: as in MMEngine's BaseMetric.

    Examples:
        >>> val_evaluator = [
        ...     dict(type='hsjp_mm.DensePoseAccuracy'), dict(type='hsjp_mm.PartIoU')
        ... ]
    """

    default_prefix = 'densepose'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the points of each person that lie in the crop."""
        for sample in data_samples:
            truth, found = sample['gt_instance_labels'], sample['pred_instances']
            inside = found['dense_inside'][0].cpu().bool()
            charts = [part['dense_charts'][0].cpu()[inside] for part in (truth, found)]
            uv = [part['dense_uv'][0].cpu()[inside] for part in (truth, found)]
            self.results.append(torch.cat([torch.stack(charts, dim=1).float(), *uv], dim=1).numpy())

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the measures over all points.

        Raises:
            ValueError: there is no point.
        """
        points = np.concatenate(results).astype(float)
        if not len(points):
            raise ValueError(f'no annotated point lies in the crops of {len(results)} persons')
        charts, found, uv, found_uv = np.split(points, [1, 2, 4], axis=1)
        _, chart, frequency = np.unique(charts, return_inverse=True, return_counts=True)
        means = [np.bincount(chart.ravel(), axis) / frequency for axis in uv.T]
        mean_uv = np.stack(means, axis=1)[chart.ravel()]
        MMLogger.get_current_instance().info(
            f'DensePoseAccuracy: {len(points)} points of {len(results)} persons; accuracy by '
            'geodesic distance is not computed, for it needs SMPL'
        )
        return {
            'index': float((charts == found).mean()),
            'index_chance': float(frequency.max() / len(points)),
            'uv_error': float(np.linalg.norm(found_uv - uv, axis=1).mean()),
            'uv_error_chance': float(np.linalg.norm(uv - mean_uv, axis=1).mean()),
        }
