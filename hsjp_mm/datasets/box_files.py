"""Boxes of images, read from files in COCO's format into arrays, and kept there."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from hsjp_mm.datasets.coco_columns import (
    BOX_KEYS,
    LongList,
    Results,
    Taken,
    join_taken,
    numbered,
    read_images,
)
from hsjp_mm.datasets.coco_files import LISTS, CocoFile, Entries, check_coco, require_lists
from hsjp_mm.datasets.image_files import UnreadableImageError, stored_size, turned_size
from hsjp_mm.datasets.instance_cache import Kept, keep
from hsjp_mm.datasets.instances import Instances, Texts, id_column, join_path, take_rows
from hsjp_mm.datasets.readable_images import ReadableImageDataset
from hsjp_mm.datasets.segmentations import says
from hsjp_mm.datasets.store.files import MANIFEST
from hsjp_mm.utils.files import existing_file
from hsjp_mm.utils.json_lists import decoded, use_json

UNREADABLE = 'of images without a size that cannot be read'


class BoxFileDataset(ReadableImageDataset):
    """The part of :class:`~hsjp_mm.datasets.PersonCropDataset` that reads boxes; see there.

    Entries become dictionaries a hundred thousand at a time, and arrays then.
    """

    bbox_file: str
    image_list: str
    store: str
    category_names: tuple[str, ...]
    annotation_keys: tuple[str, ...]
    score_thr: float
    min_size: float
    cache: str
    left_out: dict[str, int]

    def _source(self) -> str:
        return self.bbox_file or self.ann_file or self.image_list or self.data_prefix['img']

    def _load_boxes(self) -> Instances:
        """Read the boxes of ``bbox_file``, or else of ``ann_file``."""
        kept = self._keep_boxes() if self.cache else self._read_file()
        if self.test_mode and kept.about['left_out'][UNREADABLE]:
            kept = self._read_file()  # kept while training; now it is an error
        self._find_labels(self._categories(kept.about['categories']))
        self.left_out = kept.about['left_out']
        self._summarise(len(kept.columns['image']), len(kept.columns['name']))
        return Instances(kept.columns, kept.about['category_ids'], self.data_prefix['img'])

    def _read_file(self) -> Kept:
        return use_json(self.ann_file, 'ann_file', self._read_boxes)

    def _keep_boxes(self) -> Kept:
        sources = {'ann_file': self.ann_file, 'bbox_file': self.bbox_file}
        files = [existing_file(path, name) for name, path in sources.items() if path]
        if self.store:  # which may know sizes that the images do not have any more
            files.append(Path(self.store, MANIFEST))
        names = 'category_names', 'annotation_keys', 'score_thr', 'min_size'
        arguments = {name: getattr(self, name) for name in names}
        arguments['images'] = os.path.abspath(self.data_prefix['img'])  # whose sizes may be read
        return keep(self.cache, files, {**arguments, 'class': type(self).__name__}, self._read_file)

    def _categories(self, rows: Any) -> CocoFile:
        return check_coco({'categories': rows}, f'ann_file={self.ann_file!r}', ['categories'])

    def _read_boxes(self, content: Any) -> Kept:
        name = f'ann_file={self.ann_file!r}'
        lists = [key for key in LISTS if key != 'annotations' or not self.bbox_file]
        require_lists(content, name, lists)
        coco = self._categories(decoded(content['categories']))
        categories = coco.category_ids(self.category_names)
        self._find_labels(coco)
        images = read_images(content['images'], f'{name}: images')
        images['measured'] = np.zeros(len(images['name']), bool)
        if self.bbox_file:
            only = next(iter(categories)) if len(self.category_names) == 1 else None
            columns, left_out = use_json(
                self.bbox_file,
                'bbox_file',
                lambda found: self._take_boxes(
                    Results(found, f'bbox_file={self.bbox_file!r}', only), images, categories
                ),
            )
        else:
            keys = (*BOX_KEYS, *self._label_keys())
            boxes = LongList(content['annotations'], f'{name}: annotations', keys)
            columns, left_out = self._take_boxes(boxes, images, categories)
        about = {
            'categories': coco.categories.rows,
            'category_ids': list(categories),
            'left_out': left_out,
        }
        passing = ''
        if left_out[UNREADABLE] and not self.store:  # whose sizes stay as they are
            passing = (
                f'{left_out[UNREADABLE]} boxes are left out {UNREADABLE}, and may be read next '
                'time; ann_file may say width and height'
            )
        return Kept({**columns, **images}, about, passing)

    def _take_boxes(
        self, boxes: Iterable[Entries], images: dict, categories: set
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Take what fits of the boxes; and count the others by reason."""
        numbers = numbered(images['image_id'])
        places = {key: place for place, key in enumerate(categories)}
        parts = [self._take_some(part, images, numbers, places) for part in boxes]
        taken = join_taken(parts, boxes)
        counts = np.bincount(taken.left_out, minlength=len(self._reasons) + 1).tolist()
        return taken.columns, dict(zip(self._reasons, counts[1:], strict=True))

    def _take_some(self, boxes: Entries, table: dict, numbers: dict, categories: dict) -> Taken:
        """Take what fits of some boxes.

        Args:
            boxes: of the file.
            table: of the images.
            numbers: of the images, by their ids.
            categories: places of those that are wanted, by their ids.
        """
        first = boxes.places[0] if boxes.places else 0
        ids = np.arange(first, first + len(boxes)) if self.bbox_file else id_column(boxes.ids('id'))
        images = np.array([numbers.get(key, -1) for key in boxes.ids('image_id')], np.int32)
        wanted = np.array([categories.get(key, -1) for key in boxes.ids('category_id')], np.int32)
        scores = boxes.numbers('score', default=1.0)
        reasons = {
            'of images not in ann_file': images < 0,
            'of other categories': wanted < 0,
            'crowd regions': boxes.flags('iscrowd'),
            'below score_thr': scores < self.score_thr,
            **self._without_labels(boxes),
        }
        left_out = np.zeros(len(boxes), np.uint8)
        for number, holds in enumerate(reasons.values(), start=1):
            left_out[(left_out == 0) & holds] = number
        kept = np.flatnonzero(left_out == 0)
        corners, more = self._clip(boxes.take(kept.tolist()), images[kept], table)
        for number, holds in enumerate(more.values(), start=1 + len(reasons)):
            left_out[kept[holds]] = number
        self._reasons = (*reasons, *more)
        fits = left_out[kept] == 0
        kept = kept[fits]
        columns = {
            'id': take_rows(ids, kept),
            'image': images[kept],
            'category': wanted[kept],
            'bbox': corners[fits],
            'score': scores[kept].astype(np.float32),
        }
        if self._label_keys():
            columns['annotation'] = self._check_labels(boxes.take(kept.tolist()))
        return Taken(ids, left_out, columns)

    def _clip(
        self, boxes: Entries, images: np.ndarray, table: dict
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Clip boxes to their images.

        Returns:
            Their corners (N, 4); and for each reason to leave one out, whether it holds, (N,).
        """
        self._measure(images, table)
        xywh = boxes.numbers('bbox', 4)
        sizes = table['size'][images]
        left_top = np.maximum(xywh[:, :2], 0)
        right_bottom = np.minimum(xywh[:, :2] + xywh[:, 2:], sizes)
        return np.hstack([left_top, right_bottom]).astype(np.float32), {
            'below min_size': (right_bottom - left_top).min(axis=1) < self.min_size,
            UNREADABLE: np.isnan(sizes).any(axis=1),
        }

    def _measure(self, images: np.ndarray, table: dict) -> None:
        """Ask each image that the file gives no size for once."""
        unknown = np.isnan(table['size'][images]).any(axis=1) & ~table['measured'][images]
        wanted = np.unique(images[unknown])
        if not len(wanted):
            return
        paths = [join_path(self.data_prefix['img'], table['name'][image]) for image in wanted]
        if not table['measured'].any():
            self._require_sizes(paths[0])
        table['size'][wanted] = self._own_sizes(paths)
        table['measured'][wanted] = True

    def _require_sizes(self, path: str) -> None:
        """See that the first image is there, for without any the folder is wrong."""
        self.require_image(path)

    def _own_sizes(self, paths: Sequence[str]) -> Sequence[tuple[float, float]] | np.ndarray:
        """The sizes of images that ``ann_file`` gives none for; NaN where one cannot be read."""
        return [self._own_size(path) for path in paths]

    def _own_size(self, path: str) -> tuple[float, float]:
        try:
            return turned_size(*stored_size(path))
        except UnreadableImageError:
            if self.test_mode:
                raise
            return np.nan, np.nan

    def _summarise(self, number: int, images: int) -> None:
        total = number + sum(self.left_out.values())
        counts = ', '.join(f'{count} {why}' for why, count in self.left_out.items() if count)
        summary = f'{number} of {total} boxes of {self._source()}' + (
            f'; left out: {counts}' if counts else ''
        )
        if not number:
            raise ValueError(
                f'no box is left, {summary} (category_names={self.category_names}, '
                f'score_thr={self.score_thr}, min_size={self.min_size}, {images} images '
                f'in {self.ann_file})'
            )
        print_log(f'PersonCropDataset: {summary}', 'current')

    def _find_labels(self, coco: CocoFile) -> None:
        """See which labels the categories name; subclasses that read labels do."""

    def _label_keys(self) -> tuple[str, ...]:
        """The keys of an annotation that its labels are made of."""
        return ('bbox', *self.annotation_keys) if self.annotation_keys else ()

    def _without_labels(self, boxes: Entries) -> dict[str, np.ndarray]:
        """Tell why a box is left out for its labels, and (N,) whether it is.

        Subclasses that read labels have reasons of their own.
        """
        return {
            f'without {key}': np.array([not says(row, key) for row in boxes], bool)
            for key in self.annotation_keys
        }

    def _labels(self, boxes: Entries, row: dict) -> dict:
        """Get what a box that is taken has of labels; subclasses have others."""
        return {'raw_ann_info': row}

    def _check_labels(self, boxes: Entries) -> Texts:
        """See that the labels are right; and pack what they are made of."""
        keys = self._label_keys()
        for row in boxes:
            self._labels(boxes, row)
        return Texts.of(json.dumps({key: row[key] for key in keys}) for row in boxes)

    def get_data_info(self, idx: int) -> dict:
        """An instance, with its labels."""
        info = super().get_data_info(idx)
        if 'annotation' in info:
            row = info.pop('annotation')
            info |= self._labels(Entries([row], self.ann_file), row)
        return info
