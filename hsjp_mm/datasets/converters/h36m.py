"""Human3.6M, as the field's authors give it out in JSON, with or without NeuralAnnot's fits."""

from pathlib import Path
from typing import Any

import numpy as np

from hsjp_mm.datasets.coco_files import read_coco
from hsjp_mm.datasets.converters.samples import (
    Bodies,
    Conversion,
    Samples,
    box_of_xywh,
    inside,
    item,
    numbers,
    turn_pose,
    turn_translation,
)
from hsjp_mm.ops.cameras import to_pixels
from hsjp_mm.utils.files import existing_file, existing_folder, read_json
from hsjp_mm.utils.progress import track

SUBJECTS = {'train': (1, 5, 6, 7, 8), 'test': (9, 11)}
EVERY = {'train': 5, 'test': 64}
"""Every how many frames are taken: of training as SPIN does; of the test as the authors of these
files do. SPIN's test takes every 5th, and its error is some millimeters lower."""
FRONTAL = '4'
"""The camera of the test (protocol 2), 60457274."""
FITS = ('SMPL_NeuralAnnot', 'smpl_param')
FAR = (500, 20_000)
"""Millimeters from the camera to the room's origin; meters or centimeters are below."""


def convert(
    source: str | Path,
    out: str | Path,
    split: str = 'train',
    every: int | None = None,
    bodies: Bodies | None = None,
) -> Conversion:
    """Convert the frames of a split.

    The joints are those of the motion capture, absolute in the camera's axes. The sequence of a
    sample is its performance, in all four cameras.

    Args:
        source: The folder of ``Human36M_subject{S}_data.json``, ``_camera.json`` and
            ``_joint_3d.json``; poses are taken from ``_SMPL_NeuralAnnot.json`` or else
            ``_smpl_param.json``, and where neither is there the samples have joints alone.
        out: The file to write.
        split: 'train' (subjects 1, 5, 6, 7, 8) or 'test' (9, 11, the frontal camera alone).
        every: Every how many frames; by default 5 and 64.
        bodies: SMPL's, without which a translation cannot be brought into the camera's axes.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: An argument outside its range; a file that is not of its format, or in other
            units than millimeters.
    """
    if split not in SUBJECTS:
        raise ValueError(f'split={split!r} must be one of {", ".join(SUBJECTS)}')
    step = EVERY[split] if every is None else every
    if step < 1:
        raise ValueError(f'every={every} must be at least 1')
    folder = existing_folder(source, 'source')
    samples = Samples('Human3.6M', joint_set='h36m_17', keypoint_set='h36m_17')
    number = 0
    for subject in SUBJECTS[split]:
        number = _convert_subject(samples, folder, subject, split, step, bodies, number)
    if bodies is None and any('pose' in row for row in samples.rows):
        samples.notes.append('no translations: they need the files of SMPL (--body)')
    if not any('pose' in row for row in samples.rows):
        samples.notes.append('joints alone: there is no file of NeuralAnnot beside the others')
        samples.words['body'] = 'none'
    samples.notes.append(f'every {step}th frame of subjects {SUBJECTS[split]}')
    return samples.write(out)


def _convert_subject(
    samples: Samples,
    folder: Path,
    subject: int,
    split: str,
    step: int,
    bodies: Bodies | None,
    number: int,
) -> int:
    """Convert one subject; returns how many annotations there are up to it, with its own."""

    def name(kind: str) -> Path:
        return folder / f'Human36M_subject{subject}_{kind}.json'

    coco = read_coco(name('data'), 'source', ('images', 'annotations'))
    images = dict(zip(coco.images.ids('id'), coco.images, strict=True))
    cameras = {
        key: _camera(value, f'{name("camera").name}, camera {key}')
        for key, value in read_json(existing_file(name('camera'), 'source'), 'source').items()
    }
    joints = read_json(existing_file(name('joint_3d'), 'source'), 'source')
    fits: Any = {}
    there = [name(kind) for kind in FITS if name(kind).is_file()]
    if there:
        fits = read_json(there[0], 'source')
    coco.annotations.ids('image_id')
    for index, row in enumerate(track(list(coco.annotations), f'frames of subject {subject}')):
        where = name('data').name
        image = item(images, row['image_id'], f'{where}, annotation {row["id"]}: images')
        for key in ('frame_idx', 'cam_idx', 'file_name'):
            item(image, key, f'{where}, image {image["id"]}')
        if image['frame_idx'] % step:
            samples.leave_out('of frames between')
            continue
        if split == 'test' and str(image['cam_idx']) != FRONTAL:
            samples.leave_out('of other cameras')
            continue
        where = f'{name("joint_3d").name}, {image["file_name"]}'
        rotation, shift, camera = item(cameras, str(image['cam_idx']), name('camera').name)
        world = _of_frame(joints, image)
        if world is None:
            samples.leave_out('without joints')
            continue
        points = (numbers(world, (17, 3), where) @ rotation.T + shift) / 1000
        size = np.array([image['width'], image['height']])
        box = box_of_xywh(numbers(row.get('bbox'), (4,), f'bbox of {row["id"]}'), size)
        if box is None:
            samples.leave_out('with an empty box')
            continue
        if (points[:, 2] <= 0).any():
            samples.leave_out('behind the camera')
            continue
        pixels = to_pixels(points, camera)
        samples.add(
            id=number + index,
            image_path=image['file_name'],
            image_size=size,
            box=box,
            keypoints=np.column_stack([pixels, inside(pixels, size)]),
            joints=np.column_stack([points, np.ones(17)]),
            camera=camera,
            sequence=f's{subject}-a{image["action_idx"]}-{image["subaction_idx"]}',
            frame=image['frame_idx'],
            **_fit(_of_frame(fits, image), rotation, shift / 1000, bodies, where),
        )
    return number + len(coco.annotations)


def _camera(value: Any, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotation, translation in millimeters, and focal lengths with the principal point."""
    try:
        rotation = numbers(value['R'], (3, 3), f'{where}: R')
        shift = numbers(value['t'], (3,), f'{where}: t')
        focal, center = (numbers(value[key], (2,), f'{where}: {key}') for key in ('f', 'c'))
    except (KeyError, TypeError) as error:
        raise ValueError(f'{where} must hold R, t, f and c; {error}') from error
    if not FAR[0] < np.linalg.norm(shift) < FAR[1]:
        raise ValueError(
            f'{where}: t={shift.round(3).tolist()} must be in millimeters, {FAR[0]} to {FAR[1]} '
            'from the origin'
        )
    return rotation, shift, np.concatenate([focal, center])


def _of_frame(content: Any, image: dict) -> Any:
    for key in ('action_idx', 'subaction_idx', 'frame_idx'):
        content = content.get(str(image[key])) if isinstance(content, dict) else None
        if content is None:
            return None
    return content


def _fit(
    fit: Any, rotation: np.ndarray, shift: np.ndarray, bodies: Bodies | None, where: str
) -> dict:
    if fit is None:
        return {}
    try:
        pose = numbers(fit['pose'], (24, 3), f'{where}: pose')
        shape = numbers(fit['shape'], (10,), f'{where}: shape')
        translation = numbers(fit['trans'], (3,), f'{where}: trans')
    except (KeyError, TypeError) as error:
        raise ValueError(f'{where}: a fit must hold pose, shape and trans; {error}') from error
    found = {'pose': turn_pose(pose, rotation), 'shape': shape}
    if bodies is not None:
        pelvis = bodies.pelvis('neutral', shape[None])[0]
        found['translation'] = turn_translation(translation, rotation, shift, pelvis)
    return found
