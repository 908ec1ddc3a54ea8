"""How well the jigsaw puzzles are solved.

Letters: N patches along a side, K = N².
"""

import math
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from hsjp_mm.ops.patches import grid_centers
from hsjp_mm.registry import METRICS


@METRICS.register_module()
class HSJPPrecision(BaseMetric):
    """The precision of section 3.5 of the HSJP paper, with the chance level of each number.

    Equations (3) to (5): a patch is placed right if its peak lies less than ε from its center,
    a puzzle is solved if all of its patches are, and the precision is the share of solved ones.
    Chance is what placing the patches by a random permutation gives.

    Reports ``precision``, ``placed`` (the share of patches placed right) and ``error`` (the mean
    distance in input pixels), each with its ``…_chance``.

    Args:
        epsilon: ε in input pixels, at most a patch side, for beyond it the neighboring place
            would count too. Default: half a patch side; the paper does not give its value.
        collect_device, prefix: as in MMEngine's BaseMetric.

    Raises:
        ValueError: ``epsilon`` outside its range.

    Examples:
        >>> val_evaluator = dict(type='hsjp_mm.HSJPPrecision', epsilon=8)
    """

    default_prefix = 'hsjp'

    def __init__(
        self, epsilon: float | None = None, collect_device: str = 'cpu', prefix: str | None = None
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        if epsilon is not None and epsilon <= 0:
            raise ValueError(f'epsilon={epsilon} input pixels must be positive')
        self.epsilon = epsilon

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the distance of each patch, and the size of the puzzle, for each instance."""
        for sample in data_samples:
            truth = np.asarray(sample['gt_instances']['patch_centers'])[0]
            found = np.asarray(sample['pred_instances']['patch_centers'])[0]
            distance = np.linalg.norm(found - truth, axis=1)
            self.results.append((distance, tuple(sample['input_size'])))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the measures over all instances."""
        distances = np.stack([distance for distance, _ in results])
        width, height = results[0][1]
        grid = math.isqrt(distances.shape[1])
        side = min(width, height) / grid
        epsilon = side / 2 if self.epsilon is None else self.epsilon
        if epsilon > side:
            raise ValueError(
                f'epsilon={epsilon} input pixels must be at most a patch side, {side:.2f}'
            )
        placed = distances < epsilon
        places = grid_centers(grid, height, width)
        return {
            'precision': float(placed.all(axis=1).mean()),
            'precision_chance': 1 / math.factorial(grid**2),
            'placed': float(placed.mean()),
            'placed_chance': 1 / grid**2,
            'error': float(distances.mean()),
            'error_chance': float((places[:, None] - places).norm(dim=2).mean()),
        }
