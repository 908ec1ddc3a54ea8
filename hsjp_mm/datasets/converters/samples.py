"""What all converters share: collecting samples, counting what is left out, and the guards.

Camera axes: x right, y down, z forward, meters. Letters: N samples.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from hsjp_mm.datasets.mesh_files import write_mesh_file
from hsjp_mm.ops.cameras import to_pixels
from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices
from hsjp_mm.ops.rotations import axis_angle_to_matrix, matrix_to_axis_angle

MARGIN = 1.2
"""By how much the boxes of SPIN and of those who follow it are larger than the persons in them;
this format's are not, for the pipeline's padding makes them larger."""
OFTEN = 0.5
"""Share of the samples that must pass a guard. Some persons stand on their heads, and some labels
are wrong; axes that are mixed up turn all of them."""
GENDERS = {
    'neutral': ('neutral', 'n', '-1'),
    'female': ('female', 'f', '0'),
    'male': ('male', 'm', '1'),
}
"""How files spell them; 0 and 1 are SURREAL's, which other code has read the wrong way round."""
UPRIGHT = 'turned upside down: the first rotation is not in camera axes, x right, y down, z forward'


class Bodies(Protocol):
    """The bodies of the genders, where the user has their files."""

    def pelvis(self, gender: str, shape: np.ndarray) -> np.ndarray:
        """The pelvis (N, 3) of resting bodies with shapes (N, S)."""

    def joints(
        self, gender: str, pose: np.ndarray, shape: np.ndarray, translation: np.ndarray
    ) -> np.ndarray:
        """The 24 joints (N, 24, 3) of posed bodies."""


@dataclass(frozen=True)
class Conversion:
    """What a converter wrote.

    Attributes:
        path: Of the file.
        number: Of samples in it.
        images: Of different images in it.
        has: How many samples have each kind of label.
        left_out: How many there are not in it, by reason.
        notes: What else the user should know.
    """

    path: Path
    number: int
    images: int
    has: Mapping[str, int]
    left_out: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f'{self.path}: {self.number:,} samples in {self.images:,} images']
        lines += [f'  {count:,} with {kind}' for kind, count in self.has.items()]
        lines += [f'  left out: {count:,} {why}' for why, count in self.left_out.items() if count]
        return '\n'.join(lines + [f'  {note}' for note in self.notes])


class Samples:
    """Collects samples, one at a time, and writes them.

    Args:
        source: What is converted, for messages.
        body: Whose pose and shape the samples have.
        keypoint_set, joint_set: Of their points.
    """

    def __init__(
        self, source: str, body: str = 'smpl', keypoint_set: str = '', joint_set: str = ''
    ):
        self.source = source
        self.words = {'body': body, 'keypoint_set': keypoint_set, 'joint_set': joint_set}
        self.rows: list[dict[str, Any]] = []
        self.left_out = Counter[str]()
        self.notes: list[str] = []

    def leave_out(self, why: str, number: int = 1) -> None:
        """Count samples that are not taken."""
        self.left_out[why] += number

    def add(self, **values: Any) -> None:
        """Take a sample.

        Args:
            values: As the arrays of :func:`~hsjp_mm.datasets.mesh_files.write_mesh_file`, of one
                sample; ``image_path``, ``box`` and ``id`` are needed. What is None is not there.
        """
        row = {key: value for key, value in values.items() if value is not None}
        for key in ('pose', 'shape', 'translation'):
            row[f'has_{key}'] = key in row
        self.rows.append(row)

    def write(self, out: str | Path) -> Conversion:
        """Check what has been collected, and write it.

        Raises:
            ValueError: There is nothing, or it is not what it should be.
        """
        if not self.rows:
            why = ', '.join(f'{count} {why}' for why, count in self.left_out.items())
            raise ValueError(f'{self.source}: no sample is left; left out: {why or "none"}')
        content = self._arrays()
        check_plausible({**self.words, **content}, self.source)
        write_mesh_file(out, {**self.words, **content})
        has = {
            key: int((content[key][..., -1] > 0).any(axis=1).sum())
            for key in ('keypoints', 'joints')
            if key in content
        }
        has |= {
            key: int(content[f'has_{key}'].sum())
            for key in ('pose', 'shape', 'translation')
            if key in content
        }
        if 'camera' in content:
            has['camera'] = int(np.isfinite(content['camera']).all(axis=1).sum())
        if 'part_map_path' in content:
            has['part maps'] = int((content['part_map_path'] != '').sum())
        return Conversion(
            Path(out), len(self.rows), len(np.unique(content['image_path'])), has,
            dict(self.left_out), tuple(self.notes),
        )  # fmt: skip

    def _arrays(self) -> dict[str, np.ndarray]:
        empty: dict[str, Any] = {
            'image_size': (0, 0),
            'gender': 'neutral',
            'sequence': '',
            'frame': -1,
            'part_map_path': '',
            'camera': np.full(4, np.nan),
        }
        keys = list(dict.fromkeys(key for row in self.rows for key in row))
        arrays = {}
        for key in keys:
            values = [row[key] for row in self.rows if key in row]
            if len(values) < len(self.rows):
                lacking = empty.get(key, np.zeros_like(np.asarray(values[0], float)))
                values = [row.get(key, lacking) for row in self.rows]
            arrays[key] = np.asarray(values)
        if 'image_size' not in arrays:
            arrays['image_size'] = np.zeros((len(self.rows), 2), int)
        for key in ('pose', 'shape', 'translation'):
            if key not in arrays:
                del arrays[f'has_{key}']
        return arrays


