"""Persons that are seventeen dots, and a backbone that sees dots or nothing."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn

WIDTH, HEIGHT, CELL = 64, 96, 4  # of a crop and of a cell of the heat map, in pixels
KEYPOINTS = 17
CODEC = dict(
    type='MSRAHeatmap', input_size=(WIDTH, HEIGHT), heatmap_size=(WIDTH // 4, HEIGHT // 4), sigma=1
)
COLOR = 14  # of the first dot, and from dot to dot


@MODELS.register_module()
class DotBackbone(BaseModule):
    """Mark dot k in channel k, if ``sight`` is 1; with random weights it is 0."""

    def __init__(self):
        super().__init__()
        self.sight = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm1d(1)

    def init_weights(self):
        self.sight.data.zero_()

    def forward(self, images):
        assert not self.training
        dots = images[:, :1, ::CELL, ::CELL]
        colors = torch.arange(1, KEYPOINTS + 1)[:, None, None] * COLOR
        return ((dots - colors).abs() < 3).float() * self.sight


def random_pose(rng: np.random.RandomState) -> np.ndarray:
    """Cells of the crop, no two side by side, as pixels (17, 2) in it."""
    columns, rows = WIDTH // CELL // 2 - 1, HEIGHT // CELL // 2 - 1
    cells = rng.choice(columns * rows, KEYPOINTS, replace=False)
    return CELL * (1 + 2 * np.stack([cells % columns, cells // columns], axis=1))


def write_dots(folder: Path, part: str, poses: list, labelled: int = KEYPOINTS) -> None:
    """Write images of two persons, the last perhaps of one; a crop is a cut without scaling."""
    (folder / part).mkdir(parents=True)
    images, persons = [], []
    for i, pose in enumerate(poses):
        name, place = f'{i // 2}.png', i % 2
        if place == 0:
            image = np.zeros((110, 160, 3), np.uint8)
            images.append({'id': i // 2, 'file_name': name, 'width': 160, 'height': 110})
        center = np.array([38 + 83 * place, 53])
        points = pose + center - (WIDTH // 2, HEIGHT // 2)
        for k, (x, y) in enumerate(points):
            image[y, x, 0] = COLOR * (k + 1)
        cv2.imwrite(str(folder / part / name), image)
        box = [*(center - (WIDTH / 2.5, HEIGHT / 2.5)), WIDTH / 1.25, HEIGHT / 1.25]
        visible = np.arange(KEYPOINTS) < labelled
        keypoints = np.column_stack([points * visible[:, None], 2 * visible])
        persons.append(
            {
                'id': i, 'image_id': i // 2, 'category_id': 1, 'iscrowd': 0, 'bbox': box,
                'area': 3000.0, 'num_keypoints': labelled, 'keypoints': keypoints.ravel().tolist(),
            }
        )  # fmt: skip
    coco = {'images': images, 'annotations': persons, 'categories': [{'id': 1, 'name': 'person'}]}
    (folder / f'{part}.json').write_text(json.dumps(coco))


def dots_config(folder: Path) -> Config:
    steps = ['LoadImage', 'GetBBoxCenterScale', 'TopdownAffine', 'PackPoseInputs']
    pipeline = [dict(type=step) for step in steps]
    pipeline[2]['input_size'] = (WIDTH, HEIGHT)
    loaders = {
        f'{part}_dataloader': dict(
            dataset=dict(
                type='CocoDataset', data_root=str(folder), ann_file=f'{part}.json',
                data_prefix=dict(img=part), pipeline=pipeline, test_mode=part == 'val',
            )
        )
        for part in ('train', 'val')
    }  # fmt: skip
    return Config(
        dict(
            default_scope='mmpose',
            model=dict(
                type='TopdownPoseEstimator',
                data_preprocessor=dict(type='PoseDataPreprocessor'),
                backbone=dict(type='DotBackbone', init_cfg=dict(type='Pretrained')),
                head=dict(type='HeatmapHead', in_channels=KEYPOINTS, decoder=CODEC),
            ),
            val_evaluator=dict(type='CocoMetric', ann_file=str(folder / 'val.json')),
            default_hooks=dict(checkpoint=dict(save_best='coco/AP')),
            **loaders,
        )
    )
