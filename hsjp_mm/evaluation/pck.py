"""What the metrics of the PBN paper have in common: its columns, and the table that a log shows.

Letters: N persons, K keypoints.
"""

from collections.abc import Sequence

import numpy as np
from mmpose.evaluation import keypoint_pck_accuracy

COLUMNS = {
    'head': 'Head', 'shoulder': 'Sho.', 'elbow': 'Elb.', 'wrist': 'Wri.', 'hip': 'Hip',
    'knee': 'Knee', 'ankle': 'Ank.', 'mean': 'Mean',
}  # fmt: skip
"""Name of a value, and of its column in tables 1 to 5."""
LIMBS = tuple(COLUMNS)[1:-1]
"""The columns of a left and a right keypoint each."""


def column_keypoints(names: dict[str, int], head: Sequence[str]) -> dict[str, list[int]]:
    """Find the keypoints of each column but the mean.

    Args:
        names: index of each keypoint by its name, ``dataset_meta['keypoint_name2id']``.
        head: the names of the keypoints of the first column.

    Raises:
        ValueError: the data set lacks one of them.
    """
    parts = {'head': list(head), **{limb: [f'left_{limb}', f'right_{limb}'] for limb in LIMBS}}
    missing = [name for part in parts.values() for name in part if name not in names]
    if missing:
        raise ValueError(f'the data set has no {", ".join(missing)}, only {", ".join(names)}')
    return {column: [names[name] for name in part] for column, part in parts.items()}


def predicted_keypoints(sample: dict) -> np.ndarray:
    """Take the predicted keypoints (1, K, 2) of a person, NaN where there is no prediction.

    Raises:
        ValueError: several persons, or other keypoints than those annotated.
    """
    truth = sample['gt_instances']['keypoints']
    found = np.asarray(sample['pred_instances']['keypoints'])[..., :2]
    if len(found) == 0:
        return np.full(truth.shape, np.nan)
    if found.shape != truth.shape:
        raise ValueError(
            f'predicted keypoints {found.shape} and annotated ones {truth.shape} must have the '
            'same shape (1, K, 2), of one person; test_cfg.output_keypoint_indices picks keypoints'
        )
    return found


def keypoint_pck(
    found: np.ndarray, truth: np.ndarray, counted: np.ndarray, unit: np.ndarray, thr: float
) -> np.ndarray:
    """Compute the share of correct keypoints by stock ``keypoint_pck_accuracy``.

    A distance of exactly ``thr`` is correct, as in the evaluation codes of MPII and LSP; stock
    counts it as wrong. NaN is wrong.

    Args:
        found, truth: (N, K, 2) in pixels of the image.
        counted: (N, K) bool.
        unit: (N,) the length of each person that distances are divided by, positive, in pixels.
        thr: greatest correct distance in these units.

    Returns:
        (K,) in percent, NaN where nobody's keypoint counts.
    """
    above = float(np.nextafter(np.float32(thr), np.float32(np.inf)))  # stock has float32, and `<`
    units = np.repeat(np.asarray(unit, float)[:, None], 2, axis=1)
    shares, _, _ = keypoint_pck_accuracy(found, truth, counted, above, units)
    return np.where(counted.any(axis=0), 100 * shares, np.nan)


def average(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Average what is not NaN; NaN if nothing is left or has weight."""
    weights = np.ones(len(values)) if weights is None else weights
    known = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else np.nan


def table(title: str, columns: dict[str, str], rows: dict[str, dict[str, float]]) -> str:
    """Write rows of percentages; what is NaN or absent is a dash.

    Args:
        title: its first line.
        columns: name of a value, and the heading above it.
        rows: values by name, for each row.
    """
    left = max(map(len, rows))
    lines = [title, ' ' * left + ''.join(f'{heading:>8}' for heading in columns.values())]
    for name, values in rows.items():
        cells = (values.get(column, np.nan) for column in columns)
        text = ('–' if np.isnan(cell) else f'{cell:.2f}' for cell in cells)
        lines.append(f'{name:{left}}' + ''.join(f'{cell:>8}' for cell in text))
    return '\n'.join(lines)
