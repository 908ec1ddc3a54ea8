"""The configs of mesh regressors: what a leaf changes, and that each kind trains."""

import copy
import re

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from tests.helpers import ROOT
from tests.mesh_bodies import write_bodies
from tests.test_configs import MESH, build_model, difference, read, train_once

every_mesh = pytest.mark.parametrize('path', MESH, ids=lambda path: path.stem)


def config_path(name: str):
    return ROOT / f'configs/mesh/{name}.py'


def default(head: str):
    return config_path(f'{head}_res50_4xb16-120e_h36m-coco-224x224')


INIT = {'type': 'hsjp_mm.PretextInit', 'checkpoint': ''}
PRETEXT_INIT = {f'model.backbone.init_cfg.{key}': value for key, value in INIT.items()}
SETS = ('train_sets', 'train_dataloader.dataset.datasets')
LABELS10 = {f'{name}.{i}.fraction': 0.1 for name in SETS for i in (0, 1)}
LABELS10['train_dataloader.sampler.num_samples'] = 48_000
CHANGES = {
    **{f'{start}-pre': PRETEXT_INIT for start in ('hsjp', 'jigclu', 'contrastive', '2d-pose')},
    'labels10': LABELS10,
    '2d-pose-pre-labels10': {**PRETEXT_INIT, **LABELS10},
    'scratch': {
        'model.backbone.init_cfg': None,
        'model.backbone.init_cfg.type': None,
        'model.backbone.init_cfg.checkpoint': None,
        'train_cfg.max_epochs': 240,
        'param_scheduler.0.milestones.0': 180,
    },
    'cliff': {'model.head.box_info': True, 'model.full_image': True},
    'parts60': {'model.loss.type': 'hsjp_mm.MeshLoss', 'model.loss.part_epochs': 60},
}


@pytest.mark.parametrize(
    'path',
    [path for path in MESH if re.match('(pare|hmr)_res50_', path.stem)],
    ids=lambda path: path.stem,
)
def test_leaf_changes_only_what_its_name_says(path):
    pattern = r'(pare|hmr)_res50_(?:(.+)-)?4xb16-\d+e_h36m-coco-224x224'
    head, change = re.fullmatch(pattern, path.stem).groups()
    changed = difference(read(path), read(default(head)))
    if change == 'occluders':
        steps = [step.type for step in read(path).train_pipeline]
        assert steps[-3:] == [
            'hsjp_mm.RenderPartMap', 'hsjp_mm.MeshOccluders', 'hsjp_mm.PackMeshInputs'
        ]  # fmt: skip
        assert all('pipeline' in name for name in changed)
        return
    assert changed == (CHANGES[change] if change else {})


def test_heads_differ_in_the_head_and_the_labels_of_parts():
    changed = difference(read(default('pare')), read(default('hmr')))
    rest = {name: value for name, value in changed.items() if 'pipeline' not in name}
    assert rest == {'model.head.type': 'hsjp_mm.PAREHead'}
    steps = [step.type for step in read(default('hmr')).train_pipeline]
    assert 'hsjp_mm.RenderPartMap' not in steps
    expected = [*steps[:-1], 'hsjp_mm.RenderPartMap', steps[-1]]
    assert [step.type for step in read(default('pare')).train_pipeline] == expected


def test_i2l_meshnet_differs_in_its_network_and_the_size():
    path = config_path('i2l-meshnet_res50_4xb16-120e_h36m-coco-256x256')
    changed = difference(read(path), read(default('hmr')))
    rest = {name: value for name, value in changed.items() if 'input_size' not in name}
    assert rest == {
        'model.type': 'hsjp_mm.I2LMeshNet',
        'model.head.type': 'hsjp_mm.LixelHead',
        'model.test_cfg.flip_test': None,
        'model.test_cfg.root_depth': 'label',
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'number'),
    [
        (default('hmr').stem, 26_977_501),
        (default('pare').stem, 44_562_342),
        # HRNet-W32 with all its maps; two times 480·9·128 + 128·9·128 + 2·3·128; 128·25 + 25;
        # 128·64 + 64; 24·128·6; 1536·13 + 13
        ('pare_hrnet-w32_4xb16-120e_h36m-coco-224x224', 29_309_156 + 1_448_642),
    ],
)
def test_parameters(name, number):
    model = build_model(read(config_path(name)))
    assert sum(value.numel() for value in model.parameters()) == number


