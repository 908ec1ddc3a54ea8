"""3DPW, `3D Poses in the Wild <https://virtualhumans.mpi-inf.mpg.de/3DPW/>`_."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from hsjp_mm.checkpoint.unpickling import NUMPY, restricted_pickle
from hsjp_mm.datasets.converters.samples import (
    Conversion,
    Samples,
    box_of_points,
    numbers,
    parse_gender,
    turn_pose,
)
from hsjp_mm.datasets.image_files import UnreadableImageError, stored_size
from hsjp_mm.ops.cameras import to_pixels
from hsjp_mm.utils.files import existing_folder
from hsjp_mm.utils.progress import track

SPLITS = ('train', 'validation', 'test')
PERSONS = {'test': 35_515}
"""Person-frames with a valid camera in SPIN's file of the test."""
FEWEST = 2  # detected points that make a box; with fewer the projected joints do
SAME = 0.02  # meters that the resting pelvis of a person may move between frames


def convert(source: str | Path, out: str | Path, split: str = 'test') -> Conversion:
    """Convert the frames of a split in which the camera is known.

    The joints are SMPL's 24 of the person's own gender, which the file has; with them the
    translation comes into the camera's axes without SMPL's files. The 2D points are detections.

    Args:
        source: The folder that holds ``sequenceFiles``, and beside it ``imageFiles``, of which the
            sizes of the images are read where it is there.
        out: The file to write.
        split: 'train', 'validation' or 'test'.

    Raises:
        FileNotFoundError: The folder is missing, or has no sequence.
        ValueError: A pickle is not of that format, or holds more than plain arrays.
    """
    if split not in SPLITS:
        raise ValueError(f'split={split!r} must be one of {", ".join(SPLITS)}')
    root = existing_folder(source, 'source')
    folder = existing_folder(root / 'sequenceFiles' / split, 'source')
    files = sorted(folder.glob('*.pkl'))
    if not files:
        raise FileNotFoundError(f'source={str(source)!r}: {folder} holds no .pkl')
    samples = Samples(f'3DPW {split}', keypoint_set='openpose_18', joint_set='smpl_24')
    number = 0
    for file in track(files, 'sequences'):
        content = _read(file)
        size = _size(root, content['sequence'])
        for person in range(len(content['poses'])):
            number = _convert_person(samples, content, person, size, number, file.name)
    if split in PERSONS:
        samples.notes.append(f"SPIN's file of the {split} has {PERSONS[split]:,} samples")
    samples.notes.append('poses and shapes are of the male and female bodies, not the neutral one')
    return samples.write(out)


def _read(file: Path) -> dict[str, Any]:
    try:
        with open(file, 'rb') as opened:
            content = restricted_pickle(NUMPY).load(opened, encoding='latin1')
    except pickle.UnpicklingError as error:
        raise ValueError(f'{file} cannot be read as a sequence: {error}') from error
    needed = {
        'sequence', 'poses', 'betas', 'trans', 'poses2d', 'cam_poses', 'cam_intrinsics',
        'campose_valid', 'genders', 'jointPositions',
    }  # fmt: skip
    missing = sorted(needed - content.keys()) if isinstance(content, dict) else sorted(needed)
    if missing:
        raise ValueError(f'{file} lacks {", ".join(missing)}')
    return content


def _size(root: Path, sequence: Any) -> tuple[int, int]:
    """Of the images of a sequence, which have one; (0, 0) where they are not there."""
    first = root / 'imageFiles' / str(sequence) / 'image_00000.jpg'
    try:
        return stored_size(first)[0]
    except UnreadableImageError:
        return 0, 0


def _convert_person(
    samples: Samples,
    content: dict[str, Any],
    person: int,
    size: tuple[int, int],
    number: int,
    name: str,
) -> int:
    """Take one person's frames; returns how many frames of persons there are up to these."""
    where = f'{name}, person {person}:'
    pose = numbers(content['poses'][person], (-1, 24, 3), f'{where} poses')
    frames = len(pose)
    shape = numbers(content['betas'][person], (-1,), f'{where} betas')[:10]
    translation = numbers(content['trans'][person], (frames, 3), f'{where} trans')
    joints = numbers(content['jointPositions'][person], (frames, 24, 3), f'{where} jointPositions')
    detected = numbers(content['poses2d'][person], (frames, 3, 18), f'{where} poses2d')
    extrinsic = numbers(content['cam_poses'], (frames, 4, 4), f'{name}: cam_poses')
    intrinsic = numbers(content['cam_intrinsics'], (3, 3), f'{name}: cam_intrinsics')
    valid = numbers(content['campose_valid'][person], (frames,), f'{where} campose_valid') > 0
    gender = parse_gender(content['genders'][person])
    camera = intrinsic[[0, 1, 0, 1], [0, 1, 2, 2]]
    pelvis = joints[:, 0] - translation
    known = bool((np.ptp(pelvis, axis=0) < SAME).all())
    if not known:
        samples.notes.append(f'{where} no translations, its joints are not where they put them')
    for frame in range(frames):
        if not valid[frame]:
            samples.leave_out('without a valid camera')
            continue
        rotation, shift = extrinsic[frame, :3, :3], extrinsic[frame, :3, 3]
        placed = joints[frame] @ rotation.T + shift
        points = detected[frame].T.copy()
        points[:, 2] = np.clip(points[:, 2], 0, 1)
        points[points[:, 2] == 0] = 0
        seen = points[:, 2] > 0
        before = bool((placed[:, 2] > 0).all())
        box = box_of_points(points[:, :2], seen) if seen.sum() >= FEWEST else None
        if box is None and before:
            box = box_of_points(to_pixels(placed, camera))
        if box is None:
            samples.leave_out('behind the camera')
            continue
        samples.add(
            id=number + frame,
            image_path=f'imageFiles/{content["sequence"]}/image_{frame:05d}.jpg',
            image_size=size,
            box=box,
            keypoints=points,
            joints=np.column_stack([placed, np.ones(24)]),
            pose=turn_pose(pose[frame], rotation),
            shape=shape,
            # the pelvis is where the joints have it: T' is from its place at rest to there
            translation=placed[0] - pelvis[frame] if known and before else None,
            gender=gender,
            camera=camera,
            sequence=str(content['sequence']),
            frame=frame,
        )
    return number + frames
