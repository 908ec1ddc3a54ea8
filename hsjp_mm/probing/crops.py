"""Persons of a top-down config, cut out and labelled, held in memory.

Letters: N persons, K keypoints. Places in a crop are (x, y) in shares of its width and height,
(0, 0) to (1, 1), so that they can be copied from one person to another.
"""

import copy
import os
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from hsjp_mm.datasets.image_files import read_image
from hsjp_mm.ops.oks import similarity
from hsjp_mm.ops.subsets import subset_order
from hsjp_mm.ops.visibility import visibility
from hsjp_mm.utils.progress import track

NEEDED = (
    'model.backbone',
    'model.data_preprocessor',
    'model.head.decoder',
    'train_dataloader.dataset',
    'val_dataloader.dataset.pipeline',
    'val_evaluator',
)
"""What a config must have to be probed for pose."""


class Crops:
    """Persons cut out and packed by a pipeline, with their labels.

    Args:
        items: What the pipeline gave of each.
        metainfo: Of the data set, with the ``sigmas`` (K,) of OKS.

    Attributes:
        images: (3, H, W) each, uint8.
        samples: Data samples.
        places: (N, K, 2) in shares of the crop.
        labelled: (N, K).
    """

    def __init__(self, items: list[dict], metainfo: dict) -> None:
        self.images = [item['inputs'] for item in items]
        self.samples = [item['data_samples'] for item in items]
        self.metainfo = metainfo
        truths = [sample.gt_instances for sample in self.samples]
        self.keypoints = np.concatenate([truth.keypoints[..., :2] for truth in truths])
        seen = [visibility(truth.keypoints_visible) for truth in truths]
        self.labelled = np.concatenate(seen) > 0
        self.centers = np.stack([sample.input_center for sample in self.samples])[:, None]
        self.sizes = np.stack([sample.input_scale for sample in self.samples])[:, None]
        self.areas = np.array([_area(sample) for sample in self.samples])
        self.places = (self.keypoints - self.centers) / self.sizes + 0.5

    def to_image(self, places: np.ndarray) -> np.ndarray:
        """Turn places (N, K, 2) in the crops into pixels of the images."""
        return (places - 0.5) * self.sizes + self.centers

    def mean_oks(self, places: np.ndarray) -> float:
        """OKS of places (N, K, 2) in the crops, averaged over the persons with a keypoint."""
        sigmas = np.asarray(self.metainfo['sigmas'])
        ks = similarity(self.to_image(places) - self.keypoints, self.areas, sigmas)
        counts = self.labelled.sum(axis=1)
        return float(((ks * self.labelled).sum(axis=1)[counts > 0] / counts[counts > 0]).mean())


def _area(sample: Any) -> float:
    """Area of a person in pixels of the image: annotated, or the usual share of the box."""
    area = (sample.get('raw_ann_info') or {}).get('area')
    left, top, right, bottom = sample.gt_instances.bboxes[0]
    return float(area or (right - left) * (bottom - top) * 0.53)


def load_crops(config: Config, part: str, persons: int, seed: int) -> Crops:
    """Cut persons out as the config's validation does.

    Args:
        config: A top-down config.
        part: 'train', which adds the codec's targets, or 'val'.
        persons: See :class:`PoseProbe`.
        seed: Of the choice of images.

    Raises:
        UnreadableImageError: A chosen image cannot be read, or is damaged.
        ValueError: A file of the config is missing; targets that are no heat maps.
    """
    settings = copy.deepcopy(config[f'{part}_dataloader'].dataset)
    inner = settings
    while 'dataset' in inner:  # a wrapper, such as hsjp_mm.LabelSubset
        inner = inner.dataset
    inner.pipeline = copy.deepcopy(config.val_dataloader.dataset.pipeline)
    if part == 'train':
        inner.pipeline.insert(-1, dict(type='GenerateTarget', encoder=config.model.head.decoder))
    if inner.get('bbox_file'):
        inner.bbox_file = None  # detected persons have no labels
    try:
        dataset = DATASETS.build(settings)
    except AssertionError as error:  # how MMPose says that a file is missing
        raise ValueError(f'{part}_dataloader.dataset of the config: {error}') from error
    chosen = _choose(dataset, persons, seed)
    # before any is cut, and apart, for the stock pipeline takes a damaged image for a sound one
    for path in sorted({dataset.get_data_info(i)['img_path'] for i in chosen}):
        if os.path.isfile(path):
            read_image(path)
    items = [dataset[i] for i in track(chosen, f'persons ({part})')]
    crops = Crops(items, dataset.metainfo)
    if part == 'train':
        _require_heatmaps(crops, config.model.head.decoder)
    return crops


def _choose(dataset: Any, persons: int, seed: int) -> list[int]:
    """Indices of the persons in images chosen at random, in the order of the data set."""
    images: dict[Any, list[int]] = {}
    for i in range(len(dataset)):
        images.setdefault(dataset.get_data_info(i)['img_id'], []).append(i)
    groups = list(images.values())
    chosen: list[int] = []
    for group in subset_order(list(images), seed):
        if len(chosen) >= persons:
            break
        chosen += groups[group]
    return sorted(chosen)


def require_topdown(config: Config) -> None:
    for name in NEEDED:
        value: Any = config
        for key in name.split('.'):
            value = value.get(key) if isinstance(value, dict | Config) else None
        if not value:
            raise ValueError(
                f'config={config.filename!r} has no {name}: give the top-down config to fine-tune '
                'with, which has labels; the checkpoint may be of any pretraining of its backbone'
            )
    for part in ('train', 'val'):
        mode = config[f'{part}_dataloader'].dataset.get('data_mode', 'topdown')
        if mode != 'topdown':
            raise ValueError(
                f'config={config.filename!r}: {part}_dataloader.dataset.data_mode={mode!r} must be '
                "'topdown'"
            )


def _require_heatmaps(crops: Crops, codec: Any) -> None:
    fields = crops.samples[0].get('gt_fields')
    maps = None if fields is None else fields.get('heatmaps')
    keypoints = crops.places.shape[1]
    if maps is None or len(maps) != keypoints:
        raise ValueError(
            f'model.head.decoder of the config is {dict(codec)}, but must be a codec with a heat '
            f'map for each of the {keypoints} keypoints, such as MSRAHeatmap'
        )
