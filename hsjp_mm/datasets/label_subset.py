"""A share of a data set's keypoint labels; of two of one seed the smaller lies in the larger one.

A labelled person is one that MMPose trains on: not a crowd, with a keypoint and a box.
"""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log
from mmpose.datasets.datasets.base import BaseCocoStyleDataset

from hsjp_mm.datasets.segmentations import has_mask
from hsjp_mm.datasets.stock_files import load_annotations
from hsjp_mm.datasets.subset_files import (
    UNITS,
    choose,
    manifest_path,
    require_choice,
    take,
    without_keypoints,
    write_subset,
)
from hsjp_mm.registry import DATASETS

# the last three were here in version 0.1
__all__ = ['UNITS', 'LabelSubset', 'manifest_path', 'write_subset']

SAMPLE_KEYS = {'images': ('img_id', 'img_path', 'id'), 'persons': ('id',)}
"""What a subset is counted in, and the keys of any data set's samples that may name it: the first
that all samples have."""


@DATASETS.register_module()
class LabelSubset:
    """Train on a share of the labels of a data set.

    The semi-supervised setting of section 4.5 of the `HSJP paper
    <https://arxiv.org/abs/2012.07101>`_, which chooses at random. Images, or persons, are put into
    an order that depends on their id and the seed alone, and the first ones are taken: the choice
    is the same on any machine and in any order of the file, and a smaller one lies inside a larger
    one. The wrapped data set itself is cut, so that mixing and refetching transforms cannot reach
    beyond, and its workers share the memory of what is left.

    - By images: all persons of the chosen images. Images without a labelled person are no part of
      the choice, and are left out also with ``fraction=1``.
    - By persons: the other persons in the images of the chosen ones lose their labels. Top-down
      training does not see them. Bottom-up training sees them as it sees any person without
      keypoints: ``BottomupGetHeatmapMask`` masks them by their segmentations, so that they do not
      count as background. Images without a chosen person are left out.

    A data set that does not read its annotations as MMPose's COCO-style ones do is cut by its
    samples, all of which count as labelled: by images after their ``img_id``, else ``img_path``,
    else ``id``; by persons after their ``id``, if each sample is one person.

    Of a data set that is made of others, such as CombinedDataset, ConcatDataset or RepeatDataset,
    each part is cut on its own: ``fraction`` is that of each part, and ``number`` is taken from
    each. Several parts are loaded at once, ``lazy_init`` or not, for CombinedDataset needs it.

    It is for training. To evaluate on a subset write one by ``tools/make_subset.py``, for a metric
    takes all persons of the file that it is given.

    Args:
        dataset: config of the data set.
        fraction: the share to take, in (0, 1].
        number: or how many to take.
        by: 'images' or 'persons'.
        seed: of the choice.
        lazy_init: as in BaseDataset.

    Attributes:
        dataset: the wrapped data set. Its parts, if it is made of others, are LabelSubsets.
        name: of the data set: its annotation file, or else its class.
        summary: how much was chosen, in words, of each part; empty before ``full_init``.

    Raises:
        TypeError: ``dataset`` is no data set of MMEngine or MMPose.
        ValueError: an argument outside its range; nothing chosen; a data set that is no training
            set, that ``indices`` would cut as well, or that is a LabelSubset; samples that do not
            say which image or person they are; or in bottom-up training by persons, one that
            cannot be masked.

    Examples:
        A tenth of the images of COCO:

        >>> coco = dict(type='CocoDataset', ann_file='annotations/person_keypoints_train2017.json')
        >>> dataset = dict(type='hsjp_mm.LabelSubset', dataset=coco, fraction=0.1)

        A tenth of COCO and a tenth of AI Challenger:

        >>> aic = dict(type='AicDataset', ann_file='annotations/aic_train.json')
        >>> both = dict(type='CombinedDataset', metainfo=dict(), datasets=[coco, aic])
        >>> dataset = dict(type='hsjp_mm.LabelSubset', dataset=both, fraction=0.1)
    """

    def __init__(
        self,
        dataset: dict,
        fraction: float | None = None,
        number: int | None = None,
        by: str = 'images',
        seed: int = 0,
        lazy_init: bool = False,
    ):
        require_choice(fraction, number, by)
        choice = dict(fraction=fraction, number=number, by=by, seed=seed)
        config = _with_subsets_inside(dataset, choice)
        self.dataset = DATASETS.build({**config, 'lazy_init': True})
        self._parts = _parts_of(self.dataset)
        if not self._parts:
            _require_training_set(self.dataset)
        self.fraction = fraction
        self.number = number
        self.by = by
        self.seed = seed
        self.summary = ''
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """Of the wrapped data set."""
        return self.dataset.metainfo

    @property
    def name(self) -> str:
        """The annotation file, or else the class."""
        return getattr(self.dataset, 'ann_file', '') or type(self.dataset).__name__

    def full_init(self) -> None:
        """Load the annotations and choose."""
        if self._fully_initialized:
            return
        if self._parts:
            self.dataset.full_init()
            self.summary = '; '.join(f'{part.summary} of {part.name}' for part in self._parts)
        else:
            if isinstance(self.dataset, BaseCocoStyleDataset):
                self._cut_annotations()
            if not self.summary:
                self._cut_samples()
            print_log(f'LabelSubset: {self.summary} of {self.name}', 'current')
        self._fully_initialized = True

    def _cut_annotations(self) -> None:
        """Choose while the annotations are loaded.

        Later on MMPose's instances are sorted into samples, and serialised. Does nothing to a data
        set that loads otherwise.
        """
        self.dataset._load_annotations = self._load_chosen
        try:
            self.dataset.full_init()
        finally:
            del self.dataset._load_annotations

    def _load_chosen(self) -> tuple[list[dict], list[dict]]:
        """Stand in for ``_load_annotations`` of the wrapped data set."""
        instances, images = load_annotations(self.dataset)
        labelled = [one for one in instances if self.dataset._is_valid_instance(one)]
        chosen = choose(
            labelled, self.fraction, self.number, self.by, self.seed, self.dataset.ann_file
        )
        self.summary = str(chosen)
        kept = [instance for instance in instances if instance['img_id'] in chosen.images]
        for instance in kept:
            if instance['id'] in chosen.dropped:
                self._require_mask(instance)
                _take_labels(instance)
        return kept, [image for image in images if image['img_id'] in chosen.images]

    def _require_mask(self, instance: dict) -> None:
        if self.dataset.data_mode == 'bottomup' and not has_mask(instance.get('segmentation')):
            raise ValueError(
                f"by='persons': person {instance['id']} of {self.dataset.ann_file} has no "
                'segmentation to mask it by, and bottom-up training would take it for background; '
                "choose by='images'"
            )

    def _cut_samples(self) -> None:
        """Choose among the samples of a data set, once they are there."""
        self.dataset.full_init()
        units = _sample_units(self.dataset, self.by)
        distinct = list(dict.fromkeys(units))
        all_of_them = f'the {self.by} of {self.name}'
        taken = take(distinct, self.fraction, self.number, self.by, self.seed, all_of_them)
        kept = [index for index, unit in enumerate(units) if unit in taken]
        self.dataset.get_subset_(kept)
        self.summary = (
            f'{len(taken)} of {len(distinct)} {self.by}, {len(kept)} of {len(units)} samples'
        )

    @force_full_init
    def __len__(self) -> int:
        return len(self.dataset)

    @force_full_init
    def get_data_info(self, index: int) -> dict:
        """Get the annotation of a sample."""
        return self.dataset.get_data_info(index)

    @force_full_init
    def __getitem__(self, index: int) -> dict:
        return self.dataset[index]


