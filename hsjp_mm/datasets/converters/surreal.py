"""SURREAL, `Learning from Synthetic Humans <https://arxiv.org/abs/1701.01370>`_.

The matrix of its camera is a reflection. So the images show the mirror image of each labelled body:
what the labels call left is the right of the person to be seen. Here all is repaired to what is
seen: names of joints and parts change sides, and the pose is that of the mirrored body.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import loadmat

from hsjp_mm.datasets.converters.samples import (
    MIRROR,
    SMPL_MIRROR,
    Bodies,
    Conversion,
    Samples,
    box_of_points,
    inside,
    mirror_pose,
    numbers,
    parse_gender,
    to_axis_angle,
    to_matrices,
)
from hsjp_mm.datasets.image_files import write_picture
from hsjp_mm.ops.cameras import to_pixels
from hsjp_mm.utils.files import existing_folder, reading
from hsjp_mm.utils.progress import track

SPLITS = ('train', 'val', 'test')
SIZE = (320, 240)
CAMERA = np.array([600.0, 600.0, 160.0, 120.0])
WORLD_TO_CAMERA = np.array([[0.0, 0, -1], [0, 1, 0], [-1, 0, 0]])
"""From Blender's axes; its determinant is −1."""
STAND_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""A quarter turn about x: the motion capture has z up, the scene has y down."""
CLOSE = 2.0  # pixels between the 2D joints, which are rounded, and the projected 3D ones


def convert(
    source: str | Path,
    out: str | Path,
    split: str = 'train',
    runs: tuple[int, ...] = (0, 1, 2),
    every: int = 1,
    frames: str | Path | None = None,
    bodies: Bodies | None = None,
) -> Conversion:
    """Convert the frames of a split.

    Args:
        source: The folder of ``cmu``, which holds ``train``, ``val`` and ``test`` with runs,
            sequences and in each ``_c%04d_info.mat``, and for frames ``.mp4`` and ``_segm.mat``.
        out: The file to write.
        split: Which of them.
        runs: Which runs, of 0, 1 and 2.
        every: Every how many frames; neighbours are nearly the same.
        frames: A folder into which the frames are decoded as JPEG, and the parts written as PNG.
            Without it the file names images that are to be made there yet, and no parts.
        bodies: SMPL's, without which there are no translations.

    Raises:
        FileNotFoundError: The folder is missing, or holds no clip.
        ValueError: An argument outside its range; a clip that is not of that format, or of which
            the 2D joints are not where the 3D ones project.
    """
    if split not in SPLITS:
        raise ValueError(f'split={split!r} must be one of {", ".join(SPLITS)}')
    if every < 1:
        raise ValueError(f'every={every} must be at least 1')
    root = existing_folder(source, 'source') / split
    files = [
        file for run in runs for file in sorted((root / f'run{run}').glob('*/*_info.mat'))
    ]  # fmt: skip
    if not files:
        raise FileNotFoundError(f'source={str(source)!r}: {root} has no run*/*/*_info.mat')
    samples = Samples(f'SURREAL {split}', keypoint_set='smpl_24', joint_set='smpl_24')
    number = 0
    for file in track(files, 'clips'):
        number = _convert_clip(samples, file, root.parent, every, frames, bodies, number)
    if bodies is None:
        samples.notes.append('no translations: they need the files of SMPL (--body)')
    if frames is None:
        samples.notes.append('the frames of the videos have not been decoded (--frames)')
    return samples.write(out)


def _convert_clip(
    samples: Samples,
    file: Path,
    root: Path,
    every: int,
    frames: str | Path | None,
    bodies: Bodies | None,
    number: int,
) -> int:
    """Take a clip's frames; returns how many frames there are up to these, with them."""
    info = _read(file)
    # of clips of one frame the last axis is lost
    points = numbers(info['joints2D'], (2, 24, -1), f'{file.name}: joints2D')
    count = points.shape[2]
    joints = numbers(info['joints3D'], (3, 24, count), f'{file.name}: joints3D')
    pose = numbers(info['pose'], (72, count), f'{file.name}: pose')
    shape = numbers(info['shape'], (10, count), f'{file.name}: shape')
    turned = numbers(info['zrot'], (-1,), f'{file.name}: zrot')
    where = numbers(info['camLoc'], (3,), f'{file.name}: camLoc')
    genders = np.ravel(info['gender'])
    name = file.name.removesuffix('_info.mat')
    place = file.parent.relative_to(root) / name
    taken = range(0, count, every)
    samples.leave_out('of frames between', count - len(taken))
    placed = (joints.transpose(2, 1, 0) - where) @ WORLD_TO_CAMERA.T
    _require_close(placed, points.transpose(2, 1, 0), file)
    parts: dict[int, str] = {}
    if frames is not None:
        _decode(file.with_name(f'{name}.mp4'), Path(frames) / place, taken)
        parts = _write_parts(file.with_name(f'{name}_segm.mat'), Path(frames), place, taken)
    for frame in taken:
        pixels = points[:, SMPL_MIRROR, frame].T
        seen = inside(pixels, np.array(SIZE))
        box = box_of_points(np.clip(pixels, 0, SIZE), seen)
        if box is None:
            samples.leave_out('outside of the image')
            continue
        gender = parse_gender(genders[min(frame, len(genders) - 1)])
        body = seen_pose(pose[:, frame].reshape(24, 3), turned[min(frame, len(turned) - 1)])
        translation = None
        if bodies is not None:
            pelvis = MIRROR @ bodies.pelvis(gender, shape[None, :, frame])[0]
            translation = placed[frame, 0] - pelvis
        samples.add(
            id=number + frame,
            image_path=f'{place.as_posix()}/{frame:06d}.jpg',
            image_size=SIZE,
            box=box,
            keypoints=np.column_stack([pixels, seen]),
            joints=np.column_stack([placed[frame, SMPL_MIRROR], np.ones(24)]),
            pose=body,
            shape=shape[:, frame],
            translation=translation,
            gender=gender,
            camera=CAMERA,
            sequence=file.parent.name,
            frame=frame,
            part_map_path=parts.get(frame),
        )
    return number + count


