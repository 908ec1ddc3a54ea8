"""What is in a file of meshes and its images, and what in them cannot be right.

What the format itself refuses, such as values that are not finite, stops the reading.
"""

from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np

from hsjp_mm.analysis.data_check import DataCheck
from hsjp_mm.datasets.converters.samples import check_plausible
from hsjp_mm.datasets.image_files import (
    UnreadableImageError,
    find_images,
    read_image,
    stored_size,
    turned_size,
)
from hsjp_mm.datasets.mesh_files import MeshLabels, read_mesh_file
from hsjp_mm.ops.cameras import to_pixels
from hsjp_mm.ops.keypoint_orders import joint_names, shared
from hsjp_mm.utils.files import existing_folder
from hsjp_mm.utils.progress import track

LABELS, IMAGES, VALUES = 'Labels', 'Images', 'Values'
DAMAGED = 'cannot be read, or are damaged: training takes others in their place'
SIZE = 'have another size than the file says: training takes others in their place'
FAR = 1.0
"""Sides of the box that a labelled point may be outside of it; in space, 1.5 m from the others."""
FAR_JOINT = 1.5
OFF = 10.0  # pixels between a point and the joint of its name under the camera, in the median
LARGE = 5.0
"""Standard deviations of a shape that no fit to a person has; SPIN takes none above 3 for true."""
PARTS = 24


def check_mesh(ann_file: str | Path, folder: str | Path, joint_set: str = 'mesh_22') -> DataCheck:
    """Read labels of meshes and their images once, and say what is in them.

    Args:
        ann_file: ``.npz`` as `hsjp-mm convert mesh` writes.
        folder: Of the images; also of the part maps, if there are any.
        joint_set: Into which training brings the points.

    Returns:
        What was found; boxes are by the paths of images, and are of 'mesh' where a pose is known,
        or else of 'points'.

    Raises:
        FileNotFoundError: No such file or folder.
        ValueError: The file is not of the format.
    """
    existing_folder(folder, 'folder')
    labels = read_mesh_file(ann_file)
    found = DataCheck(uses=('mesh', 'points'))
    _check_labels(found, labels, joint_set)
    _check_values(found, labels)
    _check_images(found, labels, Path(folder))
    _check_parts(found, labels, Path(folder))
    _collect_boxes(found, labels)
    return found


def _check_labels(found: DataCheck, labels: MeshLabels, joint_set: str) -> None:
    lines = found.sections[LABELS]
    sequences = set(labels['sequence'].tolist()) - {''}
    lines.append(
        f'{len(labels):,} samples in {len(np.unique(labels["image_path"])):,} images'
        + (f' of {len(sequences):,} sequences' if sequences else '')
    )
    for key, where in (('keypoints', labels.keypoint_set), ('joints', labels.joint_set)):
        if key not in labels:
            lines.append(f'no {key}')
            continue
        seen = labels[key][..., -1] > 0
        lines.append(
            f'{int(seen.any(axis=1).sum()):,} with {key} of {where}, {seen.sum(axis=1).mean():.1f} '
            f'of {seen.shape[1]} on average'
        )
        _, there = shared(joint_names(where), joint_names(joint_set))
        lacking = [name for i, name in enumerate(joint_names(joint_set)) if i not in there]
        if lacking:
            lines.append(f'  it has not, of {joint_set}: {", ".join(lacking)}')
    for key in ('pose', 'shape', 'translation'):
        lines.append(f'{int(labels[f"has_{key}"].sum()):,} with {key}')
    if labels.body != 'none':
        genders = Counter(labels['gender'].tolist())
        counts = ', '.join(f'{count:,} {gender}' for gender, count in sorted(genders.items()))
        lines.append(f'the body is {labels.body}: {counts}')
    lines.append(f'{int(np.isfinite(labels["camera"]).all(axis=1).sum()):,} with a camera')
    lines.append(f'{int((labels["part_map_path"] != "").sum()):,} with a part map')


# --- values -------------------------------------------------------------------------------------


def _check_values(found: DataCheck, labels: MeshLabels) -> None:
    ids = labels['id']

    def note(what: str, wrong: np.ndarray) -> None:
        found.note(VALUES, what, ids[wrong].tolist(), len(labels))

    same = [
        tuple(row)
        for row in zip(labels['image_path'], *labels['box'].round(1).T.tolist(), strict=True)
    ]
    twice = Counter(same)
    note('samples are there more than once, by image and box, ids', _flags(same, twice))
    note('samples have no label but the box, ids', ~_labelled(labels))
    if 'keypoints' in labels:
        note('samples have points far outside of their boxes, ids', _far_points(labels))
    if 'joints' in labels:
        note(
            f'samples have joints {FAR_JOINT} m and more from the others, ids', _far_joints(labels)
        )
    if 'shape' in labels:
        large = (np.abs(labels['shape']) > LARGE).any(axis=1) & labels['has_shape']
        note(f'samples have shapes beyond {LARGE:g} standard deviations, ids', large)
    try:
        words = {'joint_set': labels.joint_set, 'keypoint_set': labels.keypoint_set}
        check_plausible({**labels.arrays, **words}, labels.name)
    except ValueError as error:
        found.problems.append(str(error))
        found.sections[VALUES].append(str(error))
    _check_projection(found, labels)
    found.sections[VALUES] = found.sections[VALUES] or ['nothing is conspicuous']


