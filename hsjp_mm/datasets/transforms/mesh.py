"""Crops of one person with the body in 3D: whatever moves the image moves the body.

Points are (x, y) in pixels, sizes (width, height); 3D is the camera's frame, x right, y down, z
forward, in meters. Letters: K joints of the sample's set.
"""

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpose.datasets.transforms import PackPoseInputs

from hsjp_mm.datasets.encoded_images import warp_image
from hsjp_mm.datasets.transforms.flips import refuse_flip
from hsjp_mm.ops.cameras import guess_camera
from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices
from hsjp_mm.ops.part_labels import IGNORED
from hsjp_mm.ops.rotations import mirror_rotations
from hsjp_mm.registry import TRANSFORMS

PART_STRIDE = 4
"""Pixels of the input to a cell of the map of parts, as the maps of PARE have them."""
BODY = mirror_indices(joint_names('smpl_24'))
BOX = {
    'bbox': 'bboxes', 'bbox_score': 'bbox_scores', 'bbox_center': 'bbox_centers',
    'bbox_scale': 'bbox_scales',
}  # fmt: skip
"""What is packed of the box, as in stock, and under which name."""
WITH_FIRST = ('keypoints', 'keypoints_visible')
"""Labels that have a leading 1 from the start, as stock transforms want it."""
WITHOUT_FIRST = (
    'joints', 'joints_weight', 'rotations', 'shape', 'translation', 'has_pose', 'has_shape',
    'has_translation',
)  # fmt: skip
PARTS = np.array([0, *(joint + 1 for joint in BODY)], np.uint8)
"""The part that each part becomes in a mirrored image; part i + 1 goes with joint i."""


