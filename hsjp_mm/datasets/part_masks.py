"""Person crops with masks of body parts: those of DensePose-COCO, or of any body.

Words: the *frame* of a mask is where its pixels lie in the image, an affine map (2, 3) that takes
(x, y) of the mask to (x, y) of the image, both counted from the middle of the pixel (0, 0).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as rle

from hsjp_mm.datasets.coco_files import CocoFile, Entries
from hsjp_mm.datasets.image_files import UnreadableImageError
from hsjp_mm.datasets.person_crops import PersonCropDataset
from hsjp_mm.ops.part_labels import DENSEPOSE_PARTS, mirrored
from hsjp_mm.registry import DATASETS

SIDE = 256
"""Width and height of DensePose-COCO's masks, which lie over the box."""
WHOLE_IMAGE = np.eye(2, 3)


@DATASETS.register_module()
class PartMaskDataset(PersonCropDataset):
    """Persons whose body parts have masks, one person an instance.

    The annotation file is in COCO format, and in one of two forms:

    - DensePose-COCO, the official files as they are: an annotation's ``dp_masks`` is a list of 14
      run-length encodings (RLE) of 256×256 pixels, which lie over the annotation's box, in the
      order of :data:`~hsjp_mm.ops.part_labels.DENSEPOSE_PARTS`; ``[]`` stands for a part that
      cannot be seen.
    - plain, for every other body: the category lists the names as ``parts``, as COCO's
      ``keypoints``, and an annotation's ``part_masks`` is a list with an RLE of the image's size,
      or null, for each of them. Parts whose names begin with ``left_`` and ``right_`` change places
      in a flipped image.

    Where masks lie over each other, the later part of the list is taken. Persons without masks
    are left out, and the log counts them. A photograph that its EXIF data turns is taken for
    unreadable if it is annotated as it is stored, because masks are not turned with it.

    Each data sample holds what :class:`PersonCropDataset` gives, and ``part_masks``,
    ``label_frame`` and ``part_mirror`` for :class:`~hsjp_mm.datasets.TopdownDenseAffine`.
    ``metainfo['parts']`` are the names.

    Args:
        ann_file: in one of these forms.
        base: as in :class:`PersonCropDataset`, but ``bbox_file`` and ``image_list``.

    Raises:
        ValueError: masks that are not as above; no person with masks; boxes without annotations.

    Examples:
        >>> dataset = dict(
        ...     type='hsjp_mm.PartMaskDataset',
        ...     data_root='data/coco/',
        ...     ann_file='annotations/densepose_train2014.json',
        ...     data_prefix=dict(img='train2014/'),
        ...     pipeline=[dict(type='LoadImage'), dict(type='PackPoseInputs')],
        ... )
    """

    def __init__(self, ann_file: str = '', **base):
        for name in ('bbox_file', 'image_list'):
            if base.get(name):
                raise ValueError(
                    f'{name}={base[name]!r}: {type(self).__name__} has labels of annotated '
                    'persons only; give ann_file alone'
                )
        if not ann_file:
            raise ValueError(f"ann_file='': {type(self).__name__} needs a file with part masks")
        super().__init__(ann_file, **base)

    def _find_labels(self, coco: CocoFile) -> None:
        """Read the names of the parts."""
        named = _part_names(coco, self.category_names)
        self._key = 'dp_masks' if named is None else 'part_masks'
        self._parts = DENSEPOSE_PARTS if named is None else named
        self._metainfo['parts'] = self._parts
        self._mirror = mirrored(self._parts)

    def _label_keys(self) -> tuple[str, ...]:
        return 'bbox', self._key

    def _without_labels(self, boxes: Entries) -> dict[str, np.ndarray]:
        """See who has no masks."""
        return {f'without {self._key}': np.array([not row.get(self._key) for row in boxes], bool)}

    def _labels(self, boxes: Entries, row: dict) -> dict:
        """The masks of a person, and where they lie."""
        masks = row[self._key]
        number = len(self._parts)
        if not isinstance(masks, list) or len(masks) != number:
            what = f'{len(masks)} of them' if isinstance(masks, list) else type(masks).__name__
            raise boxes.error(
                row, f'{self._key} must be a list of {number} masks, one a part; it is {what}'
            )
        whole = self._key == 'part_masks'
        for name, mask in zip(self._parts, masks, strict=True):
            size = _mask_size(mask)
            if mask and (size is None or not (whole or size == (SIDE, SIDE))):
                allowed = "the image's" if whole else f'{SIDE}×{SIDE}'
                raise boxes.error(
                    row,
                    f'the mask of {name} must be an RLE with counts and size (height, width), of '
                    f'{allowed} pixels; it is {str(mask)[:60]}',
                )
        frame = WHOLE_IMAGE if whole else box_frame(row['bbox'])
        return {'part_masks': masks, 'label_frame': frame}

    def get_data_info(self, idx: int) -> dict:
        """An instance; what all have in common is added here, and not stored with each."""
        return {**super().get_data_info(idx), 'part_mirror': self._mirror}

    def check_labels(self, instance: dict, turned_by: str) -> None:
        """See also that the masks are of the image as it is now."""
        super().check_labels(instance, turned_by)
        path = instance['img_path']
        if turned_by:
            raise UnreadableImageError(
                f'{path} (instance {instance["id"]}) is turned by its EXIF data, and its labels '
                'are those of the image as it is stored',
                path,
            )
        if self._key == 'dp_masks':
            return
        wrong = {_mask_size(mask) for mask in instance['part_masks'] if mask}
        wrong -= {tuple(instance['ori_shape'])}
        if wrong:
            raise UnreadableImageError(
                f'{path} (instance {instance["id"]}) is (height, width) = '
                f'{tuple(instance["ori_shape"])}, but its part_masks are {wrong.pop()}',
                path,
            )


