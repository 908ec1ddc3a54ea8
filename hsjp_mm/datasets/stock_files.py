"""Annotation files for the data sets of MMPose, which read them by the COCO tools."""

import json
import os
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hsjp_mm.datasets.coco_files import CocoFile, fill_empty_keypoints, read_coco

if TYPE_CHECKING:  # reading a file alone needs no torch
    from mmengine.dataset import BaseDataset
    from mmpose.datasets.datasets.base import BaseCocoStyleDataset


def build_dataset(config: Mapping[str, Any]) -> 'BaseDataset':
    """Build a data set of MMPose and load it, by :func:`load_dataset` if it reads COCO's format."""
    from mmpose.datasets.datasets.base import BaseCocoStyleDataset
    from mmpose.registry import DATASETS

    dataset = DATASETS.build({**config, 'lazy_init': True})
    if isinstance(dataset, BaseCocoStyleDataset):
        load_dataset(dataset)
    else:
        dataset.full_init()
    return dataset


def load_dataset(dataset: 'BaseCocoStyleDataset') -> None:
    """Initialise a stock data set, built with ``lazy_init``, by :func:`load_annotations`."""
    dataset._load_annotations = partial(load_annotations, dataset)
    try:
        dataset.full_init()
    finally:
        del dataset._load_annotations


def load_annotations(dataset: 'BaseCocoStyleDataset') -> tuple[list[dict], list[dict]]:
    """Load a stock data set's annotations, but of a sound file if it is one of COCO's format.

    The stock loader matches ids as they are written, takes the last of several entries of one id,
    and fails at empty keypoints. So ids of another form are written in one, repeated entries once,
    and zeros in place of empty keypoints, into a file for it.

    Args:
        dataset: not yet initialised; see :func:`load_dataset`.

    Returns:
        What its ``_load_annotations`` does: instances and images.

    Raises:
        ValueError: the file is not as :mod:`hsjp_mm.datasets.coco_files` says, or lacks what
            the stock loader needs.
    """
    from mmpose.datasets.datasets.base import BaseCocoStyleDataset

    load = type(dataset)._load_annotations
    ann_file = dataset.ann_file
    if load is not BaseCocoStyleDataset._load_annotations or not os.path.isfile(ann_file):
        return load(dataset)
    coco = read_coco(ann_file)
    as_stored = not fill_empty_keypoints(coco) and coco.as_stored
    require_stock(coco)
    if as_stored:
        return load(dataset)
    with tempfile.TemporaryDirectory() as folder:
        dataset.ann_file = os.path.join(folder, os.path.basename(ann_file))
        Path(dataset.ann_file).write_text(json.dumps(coco.content), encoding='utf-8')
        try:
            return load(dataset)
        finally:
            dataset.ann_file = ann_file


def require_stock(coco: CocoFile) -> None:
    """Refuse what ends stock data sets in an error without a name, or in a box that is none."""
    coco.images.texts('file_name')
    unknown = np.isnan(coco.sizes()).any(axis=1)
    for image, without in zip(coco.images, unknown, strict=True):
        if without or not isinstance(image['id'], int):
            needed = 'width and height' if without else 'a whole number as id'
            raise coco.images.error(image, f'MMPose needs {needed} of each image')
    persons = [
        i for i, row in enumerate(coco.annotations) if 'bbox' in row and 'keypoints' in row
    ]  # MMPose leaves the others out
    labelled = coco.annotations.take(persons)
    labelled.numbers('bbox', 4)
    if persons:
        first = labelled[0]['keypoints']
        labelled.numbers('keypoints', len(first) if isinstance(first, list) else 3)
