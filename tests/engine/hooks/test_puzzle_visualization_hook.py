from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hsjp_mm.engine import PuzzleVisualizationHook
from hsjp_mm.visualization import jigclu_board, puzzle_boards


@pytest.mark.slow
def test_boards_of_fixed_instances_go_to_disk_and_tensorboard(tiny_config, tmp_path):
    cfg = tiny_config()
    cfg.visualizer.vis_backends = [{'type': 'LocalVisBackend'}, {'type': 'TensorboardVisBackend'}]
    cfg.train_cfg = cfg.train_dataloader = cfg.optim_wrapper = cfg.param_scheduler = None
    cfg.auto_scale_lr = cfg.default_hooks.checkpoint = None
    cfg.custom_hooks = [dict(type='hsjp_mm.PuzzleVisualizationHook', num_samples=3)]
    runner = Runner.from_cfg(cfg)
    folder = tmp_path / 'tiny'
    metrics = runner.val()
    assert metrics['hsjp/placed_chance'] == 0.25
    files = sorted(folder.rglob('puzzle_*.png'))
    assert [file.name for file in files] == ['puzzle_0_0.png', 'puzzle_1_0.png', 'puzzle_2_0.png']

    dataset = runner.val_dataloader.dataset
    data = runner.model.data_preprocessor(pseudo_collate([dataset[i] for i in range(3)]), False)
    boards = puzzle_boards(runner.model, data['inputs'], [11, 12, 14])
    for file, board in zip(files, boards, strict=True):
        assert np.array_equal(cv2.imread(str(file))[..., ::-1], board)

    images = EventAccumulator(str(next(folder.rglob('events.out*')).parent)).Reload()
    assert images.Tags()['images'] == ['puzzle_0', 'puzzle_1', 'puzzle_2']
    stored = np.frombuffer(images.Images('puzzle_1')[0].encoded_image_string, np.uint8)
    assert np.array_equal(cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1], boards[1])


def test_every_so_many_validations_of_a_training_are_drawn(monkeypatch):
    drawn = []
    module = 'hsjp_mm.engine.hooks.puzzle_visualization_hook'
    monkeypatch.setattr(f'{module}.draw_boards', lambda number, *args: drawn.append(number) or [])
    monkeypatch.setattr(f'{module}.validation_number', lambda runner: runner.model)
    loader = SimpleNamespace(dataset=[0] * 4)
    for number in range(8):
        runner = SimpleNamespace(rank=0, model=number, val_dataloader=loader)
        PuzzleVisualizationHook(interval=3).after_val_epoch(runner)
    assert drawn == [0, 3, 6]  # 0 is a validation alone


@pytest.mark.parametrize('options', [dict(num_samples=0), dict(interval=0)])
def test_visualisation_arguments(options):
    with pytest.raises(ValueError, match='must be at least 1'):
        PuzzleVisualizationHook(**options)


def jigclu_runner(cfg, **options) -> Runner:
    """A runner that validates JigClu on six persons, in grids of 2×2 patches of 32×32 pixels."""
    patches = dict(type='hsjp_mm.PatchAugmentation', seed=0)
    cfg.val_dataloader.dataset.pipeline.insert(-1, patches)
    cfg.model.type = 'hsjp_mm.JigClu'
    cfg.model.head = dict(type='hsjp_mm.JigCluHead', in_channels=16)
    cfg.val_evaluator = dict(type='hsjp_mm.JigCluAccuracy')
    cfg.train_cfg = cfg.train_dataloader = cfg.optim_wrapper = cfg.param_scheduler = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.auto_scale_lr = cfg.default_hooks.checkpoint = None
    cfg.custom_hooks = [
        dict(type='hsjp_mm.PrepareDataHook'),
        dict(type='hsjp_mm.PuzzleVisualizationHook', **options),
    ]
    return Runner.from_cfg(cfg)


@pytest.mark.slow
def test_jigclu_has_one_board_of_several_instances(tiny_config, tmp_path):
    runner = jigclu_runner(tiny_config(), num_samples=5)
    assert 'jigclu/retrieval' in runner.val()
    (file,) = (tmp_path / 'tiny').rglob('puzzle_*.png')
    assert file.name == 'puzzle_0_0.png'
    dataset = runner.val_dataloader.dataset
    data = runner.model.data_preprocessor(pseudo_collate([dataset[i] for i in range(5)]), False)
    board = jigclu_board(runner.model, data['inputs'], [11, 12, 14, 15, 19])
    assert np.array_equal(cv2.imread(str(file))[..., ::-1], board)


def test_jigclu_cannot_be_drawn_with_one_instance(tiny_config):
    runner = jigclu_runner(tiny_config(), num_samples=1)
    with pytest.raises(ValueError, match='num_samples=1 must be at least 2 for JigClu'):
        runner.val()
