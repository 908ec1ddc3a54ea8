"""Fixtures that several test files share: tiny data sets, tiny models, tiny configs."""

import gc
import json
import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from hsjp_mm.models import HSJP
from tests.dense_bodies import write_dense_bodies
from tests.helpers import (
    BOXES,
    CROWD,
    DOG,
    IMAGE_SIZES,
    LABELLED,
    PERSON,
    ROOT,
    UNLABELLED,
    tiny_jigclu,
)

os.environ.setdefault('OMP_NUM_THREADS', '1')  # of the processes that tests start


def pytest_collection_finish():
    """Let the garbage collector leave out what the imports have made.

    MMEngine's data sets collect all garbage when they are read; through the modules of torch and
    MMPose that takes a third of a second each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def mmpose_scope():
    """Find MMPose's names, as its configs do; on one thread, for there are few cores."""
    init_default_scope('mmpose')
    torch.set_num_threads(1)


@pytest.fixture(scope='session')
def tiny_coco(tmp_path_factory) -> Path:
    """A folder with three non-square images and COCO annotations of nine persons and a dog.

    Six persons are fit for training: the boxes 11, 12, 14, 15, 19 and 20.
    """
    root = tmp_path_factory.mktemp('tiny_coco')
    (root / 'images').mkdir()
    rng = np.random.RandomState(0)
    for index, (width, height) in IMAGE_SIZES.items():
        blocks = rng.randint(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'images/{index}.png'), cv2.resize(blocks, (width, height)))
    annotations = [
        {
            'id': key, 'image_id': image, 'category_id': category, 'bbox': box,
            'iscrowd': int(key == 13), 'area': box[2] * box[3],
            'num_keypoints': 17 if key == 12 else 0, 'keypoints': [70, 20, 2 * (key == 12)] * 17,
        }
        for key, (image, category, *box) in BOXES.items()
    ]  # fmt: skip
    coco = {
        'images': [
            {'id': index, 'file_name': f'{index}.png', 'width': width, 'height': height}
            for index, (width, height) in IMAGE_SIZES.items()
        ],
        'annotations': annotations,
        'categories': [{'id': PERSON, 'name': 'person'}, {'id': DOG, 'name': 'dog'}],
    }
    (root / 'boxes.json').write_text(json.dumps(coco))
    return root


@pytest.fixture(scope='session')
def painted_persons(tmp_path_factory) -> Path:
    """A folder with persons.json and images 1.png to 3.png, (width, height) = (240, 160).

    They show a crowd and a person without keypoints in yellow, a labelled person in cyan, and
    green around. Image 1 is annotated with all three, 2 with the person without keypoints, 3 not
    at all.
    """
    root = tmp_path_factory.mktemp('painted_persons')
    image = np.zeros((160, 240, 3), np.uint8)
    image[..., 1] = 255
    for channel, (left, top, right, bottom) in ((2, CROWD), (2, UNLABELLED), (0, LABELLED)):
        image[top:bottom, left:right, channel] = 255
    for index in (1, 2, 3):
        cv2.imwrite(str(root / f'{index}.png'), image)

    def person(key: int, index: int, box: tuple, points: tuple = (), iscrowd: int = 0) -> dict:
        left, top, right, bottom = box
        outline = [[left, top, right, top, right, bottom, left, bottom]]
        run, rest = bottom - top, 160 - (bottom - top)
        runs = [160 * left + top, *[run, rest] * (right - left - 1), run]  # by columns
        runs.append(160 * 240 - sum(runs))
        return {
            'id': key, 'image_id': index, 'category_id': 1, 'iscrowd': iscrowd,
            'bbox': [left, top, right - left, bottom - top],
            'area': (right - left) * (bottom - top),
            'segmentation': {'counts': runs, 'size': [160, 240]} if iscrowd else outline,
            'num_keypoints': len(points),
            'keypoints': [n for x, y in points for n in (x, y, 2)] + [0] * 3 * (17 - len(points)),
        }  # fmt: skip

    coco = {
        'images': [
            {'id': i, 'file_name': f'{i}.png', 'width': 240, 'height': 160} for i in (1, 2, 3)
        ],
        'annotations': [
            person(1, 1, CROWD, iscrowd=1),
            person(2, 1, UNLABELLED),
            person(3, 1, LABELLED, ((150, 40), (185, 120), (165, 90))),
            person(4, 2, UNLABELLED),
        ],
        'categories': [{'id': 1, 'name': 'person'}],
    }
    (root / 'persons.json').write_text(json.dumps(coco))
    return root


@pytest.fixture(scope='session')
def dense_bodies(tmp_path_factory) -> Path:
    """A folder with four painted persons with dense labels, see tests/dense_bodies.py."""
    return write_dense_bodies(tmp_path_factory.mktemp('dense_bodies'))


@pytest.fixture
def make_model():
    """A function that builds HSJP on the demo's tiny HRNet, with seeded weights."""
    backbone = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny

    def make(grid: int = 2, input_size: tuple[int, int] = (64, 64), **options) -> HSJP:
        torch.manual_seed(0)
        parts = dict(
            backbone=backbone,
            head=dict(type='hsjp_mm.HSJPHead', in_channels=16, deconv_out_channels=None),
        )
        model = HSJP(**{**parts, **options}, grid=grid, input_size=input_size)
        model.init_weights()
        return model

    return make


@pytest.fixture
def make_jigclu():
    """:func:`tiny_jigclu`."""
    return tiny_jigclu


@pytest.fixture
def tiny_config(tiny_coco, tmp_path):
    """A function that makes a config of two epochs on the tiny data set: 3 steps of 2 persons.

    It is that of full size with its data, crop size and network changed.
    """
    base = ROOT / 'configs/_base_'

    def make(name: str = 'tiny', **options) -> Config:
        cfg = Config.fromstring(
            f"_base_ = ['{base}/hsjp_coco-224x224.py', '{base}/hrnet-tiny.py']\n"
            "model = dict(type='hsjp_mm.HSJP', grid=2, input_size=(64, 64), "
            'backbone=_base_.hrnet_tiny, data_preprocessor=_base_.data_preprocessor, '
            "head=dict(type='hsjp_mm.HSJPHead', in_channels=16, deconv_out_channels=None))",
            '.py',
        )
        workers = dict(batch_size=2, num_workers=0, persistent_workers=False)
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.update(workers)
            loader.dataset.update(
                data_root=str(tiny_coco), ann_file='boxes.json', data_prefix=dict(img='images')
            )
            loader.dataset.pipeline[2].input_size = (64, 64)  # for those that do not prepare it
        cfg.train_cfg.update(max_epochs=2, val_interval=2)
        cfg.default_hooks.checkpoint.interval = 1
        cfg.work_dir = str(tmp_path / name)
        cfg.visualizer.name = cfg.experiment_name = f'{tmp_path.name}-{name}'
        cfg.randomness = dict(seed=0)
        cfg.merge_from_dict(options)
        return cfg

    return make


@pytest.fixture
def log_file(tmp_path) -> Path:
    """What goes to MMEngine's log, from worker processes too."""
    path = tmp_path / 'log.txt'
    handler = logging.FileHandler(path)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield path
    logger.removeHandler(handler)