# --- data sets made of others, and samples --------------------------------------------------------


def _with_subsets_inside(config: dict, choice: dict[str, Any]) -> dict:
    """The config of a data set that is made of others, each of which has become a subset."""

    def subset(part: dict, lazy_init: bool) -> dict:
        return dict(type='hsjp_mm.LabelSubset', dataset=part, lazy_init=lazy_init, **choice)

    kind = config['type']
    if (kind if isinstance(kind, str) else kind.__name__).split('.')[-1] == 'LabelSubset':
        raise ValueError(
            'dataset: a LabelSubset in a LabelSubset would be cut twice; give fraction or number '
            'to one of them'
        )
    if 'datasets' in config:
        return {**config, 'datasets': [subset(part, False) for part in config['datasets']]}
    if 'dataset' in config:
        return {**config, 'dataset': subset(config['dataset'], True)}
    return config


def _parts_of(dataset: Any) -> list[LabelSubset]:
    """What :func:`_with_subsets_inside` put into a data set."""
    parts = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    return [part for part in parts if isinstance(part, LabelSubset)]


def _sample_units(dataset: BaseDataset, by: str) -> list[int | str]:
    """The image, or person, of each sample.

    Raises:
        ValueError: they do not say it.
    """
    samples = [BaseDataset.get_data_info(dataset, index) for index in range(len(dataset))]
    for key in SAMPLE_KEYS[by]:
        units = [sample.get(key) for sample in samples]
        if all(isinstance(unit, int | str | np.integer) for unit in units):
            break
    else:
        held = ', '.join(samples[0]) if samples else 'no sample'
        raise ValueError(
            f'by={by!r}: each sample of {type(dataset).__name__} must have '
            f'{" or ".join(SAMPLE_KEYS[by])}, a whole number or a text; it holds {held}'
        )
    if by == 'persons' and len(set(units)) < len(units):
        raise ValueError(
            f"by='persons': {len(units)} samples of {type(dataset).__name__} have "
            f"{len(set(units))} different ids; choose by='images'"
        )
    return [_below_its_folder(dataset, unit) if key == 'img_path' else unit for unit in units]


def _below_its_folder(dataset: BaseDataset, path: str) -> str:
    """The path without the folder of the data, which is another one on another machine."""
    folders = [dataset.data_root, *dataset.data_prefix.values()]
    for folder in sorted(filter(None, folders), key=len, reverse=True):
        if Path(path).is_relative_to(folder):
            return Path(path).relative_to(folder).as_posix()
    return path


def _require_training_set(dataset: Any) -> None:
    name = type(dataset).__name__
    if not isinstance(dataset, BaseDataset):
        raise TypeError(f'dataset is a {name}, and must be a data set of MMEngine or MMPose')
    if dataset.test_mode:
        raise ValueError(
            f'dataset: this {name} has test_mode=True, and LabelSubset is for training; to '
            'evaluate on a subset write its annotations by tools/make_subset.py, for the data set '
            'and the metric'
        )
    if dataset._indices is not None:
        raise ValueError(
            f'dataset: indices={dataset._indices} of this {name} would cut the subset; leave '
            'it out of the config of the data set that LabelSubset wraps, or set it to None'
        )


def _take_labels(instance: dict) -> None:
    """Make an instance of MMPose one without keypoints."""
    instance.update(
        keypoints=np.zeros_like(instance['keypoints']),
        keypoints_visible=np.zeros_like(instance['keypoints_visible']),
        num_keypoints=0,
    )
    if 'raw_ann_info' in instance:
        instance['raw_ann_info'] = without_keypoints(instance['raw_ann_info'])
