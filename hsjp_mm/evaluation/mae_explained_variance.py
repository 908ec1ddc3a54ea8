"""How much of what a masked autoencoder was not shown it can tell."""

from collections.abc import Sequence

from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric
from torch import Tensor

from hsjp_mm.ops.windows import sums_by_place
from hsjp_mm.registry import METRICS

Sums = tuple[Tensor, Tensor, Tensor]
"""Number, sum and sum of squares by place, see :func:`~hsjp_mm.ops.windows.sums_by_place`."""


@METRICS.register_module()
class MAEExplainedVariance(BaseMetric):
    """The share of the masked patches' variance that is explained, with its chance level.

    Letters: t the normalised pixels of a masked patch, p the predicted ones; sums over all pixels
    of all masked patches of all instances.

    - ``explained``: 1 − Σ(t − p)² / Σt². It is 1 for a perfect painting. Each t has a mean of 0, so
      0 is what the mean color of each masked patch gets, and what is worse is negative.
    - ``explained_chance``: what a network reaches that does not look at the picture. Crops of
      persons have much in common, such as an upright person in the middle and black beyond the
      photograph's edge. So p is the mean of t at the same place of the crop over the other
      instances. Not below 0, for the mean color is had as easily.

    A network has learnt to look when ``explained`` has passed ``explained_chance``.

    Args:
        collect_device, prefix: as in MMEngine's BaseMetric.

    Examples:
        >>> val_evaluator = dict(type='hsjp_mm.MAEExplainedVariance')
    """

    default_prefix = 'mae'

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self._sums: Sums | None = None

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep each instance's error, and sum what lies at each place."""
        for sample in data_samples:
            mask = sample['gt_instances']['mask'][0]
            truth = sample['gt_instances']['patches'][0].double()
            found = sample['pred_instances']['patches'][0].double()
            error = float((truth - found).square().sum())
            self.results.append((error, float(truth.square().sum())))
            sums = sums_by_place(truth, mask.nonzero()[:, 0], len(mask))
            self._sums = sums if self._sums is None else _add(self._sums, sums)

    def evaluate(self, size: int) -> dict[str, float]:
        """Put the sums of all processes together, then as BaseMetric.

        The sums hold a sample twice that a sampler repeats to fill the last batches, which changes
        the chance level by next to nothing; results are cut to ``size`` by BaseMetric.
        """
        for rank, sums in enumerate(all_gather_object(self._sums)):
            if rank == 0:
                self._sums = sums
            elif sums is not None:
                self._sums = sums if self._sums is None else _add(self._sums, sums)
        measures = super().evaluate(size)
        self._sums = None
        return measures

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the measures over all instances."""
        assert self._sums is not None
        counts, sums, squares = self._sums
        variance = float(squares.sum().clamp(min=1e-6))
        around = squares - sums.square().sum(dim=1) / counts.clamp(min=1)
        # the mean of the others is n / (n − 1) times as far as the mean of all
        others = (counts / (counts - 1).clamp(min=1)).square() * around
        blind = others.where(counts > 1, squares)
        errors, truths = (sum(column) for column in zip(*results, strict=True))
        return {
            'explained': 1 - errors / max(truths, 1e-6),
            'explained_chance': max(0.0, 1 - float(blind.sum()) / variance),
        }


def _add(one: Sums, other: Sums) -> Sums:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
