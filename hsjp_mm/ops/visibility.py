"""What MMPose's ``keypoints_visible`` says of each keypoint.

Letters: N persons, K keypoints.
"""

import numpy as np


def visibility(keypoints_visible: np.ndarray) -> np.ndarray:
    """Take the visibilities out of ``keypoints_visible``, above 0 where a keypoint is labelled.

    Args:
        keypoints_visible: (N, K), as data sets give it, or (N, K, 2), as the stock
            ``KeypointConverter`` leaves it, which puts weights beside them.

    Returns:
        (N, K).
    """
    values = np.asarray(keypoints_visible)
    return values[..., 0] if values.ndim == 3 else values
