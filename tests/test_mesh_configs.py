"""The configs of mesh regressors: what a leaf changes, and that each kind trains."""

import copy
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, METRICS, MODELS

from hsjp_mm.evaluation import MupotsPCK
from hsjp_mm.models import BodyModel
from hsjp_mm.models.body_models.smpl_files import FREE_BODY, read_body
from hsjp_mm.ops.cameras import to_pixels
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.ops.rotations import axis_angle_to_matrix
from tests.helpers import ROOT
from tests.mesh_bodies import write_bodies
from tests.test_configs import MESH, build_model, difference, read, train_once

SYNTHETIC = [path for path in MESH if '-140e_' in path.stem]
every_mesh = pytest.mark.parametrize('path', MESH, ids=lambda path: path.stem)


def config_path(name: str):
    return ROOT / f'configs/mesh/{name}.py'


def default(head: str):
    return config_path(f'{head}_res50_4xb16-120e_h36m-coco-224x224')


INIT = {'type': 'hsjp_mm.PretextInit', 'checkpoint': ''}
PRETEXT_INIT = {f'model.backbone.init_cfg.{key}': value for key, value in INIT.items()}
SETS = ('train_sets', 'train_dataloader.dataset.datasets')
STARTS = ('hsjp', 'jigclu', 'contrastive', '2d-pose', 'synthetic')
CHANGES = {
    None: {},
    **{f'{start}-pre': PRETEXT_INIT for start in STARTS},
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


def fewer_labels(percent: int) -> dict:
    """What a leaf changes that trains on so many percent of the labels."""
    changed = {f'{name}.{i}.fraction': percent / 100 for name in SETS for i in (0, 1)}
    return {**changed, 'train_dataloader.sampler.num_samples': 4_800 * percent}


@pytest.mark.parametrize(
    'path',
    [path for path in MESH if re.match('(pare|hmr)_res50_.*h36m-coco', path.stem)],
    ids=lambda path: path.stem,
)
def test_leaf_changes_only_what_its_name_says(path):
    pattern = r'(pare|hmr)_res50_(?:(.+?)-)??(?:labels(\d+)-)?4xb16-\d+e_h36m-coco-224x224'
    head, change, labels = re.fullmatch(pattern, path.stem).groups()
    changed = difference(read(path), read(default(head)))
    if change == 'occluders':
        steps = [step.type for step in read(path).train_pipeline]
        assert steps[-3:] == [
            'hsjp_mm.RenderPartMap', 'hsjp_mm.MeshOccluders', 'hsjp_mm.PackMeshInputs'
        ]  # fmt: skip
        assert all('pipeline' in name for name in changed)
        return
    assert changed == CHANGES[change] | (fewer_labels(int(labels)) if labels else {})


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


@pytest.mark.parametrize('path', SYNTHETIC, ids=lambda path: path.stem)
def test_synthetic_pretraining_differs_from_pare_in_data_and_schedule(path):
    config = read(path)
    changed = difference(config, read(default('pare')))
    data = r'(data|train_sets|(train|val|test)_dataloader\.(dataset|sampler))\..+'
    rest = {name: value for name, value in changed.items() if not re.fullmatch(data, name)}
    assert rest == {
        'train_cfg.max_epochs': 140,
        'param_scheduler.0.milestones.1': 120,
    }
    assert config.train_dataloader.sampler == dict(type='DefaultSampler', shuffle=True)
    [dataset] = config.train_dataloader.dataset.datasets
    assert dataset.pipeline == read(default('pare')).train_pipeline
    # another split of the same data chooses the checkpoint, by the joints that its labels have
    for loader in (config.val_dataloader, config.test_dataloader):
        assert loader.dataset.data_root == dataset.data_root
        assert loader.dataset.get('data_prefix') == dataset.get('data_prefix')
        assert loader.dataset.ann_file != dataset.ann_file
    assert config.val_evaluator.joints == 'limbs_12'


def test_another_regressor_is_pretrained_on_synthetic_people_by_its_head_alone(tmp_path):
    text = (ROOT / 'configs/mesh/README.md').read_text()
    [block] = re.findall(r"```python\n(_base_ = \['hsjp_mm::.*agora.*?)```", text, re.DOTALL)
    (tmp_path / 'hmr.py').write_text(block)
    config = Config.fromfile(tmp_path / 'hmr.py')
    changed = difference(config, read(default('hmr')))
    assert not [name for name in changed if name.startswith('model.')]
    assert set(difference(config, read(SYNTHETIC[0]))) >= {'model.head.type'}
    assert all(name.startswith('model.') for name in difference(config, read(SYNTHETIC[0])))


@pytest.mark.parametrize(
    'path', [path for path in MESH if path not in SYNTHETIC], ids=lambda path: path.stem
)
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
        SYNTHETIC[0],
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


def narrow(config: Config) -> Config:
    """A config of a regressor on ResNet, shallow and narrow."""
    config = copy.deepcopy(config)
    config.model.backbone.update(depth=18, stem_channels=8, base_channels=8)
    config.model.head.in_channels = 64
    if config.model.head.type == 'hsjp_mm.PAREHead':
        config.model.head.deconv_out_channels = (8, 8, 8)
    return config


def test_synthetic_pretraining_hands_over_the_backbone_and_leaves_its_head(tmp_path, log_file):
    config = narrow(read(SYNTHETIC[0])).model
    config.backbone.init_cfg = None
    pretrained = MODELS.build(config)
    torch.save({'state_dict': pretrained.state_dict()}, tmp_path / 'pare.pth')
    config = narrow(read(config_path('hmr_res50_synthetic-pre-4xb16-120e_h36m-coco-224x224'))).model
    config.backbone.init_cfg.checkpoint = str(tmp_path / 'pare.pth')
    regressor = MODELS.build(config)
    regressor.init_weights()
    tensors = pretrained.backbone.state_dict()
    for name, value in regressor.backbone.state_dict().items():
        assert torch.equal(value, tensors[name]), name
    text = log_file.read_text()
    head = len(pretrained.head.state_dict())
    assert f'backbone: {len(tensors)} of {len(tensors)} tensors' in text
    assert f'; left behind: head ({head} tensors)' in text
    assert 'unused' not in text


def test_options_of_the_readme_make_one_leaf_another():
    """A start and a share of the labels that have no leaf of their own."""
    text = (ROOT / 'configs/mesh/README.md').read_text()
    [block] = [b for b in re.findall(r'```bash\n(.*?)```', text, re.DOTALL) if 'fraction' in b]
    given = re.findall(r'([\w.]+)=(\S+)', block)
    options = {name: DictAction._parse_iterable(value) for name, value in given}
    config = copy.deepcopy(read(default('pymaf')))
    config.merge_from_dict(options)
    [checkpoint] = [value for name, value in options.items() if name.endswith('checkpoint')]
    changes = {**PRETEXT_INIT, **fewer_labels(10)}
    expected = {
        name: checkpoint if name.endswith('checkpoint') else value
        for name, value in changes.items()
        if not name.startswith('train_sets')
    }
    assert difference(config, read(default('pymaf'))) == expected


def write_smpl(folder) -> None:
    """The free body's arrays by SMPL's names, and joints of its vertices as the users' files."""
    body = read_body('free')
    # without its regressors, for SMPL's files have none
    arrays = {
        key: array for key, array in np.load(FREE_BODY).items() if not key.startswith('regressor_')
    }
    for gender in ('NEUTRAL', 'MALE', 'FEMALE'):
        np.savez(folder / f'SMPL_{gender}.npz', **arrays)
    points = body.regressors['h36m_17'] @ np.concatenate([body.joint_template, body.template])
    named = dict(zip(joint_names('h36m_17'), points, strict=True))
    named['head'] = named['jaw']
    for name, joint_set in (('h36m', 'h36m_17_left_first'), ('mi_smpl', 'mupots_17')):
        goals = np.stack([named[name] for name in joint_names(joint_set)])
        nearest = np.linalg.norm(goals[:, None] - body.template, axis=2).argmin(axis=1)
        np.save(folder / f'J_regressor_{name}.npy', np.eye(len(body.template))[nearest])
    points = body.regressors['coco_17'] @ np.concatenate([body.joint_template, body.template])
    face = np.stack([points[joint_names('coco_17').index(name)] for name in joint_names('face_5')])
    nearest = np.linalg.norm(face[:, None] - body.template, axis=2).argmin(axis=1)
    np.save(folder / 'face_vertices.npy', nearest)


def written_in_the_readme(folder) -> dict[str, Config]:
    """The configs that README.md shows, with SMPL's files in the folder."""
    text = (ROOT / 'configs/mesh/README.md').read_text()
    blocks = re.findall(r'```python\n# (\w+)\.py\n(.*?)```', text, re.DOTALL)
    for name, block in blocks:
        (folder / f'{name}.py').write_text(block.replace('data/smpl', str(folder)))
    return {name: Config.fromfile(folder / f'{name}.py') for name, _ in blocks}


def test_the_configs_of_the_readme_measure_as_the_protocols_do(tmp_path):
    write_smpl(tmp_path)
    configs = written_in_the_readme(tmp_path)
    assert set(configs) == {'pare_smpl', '3dpw', 'h36m', 'mupots'}
    threedpw, h36m, mupots = (
        METRICS.build(configs[name].test_evaluator) for name in ('3dpw', 'h36m', 'mupots')
    )
    assert {gender: body.name for gender, body in threedpw.bodies.items()} == {
        'male': 'SMPL_MALE', 'female': 'SMPL_FEMALE'
    }  # fmt: skip
    for body in threedpw.bodies.values():
        assert body.sources('common_14') == ('h36m_17_left_first',)
    for metric in (threedpw, h36m):
        assert (metric.joints, metric.root) == ('common_14', ('pelvis',))
    assert (threedpw.protocol, h36m.bodies) == ('3DPW test', {})
    assert isinstance(mupots, MupotsPCK)
    body = MODELS.build(configs['mupots'].model.body)
    assert body.sources('mupots_17') == ('mupots_17',)
    body.require_set('mesh_22')  # the set of the training
    data = {name: config.test_dataloader.dataset for name, config in configs.items()}
    assert [data[name].data_root for name in ('3dpw', 'h36m', 'mupots')] == [
        'data/3dpw/', 'data/h36m/', 'data/mupots/'
    ]  # fmt: skip
    model = configs['mupots'].model
    assert data['mupots'].joint_set == model.test_cfg.joint_set == 'mupots_17'
    assert not model.test_cfg.flip_test
    # nothing of the body is trained with another one
    assert configs['3dpw'].model == configs['pare_smpl'].model


def relabelled(folder, joint_set: str, split: str = 'val') -> None:
    """Give the persons of a file the joints of another set, in space and in the picture."""
    path = folder / f'mesh/{split}.npz'
    labels = dict(np.load(path))
    free = BodyModel()
    rotations = axis_angle_to_matrix(torch.from_numpy(labels['pose']))
    body = free(*(rotations, *(torch.from_numpy(labels[key]) for key in ('shape', 'translation'))))
    joints = free.keypoints(body, joint_set).numpy()
    ones = np.ones((*joints.shape[:2], 1), np.float32)
    pixels = to_pixels(joints, labels['camera'][:, None])
    for key, points in (('keypoints', pixels), ('joints', joints)):
        labels |= {key: np.concatenate([points, ones], 2), f'{key[:-1]}_set': np.array(joint_set)}
    labels['sequence'] = np.array(['TS1', 'TS2'])
    np.savez(path, **labels)


def measured(config: Config, folder, joint_set: str) -> dict[str, float]:
    """Test the demo's network, narrow and not trained, on two persons."""
    model, dataset = config.model, config.test_dataloader.dataset
    model.backbone.update(stem_channels=8, base_channels=8)
    model.head.in_channels = 64
    model.test_cfg.joint_set = dataset.joint_set = joint_set
    dataset.update(data_root=str(folder), data_prefix=dict(img='images/val', parts='parts/val'))
    model, data = MODELS.build(model).eval(), DATASETS.build(dataset)
    model.prepare(data)
    metric = METRICS.build(config.test_evaluator)
    metric.dataset_meta = data.metainfo
    with torch.no_grad():
        found = model.test_step(pseudo_collate([data[i] for i in range(2)]))
    metric.process({}, [sample.to_dict() for sample in found])
    return metric.evaluate(2)


def test_labels_of_3dpw_are_measured_by_the_default(tmp_path):
    """Its joints are SMPL's: no head top, of which the 14 common ones have one."""
    write_bodies(tmp_path, 'val', 2)
    relabelled(tmp_path, 'smpl_24')
    config = copy.deepcopy(read(ROOT / 'configs/demo/hmr_res18_1xb16-2000i_toy-96x96.py'))
    with pytest.raises(ValueError, match=r"none of 2 persons .* joints='common_14'.*limbs_12"):
        measured(copy.deepcopy(config), tmp_path, 'mesh_22')
    config.test_evaluator = read(default('hmr')).test_evaluator
    scores = measured(config, tmp_path, 'mesh_22')
    assert 0 < scores['mesh/PA-MPJPE'] < scores['mesh/MPJPE'] < 2000


def test_mupots_joints_are_measured_from_the_vertices(tmp_path):
    write_bodies(tmp_path, 'val', 2)
    relabelled(tmp_path, 'mupots_17')
    config = copy.deepcopy(read(ROOT / 'configs/demo/hmr_res18_1xb16-2000i_toy-96x96.py'))
    config.test_evaluator = dict(type='hsjp_mm.MupotsPCK')
    scores = measured(config, tmp_path, 'mupots_17')
    assert len(scores) == 8
    assert 0 <= scores['mupots/PCK_all'] <= scores['mupots/PCK_matched'] <= 100
