"""Fits of Exemplar Fine-Tuning (EFT), `<https://arxiv.org/abs/2004.03686>`_."""

from pathlib import Path

import numpy as np

from hsjp_mm.datasets.converters.samples import (
    Conversion,
    Samples,
    box_of_scale,
    numbers,
    to_axis_angle,
)
from hsjp_mm.utils.files import read_json
from hsjp_mm.utils.progress import track

ORTHOGONAL = 1e-2  # how far RᵀR may be from the identity in any entry


def convert(source: str | Path, out: str | Path) -> Conversion:
    """Convert a file of fits, such as ``COCO2014-All-ver01.json``.

    The camera of a fit is weak perspective on a crop, and its translation is not taken: where the
    person stands depends on a focal length that nobody knows.

    Args:
        source: The file: ``data`` is a list of ``parm_pose`` (24, 3, 3), ``parm_shape`` (10),
            ``bbox_center`` and ``bbox_scale`` (with SPIN's margin of 1.2), ``gt_keypoint_2d``
            (49, 3) in SPIN's order, ``imageName`` and ``annotId``.
        out: The file to write.

    Raises:
        FileNotFoundError: It is missing.
        ValueError: It is not of that format, or rotations are none.
    """
    content = read_json(source, 'source')
    fits = content.get('data') if isinstance(content, dict) else None
    if not isinstance(fits, list):
        raise ValueError(f"source={str(source)!r} must hold a list 'data' of fits")
    samples = Samples(Path(source).name, keypoint_set='spin_49')
    keys = [fit.get('annotId') if isinstance(fit, dict) else None for fit in fits]
    whole = all(isinstance(key, int) for key in keys) and len(set(keys)) == len(keys)
    for index, fit in enumerate(track(fits, 'fits')):
        where = f'source={str(source)!r}: data[{index}]'
        try:
            pose = numbers(fit['parm_pose'], (24, 3, 3), f'{where}.parm_pose')
            shape = numbers(fit['parm_shape'], (10,), f'{where}.parm_shape')
            center = numbers(fit['bbox_center'], (2,), f'{where}.bbox_center')
            scale = float(numbers(fit['bbox_scale'], (), f'{where}.bbox_scale'))
            keypoints = numbers(fit['gt_keypoint_2d'], (49, 3), f'{where}.gt_keypoint_2d')
            name = str(fit['imageName'])
        except (KeyError, TypeError) as error:
            raise ValueError(f'{where} lacks {error}') from error
        off = np.abs(pose @ pose.swapaxes(1, 2) - np.eye(3)).max()
        if off > ORTHOGONAL or (np.linalg.det(pose) < 0).any():
            raise ValueError(
                f'{where}.parm_pose must be rotation matrices, R Rᵀ is off by {off:.2g}'
            )
        if scale <= 0:
            samples.leave_out('with an empty box')
            continue
        keypoints[:, 2] = np.clip(keypoints[:, 2], 0, 1)
        keypoints[keypoints[:, 2] == 0] = 0
        samples.add(
            id=keys[index] if whole else index,
            image_path=name,
            box=box_of_scale(center, scale),
            keypoints=keypoints,
            pose=to_axis_angle(pose),
            shape=shape,
        )
    return samples.write(out)
