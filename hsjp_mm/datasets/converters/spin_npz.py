"""The .npz files in which SPIN's code and what followed it keep their data sets."""

from pathlib import Path

import numpy as np

from hsjp_mm.datasets.converters.samples import Conversion, Samples, box_of_scale, parse_gender
from hsjp_mm.utils.files import existing_file, reading
from hsjp_mm.utils.progress import track

SHAPES: dict[str, tuple[int, ...]] = {
    'center': (2,), 'scale': (), 'part': (24, 3), 'openpose': (25, 3), 'S': (24, 4),
    'pose': (72,), 'shape': (10,), 'has_smpl': (), 'gender': (),
}  # fmt: skip


def convert(source: str | Path, out: str | Path) -> Conversion:
    """Convert a file.

    The points of OpenPose and of the data set stay beside one another as SPIN's 49.

    Args:
        source: ``.npz`` of ``imgname`` (N), ``center`` (N, 2), ``scale`` (N, with its margin of
            1.2), and what there is of ``part`` (N, 24, 3), ``openpose`` (N, 25, 3), ``S``
            (N, 24, 4), ``pose`` (N, 72), ``shape`` (N, 10), ``has_smpl`` (N), ``gender`` (N).
        out: The file to write.

    Raises:
        FileNotFoundError: It is missing.
        ValueError: It is not of that format.
    """
    path = existing_file(source, 'source')
    arrays = _read(path)
    number = len(arrays['imgname'])
    has_joints, has_points = 'S' in arrays, bool({'part', 'openpose'} & arrays.keys())
    samples = Samples(
        path.name,
        keypoint_set='spin_49' if has_points else '',
        joint_set='spin_24' if has_joints else '',
    )
    fitted = np.asarray(arrays.get('has_smpl', np.ones(number)), bool)
    for index in track(range(number), 'persons'):
        if arrays['scale'][index] <= 0:
            samples.leave_out('with an empty box')
            continue
        name = arrays['imgname'][index]
        values = {
            'image_path': _text(name).replace('\\', '/'),
            'box': box_of_scale(arrays['center'][index], float(arrays['scale'][index])),
            'id': index,
        }
        if has_points:
            values['keypoints'] = _confident(
                np.concatenate(
                    [
                        arrays[key][index] if key in arrays else np.zeros((count, 3))
                        for key, count in (('openpose', 25), ('part', 24))
                    ]
                )
            )
        if has_joints:
            values['joints'] = _confident(arrays['S'][index])
        if fitted[index] and 'pose' in arrays:
            values['pose'] = arrays['pose'][index].reshape(24, 3)
        if fitted[index] and 'shape' in arrays:
            values['shape'] = arrays['shape'][index]
        if 'gender' in arrays:
            values['gender'] = parse_gender(arrays['gender'][index])
        samples.add(**values)
    return samples.write(out)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _confident(points: np.ndarray) -> np.ndarray:
    """With confidences from 0 to 1, which OpenPose's sometimes are above, and zeros without one."""
    points = np.array(points, np.float64)
    points[..., -1] = np.clip(points[..., -1], 0, 1)
    points[points[..., -1] == 0] = 0
    return points


def _read(path: Path) -> dict[str, np.ndarray]:
    known = {*SHAPES, 'imgname'}
    what = f'source={str(path)!r} must be a .npz of plain arrays'
    with reading(what), np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files if key in known}
    if missing := sorted({'imgname', 'center', 'scale'} - arrays.keys()):
        raise ValueError(f'source={str(path)!r} lacks {", ".join(missing)}')
    number = len(arrays['imgname'])
    for key, shape in SHAPES.items():
        if key in arrays and arrays[key].shape != (number, *shape):
            raise ValueError(
                f'source={str(path)!r}: {key} must be {(number, *shape)}, it is {arrays[key].shape}'
            )
    return arrays
