"""Persons with labels of their bodies in 3D, of the one format that the converters write."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log

from hsjp_mm.datasets.image_files import UnreadableImageError, stored_size, turned_size
from hsjp_mm.datasets.instances import Rows
from hsjp_mm.datasets.mesh_files import (
    BODIES,
    MeshLabels,
    mesh_labels,
    read_mesh_file,
    write_mesh_file,
)
from hsjp_mm.datasets.metainfo import joint_set_info, joint_set_metainfo
from hsjp_mm.datasets.readable_images import ReadableImageDataset
from hsjp_mm.ops.keypoint_orders import joint_names, shared
from hsjp_mm.ops.rotations import axis_angle_to_matrix
from hsjp_mm.ops.subsets import subset_order
from hsjp_mm.registry import DATASETS
from hsjp_mm.utils.numbers import require_whole

__all__ = ['MeshDataset', 'MeshLabels', 'mesh_labels', 'read_mesh_file', 'write_mesh_file']

UNITS = {'images': 'image_path', 'sequences': 'sequence'}
"""What a subset is counted in, and the array that tells them apart."""
IN_SAMPLES = (
    'upper_body_ids', 'lower_body_ids', 'flip_pairs', 'flip_indices',
    'dataset_keypoint_weights', 'skeleton_links',
)  # fmt: skip
"""What of ``metainfo`` MMPose's transforms look for in each sample."""


class _Samples(Rows):
    """Where the labels of the samples are."""

    def __init__(self, labels: MeshLabels, images: np.ndarray, folder: str, rows: np.ndarray):
        super().__init__(rows)
        self.labels, self.images, self.folder = labels, images, folder

    def sample(self, row: int) -> dict[str, Any]:
        name = str(self.labels['image_path'][row])
        return {
            'id': int(self.labels['id'][row]),
            'img_id': name,
            'img_path': str(Path(self.folder, name)),
            'img_index': int(self.images[row]),
            'row': row,
        }


