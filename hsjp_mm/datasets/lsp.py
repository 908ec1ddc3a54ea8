"""Leeds Sports Pose and its extended training set.

Points are (x, y) in pixels of the image.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures.bbox import bbox_cs2xyxy
from scipy.io import loadmat

from hsjp_mm.datasets.image_files import stored_size, turned_size
from hsjp_mm.registry import DATASETS
from hsjp_mm.utils.files import reading

SPLITS = ('train', 'test', 'all')
BOX_PER_EXTENT = 1.15
"""MPII's boxes, 200·scale, are 1.14 times as long as the longer side of the box around the joints,
for the median of the 1,992 persons of its validation split who have all 16."""


@DATASETS.register_module()
class LSPDataset(BaseCocoStyleDataset):
    """LSP (Johnson and Everingham, BMVC 2010) or LSP extended (CVPR 2011), one person an image.

    Each has a ``joints.mat`` and images ``im0001.jpg``, for LSP extended ``im00001.jpg``, …, both
    from one archive: LSP comes in two sizes. The array ``joints`` tells which set it is. In LSP it
    is (3, 14, N) and its third value is 1 for a joint that is occluded; that joint is labelled
    all the same. In LSP extended it is (14, 3, N) and the third value is 0 for a joint that is not
    labelled, whose coordinates mean nothing. The files show it: 2,044 joints of LSP have a 1 and
    lie among the others; 16,787 of LSP extended have a 0, and none of their coordinates is
    positive.

    As in MMPose's other data sets ``keypoints_visible`` is 1 for labelled joints, occluded or not.
    LSP's occluded joints are in ``raw_ann_info['occluded']``, 14 booleans, which the stock
    PackPoseInputs puts into the meta information.

    Left and right are the person's. ``bbox_center`` is the middle of the labelled joints' box,
    ``bbox_scale`` 1.15 times its longer side, for both axes: persons are then as large as MPII's
    in the crop (:data:`BOX_PER_EXTENT`), and the stock GetBBoxCenterScale adds its 1.25 to both.
    The annotation has no box; this one is derived from the joints in the test split too.

    LSP's neck is MPII's upper neck, not its thorax: above the middle of the shoulders by 0.15
    (LSP) and 0.09 (extended) of the torso for the median person, MPII's upper neck by 0.12, thorax
    by 0.00. :data:`LSP_TO_MPII` is the mapping for the stock KeypointConverter; pelvis and thorax
    stay unlabelled. For testing a network of MPII's 16 joints, the stock
    ``test_cfg.output_keypoint_indices`` is :data:`MPII_OF_LSP` and the model's ``metainfo`` is
    MPII's, which has the 16 joints' flip.

    Args:
        ann_file: ``joints.mat``.
        split: of LSP, 'train' is the first half (images 1 to 1000), 'test' the second, 'all' both.
            All of LSP extended is for training.
        data_prefix: ``dict(img='images/')``, the folder of the images.
        base: the other arguments of BaseCocoStyleDataset.

    Raises:
        FileNotFoundError: ``ann_file`` or images are missing.
        ValueError: another split; a file that is no such annotation; labelled joints all in one
            place.

    Examples:
        >>> test_dataloader = dict(
        ...     dataset=dict(
        ...         type='hsjp_mm.LSPDataset',
        ...         data_root='data/lsp',
        ...         ann_file='joints.mat',
        ...         data_prefix=dict(img='images/'),
        ...         split='test',
        ...     )
        ... )
    """

    METAINFO: ClassVar[dict] = dict(
        # next to the package, linked in a clone and copied into a wheel
        from_file=str(Path(__file__).parents[1] / '.mim/configs/_base_/datasets/lsp.py')
    )

    def __init__(self, ann_file: str = '', split: str = 'train', **base):
        if split not in SPLITS:
            raise ValueError(f'split={split!r} must be one of {", ".join(SPLITS)}')
        self.split = split
        super().__init__(ann_file=ann_file, **base)

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        """Read the persons of the split, and the images, as the stock data sets do."""
        joints, extended = read_joints(self.ann_file)
        if extended and self.split == 'test':
            raise ValueError(
                f"split='test': {self.ann_file} is LSP extended, all of which is for training"
            )
        half = len(joints) // 2
        first, last = 0, len(joints)
        if not extended and self.split != 'all':
            first, last = (0, half) if self.split == 'train' else (half, last)
        numbers = range(first, last, self.sample_interval)
        paths = _image_paths(self.data_prefix['img'], numbers, extended)
        _check_images(paths, f'split={self.split!r}', "data_prefix['img']")
        instances = _instances(joints, extended, numbers, paths)
        images = [{key: person[key] for key in ('img_id', 'img_path')} for person in instances]
        return instances, images


def read_joints(path: str) -> tuple[np.ndarray, bool]:
    """Read a ``joints.mat``.

    Returns:
        (N, 14, 3), x, y and the third value as it is in the file, 0 or 1; whether it is LSP
        extended.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it is none of LSP's or LSP extended's.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'ann_file={path!r} does not exist')
    with reading(f'ann_file={path!r} cannot be read as a .mat file'):
        content = loadmat(path)
    joints = np.asarray(content.get('joints', np.empty(0)))
    if joints.ndim != 3 or joints.shape[:2] not in ((3, 14), (14, 3)):
        raise ValueError(
            f"ann_file={path!r} must hold 'joints' (3, 14, N), LSP, or (14, 3, N), LSP extended; "
            f"'joints' is {joints.shape if 'joints' in content else 'not in it'}"
        )
    extended = joints.shape[0] == 14
    joints = joints.transpose(2, 0, 1) if extended else joints.transpose(2, 1, 0)
    if not np.isfinite(joints).all() or not np.isin(joints[..., 2], (0, 1)).all():
        raise ValueError(f'ann_file={path!r}: coordinates must be finite, third values 0 or 1')
    return joints, extended


