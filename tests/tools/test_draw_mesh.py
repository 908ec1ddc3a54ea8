"""Bodies over pictures: what the tool writes, and the boards of the hook, for a tiny network."""

import json
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner

from hsjp_mm.visualization.mesh_predictions import draw_mesh_predictions
from tests.helpers import ROOT
from tests.mesh_bodies import write_bodies

main = runpy.run_path(str(ROOT / 'tools/draw_mesh.py'))['main']
CONFIG = f"""
_base_ = ['{ROOT}/configs/demo/pare_res18_1xb16-2000i_toy-96x96.py']
model = dict(
    backbone=dict(stem_channels=8, base_channels=8),
    head=dict(in_channels=64, deconv_out_channels=(8, 8, 8)),
)
data = dict(data_root='FOLDER')
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(**data, data_prefix=dict(img='images/train', parts='parts/train')),
)
val_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(
        **data, ann_file='mesh/train.npz',
        data_prefix=dict(img='images/train', parts='parts/train'),
    ),
)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=1)
custom_hooks = [
    dict(type='hsjp_mm.PrepareDataHook'),
    dict(type='hsjp_mm.MeshVisualizationHook', num_persons=2, interval=2),
]
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
"""


I2L_CONFIG = f"""
_base_ = ['{ROOT}/configs/demo/i2l-meshnet_res18_1xb16-2000i_toy-96x96.py']
model = dict(
    backbone=dict(stem_channels=8, base_channels=8),
    head=dict(in_channels=64, deconv_out_channels=(8, 8, 8)),
)
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('bodies')
    write_bodies(folder, 'train', 3)
    (folder / 'config.py').write_text(CONFIG.replace('FOLDER', str(folder)))
    init_default_scope('mmpose')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(folder / 'config.py').model)
    torch.save({'state_dict': model.state_dict()}, folder / 'model.pth')
    return folder


def draw(folder: Path, *args) -> int:
    return main([str(arg) for arg in (folder / 'config.py', folder / 'model.pth', *args)])


@pytest.mark.slow
def test_each_picture_gets_its_bodies(folder, tmp_path, capsys):
    images = folder / 'images/train'
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(
        json.dumps(
            [
                {'image_id': 1, 'category_id': 1, 'bbox': [150, 20, 90, 170], 'score': 0.9},
                {'image_id': 1, 'category_id': 1, 'bbox': [10, 20, 90, 170], 'score': 0.8},
                {'image_id': 2, 'category_id': 1, 'bbox': [10, 20, 90, 170], 'score': 0.3},
            ]
        )
    )
    pictures = [{'id': i + 1, 'file_name': f'{i}.png'} for i in range(3)]
    (tmp_path / 'boxes_images.json').write_text(
        json.dumps({'images': pictures, 'categories': [], 'annotations': []})
    )
    out = tmp_path / 'out'
    options = ('--focal', '400', '--meshes', '.obj', '--out', out)
    draw(folder, images, '--boxes', boxes, *options)
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.endswith('persons')] == [
        f'{out}/0.png: 2 persons', f'{out}/1.png: 0 persons', f'{out}/2.png: 0 persons'
    ]  # fmt: skip
    assert sorted(path.name for path in out.glob('*.obj')) == ['0_0.obj', '0_1.obj']
    before, after = (cv2.imread(str(path)) for path in (images / '0.png', out / '0.png'))
    assert before.shape == after.shape
    assert (before != after).any(axis=2).mean() > 0.02
    np.testing.assert_array_equal(cv2.imread(str(images / '1.png')), cv2.imread(str(out / '1.png')))
    draw(folder, images / '2.png', '--out', out)
    assert f'{out}/2.png: 1 persons' in capsys.readouterr().out


def test_a_mesh_without_rotations_is_drawn(folder, tmp_path, capsys):
    config, checkpoint = tmp_path / 'i2l.py', tmp_path / 'i2l.pth'
    config.write_text(I2L_CONFIG)
    init_default_scope('mmpose')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    torch.save({'state_dict': model.state_dict()}, checkpoint)
    out = tmp_path / 'out'
    picture = folder / 'images/train/0.png'
    arguments = (config, checkpoint, picture, '--meshes', '.obj', '--out', out)
    assert not main([str(arg) for arg in arguments])
    assert f'{out}/0.png: 1 persons' in capsys.readouterr().out
    vertices = [line for line in (out / '0_0.obj').read_text().splitlines() if line[:2] == 'v ']
    assert len(vertices) == model.body.num_vertices


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--focal', '0'), 'focal=0.0 must be above 0'),
        (('--boxes', 'no.json'), 'no.json'),
        (('--device', 'foo'), "--device='foo' cannot be used"),
    ],
)
def test_faults_are_told_at_once(folder, options, message, capsys):
    assert draw(folder, folder / 'images/train', *options) == 2
    assert message in capsys.readouterr().err


def test_the_pictures_themselves_are_kept(folder, capsys):
    image = folder / 'images/train/0.png'
    before = image.read_bytes()
    assert draw(folder, image, '--out', image.parent) == 2
    said = capsys.readouterr().err
    assert f"--out='{image.parent}' must be another folder: a picture would replace {image}" in said
    assert image.read_bytes() == before


@pytest.mark.slow
def test_boards_have_a_tile_for_the_attention(folder):
    config = Config.fromfile(folder / 'config.py')
    init_default_scope('mmpose')
    model = MODELS.build(config.model).eval()
    dataset = DATASETS.build(config.val_dataloader.dataset)
    boards = draw_mesh_predictions(model, pseudo_collate([dataset[0], dataset[1]]))
    assert len(boards) == 2
    height, width = boards[0].shape[:2]
    assert width > 4.5 * height  # image, body, from the right, from above, attention
    assert model.test_cfg == config.model.get('test_cfg', model.test_cfg)
    assert 'output_parts' not in model.test_cfg


@pytest.mark.slow
def test_a_model_without_rotations_has_boards_too(folder):
    config = Config.fromstring(I2L_CONFIG, '.py')
    config.val_dataloader.dataset = Config.fromfile(folder / 'config.py').val_dataloader.dataset
    init_default_scope('mmpose')
    model = MODELS.build(config.model).eval()
    dataset = DATASETS.build(config.val_dataloader.dataset)
    model.prepare(dataset)
    (board,) = draw_mesh_predictions(model, pseudo_collate([dataset[0]]))
    assert board.shape[1] < 4.5 * board.shape[0]  # image, body, from the right, from above


@pytest.mark.slow
def test_the_hook_draws_after_every_second_validation(folder, tmp_path):
    config = Config.fromfile(folder / 'config.py')
    config.work_dir = str(tmp_path / 'work')
    config.visualizer.name = str(tmp_path)  # MMEngine gives back an earlier one of the same name
    runner = Runner.from_cfg(config)
    runner.train()
    drawn = sorted(path.name for path in (tmp_path / 'work').rglob('mesh_*.png'))
    assert drawn == ['mesh_0_2.png', 'mesh_1_2.png']
