"""Person (or animal) crops without labels: one instance is one box."""

import logging
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log

from hsjp_mm.datasets.box_files import BoxFileDataset
from hsjp_mm.datasets.image_files import (
    IMAGE_SUFFIXES,
    UnreadableImageError,
    find_images,
    local_name,
    stored_size,
    turn_boxes,
    turned_size,
)
from hsjp_mm.datasets.instances import Instances, Texts
from hsjp_mm.datasets.store.files import image_name
from hsjp_mm.datasets.store.reading import CropStore
from hsjp_mm.ops.subsets import subset_order
from hsjp_mm.registry import DATASETS
from hsjp_mm.utils.files import read_text
from hsjp_mm.utils.numbers import require_whole

PARTS = ('train', 'val')
WITHOUT_CROP = 'without a readable image in the store'
HELD_OUT_SEED = 0
"""Not the argument ``seed``: train and val stay apart where only one of them changes it."""


@DATASETS.register_module()
class PersonCropDataset(BoxFileDataset):
    """Boxes to cut crops from; no label is read unless ``annotation_keys`` names it.

    Derives from MMEngine's BaseDataset rather than MMPose's CocoDataset, which drops the persons
    without keypoints. One source of these:

    - ``ann_file``: a COCO-format JSON; every annotation of the named categories but the crowd
      regions, with or without keypoints.
    - ``ann_file`` and ``bbox_file``: the images of the first and the boxes of the second, a
      detector's results as a list of ``{image_id, category_id, bbox, score}``.
    - ``image_list``: a text file with the path of an image on each line; an image is an instance.
    - only ``data_prefix['img']``: a folder, searched with its subfolders, also by links; an image
      is an instance.

    The boxes are as :mod:`hsjp_mm.datasets.coco_files` reads them. Of those left out the log has
    a count for each reason.

    In training an image that cannot be read, that is damaged or that has another size than
    ``ann_file`` says is reported once with its path and replaced by another one; the sample
    carries the paths in its meta value ``skipped``, which ``hsjp_mm.SkippedImagesHook`` counts.
    With ``test_mode=True`` it is an error.

    The camera may have stored an image on its side, with an EXIF orientation by which the pipeline
    turns it. Its annotated size tells in which coordinates the boxes are. If they are those of the
    stored image, the boxes are turned with it, and the log says so; a detector's are not, for
    they may be in either. A square image and one upside down keep their size: their boxes are
    taken to be drawn on the turned one.

    Each data sample holds ``id`` (of the annotation; the place in ``bbox_file``; the path in the
    folder or list), ``img_id``, ``img_path``, ``category_id``, ``bbox`` (1, 4) as (left, top,
    right, bottom) in pixels of the image, clipped to it, and ``bbox_score`` (1,). The pipeline's
    ``GetBBoxCenterScale`` adds center and scale. An image that is one instance gets its box, the
    whole image, when it has been loaded. With ``annotation_keys`` there is ``raw_ann_info``, too,
    as MMPose's data sets have it, with those keys of the annotation and its ``bbox``.

    Attributes:
        left_out: how many boxes, by reason.

    Args:
        ann_file, data_root, data_prefix, pipeline, test_mode, lazy_init, ...: as in BaseDataset.
        bbox_file: a detector's results, relative to ``data_root``.
        image_list: a text file of image paths, relative to ``data_root``; the paths in it are
            relative to ``data_prefix['img']``.
        category_names: the categories to take.
        annotation_keys: what of an annotation goes on to the pipeline, as it stands in the file,
            such as ``['segmentation']`` for ``hsjp_mm.SegmentCrop``. Annotations without it are
            left out. It is in the image's coordinates, so that images of which the boxes would have
            to be turned count as unreadable.
        score_thr: the lowest score of a detected box that is taken.
        min_size: the lowest width and height in pixels, after clipping, of a box that is taken.
        held_out: hold out this share of the images, in (0, 1), to validate without a second
            annotation file. Whole images, so that no photograph is on both sides; at random, but
            always the same ones of a source, whatever boxes, categories and subset are taken.
        part: which side this data set is: 'train', the images that are not held out, or 'val',
            those that are. Both have to name the same ``held_out`` and the same source.
        fraction: take this share of the instances (of the part), in (0, 1], at random.
        num_samples: or this number of them.
        seed: of the choice; of two subsets of one seed the smaller lies in the larger one.
        store: read the crops from what ``hsjp-mm store`` has written, relative to ``data_root``, in
            place of the images, which then need not be there. Instances whose image could not be
            read when it was written are left out, or with ``test_mode=True`` an error.
        cache: a folder, relative to ``data_root``, in which to keep the boxes of ``ann_file`` as
            they are before ``held_out`` and what follows. A second start takes them from there in
            seconds, and all processes of a machine share the memory. A file that has changed is
            read anew; images that have are not noticed. Nothing is kept where ``ann_file`` lacks
            the sizes of images and one of them cannot be read, for it may be there next time.

    Raises:
        FileNotFoundError: a file or folder is missing, or the first image.
        ValueError: an argument outside its range; a category that does not exist; a file that is
            not as :mod:`hsjp_mm.datasets.coco_files` says, such as with a box that is not four
            finite numbers, or two images of one id; nothing left, or nothing in this part.

    Examples:
        Every person of COCO, with or without keypoints:

        >>> train_pipeline = [dict(type='LoadImage'), dict(type='PackPoseInputs')]
        >>> dataset = dict(
        ...     type='hsjp_mm.PersonCropDataset',
        ...     data_root='data/coco/',
        ...     ann_file='annotations/instances_train2017.json',
        ...     data_prefix=dict(img='train2017/'),
        ...     min_size=32,
        ...     pipeline=train_pipeline,
        ... )

        Crops in a folder:

        >>> dataset = dict(
        ...     type='hsjp_mm.PersonCropDataset',
        ...     data_prefix=dict(img='data/crops/'),
        ...     pipeline=train_pipeline,
        ... )

        Nine tenths of them to train, and the others to validate:

        >>> train = dict(**dataset, held_out=0.1)
        >>> val = dict(**dataset, held_out=0.1, part='val', test_mode=True)
    """

    def __init__(
        self,
        ann_file: str = '',
        *,
        bbox_file: str = '',
        image_list: str = '',
        category_names: Sequence[str] = ('person',),
        annotation_keys: Sequence[str] = (),
        score_thr: float = 0.0,
        min_size: float = 1.0,
        held_out: float | None = None,
        part: str = 'train',
        fraction: float | None = None,
        num_samples: int | None = None,
        seed: int = 0,
        store: str = '',
        cache: str = '',
        data_prefix: dict | None = None,
        **base,
    ):
        if bbox_file and not ann_file:
            raise ValueError(f'bbox_file={bbox_file!r} needs ann_file, which names the images')
        if image_list and ann_file:
            raise ValueError(f'give image_list={image_list!r} or ann_file={ann_file!r}, not both')
        if isinstance(category_names, str):
            raise ValueError(f'category_names={category_names!r} must be a sequence of names')
        if isinstance(annotation_keys, str):
            raise ValueError(f'annotation_keys={annotation_keys!r} must be a sequence of names')
        if annotation_keys and (bbox_file or not ann_file):
            raise ValueError(
                f'annotation_keys={tuple(annotation_keys)} needs the annotations of ann_file; '
                f'ann_file={ann_file!r}, bbox_file={bbox_file!r}'
            )
        if cache and not ann_file:
            raise ValueError(f'cache={cache!r} keeps the boxes of ann_file, which is not given')
        if held_out is not None and not 0 < held_out < 1:
            raise ValueError(f'held_out={held_out} must be in (0, 1)')
        if part not in PARTS:
            raise ValueError(f'part={part!r} must be one of {", ".join(PARTS)}')
        if part != 'train' and held_out is None:
            raise ValueError(f'part={part!r} needs held_out, the share of the images')
        if fraction is not None and num_samples is not None:
            raise ValueError(f'give fraction={fraction} or num_samples={num_samples}, not both')
        if fraction is not None and not 0 < fraction <= 1:
            raise ValueError(f'fraction={fraction} must be in (0, 1]')
        if num_samples is not None:
            require_whole('num_samples', num_samples)
        if not min_size > 0:
            raise ValueError(f'min_size={min_size} pixels must be positive')
        if not math.isfinite(score_thr):
            raise ValueError(f'score_thr={score_thr} must be a finite number')
        self.bbox_file = bbox_file
        self.image_list = image_list
        self.category_names = tuple(category_names)
        self.annotation_keys = tuple(annotation_keys)
        self.score_thr = score_thr
        self.min_size = min_size
        self.held_out = held_out
        self.part = part
        self.fraction = fraction
        self.num_samples = num_samples
        self.seed = seed
        self.store = store
        self.cache = cache
        self.left_out: dict[str, int] = {}
        base['serialize_data'] = False  # for the instances are arrays already
        super().__init__(ann_file=ann_file, data_prefix=data_prefix or {'img': ''}, **base)

    def _join_prefix(self):
        super()._join_prefix()
        for name in ('bbox_file', 'image_list', 'store', 'cache'):
            path = getattr(self, name)
            if path and not os.path.isabs(path) and self.data_root:
                setattr(self, name, os.path.join(self.data_root, path))

    def full_init(self):
        """Load the boxes; see BaseDataset."""
        if self._fully_initialized:
            return
        super().full_init()
        self.turned = torch.zeros(self.num_images, dtype=torch.uint8).share_memory_()
        self.told_turned = torch.zeros(1, dtype=torch.long).share_memory_()

    def load_data_list(self) -> Instances:  # type: ignore[override]
        """Read the source and choose the instances."""
        self.crops = CropStore(self.store) if self.store else None
        instances = self._load_boxes() if self.ann_file else self._load_images()
        if not instances:
            raise ValueError(f'{self._source()} holds no image ({", ".join(IMAGE_SUFFIXES)})')
        self.num_images = len(instances.names)
        if self.held_out is not None:
            instances = self._take_part(instances, self.held_out)
        instances = self._subset(instances)
        if self.crops is not None:
            return self._take_stored(instances, self.crops)
        self.require_image(instances[0]['img_path'])
        return instances

    def _take_stored(self, instances: Instances, crops: CropStore) -> Instances:
        """Take the instances that the store has."""
        taken = crops.take(instances)
        missing = len(instances) - len(taken)
        if missing and (self.test_mode or not taken):
            raise ValueError(
                f'store={self.store!r}: the images of {missing} of {len(instances)} instances '
                'could not be read when it was written'
            )
        if missing:
            self.left_out[WITHOUT_CROP] = missing
            print_log(
                f'PersonCropDataset: {missing} of {len(instances)} instances left out, whose '
                f'images could not be read when store={self.store!r} was written',
                'current',
                logging.WARNING,
            )
        return taken

    def load_image(self, transform: LoadImageFromFile, sample: dict) -> dict:
        """Load an image, or what the store has of it; see ReadableImageDataset."""
        if self.crops is None:
            return super().load_image(transform, sample)
        self.require_reach()
        given = sample.get('bbox')
        sample = self.crops.load(sample, reducible=getattr(transform, 'reduces', False))
        turned = given is not None and not np.array_equal(given, sample['bbox'])
        self.check_labels(sample, 'its EXIF data' if turned else '')
        return sample

    def require_reach(self) -> None:
        """See that the crops of the store hold what the pipeline can show of them.

        Raises:
            ValueError: they do not.
        """
        if self.crops is not None:
            self.crops.check_reach(self.pipeline.transforms)

    def _require_sizes(self, path: str) -> None:
        if self.crops is None:
            super()._require_sizes(path)

    def _own_sizes(self, paths: Sequence[str]) -> Sequence[tuple[float, float]] | np.ndarray:
        """The sizes of images that ``ann_file`` gives none for, as the store has them."""
        if self.crops is None:
            return super()._own_sizes(paths)
        folder = self.data_prefix['img']
        sizes = self.crops.sizes_of([image_name(path, folder) for path in paths])
        lost = np.flatnonzero(np.isnan(sizes).any(axis=1))
        if len(lost) and self.test_mode:
            path = paths[int(lost[0])]
            raise UnreadableImageError(
                f'{path} could not be read when store={self.store!r} was written', path
            )
        return sizes

    def _load_images(self) -> Instances:
        """Make each image of the list or folder one instance."""
        folder = self.data_prefix['img']
        if self.image_list:
            lines = read_text(self.image_list, 'image_list').splitlines()
            names = [local_name(folder, line.strip()) for line in lines if line.strip()]
        elif folder and os.path.isdir(folder):
            names = find_images(folder)
        else:
            raise FileNotFoundError(
                f"data_prefix['img']={folder!r} is no folder; give ann_file, image_list or a "
                'folder of images'
            )
        columns: dict[str, Any] = {'image': np.arange(len(names)), 'name': Texts.of(names)}
        return Instances(columns, folder=folder)

    def _take_part(self, instances: Instances, held_out: float) -> Instances:
        """Take the instances of the images that are held out, or of the others.

        Chosen is among all images of the source, with or without boxes, and an image that it names
        twice is one.
        """
        keys = [os.path.normpath(name).replace('\\', '/') for name in instances.names]
        images = list(dict.fromkeys(keys))
        if len(images) < len(PARTS):
            raise ValueError(f'held_out={held_out}: {self._source()} has only one image')
        number = min(max(1, round(held_out * len(images))), len(images) - 1)
        chosen = {images[i] for i in subset_order(images, HELD_OUT_SEED)[:number]}
        in_part = np.array([(key in chosen) == (self.part == 'val') for key in keys])
        part = instances.take(np.flatnonzero(in_part[instances.images]))
        summary = (
            f'part={self.part!r} of held_out={held_out}: {len(part)} of {len(instances)} instances '
            f'of {self._source()}; {number} of {len(images)} images are held out'
        )
        if not part:
            raise ValueError(f'no instance is left, {summary}')
        print_log(f'PersonCropDataset: {summary}', 'current')
        return part

    def _subset(self, instances: Instances) -> Instances:
        """Choose ``fraction`` or ``num_samples`` of the instances, in their order."""
        number = self.num_samples
        if self.fraction is not None:
            number = max(1, round(self.fraction * len(instances)))
        if number is None:
            return instances
        if not 1 <= number <= len(instances):
            raise ValueError(
                f'num_samples={number} must be from 1 to {len(instances)}, the instances of '
                f'{self._source()}'
                + (f' in part={self.part!r}' if self.held_out is not None else '')
            )
        return instances.take(sorted(subset_order(instances.ids(), self.seed)[:number]))

    def check_labels(self, instance: dict, turned_by: str) -> None:
        """See that labels are of the image as it is read.

        Args:
            instance: with its image, or the crop that a store has of it.
            turned_by: what turns the image, and the box with it; empty if nothing does.

        Raises:
            UnreadableImageError: they are not.
        """
        if turned_by and self.annotation_keys:
            path = instance['img_path']
            raise UnreadableImageError(
                f'{path} (instance {instance["id"]}) is annotated as it is stored and turned by '
                f'{turned_by} when it is read, but annotation_keys={self.annotation_keys} are '
                'not turned with it',
                path,
            )

    def check_image(self, instance: dict) -> None:
        """Give an instance without a box the image's, and see that a box is of this image."""
        height, width = instance['ori_shape']
        if 'bbox' not in instance:
            instance['bbox'] = np.array([[0, 0, width, height]], dtype=np.float32)
            instance['bbox_score'] = np.ones(1, dtype=np.float32)
            return
        annotated = tuple(self.data_list.columns['size'][instance['img_index']])
        if annotated == (width, height):
            self.check_labels(instance, '')
            return
        path = instance['img_path']
        stored, orientation = stored_size(path)
        turned = turned_size(stored, orientation)
        if annotated == stored and (width, height) == turned and not self.bbox_file:
            self.check_labels(instance, f'its EXIF orientation {orientation}')
            instance['bbox'] = turn_boxes(instance['bbox'], stored, orientation)
            self._report_turned(instance, orientation)
            return
        hint = ''
        if annotated == stored:
            hint = f' (as it is stored; orientation {orientation} of its EXIF data turns it)'
        elif annotated == turned:
            hint = (
                f' (as orientation {orientation} of its EXIF data turns it; this pipeline does not)'
            )
        raise UnreadableImageError(
            f'{path} (instance {instance["id"]}) is {width}×{height} pixels, but '
            f'{annotated[0]:g}×{annotated[1]:g} in ann_file={self.ann_file!r}{hint}: its boxes '
            'would cut out something else',
            path,
        )

    def _report_turned(self, instance: dict, orientation: int) -> None:
        """Count the images whose boxes are turned; log when there are 1, 10, 100 … or more.

        Workers count without a lock: two that come at once may both tell, and none of them sees
        the tenth, which the next one makes good.
        """
        if self.turned[instance['img_index']]:
            return
        self.turned[instance['img_index']] = 1
        count = int(self.turned.sum())
        if count >= 10 * int(self.told_turned) or not self.told_turned:
            self.told_turned[0] = 10 ** (len(str(count)) - 1)
            print_log(
                f'PersonCropDataset: {instance["img_path"]} is annotated as it is stored, and is '
                f'turned by its EXIF orientation {orientation} when it is read; its boxes are '
                f'turned with it. Such images so far: {count}',
                'current',
                logging.WARNING,
            )