@TRANSFORMS.register_module()
class MeshAffine(BaseTransform):
    """Cut the crop of a person, and move its labels and its body with it.

    Made for the samples of :class:`~hsjp_mm.datasets.MeshDataset`.
    Image, keypoints and map of parts are moved by one matrix; the image is interpolated once. The
    stock TopdownAffine has no notion of a body or a camera.

    Weak perspective speaks of a square crop. For an input that is no square that is the square of
    the longer side, about the same center; the network sees the middle of it.

    Required keys: ``img``, ``bbox_center`` (1, 2), ``bbox_scale`` (1, 2), as the stock
    GetBBoxCenterScale leaves them. Of the sample's labels those are moved that it has.

    Modified keys: ``img``; ``keypoints`` (1, K, 2), in pixels of the input; ``camera`` (4), fx, fy,
    cx, cy in pixels, guessed where it is not known
    (:func:`~hsjp_mm.ops.cameras.guess_camera`).

    Added keys: ``crop`` (3), its center and side in pixels of the image; ``input_size``,
    ``input_center``, ``input_scale``, as of TopdownAffine; ``part_map`` (1, H / 4, W / 4) uint8, if
    the sample has one: the part at input pixel (4i, 4j), 255 beside the image.

    Args:
        input_size: (width, height) of the crop in pixels, multiples of 4.

    Raises:
        ValueError: another ``input_size``; a sample that the stock RandomFlip has flipped.
        FileNotFoundError: a map of parts cannot be read.

    Examples:
        >>> val_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='hsjp_mm.MeshAffine', input_size=(224, 224)),
        ...     dict(type='hsjp_mm.PackMeshInputs'),
        ... ]
    """

    def __init__(self, input_size: tuple[int, int]):
        width, height = input_size
        if min(width, height) < PART_STRIDE or width % PART_STRIDE or height % PART_STRIDE:
            raise ValueError(f'input_size={input_size} must be multiples of {PART_STRIDE} pixels')
        self.input_size = (int(width), int(height))

    def transform(self, results: dict) -> dict:
        """Cut the crop."""
        return self.cut(results)

    def cut(
        self,
        results: dict,
        flip: bool = False,
        angle: float = 0.0,
        scale: float = 1.0,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> dict:
        """Cut the crop of an image that is flipped first, then turned.

        Both are done to the camera, so that perspective stays true: a flip mirrors the image and
        with it the principal point, and a rotation rolls the camera about its optical axis. The
        crop is then a plain rectangle of that camera's image, wherever the person was.

        Args:
            results: the sample.
            flip: mirror the image.
            angle: of the rotation in radians, from x to y.
            scale: the side of the crop is that of the box times this.
            shift: what the center of the crop moves by, in sides of the crop.
        """
        refuse_flip(results, type(self).__name__, 'hsjp_mm.RandomMeshAffine flips the body, too')
        height, width = results['img'].shape[:2]
        camera = _camera(results, width, height)
        virtual = np.eye(3)
        if flip:
            virtual[0] = [-1, 0, width]
            camera[2] = width - camera[2]
        virtual = _rotation(angle, camera[2:]) @ virtual
        longer = max(self.input_size)
        sides = np.asarray(results['bbox_scale'], float)[0] * longer / np.array(self.input_size)
        side = sides.max() * scale
        center = _move(np.asarray(results['bbox_center'], float), virtual)[0]
        center = center + np.array(shift) * side
        moved = _crop_matrix(center, side, self.input_size) @ virtual
        results['img'] = warp_image(results['img'], moved[:2], self.input_size)
        self._move_parts(results, moved, flip, (height, width))
        if 'keypoints' in results:
            results['keypoints'] = _move(results['keypoints'], moved).astype(np.float32)
        _move_body(results, flip, angle)
        results['crop'] = np.array([*center, side], np.float32)
        results['camera'] = camera.astype(np.float32)
        results['flip'] = flip
        results['input_size'] = self.input_size
        results['input_center'] = center.astype(np.float32)
        results['input_scale'] = (np.array(self.input_size) * side / longer).astype(np.float32)
        results['img_shape'] = self.input_size[::-1]
        return results

    def _move_parts(
        self, results: dict, moved: np.ndarray, flip: bool, shape: tuple[int, int]
    ) -> None:
        path = results.get('part_map_path')
        if not path:
            return
        parts = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if parts is None:
            raise FileNotFoundError(f'{path} cannot be read as a map of parts')
        if parts.shape != shape:
            raise ValueError(
                f'{path} is {parts.shape[1]}×{parts.shape[0]} pixels, its image '
                f'{shape[1]}×{shape[0]}'
            )
        if parts.max() >= len(PARTS):
            raise ValueError(
                f'{path} has the part {parts.max()}, there are {len(PARTS) - 1} and 0 for none'
            )
        if flip:
            parts = PARTS[parts]
        cells = (np.diag([1 / PART_STRIDE, 1 / PART_STRIDE, 1]) @ moved)[:2]
        size = tuple(length // PART_STRIDE for length in self.input_size)
        results['part_map'] = cv2.warpAffine(
            parts, cells, size, flags=cv2.INTER_NEAREST, borderValue=(IGNORED,)
        )[None]


@TRANSFORMS.register_module()
class RandomMeshAffine(MeshAffine):
    """Flip, turn and scale at random while the crop is cut; the body in 3D goes with the image.

    The augmentation of `SPIN <https://arxiv.org/abs/1909.12828>`_ and of those after it. Stock
    RandomFlip and RandomBBoxTransform know no body in 3D, and draw from other distributions.

    A flip mirrors the body: sides are swapped and each rotation R becomes M R M, with M =
    diag(−1, 1, 1). A rotation turns joints and the first of the rotations about the optical axis.
    ``translation`` goes with both, but after a rotation it is off by what the body's own origin is
    away from its pelvis, which only the body's file tells: ``has_translation`` becomes 0. Joints
    before the camera stay exact.

    Required, modified and added keys: those of MeshAffine; modified are also ``keypoints_visible``,
    ``joints``, ``joints_weight``, ``rotations``, ``translation``, ``has_translation``, ``crop`` and
    ``camera`` are those of the flipped and turned image.

    Args:
        input_size: as of MeshAffine.
        flip_prob: of a flip.
        rotate_prob: of a rotation. SPIN and PARE set it "to 0 with probability 0.6", which is 0.4
            here; mmhuman3d and the loaders of I2L-MeshNet rotate with 0.6.
        rotate_sigma: its standard deviation in degrees; at most twice that.
        scale_sigma: the crop's side is multiplied by a factor of that deviation from 1, and no
            further away from it.
        shift_factor: the crop's center moves by up to this share of its side, uniformly.

    Raises:
        ValueError: an argument outside its range.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='hsjp_mm.RandomMeshAffine', input_size=(224, 224), rotate_prob=0.6),
        ...     dict(type='hsjp_mm.PackMeshInputs'),
        ... ]
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        flip_prob: float = 0.5,
        rotate_prob: float = 0.4,
        rotate_sigma: float = 30.0,
        scale_sigma: float = 0.25,
        shift_factor: float = 0.0,
    ):
        super().__init__(input_size)
        for name, value in (('flip_prob', flip_prob), ('rotate_prob', rotate_prob)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name}={value} must be in [0, 1]')
        if not rotate_sigma >= 0:
            raise ValueError(f'rotate_sigma={rotate_sigma} must be degrees of at least 0')
        for name, value in (('scale_sigma', scale_sigma), ('shift_factor', shift_factor)):
            if not 0 <= value < 1:
                raise ValueError(f'{name}={value} must be in [0, 1)')
        self.flip_prob, self.rotate_prob = flip_prob, rotate_prob
        self.rotate_sigma, self.scale_sigma = rotate_sigma, scale_sigma
        self.shift_factor = shift_factor

    def transform(self, results: dict) -> dict:
        """Cut the crop of the flipped and turned image."""
        # NumPy's global generator is the one that MMEngine seeds in every worker
        flip = np.random.rand() < self.flip_prob
        angle = 0.0
        if np.random.rand() < self.rotate_prob:
            angle = np.deg2rad(self.rotate_sigma) * np.clip(np.random.randn(), -2, 2)
        scale = 1 + self.scale_sigma * np.clip(np.random.randn(), -1, 1)
        shift = np.random.uniform(-self.shift_factor, self.shift_factor, 2)
        return self.cut(results, bool(flip), float(angle), float(scale), tuple(shift))


@TRANSFORMS.register_module()
class ChannelNoise(BaseTransform):
    """Multiply each color channel by a factor of its own.

    "Channel noise" of `SPIN <https://arxiv.org/abs/1909.12828>`_ and PARE, with 0.4; the loaders of
    I2L-MeshNet take 0.2. ``hsjp_mm.ColorAugmentation`` keeps the balance of the channels, and so
    do the stock jitters.

    Required and modified key: ``img`` (H, W, 3), uint8.

    Args:
        strength: factors are drawn from 1 ± this, uniformly.

    Raises:
        ValueError: ``strength`` outside [0, 1].

    Examples:
        >>> train_pipeline = [dict(type='LoadImage'), dict(type='hsjp_mm.ChannelNoise')]
    """

    def __init__(self, strength: float = 0.4):
        if not 0 <= strength <= 1:
            raise ValueError(f'strength={strength} must be in [0, 1]')
        self.strength = strength

    def transform(self, results: dict) -> dict:
        """Change the colors of ``results['img']``."""
        factors = np.random.uniform(1 - self.strength, 1 + self.strength, 3)
        table = np.clip(np.arange(256)[:, None] * factors, 0, 255).round().astype(np.uint8)
        results['img'] = cv2.LUT(results['img'], np.ascontiguousarray(table[:, None]))
        return results


@TRANSFORMS.register_module()
class MeshOccluders(BaseTransform):
    """Cover parts of the crop by made-up things: ellipses and polygons of rough color.

    PARE learns to see past occluders from objects cut out of Pascal VOC, which must be had for it;
    these need no files. Keypoints and body stay labelled; cells that are covered show no part any
    more (0), as they do where an occluder is in the picture itself.

    Required and modified keys: ``img`` (H, W, 3), uint8; ``part_map``, if the sample has one. It
    stands after the crop is cut.

    Args:
        prob: of occluders in a crop.
        max_number: from one up to so many.
        size: range of an occluder's width and height, in shares of the crop's.

    Raises:
        ValueError: an argument outside its range.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='hsjp_mm.RandomMeshAffine', input_size=(224, 224)),
        ...     dict(type='hsjp_mm.MeshOccluders', prob=0.5),
        ... ]
    """

    def __init__(
        self, prob: float = 0.5, max_number: int = 3, size: tuple[float, float] = (0.1, 0.4)
    ):
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob} must be in [0, 1]')
        if max_number < 1:
            raise ValueError(f'max_number={max_number} must be at least 1')
        if not 0 < size[0] <= size[1] <= 1:
            raise ValueError(f'size={size} must be a range of shares, above 0 and up to 1')
        self.prob, self.max_number, self.size = prob, max_number, size

    def transform(self, results: dict) -> dict:
        """Cover parts of ``results['img']``."""
        if np.random.rand() < self.prob:
            image = results['img'].copy()
            covered = np.zeros(image.shape[:2], np.uint8)
            for _ in range(np.random.randint(1, self.max_number + 1)):
                shape = self._shape(image.shape[:2])
                image = np.where(shape[..., None] > 0, _texture(image.shape), image)
                covered |= shape
            results['img'] = image
            if 'part_map' in results:
                cells = covered[None, ::PART_STRIDE, ::PART_STRIDE] > 0
                parts = results['part_map']
                results['part_map'] = np.where(cells & (parts != IGNORED), 0, parts)
        return results

    def _shape(self, shape: tuple[int, int]) -> np.ndarray:
        """A mask (H, W) of one occluder."""
        size = np.random.uniform(*self.size, 2) * shape[::-1]
        center = np.random.uniform(0, 1, 2) * shape[::-1]
        turn = np.random.uniform(0, np.pi)
        if np.random.rand() < 0.5:
            angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        else:
            angles = np.sort(np.random.uniform(0, 2 * np.pi, np.random.randint(3, 8)))
        corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * size / 2
        corners = _move(corners, _rotation(turn, np.zeros(2))) + center
        mask = np.zeros(shape, np.uint8)
        return cv2.fillPoly(mask, [corners.round().astype(np.int32)], (1,))


@TRANSFORMS.register_module()
class PackMeshInputs(PackPoseInputs):
    """Pack a crop and what is known of its body, with the stock PackPoseInputs.

    Required keys: those of MeshAffine. What else a sample has is packed: into ``gt_instances`` its
    ``keypoints``, ``keypoints_visible``, ``joints``, ``joints_weight``, ``rotations``, ``shape``,
    ``translation``, ``has_pose``, ``has_shape`` and ``has_translation``, as tensors with a
    leading 1, and the box as in stock; into ``gt_fields`` its ``part_map``; into the metainfo the
    rest, with ``has_parts``.

    Examples:
        >>> pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='hsjp_mm.MeshAffine', input_size=(224, 224)),
        ...     dict(type='hsjp_mm.PackMeshInputs'),
        ... ]
    """

    def __init__(self):
        super().__init__(
            meta_keys=(
                'id', 'img_id', 'img_path', 'ori_shape', 'img_shape', 'input_size', 'input_center',
                'input_scale', 'flip', 'flip_indices', 'joint_set', 'gender', 'sequence', 'frame',
                'crop', 'camera', 'dataset_name', 'has_parts',
            )
        )  # fmt: skip

    def transform(self, results: dict) -> dict:
        """Pack ``results``."""
        tables = {'instance_mapping_table': BOX, 'field_mapping_table': {'part_map': 'part_map'}}
        packed = super().transform({**results, **tables, 'has_parts': 'part_map' in results})
        found = packed['data_samples'].gt_instances
        for key in WITH_FIRST + WITHOUT_FIRST:
            if key in results:
                values = torch.as_tensor(np.asarray(results[key], np.float32))
                found.set_field(values if key in WITH_FIRST else values[None], key)
        return packed


def _camera(results: dict, width: int, height: int) -> np.ndarray:
    """fx, fy, cx, cy of an image, guessed where they are not known."""
    camera = results.get('camera')
    if camera is None or not np.isfinite(camera).all():
        focal, principal = guess_camera(torch.tensor([width, height], dtype=torch.float64))
        return np.array([focal, focal, *principal])
    return np.array(camera, float)


def _move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def _rotation(angle: float, center: np.ndarray) -> np.ndarray:
    """Turn points of a plane about a center, from x to y, (3, 3)."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, center - turn @ center
    return matrix


