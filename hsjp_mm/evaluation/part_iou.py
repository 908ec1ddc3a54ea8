"""How well the parts of persons are segmented.

Letters: N parts.
"""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from hsjp_mm.evaluation.pck import table
from hsjp_mm.ops.part_labels import at_cells, confusion, intersection_over_union
from hsjp_mm.registry import METRICS

COLUMNS = {'iou': 'IoU', 'share': 'Share'}


@METRICS.register_module()
class PartIoU(BaseMetric):
    """Intersection over union by part, with the chance level.

    Counted over the cells of all persons together, at the resolution of the network's map, where a
    cell has the label of the input pixel that it looks at; cells beside the image do not count.

    Reports ``iou``, the mean over the N parts, without the background; ``iou/NAME`` of each part
    and of the background; ``accuracy``, the share of cells that are right. Chance: for ``iou``
    labels drawn at random by their share p, which have an IoU of p / (2 − p); for ``accuracy`` the
    most frequent label everywhere. A part that is nowhere, neither annotated nor predicted, has no
    IoU: it is left out and named in the log, which has all of it as a table.

    The names are those of the data set.

    Args:
        collect_device, prefix: as in MMEngine's BaseMetric.

    Examples:
        >>> val_evaluator = dict(type='hsjp_mm.PartIoU')
    """

    default_prefix = 'parts'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Count the labels of each person."""
        number = len(self.dataset_meta['parts']) + 1
        for sample in data_samples:
            found = sample['pred_fields']['part_labels']
            truth = at_cells(sample['gt_fields']['part_labels'].cpu(), found.shape[-2:])
            self.results.append(confusion(found.cpu(), truth, number).numpy())

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the measures over all persons, and log them as a table."""
        counts = torch.from_numpy(np.sum(results, axis=0))
        names = ['background', *self.dataset_meta['parts']]
        iou = intersection_over_union(counts).numpy()
        shares = (counts.sum(dim=1) / counts.sum().clamp(min=1)).double().numpy()
        by_chance = np.where(np.isnan(iou), np.nan, shares / (2 - shares))
        rows = {
            name: {'iou': 100 * iou[i], 'share': 100 * shares[i]} for i, name in enumerate(names)
        }
        log = MMLogger.get_current_instance()
        log.info(table(f'parts of {len(results)} persons, percent', COLUMNS, rows))
        nowhere = [name for name, value in zip(names, iou, strict=True) if np.isnan(value)]
        if nowhere:
            log.warning(f'PartIoU: neither annotated nor predicted: {", ".join(nowhere)}')
        seen = ~np.isnan(iou[1:])
        return {
            'iou': float(iou[1:][seen].mean()) if seen.any() else 0.0,
            'iou_chance': float(by_chance[1:][seen].mean()) if seen.any() else 0.0,
            'accuracy': float(counts.diagonal().sum() / counts.sum().clamp(min=1)),
            'accuracy_chance': float(shares.max()),
            **{f'iou/{n}': float(v) for n, v in zip(names, iou, strict=True) if not np.isnan(v)},
        }
