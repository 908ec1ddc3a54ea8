"""Heat maps of which the highest cell is the prediction."""

import numpy as np
from mmpose.codecs import MSRAHeatmap
from mmpose.codecs.utils import get_heatmap_maximum

from hsjp_mm.registry import KEYPOINT_CODECS


@KEYPOINT_CODECS.register_module()
class HighestCell(MSRAHeatmap):
    """The stock Gaussians, decoded to the center of the highest cell and no finer.

    So the Part-based Branching Network predicts (section 4.1 of its paper). The stock codec moves
    a quarter of a cell towards the higher neighbor, which no option of it turns off.

    Args:
        input_size: (width, height) of the crop in pixels.
        heatmap_size: (width, height) of the heat maps in cells.
        sigma: deviation of the Gaussians in cells.

    Examples:
        >>> codec = dict(
        ...     type='hsjp_mm.HighestCell', input_size=(256, 256), heatmap_size=(64, 64), sigma=1
        ... )
    """

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the highest cells.

        Args:
            encoded: (K, h, w) heat maps.

        Returns:
            (1, K, 2) points (x, y) in input pixels, and (1, K) heights.
        """
        cells, scores = get_heatmap_maximum(encoded)
        return cells[None] * self.scale_factor, scores[None]