def _crop_matrix(center: np.ndarray, side: float, size: tuple[int, int]) -> np.ndarray:
    """From an image to the input, (3, 3); the input's longer side shows the crop's side."""
    factor = max(size) / side
    offset = np.array(size) / 2 - factor * center
    return np.array([[factor, 0, offset[0]], [0, factor, offset[1]], [0, 0, 1]])


def _move_body(results: dict, flip: bool, angle: float) -> None:
    """Mirror and turn what a sample has in 3D, and swap the sides of its joints."""
    if 'joint_set' in results:
        results['flip_indices'] = mirror_indices(joint_names(results['joint_set']))
    if flip:
        for key, axis in dict(keypoints=1, keypoints_visible=1, joints=0, joints_weight=0).items():
            if key in results:
                results[key] = np.take(results[key], results['flip_indices'], axis=axis)
    turn = _rotation(angle, np.zeros(2))
    turn = turn @ np.diag([-1.0 if flip else 1.0, 1, 1])
    if 'joints' in results:
        results['joints'] = (results['joints'] @ turn.T).astype(np.float32)
    if 'translation' in results:
        results['translation'] = (results['translation'] @ turn.T).astype(np.float32)
        if angle:
            results['has_translation'] = np.float32(0)
    if 'rotations' in results:
        rotations = np.array(results['rotations'], np.float64)
        if flip:
            rotations = mirror_rotations(torch.from_numpy(rotations), BODY).numpy()
        rotations[0] = _rotation(angle, np.zeros(2)) @ rotations[0]
        results['rotations'] = rotations.astype(np.float32)


def _texture(shape: tuple[int, ...]) -> np.ndarray:
    """Rough color, (H, W, 3) uint8: coarse noise about one color."""
    coarse = np.random.uniform(0, 255, 3) + 40 * np.random.randn(8, 8, 3)
    coarse = np.clip(coarse, 0, 255).astype(np.uint8)
    return cv2.resize(coarse, shape[1::-1], interpolation=cv2.INTER_CUBIC)