def _flags(rows: list, counts: Counter) -> np.ndarray:
    return np.array([counts[row] > 1 for row in rows])


def _labelled(labels: MeshLabels) -> np.ndarray:
    some = labels['has_pose'].copy()
    for key in ('keypoints', 'joints'):
        if key in labels:
            some |= (labels[key][..., -1] > 0).any(axis=1)
    return some


def _far_points(labels: MeshLabels) -> np.ndarray:
    points, box = labels['keypoints'], labels['box'][:, None]
    margin = FAR * (box[..., 2:] - box[..., :2]).max(axis=2, keepdims=True)
    inside = (points[..., :2] > box[..., :2] - margin) & (points[..., :2] < box[..., 2:] + margin)
    return ((points[..., 2] > 0) & ~inside.all(axis=2)).any(axis=1)


def _far_joints(labels: MeshLabels) -> np.ndarray:
    joints, known = labels['joints'][..., :3], labels['joints'][..., 3] > 0
    middle = np.nanmedian(np.where(known[..., None], joints, np.nan), axis=1, keepdims=True)
    return (known & (np.linalg.norm(joints - middle, axis=2) > FAR_JOINT)).any(axis=1)


def _check_projection(found: DataCheck, labels: MeshLabels) -> None:
    """Whether the joints lie on the points of their names, where the camera is known."""
    known = np.isfinite(labels['camera']).all(axis=1)
    if not known.any() or 'keypoints' not in labels or 'joints' not in labels:
        return
    here, there = shared(joint_names(labels.joint_set), joint_names(labels.keypoint_set))
    joints, points = labels['joints'][known][:, here], labels['keypoints'][known][:, there]
    cameras = labels['camera'][known]
    both = (joints[..., 3] > 0) & (points[..., 2] > 0) & (joints[..., 2] > 0.1)
    if both.sum() < both.size / 10:
        return  # about a root, and so at no depth
    seen = to_pixels(joints[..., :3], cameras[:, None])
    off = float(np.median(np.linalg.norm(seen - points[..., :2], axis=2)[both]))
    line = f'joints project to {off:.1f} pixels (median) from the points of their names'
    found.sections[VALUES].append(line)
    if off > OFF:
        found.problems.append(line)


# --- images -------------------------------------------------------------------------------------


def _check_images(found: DataCheck, labels: MeshLabels, folder: Path) -> None:
    names, first = np.unique(labels['image_path'], return_index=True)
    bad: dict[str, list[str]] = defaultdict(list)
    for name, row in track(list(zip(names.tolist(), first.tolist(), strict=True)), 'images'):
        path = folder / name
        if not path.is_file():
            bad['do not exist'].append(name)
            continue
        try:
            read_image(path)
            size = turned_size(*stored_size(path))
        except UnreadableImageError:
            bad[DAMAGED].append(name)
            continue
        found.paths[name] = path
        annotated = tuple(labels['image_size'][row].tolist())
        if annotated not in (size, (0, 0)):
            text = f'{name} ({annotated[0]}x{annotated[1]}, is {size[0]}x{size[1]})'
            bad[SIZE].append(text)
    lines = found.sections[IMAGES]
    lines.append(f'{len(found.paths):,} of {len(names):,} can be read')
    for what, some in bad.items():
        found.note(IMAGES, what, some, len(names))
    listed = set(names.tolist()) | set(labels['part_map_path'].tolist())
    others = [name for name in find_images(folder) if Path(name).as_posix() not in listed]
    if others:
        lines.append(f'{len(others):,} images of the folder are not in the file, and not used')
    if not labels['image_size'].all():
        lines.append('the file does not say how large all images are, so that this is not checked')


def _check_parts(found: DataCheck, labels: MeshLabels, folder: Path) -> None:
    bad: dict[str, list[str]] = defaultdict(list)
    rows = np.flatnonzero(labels['part_map_path'] != '').tolist()
    for row in track(rows, 'part maps') if rows else ():
        name = str(labels['part_map_path'][row])
        parts = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        if parts is None:
            bad['part maps do not exist, or cannot be read'].append(name)
            continue
        size = tuple(labels['image_size'][row].tolist())
        if parts.ndim != 2 or parts.dtype != np.uint8 or parts.max() > PARTS:
            bad[f'part maps are no 8-bit images of 0 to {PARTS}'].append(name)
        elif size not in (parts.shape[::-1], (0, 0)):
            bad['part maps have another size than their images'].append(name)
        elif not parts.any():
            bad['part maps show nothing of their persons'].append(name)
    for what, some in bad.items():
        found.note(IMAGES, what, some, len(rows))


def _collect_boxes(found: DataCheck, labels: MeshLabels) -> None:
    for row, name in enumerate(labels['image_path'].tolist()):
        box = labels['box'][row]
        points = labels['keypoints'][row] if 'keypoints' in labels else np.zeros((0, 3))
        use = 'mesh' if labels['has_pose'][row] else 'points'
        corners = [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
        found.boxes[name].append((corners, points, use))
