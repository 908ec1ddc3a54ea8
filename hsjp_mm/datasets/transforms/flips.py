"""What the stock RandomFlip has done to a sample, for transforms that read what it leaves alone."""

import numpy as np


def stock_flip(results: dict) -> np.ndarray:
    """The matrix (3, 3) from the image as it was annotated to the image as RandomFlip left it.

    Args:
        results: the sample, with ``img_shape`` and, if RandomFlip has been there, ``flip`` and
            ``flip_direction``.
    """
    matrix = np.eye(3)
    if not results.get('flip', False):
        return matrix
    height, width = results['img_shape'][:2]
    if results['flip_direction'] in ('horizontal', 'diagonal'):
        matrix[0] = [-1, 0, width - 1]
    if results['flip_direction'] in ('vertical', 'diagonal'):
        matrix[1] = [0, -1, height - 1]
    return matrix


def refuse_flip(results: dict, transform: str, instead: str) -> None:
    """Refuse a sample that RandomFlip has flipped.

    Args:
        results: the sample.
        transform: that would mix up left and right.
        instead: what to do.

    Raises:
        ValueError: it has.
    """
    if results.get('flip_direction'):
        raise ValueError(
            f'{transform} stands after RandomFlip, which has flipped the image and not all of its '
            f'labels: {instead}'
        )
