"""Whether the views of a crop are told from those of others, with the chance level."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric

from hsjp_mm.ops.regrouping import feature_std, retrieval_chance, retrieved
from hsjp_mm.registry import METRICS


@METRICS.register_module()
class ViewRetrieval(BaseMetric):
    """How often the nearest neighbor of a view is the other view of the same crop.

    The crops are taken in the order of the data set, in groups of ``among`` that do not depend on
    the batch size or the number of processes, for among more crops it is harder. Reports
    ``retrieval``, the share of views whose nearest neighbor by cosine in the group is of the same
    crop; ``retrieval_chance``; and ``feature_std``, 0 where all embeddings have collapsed into one
    and near 1 where they spread evenly. A last group of a single crop is left out unless there is
    no other.

    Args:
        among: crops in a group.
        collect_device, prefix: as in MMEngine's BaseMetric.

    Raises:
        ValueError: ``among`` below 2.

    Examples:
        >>> val_evaluator = dict(type='hsjp_mm.ViewRetrieval')
    """

    default_prefix = 'views'

    def __init__(self, among: int = 64, collect_device: str = 'cpu', prefix: str | None = None):
        super().__init__(collect_device, prefix)
        if among < 2:
            raise ValueError(f'among={among} must be at least 2 crops')
        self.among = among

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the embeddings (1, V, D) of each crop."""
        self.results += [s['pred_instances']['view_embeddings'] for s in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Search in each group, and average over all views."""
        embeddings = torch.cat(results)
        groups = [group for group in embeddings.split(self.among) if len(group) > 1]
        measured = [_retrieval(group) for group in groups or [embeddings]]
        weights = torch.tensor([len(group) for group in groups or [embeddings]]).double()
        retrieval, chance = torch.tensor(measured).double().T @ (weights / weights.sum())
        return {
            'retrieval': float(retrieval),
            'retrieval_chance': float(chance),
            'feature_std': float(feature_std(embeddings.flatten(0, 1))),
        }


def _retrieval(group: torch.Tensor) -> tuple[float, float]:
    """The share retrieved in a group (n, V, D), and what chance would give."""
    number, views = group.shape[:2]
    rows = group.flatten(0, 1)
    images = torch.arange(number).repeat_interleave(views)
    found = retrieved(rows, rows, images).double().mean()
    return float(found), retrieval_chance(number, views)