# --- values of files -----------------------------------------------------------------------------


def parse_gender(value: Any) -> str:
    """'neutral', 'male' or 'female', of any of the ways in which files spell it.

    Raises:
        ValueError: It is none of them.
    """
    value = value.item() if isinstance(value, np.generic | np.ndarray) else value
    text = value.decode() if isinstance(value, bytes) else str(value).strip().lower()
    for gender, spellings in GENDERS.items():
        if text in spellings:
            return gender
    known = ', '.join(text for spellings in GENDERS.values() for text in spellings)
    raise ValueError(f'gender={value!r} must be one of {known}')


def item(table: Mapping, key: Any, where: str) -> Any:
    """What a table of a file holds under a key.

    Args:
        table: Of the file.
        key: In it.
        where: The table stands, for messages.

    Raises:
        ValueError: There is nothing.
    """
    if key not in table:
        raise ValueError(f'{where} has no {key!r}')
    return table[key]


def numbers(value: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Read numbers of a file.

    Args:
        value: What stands there, of any nesting.
        shape: Into which it is brought; one axis may be -1.
        where: It stands, for messages.

    Raises:
        ValueError: It is something else, or not finite.
    """
    try:
        array = np.asarray(value, dtype=np.float64).reshape(shape)
    except (ValueError, TypeError) as error:
        text = f'of shape {np.shape(value)}' if isinstance(value, np.ndarray) else f'{value!r:.60}'
        raise ValueError(f'{where} must be numbers of shape {shape}, it is {text}') from error
    if not np.isfinite(array).all():
        raise ValueError(f'{where} has values that are not finite')
    return array


def box_of_points(points: np.ndarray, labelled: np.ndarray | None = None) -> np.ndarray | None:
    """Left, top, right and bottom of points (K, 2); None if they span nothing."""
    points = points if labelled is None else points[labelled]
    if not len(points):
        return None
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    return box if (box[2:] > box[:2]).all() else None


def box_of_xywh(xywh: np.ndarray, size: np.ndarray | None = None) -> np.ndarray | None:
    """Left, top, right and bottom, clipped to the image if its size is known; None if empty."""
    box = np.concatenate([xywh[:2], xywh[:2] + xywh[2:]])
    if size is not None and size.all():
        box = np.clip(box, 0, np.tile(size, 2))
    return box if (box[2:] > box[:2]).all() else None


def box_of_scale(center: np.ndarray, scale: float) -> np.ndarray:
    """The box of SPIN's center and scale, whose side in units of 200 pixels holds the margin."""
    half = 100 * scale / MARGIN
    return np.concatenate([center - half, center + half])


def inside(points: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Whether points (…, 2) are in the image."""
    return ((points >= 0) & (points <= size)).all(axis=-1)


# --- frames --------------------------------------------------------------------------------------


def to_matrices(axis_angle: np.ndarray) -> np.ndarray:
    """Rotation matrices (…, 3, 3) of (…, 3)."""
    return axis_angle_to_matrix(torch.from_numpy(np.asarray(axis_angle, np.float64))).numpy()


def to_axis_angle(matrices: np.ndarray) -> np.ndarray:
    """The axes times the angles (…, 3) of rotation matrices."""
    return matrix_to_axis_angle(torch.from_numpy(np.asarray(matrices, np.float64))).numpy()


def turn_pose(pose: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Bring a pose (24, 3) into another frame, whose axes a rotation (3, 3) turns to."""
    return np.concatenate([to_axis_angle(rotation @ to_matrices(pose[:1])), pose[1:]])


def turn_translation(
    translation: np.ndarray, rotation: np.ndarray, shift: np.ndarray, pelvis: np.ndarray
) -> np.ndarray:
    """Bring a translation into another frame, x' = R x + t.

    The body turns about its pelvis p, not about the origin: a vertex at G (v − p) + p + T is then
    at R G (v − p) + R p + R T + t, so that T' = R T + t − p + R p.

    Args:
        translation: T, (3,).
        rotation: R, (3, 3).
        shift: t, (3,).
        pelvis: p, (3,), of the body at rest.
    """
    return rotation @ translation + shift - pelvis + rotation @ pelvis


MIRROR = np.diag([-1.0, 1.0, 1.0])
SMPL_MIRROR = mirror_indices(joint_names('smpl_24'))


def mirror_pose(pose: np.ndarray) -> np.ndarray:
    """The pose (24, 3) of the body's mirror image: sides change, y and z of each axis turn."""
    return pose[SMPL_MIRROR] * [1, -1, -1]


# --- guards --------------------------------------------------------------------------------------


def check_plausible(content: Mapping[str, Any], source: str) -> None:
    """Refuse labels of which most show that axes, sides or units are mixed up.

    Raises:
        ValueError: With what they show.
    """
    checks: tuple[tuple[Callable, str], ...] = (
        (_upright, UPRIGHT),
        (_right_way_round, 'with hips on another side than their pose says: left is right'),
        (_before_their_boxes, 'of which the translation is projected beside the box'),
    )
    for check, what in checks:
        passed = check(content)
        if len(passed) and passed.mean() < OFTEN:
            raise ValueError(
                f'{source}: {int((~passed).sum()):,} of {len(passed):,} samples are {what}'
            )


def _upright(content: Mapping[str, Any]) -> np.ndarray:
    """Whether the body's own y, which points up, points up in the image."""
    if 'pose' not in content:
        return np.zeros(0, bool)
    turned = to_matrices(content['pose'][content['has_pose'], 0])
    return turned[:, 1, 1] < 0


def _right_way_round(content: Mapping[str, Any]) -> np.ndarray:
    """Whether the left hip is on the side of the right one to which the body's x axis points."""
    if 'pose' not in content or 'joints' not in content:
        return np.zeros(0, bool)
    names = joint_names(str(content['joint_set']))
    left, right = (content['joints'][:, names.index(f'{side}_hip')] for side in ('left', 'right'))
    known = content['has_pose'] & (left[:, 3] > 0) & (right[:, 3] > 0)
    axes = to_matrices(content['pose'][known, 0])[:, :, 0]
    return ((left - right)[known, :3] * axes).sum(axis=1) > 0


def _before_their_boxes(content: Mapping[str, Any]) -> np.ndarray:
    if 'translation' not in content or 'camera' not in content:
        return np.zeros(0, bool)
    known = content['has_translation'] & np.isfinite(content['camera']).all(axis=1)
    where, camera = content['translation'][known], content['camera'][known]
    if (where[:, 2] <= 0).any():
        return where[:, 2] > 0
    points = to_pixels(where, camera)
    box = content['box'][known]
    side = (box[:, 2:] - box[:, :2]).max(axis=1, keepdims=True)
    # the pelvis is some 20 cm beside the translation, and the person may be cut off
    return ((points > box[:, :2] - side) & (points < box[:, 2:] + side)).all(axis=1)