def _part_names(coco: CocoFile, category_names: Sequence[str]) -> tuple[str, ...] | None:
    """The names of the plain form, which the categories list; None for DensePose-COCO."""
    ids = coco.category_ids(category_names)
    lists = {tuple(row.get('parts') or ()) for row in coco.categories if row['id'] in ids}
    if len(lists) > 1:
        raise ValueError(
            f'{coco.name}: the categories {", ".join(category_names)} list different parts'
        )
    return lists.pop() or None


def _mask_size(mask: Any) -> tuple[int, int] | None:
    """(height, width) of an RLE; None if it is none."""
    if not isinstance(mask, dict) or not isinstance(mask.get('counts'), str | list | bytes):
        return None
    size = mask.get('size')
    if not isinstance(size, list | tuple) or [type(side) for side in size] != [int, int]:
        return None
    return size[0], size[1]


def box_frame(bbox: Sequence[float]) -> np.ndarray:
    """Find where the pixels of DensePose-COCO's masks, 256×256 over a box, lie in the image.

    The middle of the mask's pixel (i, j) lies (j + ½)/256 of the box's width from its left edge.

    Args:
        bbox: left, top, width and height, edges in pixels of the image.

    Returns:
        (2, 3).
    """
    left, top, width, height = bbox
    x, y = width / SIDE, height / SIDE
    return np.array([[x, 0, left + x / 2 - 0.5], [0, y, top + y / 2 - 0.5]])


def paint(masks: Sequence[dict | None]) -> np.ndarray:
    """Decode masks into one map of labels.

    Args:
        masks: N run-length encodings of one size, of COCO's compressed or plain form; what is null
            or empty has no pixel. A later one covers earlier ones.

    Returns:
        (H, W) uint8, 0 to N; (1, 1) if all are empty.

    Raises:
        ValueError: they are of different sizes.
    """
    sizes = {tuple(mask['size']) for mask in masks if mask}
    if len(sizes) > 1:
        raise ValueError(f'the part masks of a person have different sizes: {sorted(sizes)}')
    labels = np.zeros(sizes.pop() if sizes else (1, 1), np.uint8)
    for label, mask in enumerate(masks, start=1):
        if mask:
            if isinstance(mask['counts'], list):
                mask = rle.frPyObjects(mask, *mask['size'])
            labels[rle.decode(mask) > 0] = label
    return labels


def require_parts(dataset, parts: Sequence[str]) -> None:
    """See that a data set labels the parts that a model predicts.

    Args:
        dataset: a :class:`PartMaskDataset`, or what wraps one.
        parts: of the model.

    Raises:
        ValueError: it labels others, or none.
    """
    inner = [*getattr(dataset, 'datasets', ())]
    if hasattr(dataset, 'dataset'):
        inner.append(dataset.dataset)
    for one in inner:
        require_parts(one, parts)
    if inner:
        return
    found = (getattr(dataset, 'metainfo', None) or {}).get('parts')
    if found is None:
        raise ValueError(
            f'{type(dataset).__name__} has no masks of parts: take hsjp_mm.PartMaskDataset or '
            'hsjp_mm.DensePoseDataset'
        )
    if tuple(found) != tuple(parts):
        raise ValueError(
            f'the data labels the parts {", ".join(found)}; the model predicts {", ".join(parts)}: '
            'give the model `parts` of the data'
        )