@every_mesh
def test_has_the_studys_schedule(path):
    config = read(path)
    [scheduler] = config.param_scheduler
    epochs = config.train_cfg.max_epochs
    assert epochs == (240 if 'scratch' in path.stem else 120)
    assert [milestone / epochs for milestone in scheduler.milestones] == [0.75]
    assert scheduler.gamma == 0.1
    if 'hmr2' not in path.stem:
        assert config.optim_wrapper.optimizer == dict(type='Adam', lr=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    'path',
    [
        default('pare'),
        default('hmr'),
        config_path('hmr_res50_cliff-4xb16-120e_h36m-coco-224x224'),
        config_path('pare_res50_occluders-4xb16-120e_h36m-coco-224x224'),
        config_path('pare_hrnet-w32_4xb16-120e_h36m-coco-224x224'),
        config_path('hmr2_ViTPose-small_2d-pose-pre-4xb16-120e_h36m-coco-256x192'),
        config_path('i2l-meshnet_res50_4xb16-120e_h36m-coco-256x256'),
    ],
    ids=lambda path: path.stem,
)
def test_trains(path, tmp_path):
    """On drawn bodies without maps of parts, with narrow networks."""
    write_bodies(tmp_path, 'train', 2)
    labels = dict(np.load(tmp_path / 'mesh/train.npz'))
    del labels['part_map_path']
    np.savez(tmp_path / 'mesh/train.npz', **labels)
    config = copy.deepcopy(read(path))
    for one in config.train_dataloader.dataset.datasets:
        one.update(
            data_root=str(tmp_path), ann_file='mesh/train.npz', data_prefix=dict(img='images/train')
        )
    backbone, head = config.model.backbone, config.model.head
    backbone.init_cfg = None
    if backbone.type == 'HRNet':
        tiny = copy.deepcopy(read(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny)
        tiny.extra.stage4.multiscale_output = True
        config.model.backbone = tiny
        head.update(in_channels=240, conv_out_channels=(8, 8))
    elif backbone.type == 'ResNet':
        backbone.update(depth=18, stem_channels=8, base_channels=8)
        head.in_channels = 64
        if 'pare' in path.stem or 'i2l' in path.stem:
            head.deconv_out_channels = (8, 8, 8)
    else:
        backbone.arch = dict(embed_dims=24, num_layers=1, num_heads=2, feedforward_channels=24)
        backbone.drop_path_rate = 0.0
        head.update(in_channels=24, dim=16, num_layers=1, num_heads=2, feedforward_channels=16)
    log = train_once(config)
    terms = {'keypoints', 'joints', 'pose', 'shape', 'scale'}
    if 'pare' in path.stem:
        terms.add('parts')
    if 'i2l' in path.stem:
        terms = {
            'joints', 'body_joints', 'mesh', 'mesh_joints', 'mesh_body_joints', 'edges', 'normals',
        }  # fmt: skip
    assert {key for key in log if key.startswith('loss_')} == {f'loss_{term}' for term in terms}
    assert all(log[f'loss_{term}'] > 0 for term in terms)
    assert log['loss'] == pytest.approx(sum(log[f'loss_{term}'] for term in terms))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('stock', 'name'),
    [
        (
            'td-hm_hrnet-w32_8xb64-210e_coco-256x192',
            'pare_hrnet-w32_2d-pose-pre-4xb16-120e_h36m-coco-224x224',
        ),
        (
            'td-hm_res50_8xb64-210e_coco-256x192',
            'pare_res50_2d-pose-pre-4xb16-120e_h36m-coco-224x224',
        ),
        (
            'td-hm_ViTPose-small_8xb64-210e_coco-256x192',
            'hmr2_ViTPose-small_2d-pose-pre-4xb16-120e_h36m-coco-256x192',
        ),
    ],
)
def test_checkpoints_of_stock_2d_poses_fit(stock, name, tmp_path):
    from mmengine.hub import get_config

    model = get_config(f'mmpose::body_2d_keypoint/topdown_heatmap/coco/{stock}.py').model
    model.backbone.init_cfg = None
    poses = MODELS.build(model)
    torch.save({'state_dict': poses.state_dict()}, tmp_path / 'poses.pth')
    config = copy.deepcopy(read(config_path(name)).model)
    config.backbone.init_cfg.checkpoint = str(tmp_path / 'poses.pth')
    regressor = MODELS.build(config)
    regressor.init_weights()
    found = regressor.backbone.state_dict()
    for key, value in poses.backbone.state_dict().items():
        assert torch.equal(found[key], value), key