def seen_pose(pose: np.ndarray, turned: float) -> np.ndarray:
    """The pose (24, 3), in camera axes, of the body to be seen.

    A point at rest v is rendered at C G S(v), where S moves it by the joints' rotations, G is the
    body's rotation in the scene and C the reflection of the camera. With M, the mirror image, it is
    C G M S'(M v), S' being the mirrored pose, and C G M is a rotation.

    Args:
        pose: As in the file.
        turned: ``zrot``, radians about the vertical axis.
    """
    cosine, sine = np.cos(turned), np.sin(turned)
    about = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    body = WORLD_TO_CAMERA @ STAND_UP @ about @ to_matrices(pose[0]) @ MIRROR
    return np.concatenate([to_axis_angle(body)[None], mirror_pose(pose)[1:]])


def _read(file: Path) -> Mapping[str, Any]:
    needed = {'joints2D', 'joints3D', 'pose', 'shape', 'zrot', 'camLoc', 'gender'}
    with reading(f'{file} cannot be read'):
        info = loadmat(file, variable_names=sorted(needed))
    if missing := sorted(needed - info.keys()):
        raise ValueError(f'{file} lacks {", ".join(missing)}')
    return info


def _require_close(placed: np.ndarray, points: np.ndarray, file: Path) -> None:
    """The labels agree with one another: the 3D joints project to the 2D ones."""
    off = np.abs(to_pixels(placed, CAMERA) - points).max(axis=(1, 2))
    if (placed[..., 2] <= 0).any() or np.median(off) > CLOSE:
        raise ValueError(
            f'{file}: the 3D joints project {np.median(off):.1f} pixels beside the 2D ones; this '
            'is another camera, or another order of axes, than that of SURREAL'
        )


def _decode(video: Path, folder: Path, frames: range) -> None:
    """Write some frames of a video, which OpenCV decodes.

    Raises:
        ValueError: It has fewer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    capture = cv2.VideoCapture(str(video))
    try:
        for frame in range(frames[-1] + 1):
            there, pixels = capture.read() if frame in frames else (capture.grab(), None)
            if not there:
                raise ValueError(f'{video}: frame {frame} cannot be decoded')
            if pixels is not None:
                write_picture(folder / f'{frame:06d}.jpg', pixels)
    finally:
        capture.release()


def _write_parts(file: Path, root: Path, place: Path, frames: range) -> dict[int, str]:
    """Write the parts to be seen, if the file is there; returns their paths by frame."""
    if not file.is_file():
        return {}
    names = {frame: f'segm_{frame + 1}' for frame in frames}
    with reading(f'{file} cannot be read'):
        content = loadmat(file, variable_names=list(names.values()))
    # 0 stays the background, 1 + joint becomes 1 + the joint of the other side
    sides = np.array([0, *(1 + joint for joint in SMPL_MIRROR)], np.uint8)
    written = {}
    for frame, name in names.items():
        parts = content.get(name)
        if parts is None or parts.shape != SIZE[::-1] or parts.max() > 24:
            raise ValueError(f'{file}: {name} must be (240, 320) numbers from 0 to 24')
        path = place / f'{frame:06d}_parts.png'
        write_picture(root / path, sides[parts])
        written[frame] = path.as_posix()
    return written
