"""AGORA, `<https://agora.is.tue.mpg.de>`_, in its layout with poses in camera axes."""

from pathlib import Path
from typing import Any

import numpy as np

from hsjp_mm.datasets.coco_files import read_coco
from hsjp_mm.datasets.converters.samples import (
    MARGIN,
    Bodies,
    Conversion,
    Samples,
    box_of_xywh,
    inside,
    item,
    numbers,
)
from hsjp_mm.ops.cameras import to_pixels
from hsjp_mm.utils.files import existing_file, existing_folder, read_json
from hsjp_mm.utils.progress import track

FULL, SMALL = (3840, 2160), (1280, 720)
"""Sizes of the images that the boxes and cameras are for, and of those that are used."""
SCALE = SMALL[0] / FULL[0]
NAMES = {'train': 'AGORA_train_SMPL.json', 'validation': 'AGORA_validation_SMPL.json'}


def convert(
    source: str | Path, out: str | Path, split: str = 'train', bodies: Bodies | None = None
) -> Conversion:
    """Convert the persons of a split, in the images of 1280×720.

    The first download of AGORA has poses in the world of its renderer, in pickles of pandas, which
    are not read: pandas builds its tables from instructions in the file, and no list of what these
    may do is short. The layout with camera axes is made of it by the script agora2coco_smpl.py of
    Hand4Whole.

    All fits are of the neutral body, whatever the gender of the person: so AGORA's own evaluation
    poses them. Children have another template, so that their shapes are not taken.

    Args:
        source: The folder of ``AGORA_train_SMPL.json`` (a COCO file; each annotation names the
            JSON of its fit and of its camera), ``smpl_params_cam`` and ``cam_params``.
        out: The file to write.
        split: 'train' or 'validation'.
        bodies: SMPL's, of which joints and keypoints are made; without them there are none.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is not of its format.
    """
    if split not in NAMES:
        raise ValueError(f'split={split!r} must be one of {", ".join(NAMES)}')
    folder = existing_folder(source, 'source')
    path = folder / NAMES[split]
    if not path.is_file() and any(folder.rglob('*.pkl')):
        raise FileNotFoundError(
            f'source={str(source)!r} holds pickles of pandas, which are not read, and no '
            f'{path.name}: make it of them by agora2coco_smpl.py of the repository Hand4Whole'
        )
    coco = read_coco(path, 'source', ('images', 'annotations'))
    images = dict(zip(coco.images.ids('id'), coco.images, strict=True))
    points = 'smpl_24' if bodies else ''
    samples = Samples(path.name, keypoint_set=points, joint_set=points)
    coco.annotations.ids('image_id')
    children = 0
    for row in track(list(coco.annotations), 'persons'):
        where = f'{path.name}, annotation {row["id"]}'
        if not row.get('is_valid', True):
            samples.leave_out('that are not valid')
            continue
        box = _box(row, where)
        if box is None:
            samples.leave_out('outside of the image')
            continue
        image = item(images, row['image_id'], f'{where}: images')
        samples.add(
            id=row['id'],
            image_path=item(image, 'file_name_1280x720', f'{path.name}, image {image["id"]}'),
            image_size=SMALL,
            box=box,
            **_body(row, folder, where, bodies),
        )
        children += bool(row.get('kid', False))
    if children:
        samples.notes.append(f'{children:,} children, of whom shape and translation are not taken')
    if bodies is None:
        samples.notes.append('no joints and keypoints: they need the files of SMPL (--body)')
    return samples.write(out)


def _box(row: dict, where: str) -> np.ndarray | None:
    """The box in the small image, without its margin."""
    given = numbers(row.get('bbox'), (4,), f'{where}: bbox') * SCALE
    middle, size = given[:2] + given[2:] / 2, given[2:] / MARGIN
    return box_of_xywh(np.concatenate([middle - size / 2, size]), np.array(SMALL))


def _body(row: dict, folder: Path, where: str, bodies: Bodies | None) -> dict[str, Any]:
    """Pose, shape and place of a person, the camera of the small image, and the body's points."""
    fit, seen = (
        read_json(existing_file(folder / item(row, key, where), 'source'), 'source')
        for key in ('smpl_param_path', 'cam_param_path')
    )
    root = numbers(fit.get('global_orient'), (1, 3), f'{where}: global_orient')
    pose = np.concatenate([root, numbers(fit.get('body_pose'), (23, 3), f'{where}: body_pose')])
    shape = numbers(fit.get('betas'), (-1,), f'{where}: betas')[:10]
    translation = numbers(fit.get('transl'), (3,), f'{where}: transl')
    focal = numbers(seen.get('focal'), (2,), f'{where}: focal')
    principal = numbers(seen.get('princpt'), (2,), f'{where}: princpt')
    camera = SCALE * np.concatenate([focal, principal])
    found = {'pose': pose, 'gender': 'neutral', 'camera': camera}
    if row.get('kid', False):
        return found
    found |= {'shape': shape, 'translation': translation}
    if bodies is not None:
        joints = bodies.joints('neutral', pose[None], shape[None], translation[None])[0]
        pixels = to_pixels(joints, camera)
        found['joints'] = np.column_stack([joints, np.ones(24)])
        found['keypoints'] = np.column_stack([pixels, inside(pixels, np.array(SMALL))])
    return found
