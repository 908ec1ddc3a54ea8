"""Person (or animal) crops without labels: one instance is one box."""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log

from hsjp_mm.registry import DATASETS

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


@DATASETS.register_module()
class PersonCropDataset(BaseDataset):
    """Boxes to cut crops from; no label is read.

    Subclasses MMEngine's BaseDataset rather than MMPose's CocoDataset, which drops the persons
    without keypoints. One source of these:

    - ``ann_file``: a COCO-format JSON; every annotation of the named categories but the crowd
      regions, with or without keypoints.
    - ``ann_file`` and ``bbox_file``: the images of the first and the boxes of the second, a
      detector's results as a list of ``{image_id, category_id, bbox, score}``.
    - ``image_list``: a text file with the path of an image on each line; an image is an instance.
    - only ``data_prefix['img']``: a folder, searched with its subfolders; an image is an instance.

    In training an image that cannot be read is reported once with its path and replaced by
    another one; the sample carries the paths in its meta value ``skipped``, which
    ``hsjp_mm.SkippedImagesHook`` counts. With ``test_mode=True`` it is an error.

    Each data sample holds ``id`` (of the annotation; the place in ``bbox_file``; the path in the
    folder or list), ``img_id``, ``img_path``, ``category_id``, ``bbox`` (1, 4) as (left, top,
    right, bottom) in pixels of the image, clipped to it, and ``bbox_score`` (1,). The pipeline's
    ``GetBBoxCenterScale`` adds centre and scale. An image that is one instance gets its box, the
    whole image, when it has been loaded.

    Args:
        ann_file, data_root, data_prefix, pipeline, test_mode, lazy_init, ...: as in BaseDataset.
        bbox_file: a detector's results, relative to ``data_root``.
        image_list: a text file of image paths, relative to ``data_root``; the paths in it are
            relative to ``data_prefix['img']``.
        category_names: the categories to take.
        score_thr: the lowest score of a detected box that is taken.
        min_size: the lowest width and height in pixels, after clipping, of a box that is taken.
        fraction: take this share of the instances, in (0, 1], at random.
        num_samples: or this number of them.
        seed: of the choice; of two subsets of one seed the smaller lies in the larger one.

    Raises:
        FileNotFoundError: a file or folder is missing, or the first image.
        ValueError: an argument outside its range; a category that does not exist; boxes that name
            no image; nothing left.
    """

    def __init__(
        self,
        ann_file: str = '',
        *,
        bbox_file: str = '',
        image_list: str = '',
        category_names: Sequence[str] = ('person',),
        score_thr: float = 0.0,
        min_size: float = 1.0,
        fraction: float | None = None,
        num_samples: int | None = None,
        seed: int = 0,
        data_prefix: dict | None = None,
        **base,
    ):
        if bbox_file and not ann_file:
            raise ValueError(f'bbox_file={bbox_file!r} needs ann_file, which names the images')
        if image_list and ann_file:
            raise ValueError(f'give image_list={image_list!r} or ann_file={ann_file!r}, not both')
        if isinstance(category_names, str):
            raise ValueError(f'category_names={category_names!r} must be a sequence of names')
        if fraction is not None and num_samples is not None:
            raise ValueError(f'give fraction={fraction} or num_samples={num_samples}, not both')
        if fraction is not None and not 0 < fraction <= 1:
            raise ValueError(f'fraction={fraction} must be in (0, 1]')
        if min_size <= 0:
            raise ValueError(f'min_size={min_size} pixels must be positive')
        self.bbox_file = bbox_file
        self.image_list = image_list
        self.category_names = tuple(category_names)
        self.score_thr = score_thr
        self.min_size = min_size
        self.fraction = fraction
        self.num_samples = num_samples
        self.seed = seed
        super().__init__(ann_file=ann_file, data_prefix=data_prefix or {'img': ''}, **base)

    def _join_prefix(self):
        super()._join_prefix()
        for name in ('bbox_file', 'image_list'):
            path = getattr(self, name)
            if path and not os.path.isabs(path) and self.data_root:
                setattr(self, name, os.path.join(self.data_root, path))

    def full_init(self):
        """Load the boxes; see BaseDataset."""
        if self._fully_initialized:
            return
        super().full_init()
        # in shared memory, so that of all workers one reports an image
        self.reported = torch.zeros(len(self), dtype=torch.uint8).share_memory_()

    def load_data_list(self) -> list[dict]:
        """Read the source and choose the instances."""
        instances = self._load_boxes() if self.ann_file else self._load_images()
        if not instances:
            raise ValueError(f'{self._source()} holds no image ({", ".join(IMAGE_SUFFIXES)})')
        instances = self._subset(instances)
        if not os.path.isfile(instances[0]['img_path']):
            raise FileNotFoundError(
                f'the first image, {instances[0]["img_path"]}, does not exist: are '
                f'data_root={self.data_root!r} and data_prefix={self.data_prefix} right?'
            )
        return instances

    def _source(self) -> str:
        return self.bbox_file or self.ann_file or self.image_list or self.data_prefix['img']

    def _load_boxes(self) -> list[dict]:
        """Read the boxes of ``bbox_file``, or else of ``ann_file``."""
        coco = _read_json(self.ann_file, 'ann_file')
        needed = {'images'} if self.bbox_file else {'images', 'annotations'}
        if not isinstance(coco, dict) or not needed <= coco.keys():
            holds = f'keys {", ".join(coco)}' if isinstance(coco, dict) else type(coco).__name__
            raise ValueError(
                f"ann_file={self.ann_file!r} must be in COCO format, a dictionary with 'images', "
                f"'categories' and 'annotations'; it holds {holds}"
            )
        images = {image['id']: image for image in coco['images']}
        categories = self._category_ids(coco)
        boxes = _read_json(self.bbox_file, 'bbox_file') if self.bbox_file else coco['annotations']
        dropped = dict.fromkeys(
            ('of other categories', 'crowd regions', 'below score_thr', 'below min_size',
             'of images not in ann_file'), 0,
        )  # fmt: skip
        instances = []
        for index, box in enumerate(boxes):
            image = images.get(box['image_id'])
            if image is None:
                dropped['of images not in ann_file'] += 1
            elif box['category_id'] not in categories:
                dropped['of other categories'] += 1
            elif box.get('iscrowd', 0):
                dropped['crowd regions'] += 1
            elif box.get('score', 1.0) < self.score_thr:
                dropped['below score_thr'] += 1
            elif (xyxy := self._clip(box['bbox'], image)) is None:
                dropped['below min_size'] += 1
            else:
                instances.append(self._instance(box, image, xyxy, index))
        counts = ', '.join(f'{count} {why}' for why, count in dropped.items() if count)
        summary = f'{len(instances)} of {len(boxes)} boxes of {self._source()}' + (
            f'; left out: {counts}' if counts else ''
        )
        if not instances:
            raise ValueError(
                f'no box is left, {summary} (category_names={self.category_names}, '
                f'score_thr={self.score_thr}, min_size={self.min_size}, {len(images)} images in '
                f'{self.ann_file})'
            )
        print_log(f'PersonCropDataset: {summary}', 'current')
        return instances

    def _category_ids(self, coco: dict) -> set[int]:
        known = {category['name']: category['id'] for category in coco.get('categories', [])}
        missing = [name for name in self.category_names if name not in known]
        if missing or not self.category_names:
            raise ValueError(
                f'category_names={self.category_names}: {self.ann_file} has no '
                f'{", ".join(missing) or "category chosen"}; it has {", ".join(known)}'
            )
        return {known[name] for name in self.category_names}

    def _clip(self, xywh: Sequence[float], image: dict) -> np.ndarray | None:
        """Clip a box to its image; None if less than ``min_size`` is left."""
        left, top = max(0.0, xywh[0]), max(0.0, xywh[1])
        right = min(float(image['width']), xywh[0] + xywh[2])
        bottom = min(float(image['height']), xywh[1] + xywh[3])
        if min(right - left, bottom - top) < self.min_size:
            return None
        return np.array([[left, top, right, bottom]], dtype=np.float32)

    def _instance(self, box: dict, image: dict, xyxy: np.ndarray, index: int) -> dict:
        return {
            'id': index if self.bbox_file else box['id'],
            'img_id': image['id'],
            'img_path': os.path.join(self.data_prefix['img'], image['file_name']),
            'category_id': box['category_id'],
            'bbox': xyxy,
            'bbox_score': np.array([box.get('score', 1.0)], dtype=np.float32),
        }

    def _load_images(self) -> list[dict]:
        """Make each image of the list or folder one instance."""
        folder = Path(self.data_prefix['img'])
        if self.image_list:
            if not os.path.isfile(self.image_list):
                raise FileNotFoundError(f'image_list={self.image_list!r} does not exist')
            lines = Path(self.image_list).read_text(encoding='utf-8').splitlines()
            names = [line.strip() for line in lines if line.strip()]
        elif folder.is_dir() and self.data_prefix['img']:
            names = sorted(
                str(path.relative_to(folder))
                for path in folder.rglob('*')
                if path.suffix.lower() in IMAGE_SUFFIXES
            )
        else:
            raise FileNotFoundError(
                f"data_prefix['img']={self.data_prefix['img']!r} is no folder; give ann_file, "
                'image_list or a folder of images'
            )
        return [
            {'id': name, 'img_id': index, 'img_path': str(folder / name)}
            for index, name in enumerate(names)
        ]

    def _subset(self, instances: list[dict]) -> list[dict]:
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
            )
        chosen = np.random.RandomState(self.seed).permutation(len(instances))[:number]
        return [instances[index] for index in sorted(chosen)]

    @force_full_init
    def __getitem__(self, index: int) -> dict:
        """Get a sample; in training, in place of one that cannot be read, a random other one."""
        if self.test_mode:
            return super().__getitem__(index)
        skipped = []
        for _ in range(self.max_refetch + 1):
            try:
                data = self.prepare_data(index)
            except UnreadableImageError as error:
                skipped.append(error.path)
                self._report(index, error)
                index = self._rand_another()
                continue
            if skipped:
                data['data_samples'].set_metainfo({'skipped': skipped})
            return data
        raise RuntimeError(
            f'none of {len(skipped)} drawn images could be read, {len(set(skipped))} different '
            f'ones, such as {", ".join(sorted(set(skipped))[:10])}'
        )

    def _report(self, index: int, error: 'UnreadableImageError') -> None:
        if not self.reported[index]:
            self.reported[index] = 1
            print_log(f'PersonCropDataset: skipped, {error}', 'current', logging.WARNING)

    def prepare_data(self, index: int) -> dict:
        """Load the image of an instance and run the pipeline.

        Raises:
            UnreadableImageError: the image cannot be read or decoded.
        """
        instance = self.get_data_info(index)
        for transform in self.pipeline.transforms:
            if isinstance(transform, LoadImageFromFile):
                instance = _load(transform, instance)
            else:
                instance = transform(instance)
        return instance


def _load(transform: LoadImageFromFile, instance: dict) -> dict:
    """Load the image, whose own size is the box of an instance without one."""
    path = instance['img_path']
    try:
        instance = transform(instance)
    except Exception as error:
        message = f'{path} (instance {instance["id"]}) cannot be read: {error}'
        raise UnreadableImageError(message, path) from error
    if 'bbox' not in instance:
        height, width = instance['ori_shape']
        instance['bbox'] = np.array([[0, 0, width, height]], dtype=np.float32)
        instance['bbox_score'] = np.ones(1, dtype=np.float32)
    return instance


class UnreadableImageError(RuntimeError):
    """An image that cannot be read or decoded."""

    def __init__(self, message: str, path: str = ''):
        super().__init__(message)
        self.path = path


def _read_json(path: str, argument: str):
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{argument}={path!r} does not exist')
    with open(path, encoding='utf-8') as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise ValueError(f'{argument}={path!r} is no JSON: {error}') from error
