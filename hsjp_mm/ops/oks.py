"""Object keypoint similarity.

Letters: G persons, K keypoints.
"""

import numpy as np


def similarity(offsets: np.ndarray, areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Keypoint similarity ks = exp(−d² / (2 s² k²)) with s² the area and k = 2 sigma, as in OKS.

    Args:
        offsets: (…, G, K, 2), to the keypoints of G persons in pixels.
        areas: (G,), in square pixels.
        sigmas: (K,).

    Returns:
        (…, G, K), in [0, 1].
    """
    squares = (offsets**2).sum(axis=-1)
    return np.exp(-squares / (2 * sigmas) ** 2 / (areas[:, None] + np.spacing(1)) / 2)