@DATASETS.register_module()
class MeshDataset(ReadableImageDataset):
    """Persons in images with whatever is known of their bodies, in the project's own format.

    The format is that of :func:`~hsjp_mm.datasets.mesh_files.write_mesh_file`; `hsjp-mm convert
    mesh` makes it from Human3.6M, 3DPW, COCO's pseudo labels and others. MMPose's data sets read
    COCO's JSON, which has no place for rotations, shapes and cameras.

    All data sets give the same keys, so that batches mix: points are brought into ``joint_set`` by
    name, and what a file does not have is zeros, no rotation and no confidence.

    In training an image that cannot be read, that is damaged or that has another size than the
    file says is reported once with its path and replaced by another one, see
    :class:`~hsjp_mm.datasets.readable_images.ReadableImageDataset`; with ``test_mode=True`` it is
    an error.

    A sample has, K being the points of ``joint_set`` and S ``num_shape``:

    - ``id``, ``img_id`` (the path in the file), ``img_path``, ``sequence``, ``frame``, ``gender``,
      ``part_map_path``, ``dataset_name`` (the file's name), ``joint_set``, and of ``metainfo`` what
      MMPose's transforms look for
    - ``bbox`` (1, 4) as (left, top, right, bottom) and ``keypoints`` (1, K, 2) in pixels of the
      image; ``bbox_score`` (1,); ``keypoints_visible`` (1, K), the confidence
    - ``joints`` (K, 3) in meters, camera axes, and ``joints_weight`` (K,)
    - ``rotations`` (24, 3, 3), ``shape`` (S,), ``translation`` (3,); ``has_pose``, ``has_shape``
      and ``has_translation``, 0 or 1
    - ``camera`` (4,), focal lengths and principal point in pixels; NaN where unknown

    Args:
        ann_file, data_root, pipeline, test_mode, lazy_init, indices, ...: as in BaseDataset.
        data_prefix: ``img`` and ``parts``, the folders of the images and of the part maps.
        joint_set: the set into which 2D and 3D points are brought.
        num_shape: how many components of the shape a sample has; those of a file that has fewer
            are filled with zeros.
        body: whose shapes the model predicts. Of a file of another body only the poses are used,
            for these go over approximately; numbers of shape mean nothing on another body, and
            a translation says where another body's origin is.
        fraction: take this share, in (0, 1], at random.
        by: what the share is counted in: 'images', with all persons of one, or 'sequences', for
            neighbouring frames of a video are nearly the same.
        seed: of the choice; of two subsets of one seed the smaller lies in the larger one.
        metainfo: more of it than the joint set says.

    Raises:
        FileNotFoundError: the file or the first image is missing.
        ValueError: an argument outside its range; a file that is not of the format.

    Examples:
        A tenth of Human3.6M, with the body whose shapes the model predicts:

        >>> pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale', padding=1.25)]
        >>> dataset = dict(
        ...     type='hsjp_mm.MeshDataset',
        ...     data_root='data/h36m/',
        ...     ann_file='mesh/train.npz',
        ...     data_prefix=dict(img='images/'),
        ...     body='smpl',
        ...     fraction=0.1,
        ...     pipeline=pipeline,
        ... )

        Three parts of Human3.6M to seven of COCO, in epochs of 100,000:

        >>> coco = dict(type='hsjp_mm.MeshDataset', ann_file='data/coco/mesh/train.npz')
        >>> train_dataloader = dict(
        ...     dataset=dict(type='ConcatDataset', datasets=[dataset, coco]),
        ...     sampler=dict(
        ...         type='hsjp_mm.SharesSampler', num_samples=100_000, shares=[0.3, 0.7]
        ...     ),
        ... )
    """

    # for mmpose.apis.init_model, which builds no data set
    METAINFO = joint_set_info('mesh_22')

    def __init__(
        self,
        ann_file: str = '',
        *,
        joint_set: str = 'mesh_22',
        num_shape: int = 10,
        body: str | None = None,
        fraction: float | None = None,
        by: str = 'images',
        seed: int = 0,
        data_prefix: Mapping[str, str] | None = None,
        metainfo: Mapping[str, Any] | None = None,
        **base,
    ):
        if body is not None and body not in BODIES[:2]:
            raise ValueError(f'body={body!r} must be one of {", ".join(BODIES[:2])}')
        if fraction is not None and not 0 < fraction <= 1:
            raise ValueError(f'fraction={fraction} must be in (0, 1]')
        if by not in UNITS:
            raise ValueError(f'by={by!r} must be one of {", ".join(UNITS)}')
        require_whole('num_shape', num_shape, least=0)
        if unknown := sorted((data_prefix or {}).keys() - {'img', 'parts'}):
            raise ValueError(f'data_prefix: {", ".join(unknown)} must be of img, parts')
        self.joint_set, self.num_shape, self.body = joint_set, num_shape, body
        self.fraction, self.by, self.seed = fraction, by, seed
        self.gender: str | None = None
        super().__init__(
            ann_file=ann_file,
            data_prefix={'img': '', 'parts': '', **(data_prefix or {})},
            metainfo={**joint_set_metainfo(joint_set), **(metainfo or {})},
            serialize_data=False,  # for the samples are arrays already
            **base,
        )

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | None = None) -> dict:
        return dict(metainfo or {})  # MMEngine's takes words for the names of files

    def load_data_list(self) -> '_Samples':  # type: ignore[override]
        """Read the file and choose the samples."""
        labels = read_mesh_file(self.ann_file)
        names, images = np.unique(labels['image_path'], return_inverse=True)
        self.num_images = len(names)
        self._points = {
            'keypoints': self._places(labels.keypoint_set),
            'joints': self._places(labels.joint_set),
        }
        self._match_bodies(labels)
        samples = _Samples(labels, images, self.data_prefix['img'], self._choose(labels))
        self.require_image(samples[0]['img_path'])
        return samples

    def _match_bodies(self, labels: MeshLabels) -> None:
        """Find whose shapes and translations are of the model's body; the others are not used.

        A test keeps those of the other genders, for a measure may pose their own bodies by them.
        """
        self._same_body = np.full(len(labels), self.body in (None, labels.body))
        wanted = self.body
        if self._same_body.any() and self.gender is not None and not self.test_mode:
            self._same_body = labels['gender'] == self.gender
            wanted = f'{self.gender} {self.body}'
        others = ~self._same_body & (labels['has_shape'] | labels['has_translation'])
        if others.any():
            print_log(
                f'MeshDataset: {others.sum()} of {len(labels)} persons of {self.ann_file} have a '
                f'shape or translation of another body than {wanted}, which are not used',
                'current',
            )

    def follow(self, joint_set: str, num_shape: int, body: str, gender: str | None = None) -> None:
        """Be told by a model what it predicts, so that no config says it twice.

        Args:
            joint_set: into which points must be brought.
            num_shape, body: as of the class; they replace its own.
            gender: of the body, if it has one. In training the numbers of shape of persons of
                another gender are not used.

        Raises:
            ValueError: points are brought into another set.
        """
        if joint_set != self.joint_set:
            raise ValueError(
                f'joint_set={self.joint_set!r} of the data is not joint_set={joint_set!r} of the '
                'model'
            )
        changed = (self.body, self.gender) != (body, gender)
        self.num_shape, self.body, self.gender = num_shape, body, gender
        if self._fully_initialized and changed:
            self._match_bodies(self.data_list.labels)

    def _places(self, source: str) -> tuple[list[int], list[int]]:
        if not source:
            return [], []
        return shared(joint_names(source), joint_names(self.joint_set))

    def _choose(self, labels: MeshLabels) -> np.ndarray:
        """The rows that are taken."""
        everything = np.arange(len(labels))
        if self.fraction is None:
            return everything
        units = labels[UNITS[self.by]]
        distinct = np.unique(units).tolist()
        if '' in distinct:
            raise ValueError(
                f'by={self.by!r}: {int((units == "").sum())} of {len(units)} samples of '
                f"{self.ann_file} are of no sequence; choose 'images'"
            )
        number = max(1, round(self.fraction * len(distinct)))
        taken = [distinct[index] for index in subset_order(distinct, self.seed)[:number]]
        rows = everything[np.isin(units, taken)]
        print_log(
            f'MeshDataset: {number} of {len(distinct)} {self.by}, {len(rows)} of {len(units)} '
            f'samples of {self.ann_file}',
            'current',
        )
        return rows

    def get_data_info(self, idx: int) -> dict:
        """Get the labels of a sample; see the class."""
        info = super().get_data_info(idx)
        labels, row = self.data_list.labels, info.pop('row')
        points, confidence = self._in_set('keypoints', 2, row)
        joints, weight = self._in_set('joints', 3, row)
        shape = np.zeros(self.num_shape, np.float32)
        has_shape = bool(labels['has_shape'][row] and self._same_body[row])
        if has_shape:
            known = labels['shape'][row][: self.num_shape]
            shape[: len(known)] = known
        rotations = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
        if labels['has_pose'][row]:
            rotations = axis_angle_to_matrix(torch.from_numpy(labels['pose'][row])).numpy()
        translation = np.zeros(3, np.float32)
        has_translation = bool(labels['has_translation'][row] and self._same_body[row])
        if has_translation:
            translation = labels['translation'][row].copy()
        part_map = str(labels['part_map_path'][row])
        return {
            **info,
            'bbox': labels['box'][row : row + 1].copy(),
            'bbox_score': np.ones(1, np.float32),
            'keypoints': points[None],
            'keypoints_visible': confidence[None],
            'joints': joints,
            'joints_weight': weight,
            'rotations': rotations,
            'shape': shape,
            'translation': translation,
            'has_pose': np.float32(labels['has_pose'][row]),
            'has_shape': np.float32(has_shape),
            'has_translation': np.float32(has_translation),
            'camera': labels['camera'][row].copy(),
            'gender': str(labels['gender'][row]),
            'sequence': str(labels['sequence'][row]),
            'frame': int(labels['frame'][row]),
            'part_map_path': str(Path(self.data_prefix['parts'], part_map)) if part_map else '',
            'dataset_name': Path(self.ann_file).stem,
            'joint_set': self.joint_set,
            **{key: self._metainfo[key] for key in IN_SAMPLES},
        }

    def _in_set(self, key: str, axes: int, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Points (K, 2) or (K, 3) in the set, and their confidence (K,)."""
        points = np.zeros((len(joint_names(self.joint_set)), axes + 1), np.float32)
        here, there = self._points[key]
        if here:
            points[there] = self.data_list.labels[key][row][here]
        return np.ascontiguousarray(points[:, :axes]), points[:, axes].copy()

    def check_image(self, sample: dict) -> None:
        """See that a loaded image has the size that the labels are for."""
        row = int(self.data_list.rows[sample['sample_idx']])
        annotated = tuple(self.data_list.labels['image_size'][row].tolist())
        height, width = sample['ori_shape']
        if annotated in ((width, height), (0, 0)):
            return
        path = sample['img_path']
        stored, orientation = stored_size(path)
        turned = ''
        if annotated == stored != turned_size(stored, orientation):
            turned = f' (as it is stored; orientation {orientation} of its EXIF data turns it)'
        raise UnreadableImageError(
            f'{path} (instance {sample["id"]}) is {width}×{height} pixels, but '
            f'{annotated[0]}×{annotated[1]} in ann_file={self.ann_file!r}{turned}: its labels '
            'would lie beside the person',
            path,
        )
