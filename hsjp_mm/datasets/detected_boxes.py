"""The boxes that `hsjp-mm detect` has written, by the pictures that they are in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsjp_mm.datasets.coco_files import read_coco, read_results


def images_file(boxes: str | Path) -> Path:
    """The file beside the boxes that names their pictures."""
    return Path(boxes).with_stem(f'{Path(boxes).stem}_images')


def read_boxes(
    path: str | Path, names: Sequence[str], score_thr: float = 0.0
) -> dict[str, np.ndarray]:
    """Read the boxes of pictures.

    Args:
        path: The boxes; the names of the pictures are in the file beside it.
        names: The pictures, as their names are in that file.
        score_thr: The lowest score to keep.

    Returns:
        (N, 4) left, top, right, bottom in pixels, of each name; N may be 0.

    Raises:
        FileNotFoundError: One of the files is missing.
        ValueError: A picture that no detector has seen, or a file that is not as expected.
    """
    pictures = read_coco(images_file(path)).images
    ids = dict(zip(pictures.texts('file_name'), pictures.ids('id'), strict=True))
    if unseen := [name for name in names if name not in ids]:
        raise ValueError(
            f'bbox_file={str(path)!r}: the detector has not seen {unseen[0]} '
            f'({len(unseen)} of {len(names)} pictures); give detect and this the same IMAGES'
        )
    results = read_results(path)
    corners = results.numbers('bbox', 4).copy() if len(results) else np.zeros((0, 4))
    corners[:, 2:] += corners[:, :2]
    scores = results.numbers('score', default=1.0)
    rows: dict[Any, list[int]] = {ids[name]: [] for name in names}
    for row, owner in enumerate(results.ids('image_id')):
        if owner in rows and scores[row] >= score_thr:
            rows[owner].append(row)
    return {name: corners[rows[ids[name]]].astype(np.float32) for name in names}