def to_coco(ann_file: str, images: str, first: int = 1, last: int | None = None) -> dict:
    """Make a COCO-format annotation, which all data sets for crops and keypoints read.

    The boxes are those of :class:`LSPDataset`, cut off at the image's edges.

    Args:
        ann_file: ``joints.mat``.
        images: Folder of the images; names in the annotation are relative to it.
        first, last: Numbers of images, as in their names; by default all.

    Returns:
        ``images``, ``annotations`` of 14 keypoints (visibility 0 for those that are not labelled, 1
        for occluded ones, 2) and ``categories``.

    Raises:
        FileNotFoundError: ``ann_file`` or images are missing.
        ValueError: ``first`` or ``last`` out of range; as in :class:`LSPDataset`.

    Examples:
        >>> content = to_coco('data/lsp/joints.mat', 'data/lsp/images', 1001, 2000)
    """
    joints, extended = read_joints(ann_file)
    last = len(joints) if last is None else last
    if not 1 <= first <= last <= len(joints):
        raise ValueError(
            f'first={first} and last={last} must be 1 <= first <= last <= {len(joints)}, the '
            f'number of persons in {ann_file}'
        )
    numbers = range(first - 1, last)
    paths = _image_paths(images, numbers, extended)
    _check_images(paths, f'numbers {first} to {last}', 'images')
    persons = _instances(joints, extended, numbers, paths)
    sizes = [turned_size(*stored_size(path)) for path in paths]
    return {
        'images': [
            {
                'id': person['img_id'],
                'file_name': os.path.basename(person['img_path']),
                'width': width,
                'height': height,
            }
            for person, (width, height) in zip(persons, sizes, strict=True)
        ],
        'annotations': list(map(_annotation, persons, sizes)),
        'categories': [_category()],
    }


def _category() -> dict:
    info = parse_pose_metainfo(LSPDataset.METAINFO)
    names = [info['keypoint_id2name'][keypoint] for keypoint in range(info['num_keypoints'])]
    links = [[start + 1, end + 1] for start, end in info['skeleton_links']]  # COCO counts from 1
    return {'id': 1, 'name': 'person', 'keypoints': names, 'skeleton': links}


def _annotation(person: dict, size: tuple[int, int]) -> dict:
    left, top = np.maximum(person['bbox'][0, :2], 0)
    right, bottom = np.minimum(person['bbox'][0, 2:], size)
    occluded = person.get('raw_ann_info', {}).get('occluded', [False] * 14)
    visibility = np.where(person['keypoints_visible'][0] > 0, np.where(occluded, 1, 2), 0)
    keypoints = np.concatenate([person['keypoints'][0], visibility[:, None]], axis=1)
    return {
        'id': person['img_id'],
        'image_id': person['img_id'],
        'category_id': 1,
        'iscrowd': 0,
        'bbox': [round(float(value), 2) for value in (left, top, right - left, bottom - top)],
        'area': round(float(person['area'][0]), 1),
        'num_keypoints': person['num_keypoints'],
        'keypoints': [round(float(value), 2) for value in keypoints.ravel()],
    }


def _image_paths(folder: str, numbers: Sequence[int], extended: bool) -> list[str]:
    """Where the images are of persons, by their indices in the file."""
    name = 'im{:05d}.jpg' if extended else 'im{:04d}.jpg'
    return [os.path.join(folder, name.format(number + 1)) for number in numbers]


def _check_images(paths: list[str], which: str, argument: str) -> None:
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of the {len(paths)} images of {which} do not exist, the first '
            f'is {missing[0]}: is {argument} right, and has the archive been unpacked?'
        )


def _instances(
    joints: np.ndarray, extended: bool, numbers: Sequence[int], paths: Sequence[str]
) -> list[dict]:
    return [
        _instance(joints[number], extended, number, path)
        for number, path in zip(numbers, paths, strict=True)
    ]


def _instance(joints: np.ndarray, extended: bool, number: int, path: str) -> dict:
    """Make the data sample of a person.

    Args:
        joints: (14, 3), as in the file.
        number: index of the person in the file.
    """
    third = joints[:, 2].astype(bool)
    labelled = third if extended else np.ones_like(third)
    known = joints[labelled, :2]
    longer = np.ptp(known, axis=0).max() if len(known) else 0
    if not longer > 0:
        raise ValueError(f'{path}: its labelled joints are all in one place, so they have no box')
    center = (known.min(axis=0) + known.max(axis=0)) / 2
    scale = np.full(2, BOX_PER_EXTENT * longer)
    person = {
        'id': number,
        'img_id': number + 1,
        'img_path': path,
        'bbox_center': center[None].astype(np.float32),
        'bbox_scale': scale[None].astype(np.float32),
        'bbox': bbox_cs2xyxy(center, scale)[None].astype(np.float32),
        'bbox_score': np.ones(1, np.float32),
        'keypoints': np.where(labelled[:, None], joints[:, :2], 0)[None].astype(np.float32),
        'keypoints_visible': labelled[None].astype(np.float32),
        'num_keypoints': int(labelled.sum()),
        'area': np.array([scale.prod() * 0.53], np.float32),  # stock's share of a box
        'category_id': [1],
    }
    if not extended:
        person['raw_ann_info'] = {'occluded': third.tolist()}
    return person


MPII_OF_LSP = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9)
"""For each of LSP's 14 joints its index in MPII's 16; the neck is MPII's upper neck."""
LSP_TO_MPII = tuple(enumerate(MPII_OF_LSP))
"""``mapping`` of the stock KeypointConverter, with ``num_keypoints=16``."""
