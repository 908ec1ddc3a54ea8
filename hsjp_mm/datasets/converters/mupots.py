"""MuPoTS-3D, `<https://vcai.mpi-inf.mpg.de/projects/SingleShotMultiPerson/>`_, the test set."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from hsjp_mm.datasets.converters.samples import Conversion, Samples, box_of_points, inside, numbers
from hsjp_mm.utils.files import existing_folder, reading
from hsjp_mm.utils.progress import track

SEQUENCES = 20
SQUARE = 5
"""The first sequences are of 2048×2048 pixels, the others of 1920×1080."""
KEYS = {'universal': 'univ_annot3', 'metric': 'annot3'}
CLOSE = 3.0  # pixels between the 2D joints and the 3D ones under the sequence's camera
FLAT = 1e-6


def convert(source: str | Path, out: str | Path, joints: str = 'universal') -> Conversion:
    """Convert the valid persons of all sequences.

    The camera is not part of the download; focal length and principal point of each sequence are
    those that bring its metric joints to its 2D ones, by least squares.

    Args:
        source: The folder of ``TS1`` to ``TS20`` (``MultiPersonTestSet``), each with ``annot.mat``
            and its images ``img_%06d.jpg``.
        out: The file to write.
        joints: 'universal', the joints on a skeleton of one size, which the official measure is
            against, or 'metric', where the persons stand.

    Raises:
        FileNotFoundError: The folder is missing, or has no sequence.
        ValueError: A file is not of that format, or not in millimeters.
    """
    if joints not in KEYS:
        raise ValueError(f'joints={joints!r} must be one of {", ".join(KEYS)}')
    root = existing_folder(source, 'source')
    files = {n: root / f'TS{n}' / 'annot.mat' for n in range(1, SEQUENCES + 1)}
    files = {n: file for n, file in files.items() if file.is_file()}
    if not files:
        raise FileNotFoundError(f'source={str(source)!r} has no TS*/annot.mat')
    samples = Samples('MuPoTS-3D', body='none', keypoint_set='mupots_17', joint_set='mupots_17')
    for sequence, file in track(files.items(), 'sequences', len(files)):
        _convert_sequence(samples, sequence, file, KEYS[joints])
    if len(files) < SEQUENCES:
        samples.notes.append(f'{len(files)} of {SEQUENCES} sequences are there')
    samples.notes.append(f'joints are the {joints} ones ({KEYS[joints]})')
    return samples.write(out)


def _convert_sequence(samples: Samples, sequence: int, file: Path, key: str) -> None:
    annotations = _read(file)
    size = np.array([2048, 2048] if sequence <= SQUARE else [1920, 1080])
    frames, persons = annotations.shape
    found = []
    for frame in range(frames):
        for person in range(persons):
            given = annotations[frame, person]
            where = f'{file}: annotations{{{frame + 1}, {person + 1}}}'
            if not np.ravel(_field(given, 'isValidFrame', where)).any():
                samples.leave_out('that are not valid')
                continue
            points = numbers(_field(given, 'annot2', where), (2, 17), f'{where}.annot2').T
            metric = numbers(_field(given, 'annot3', where), (3, 17), f'{where}.annot3').T / 1000
            wanted = numbers(_field(given, key, where), (3, 17), f'{where}.{key}').T / 1000
            found.append((frame, person, points, metric, wanted))
    if not found:
        return
    camera = fit_camera(
        np.concatenate([row[2] for row in found]), np.concatenate([row[3] for row in found]), file
    )
    for frame, person, points, _, joints in found:
        seen = inside(points, size)
        box = box_of_points(np.clip(points, 0, size))
        if box is None:
            samples.leave_out('outside of the image')
            continue
        samples.add(
            id=sequence * 10**6 + frame * 100 + person,
            image_path=f'TS{sequence}/img_{frame:06d}.jpg',
            image_size=size,
            box=box,
            keypoints=np.column_stack([points, seen]),
            joints=np.column_stack([joints, np.ones(17)]),
            camera=camera,
            sequence=f'TS{sequence}',
            frame=frame,
        )


def fit_camera(points: np.ndarray, joints: np.ndarray, file: str | Path) -> np.ndarray:
    """Focal lengths and principal point (4,) that bring joints (K, 3) to points (K, 2).

    Raises:
        ValueError: No camera does.
    """
    camera = np.empty(4)
    off = 0.0
    if (joints[:, 2] <= 0).any():
        raise ValueError(f'{file}: annot3 must be before the camera, z above 0')
    for axis in range(2):
        columns = np.stack([joints[:, axis] / joints[:, 2], np.ones(len(joints))], axis=1)
        solution, *_ = np.linalg.lstsq(columns, points[:, axis], rcond=None)
        camera[[axis, axis + 2]] = solution
        off = max(off, float(np.median(np.abs(columns @ solution - points[:, axis]))))
    if off > CLOSE or (camera[:2] < FLAT).any():
        raise ValueError(
            f'{file}: annot3 is not what annot2 shows, no camera brings one to the other (median '
            f'{off:.1f} pixels)'
        )
    return camera


def _read(file: Path) -> np.ndarray:
    with reading(f"{file} must hold the cells 'annotations'"):
        cells = loadmat(file)['annotations']
    if cells.ndim != 2 or cells.dtype != object:
        raise ValueError(f'{file}: annotations must be cells of frames and persons')
    return cells


def _field(cell: Any, key: str, where: str) -> Any:
    """A field of a struct (1, 1)."""
    names = getattr(getattr(cell, 'dtype', None), 'names', None) or ()
    if key not in names:
        raise ValueError(f'{where} must be a struct with {key}')
    return np.ravel(cell)[0][key]
