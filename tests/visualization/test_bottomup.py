"""Letters as in the module under test."""

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from hsjp_mm.engine import BottomupVisualizationHook
from hsjp_mm.visualization import bottomup as boards
from hsjp_mm.visualization import bottomup_board, draw_bottomup
from tests.helpers import ROOT

CONFIG = ROOT / 'configs/higherhrnet/coco/higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py'
GRAY = 100
PERSONS = [[[10.0, 10], [20, 30]], [[60, 10], [70, 30]]]
ZOOM = 8  # pixels of a picture to one of the image, 16 to a cell at 1/4


def scene(resolutions: int = 2) -> tuple:
    """An image of 80×40 pixels, doubled and padded to 256×128, with two persons of two keypoints.

    In pixels of the image they are at (10, 10) and (20, 30), tag 1; (60, 10) and (70, 30), tag 6.
    The input begins 48 of its pixels to the left of the image and 24 above it.
    """
    persons = np.array(PERSONS)
    sample = PoseDataSample(
        metainfo=dict(
            ori_shape=(40, 80), input_size=(256, 128), input_center=np.array([40.0, 20]),
            input_scale=np.array([128.0, 64]),
        )
    )  # fmt: skip
    sample.pred_instances = InstanceData(keypoints=persons, keypoint_scores=np.ones((2, 2)))
    heatmaps = [torch.zeros(2, 32 * 2**i, 64 * 2**i) for i in range(resolutions)]
    tags = torch.full((2, 32, 64), 99.0)
    for person, tag in zip(persons, (1, 6), strict=True):
        for k, point in enumerate(person):
            x, y = 2 * point + np.array([48, 24])
            for level, maps in enumerate(heatmaps):
                maps[k, int(y * 2**level // 4), int(x * 2**level // 4)] = 1
            tags[k, int(y // 4), int(x // 4)] = tag
    image = np.full((128, 256, 3), GRAY, np.uint8)
    image[:24] = image[104:] = image[:, :48] = image[:, 208:] = 0
    return image, heatmaps, tags, sample


def panels(board: np.ndarray, count: int) -> list[np.ndarray]:
    """The pictures without text and margins: each 640×320, the image without its padding."""
    height, width = 320 + boards.LINE + boards.GAP, 640 + 2 * boards.GAP
    assert board.shape == (height * ((count + 1) // 2), width * 2, 3)
    found = []
    for i in range(count):
        top, left = height * (i // 2) + boards.LINE, width * (i % 2) + boards.GAP
        found.append(board[top : top + 320, left : left + 640])
    return found


def test_persons_tags_and_heat_are_where_and_what_they_are():
    image, heatmaps, tags, sample = scene()
    poses, tag_map, *heat = panels(bottomup_board(image, heatmaps, tags, sample, [(0, 1)]), 4)
    low, high = (
        np.round(255 * np.array(matplotlib.colormaps['turbo'](share)[:3])) for share in (0.1, 0.9)
    )
    for color, person in zip((low, high), PERSONS, strict=True):
        for x, y in person:
            at = (int(y * ZOOM), int(x * ZOOM))
            np.testing.assert_array_equal(poses[at], color)
            np.testing.assert_array_equal(tag_map[at], color)
            assert all(maps[at].sum() > 600 for maps in heat)  # inferno's bright end
        column, row = np.mean(person, axis=0) * ZOOM
        np.testing.assert_array_equal(poses[int(row), int(column)], color)  # the line
    assert (poses[160, 320] == int(GRAY * 0.7)).all()
    for picture, cell in ((tag_map, 16), (heat[0], 16), (heat[1], 8)):
        dark = (picture == int(GRAY * 0.35)).all(axis=2)
        assert dark.size - dark.sum() == 4 * cell**2


@pytest.mark.parametrize('resolutions', [1, 3])
def test_a_picture_for_each_resolution(resolutions):
    image, heatmaps, tags, sample = scene(resolutions)
    pictures = panels(bottomup_board(image, heatmaps, tags, sample, []), 2 + resolutions)
    lit = [(picture.sum(axis=2) > 600).sum() for picture in pictures[2:]]
    assert lit == [4 * (16 // 2**level) ** 2 for level in range(resolutions)]


def test_keypoints_far_from_the_tag_of_their_person_are_rings_without_lines():
    image, heatmaps, tags, sample = scene()
    x, y = 2 * np.array(PERSONS[1][1]) + (48, 24)
    tags[1, int(y // 4), int(x // 4)] = 1  # that of the first person: the median is between
    poses = panels(bottomup_board(image, heatmaps, tags, sample, [(0, 1)]), 4)[0]
    background = (poses == int(GRAY * 0.7)).all(axis=2)
    for person, hollow in zip(PERSONS, (False, True), strict=True):
        column, row = (np.mean(person, axis=0) * ZOOM).astype(int)
        assert background[row, column] == hollow
        for column, row in (np.array(person) * ZOOM).astype(int):
            assert background[row, column] == hollow
            assert not background[row - 3 : row + 4, column - 3 : column + 4].all()


def test_nobody():
    image, heatmaps, tags, sample = scene()
    sample.pred_instances = InstanceData(
        keypoints=np.zeros((0, 2, 2)), keypoint_scores=np.zeros((0, 2))
    )
    poses = panels(bottomup_board(image, heatmaps, tags, sample, [(0, 1)]), 4)[0]
    assert (poses == int(GRAY * 0.7)).all()


def test_the_ends_of_a_range_are_written_with_digits_that_differ():
    assert boards.different_texts(1.0, 6.0) == ('1.0', '6.0')
    assert boards.different_texts(-0.04, 0.04) == ('-0.04', '0.04')
    assert boards.different_texts(1.231, 1.244) == ('1.23', '1.24')
    assert boards.different_texts(0.50001, 0.50002) == ('0.50001', '0.50002')
    assert boards.different_texts(2.0, 2.0) is None


def test_the_legend_of_the_heat_is_the_same_for_every_network():
    image, heatmaps, tags, sample = scene()
    full = bottomup_board(image, heatmaps, tags, sample, [])
    weak = bottomup_board(image, [maps / 100 for maps in heatmaps], tags, sample, [])
    top = full.shape[0] // 2  # of the row with the heat
    row = slice(top + 4, top + boards.LINE - 4)
    for right in (656, 2 * 656):
        legend = (row, slice(right - 120, right))
        assert np.array_equal(full[legend], weak[legend]) and full[legend].std() > 40
    heat = [panels(board, 4)[2] for board in (full, weak)]
    at = tuple(int(ZOOM * value) for value in PERSONS[0][0][::-1])
    assert heat[0][at].sum() > 600 and heat[1][at].sum() < 3 * 0.4 * GRAY


# --- with a network ---------------------------------------------------------------------------


@pytest.fixture
def tiny_cfg(tiny_coco, tmp_path):
    """The paper's config with a tiny network, small images and the tiny data set, to validate."""
    cfg = Config.fromfile(CONFIG)
    backbone = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny
    cfg.merge_from_dict(dict(model=dict(backbone=dict(_delete_=True, **backbone))))
    cfg.model.head.in_channels = 16
    cfg.val_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.val_dataloader.dataset.update(
        data_root=str(tiny_coco), ann_file='boxes.json', data_prefix=dict(img='images')
    )
    for step in cfg.val_dataloader.dataset.pipeline:
        if 'input_size' in step:
            step.input_size = (64, 64)
    cfg.val_evaluator.ann_file = f'{tiny_coco}/boxes.json'
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler',
                'test_dataloader', 'test_cfg', 'test_evaluator', 'auto_scale_lr'):  # fmt: skip
        cfg[key] = None
    cfg.default_hooks.checkpoint = None
    cfg.work_dir = str(tmp_path / 'work')
    cfg.visualizer.name = cfg.experiment_name = f'{tmp_path.name}-bottomup'
    cfg.log_level = 'WARNING'
    return cfg


@pytest.mark.slow
def test_the_hook_draws_the_first_images(tiny_cfg, tmp_path):
    tiny_cfg.custom_hooks = [dict(type='hsjp_mm.BottomupVisualizationHook', num_images=2)]
    runner = Runner.from_cfg(tiny_cfg)
    torch.manual_seed(0)
    for parameter in runner.model.head.parameters():
        parameter.data.normal_(std=0.3)  # so that there is something to see
    runner.val()
    files = sorted((tmp_path / 'work').rglob('*.png'))
    assert [file.name for file in files] == ['bottomup_0_0.png', 'bottomup_1_0.png']
    dataset = runner.val_dataloader.dataset
    both = draw_bottomup(
        runner.model.eval(),
        pseudo_collate([dataset[0], dataset[1]]),
        dataset.metainfo['skeleton_links'],
    )
    assert both[0].shape != both[1].shape  # landscape and portrait
    for file, board in zip(files, both, strict=True):
        drawn = cv2.imread(str(file))[..., ::-1]
        assert drawn.shape == board.shape and drawn.std() > 20


@pytest.mark.parametrize('options', [dict(num_images=0), dict(interval=0)])
def test_hook_arguments(options):
    with pytest.raises(ValueError, match='must be at least 1'):
        BottomupVisualizationHook(**options)
