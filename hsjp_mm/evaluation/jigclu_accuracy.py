"""How well patches are clustered and located, with the chance level of each number."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from hsjp_mm.ops.regrouping import (
    feature_std,
    put_together,
    restored,
    restored_chance,
    retrieval_chance,
    retrieved,
)
from hsjp_mm.registry import METRICS


@METRICS.register_module()
class JigCluAccuracy(BaseMetric):
    """How well each validation batch is solved, with the chance level of each number.

    Reports ``location``, the share of patches given their location; ``retrieval``, the share of
    patches whose nearest neighbor in the batch is of the same image; ``restored``, the share of
    images put together again entirely, by :func:`~hsjp_mm.ops.regrouping.group` and then by the
    assignment of a group's patches to the locations; each with its ``…_chance``. ``feature_std``
    is 0 where the vectors have collapsed, and near 1 where they spread evenly. A head without the
    location branch has no ``location`` and no ``restored``.

    The batches are those of this process, so retrieval depends on the batch size, and so does its
    chance. A last batch of a single image counts with a chance of 1.

    Args:
        collect_device, prefix: as in MMEngine's BaseMetric.

    Examples:
        >>> val_evaluator = dict(type='hsjp_mm.JigCluAccuracy')
    """

    default_prefix = 'jigclu'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Measure a batch."""
        vectors = torch.cat([s['pred_instances']['patch_embeddings'] for s in data_samples])
        num_images, patches = vectors.shape[:2]
        vectors = vectors.flatten(0, 1)
        images = torch.arange(num_images).repeat_interleave(patches)
        measures: dict[str, Any] = {
            'retrieval': retrieved(vectors, vectors, images).double().mean(),
            'retrieval_chance': retrieval_chance(num_images, patches),
            'feature_std': feature_std(vectors),
        }
        if 'patch_logits' in data_samples[0]['pred_instances']:
            logits = torch.cat([s['pred_instances']['patch_logits'] for s in data_samples])
            found = put_together(vectors.numpy(), logits.flatten(0, 1).numpy())
            right = logits.argmax(dim=2) == torch.arange(patches)
            measures |= {
                'location': right.double().mean(),
                'location_chance': 1 / patches,
                'restored': restored(found, np.arange(num_images * patches)).mean(),
                'restored_chance': restored_chance(num_images, patches),
            }
        self.results.append((num_images, {key: float(value) for key, value in measures.items()}))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average over all images."""
        images = sum(number for number, _ in results)
        return {
            key: sum(number * values[key] for number, values in results) / images
            for key in results[0][1]
        }
