"""Every config builds and does what its name says, and nothing else."""

import copy
import json
import math
import re
from argparse import ArgumentParser
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import mmengine.registry as registries
import numpy as np
import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.hub import get_config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, MODELS, PARAM_SCHEDULERS, TRANSFORMS
from modelindex.load_model_index import load as load_index

from hsjp_mm.datasets.lsp import LSP_TO_MPII, MPII_OF_LSP
from hsjp_mm.models import PeCLR, PeCLRHead, SimCLRHead, SwAV
from hsjp_mm.utils.schedules import mismatches
from tests.helpers import ROOT

CONFIGS = sorted(p for p in ROOT.glob('configs/*/**/*.py') if '_base_' not in p.parts)
HSJP = [path for path in CONFIGS if path.parent.name == 'hsjp']
JIGCLU = [path for path in CONFIGS if path.parent.name == 'jigclu']
CONTRASTIVE = [path for path in CONFIGS if path.parent.name == 'contrastive']
JOINTCON = [path for path in CONFIGS if path.parent.name == 'jointcon']
MAE = [path for path in CONFIGS if path.parent.name == 'mae']
DENSE = [path for path in CONFIGS if path.parent.name == 'dense_labels']
DENSE_POSE = [path for path in DENSE if path.stem.startswith('td-hm')]
TOPDOWN = [path for path in CONFIGS if 'topdown_heatmap' in path.parts]
FEW_LABELS = [path for path in TOPDOWN if '-labels' in path.stem]
FROZEN = [path for path in TOPDOWN if '-frozen' in path.stem]
DETECTION = [path for path in CONFIGS if 'detection' in path.parts]
HIGHERHRNET = [path for path in CONFIGS if 'higherhrnet' in path.parts]
PBN = [path for path in CONFIGS if 'pbn' in path.parts]
PBN_OWN = [path for path in PBN if path.name.startswith('pbn_')]
MESH = [path for path in CONFIGS if path.parent.name == 'mesh']
PRETEXT = HSJP + JIGCLU + CONTRASTIVE + JOINTCON + MAE
PRETEXT += [path for path in DENSE if path not in DENSE_POSE]
INDEXED = PRETEXT + DENSE_POSE + TOPDOWN + DETECTION + HIGHERHRNET + PBN + MESH
DEFAULT = ROOT / 'configs/hsjp/hsjp_hrnet-w32_4xb64-240e_coco-224x224.py'
SEED_HOOK = {'custom_hooks.1.type': 'hsjp_mm.SeedHook'}
STOCK = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_{}_8xb64-210e_coco-256x192.py'

every_config = pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
every_hsjp = pytest.mark.parametrize('path', HSJP, ids=lambda path: path.stem)
every_jigclu = pytest.mark.parametrize('path', JIGCLU, ids=lambda path: path.stem)


@cache
def read(path: Path) -> Config:
    return Config.fromfile(path)


def build(registry: str, part: dict):
    """Build a part of a config: models without memory and random numbers, data sets unread."""
    options = {'lazy_init': True} if registry == 'DATASETS' else {}
    with torch.device('meta' if registry == 'MODELS' else 'cpu'):
        return getattr(registries, registry).build({**copy.deepcopy(part), **options})


def build_model(config: Config):
    return build('MODELS', config.model)


def flatten(value, name: str = '') -> dict:
    """The leaves of a config by their dotted names, scopes aside."""
    if isinstance(value, (dict, list, tuple)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        leaves = (flatten(item, f'{name}.{key}') for key, item in items if key != '_scope_')
        return {key: leaf for part in leaves for key, leaf in part.items()}
    return {name.removeprefix('.'): value}


def difference(config: Config, other: Config) -> dict:
    """What a config has that the other one has not, and None for what it lacks."""
    ours, theirs = flatten(config.to_dict()), flatten(other.to_dict())
    names = sorted(ours.keys() | theirs.keys())
    absent = object()
    return {n: ours.get(n) for n in names if ours.get(n, absent) != theirs.get(n, absent)}


def input_sizes(pipeline: list) -> list:
    return [step['input_size'] for step in pipeline if 'input_size' in step]


@pytest.mark.slow
@every_config
def test_builds(path):
    config = read(path)
    build_model(config)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        for dataset in loader.dataset.get('datasets', [loader.dataset]):  # of a CombinedDataset
            build('DATASETS', dataset)
    for hook in config.get('custom_hooks', []):
        build('HOOKS', hook)
    if path in PRETEXT + PBN_OWN + MESH:
        for evaluator in (config.val_evaluator, config.test_evaluator):
            for metric in evaluator if isinstance(evaluator, list) else [evaluator]:
                build('METRICS', metric)


@pytest.mark.slow
@every_config
def test_resumes_to_the_same_result(path):
    types = [hook.type for hook in read(path).custom_hooks]
    assert types.count('hsjp_mm.SeedHook') == 1


@pytest.mark.slow
@every_config
def test_builds_as_the_base_of_a_config_elsewhere(path, tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = ['hsjp_mm::{path.relative_to(ROOT / 'configs')}']")
    config = Config.fromfile(child)
    assert difference(config, read(path)) == {}
    if path == next(p for p in CONFIGS if p.parent == path.parent):
        assert str(build_model(config)) == str(build_model(read(path)))


@pytest.mark.slow
@pytest.mark.parametrize(
    'path', [p for p in CONFIGS if p not in DETECTION], ids=lambda path: path.stem
)
def test_does_what_its_name_says(path):
    config = read(path)
    pattern = r'(?:.+-|_)(\d+)xb(\d+)-(\d+)([ei])_([\w-]+)-(\d+)x(\d+)'
    gpus, batch, length, unit, data, height, width = re.search(pattern, path.stem).groups()
    assert config.train_dataloader.batch_size == int(batch)
    assert config.train_cfg[{'e': 'max_epochs', 'i': 'max_iters'}[unit]] == int(length)
    assert not list(mismatches(config))
    size = (int(width), int(height))
    transforms = str(config.train_dataloader.dataset)
    # the size is the model's where the transforms do not say it
    on_model = 'hsjp_mm.MakeViews' in transforms or (
        'hsjp_mm.InputAffine' in transforms and 'input_size' not in transforms
    )
    # whole images have no size of their own
    cropped = [] if on_model or data.startswith('imagenet') else [size]
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        dataset = loader.dataset.get('dataset', loader.dataset)  # of a wrapper
        parts = dataset.get('datasets', [dataset])
        roots = [Path(part.data_root).name for part in parts]
        if path not in MESH:  # which are tested on other data
            assert data in roots
        elif loader is config.train_dataloader:
            assert data.split('-') == roots
        for pipeline in (
            [dataset.pipeline] if 'pipeline' in dataset else [p.pipeline for p in parts]
        ):
            views = any(step.type == 'hsjp_mm.MakeViews' for step in pipeline)
            assert [tuple(s) for s in input_sizes(pipeline)] == ([] if views else cropped)
    if path in INDEXED:
        assert config.auto_scale_lr.base_batch_size == int(gpus) * int(batch)
    if path in JIGCLU or on_model:
        assert tuple(config.model.input_size) == size


@pytest.mark.slow
@every_hsjp
def test_hsjp_head_and_stem_follow_from_grid_and_unshuffled(path):
    config = read(path)
    model = build_model(config)
    assert model.head.out_channels == config.model.grid**2
    predicts = model.backbone.predictors[-1][-1] if 'pbn' in path.stem else model.head.final_layer
    assert predicts.out_channels == config.model.grid**2
    stem = next(module for module in model.backbone.modules() if hasattr(module, 'in_channels'))
    assert stem.in_channels == (6 if config.model.get('unshuffled') else 3)


@every_hsjp
@pytest.mark.slow
def test_hsjp_milestones_scale_with_the_epochs(path):
    config = read(path)
    [scheduler] = config.param_scheduler
    epochs = config.train_cfg.max_epochs
    assert [m / epochs for m in scheduler.milestones] == [190 / 240, 220 / 240]
    assert (scheduler.type, scheduler.gamma, scheduler.by_epoch) == ('MultiStepLR', 0.1, True)


@pytest.mark.parametrize(
    'path', [p for p in HSJP if 'hrnet-w32' in p.stem], ids=lambda path: path.stem
)
def test_hsjp_leaf_changes_only_what_its_name_says(path):
    changes = r'(fast-)?(unshuffled-)?(?:grid(\d)-)?(?:lr(.+)-)?'
    pattern = rf'hsjp_hrnet-w32_{changes}4xb64-(\d+)e_coco-224x224'
    fast, unshuffled, grid, rate, epochs = re.fullmatch(pattern, path.stem).groups()
    expected = {}
    if fast:
        expected['model.backbone.init_cfg'] = None
        last = f'custom_hooks.{len(read(DEFAULT).custom_hooks)}'
        expected[f'{last}.type'] = 'hsjp_mm.SpatialWarmupHook'
        expected[f'{last}.iters'] = 5000
    if unshuffled:
        expected['model.unshuffled'] = True
    if grid and grid != '6':
        expected['model.grid'] = int(grid)
    if rate:
        expected['optim_wrapper.optimizer.lr'] = float(rate)
    if epochs != '240':
        expected['train_cfg.max_epochs'] = int(epochs)
        for i, milestone in enumerate((190, 220)):
            expected[f'param_scheduler.0.milestones.{i}'] = milestone * int(epochs) / 240
    assert difference(read(path), read(DEFAULT)) == expected


def test_hsjp_families_differ_in_the_network_alone():
    path = DEFAULT.with_name('hsjp_res50_4xb64-240e_coco-224x224.py')
    names = [n for n in difference(read(path), read(DEFAULT)) if not n.startswith('hrnet_w32')]
    assert names
    assert all(n.startswith(('model.backbone.', 'model.head.')) for n in names)
    pbn = read(DEFAULT.with_name('hsjp_pbn-stack8_4xb64-240e_coco-256x256.py'))
    changed = difference(pbn, read(path))
    others = [n for n in changed if not n.startswith(('model.backbone.', 'model.head.'))]
    assert others
    assert all(re.search(r'input_size\.[01]$', n) and changed[n] == 256 for n in others)
    three = read(DEFAULT.with_name('hsjp_pbn-stack3_4xb64-240e_coco-256x256.py'))
    assert difference(three, pbn) == {'model.backbone.num_stacks': 3}


def jigclu(network: str, data: str) -> Path:
    """The family's default of this network and data set."""
    return ROOT / f'configs/jigclu/jigclu_{network}_4xb64-200e_{data}-224x224.py'


JIGCLU_CHANGES = {
    'clustering-only': {'model.head.beta': 0},
    'location-only': {'model.head.alpha': 0},
    'public-code': {'model.head.alpha': 0.3 / 0.07, 'model.overlap': 0.6},
    'grid3': {'model.grid': 3},
    'grid4': {'model.grid': 4},
    'augment-before-split': {'model.position': 'before_split'},
    'crop-before-split': {'model.position': 'crop_before_split'},
    'small-patches': {'model.input_format': 'small_patches'},
    'scaled-patches': {'model.input_format': 'scaled_patches'},
    **{f'overlap{x}': {'model.overlap': x} for x in (0, 0.1, 0.2, 0.4, 0.5)},
}


@every_jigclu
@pytest.mark.slow
def test_jigclu_leaf_changes_only_what_its_name_says(path):
    pattern = r'jigclu_(.+?)_(?:(.+)-)?4xb64-200e_(\w+)-224x224'
    network, change, data = re.fullmatch(pattern, path.stem).groups()
    expected = JIGCLU_CHANGES[change] if change else {}
    assert difference(read(path), read(jigclu(network, data))) == expected


def test_jigclu_families_differ_in_network_and_data_alone():
    imagenet100 = read(jigclu('res50', 'imagenet100'))
    assert difference(read(jigclu('res18', 'imagenet100')), imagenet100) == {
        'model.backbone.depth': 18,
        'model.head.in_channels': 512,
    }
    imagenet = read(jigclu('res50', 'imagenet'))
    names = [f'{split}_dataloader.dataset.data_root' for split in ('test', 'train', 'val')]
    root = 'data/imagenet100/'
    assert difference(imagenet100, imagenet) == dict.fromkeys(['data_root', *names], root)
    coco = read(jigclu('res50', 'coco'))
    data = r'data_root|(train|val)_pipeline\..+|(train|val|test)_dataloader\.dataset\..+'
    assert all(re.fullmatch(data, name) for name in difference(imagenet, coco))
    names = difference(read(jigclu('hrnet-w32', 'coco')), coco)
    assert all(re.match(r'hrnet_w32|model\.(backbone|neck|head)\.', name) for name in names)


def test_jigclu_learning_rate_is_that_of_the_authors_code():
    """It is set once an epoch, to half of 0.03·(1 + cos(π·epoch/epochs))."""
    config = read(jigclu('res50', 'imagenet'))
    weight = torch.nn.Linear(1, 1)
    optimizer = build_optim_wrapper(weight, config.optim_wrapper)
    [scheduler] = [PARAM_SCHEDULERS.build({**cfg, 'optimizer': optimizer})
                   for cfg in config.param_scheduler]  # fmt: skip
    assert scheduler.by_epoch
    epochs = config.train_cfg.max_epochs
    for epoch in range(epochs):
        rate = 0.03 / 2 * (1 + math.cos(math.pi * epoch / epochs))
        assert optimizer.get_lr()['lr'] == [pytest.approx(rate, rel=1e-9)]
        optimizer.step()
        scheduler.step()


def contrastive(network: str) -> Path:
    """The family's default of this method and network."""
    return ROOT / f'configs/contrastive/{network}_4xb64-140e_coco-224x224.py'


CONTRASTIVE_CHANGES = {
    'temperature0.5': {'model.head.temperature': 0.5},
    'queue4096': {'model.head.queue_length': 4096},
    'grid': {'model.segments.method': 'grid'},
    'annotation': {
        'model.segments.method': 'annotation',
        **{
            f'{part}_dataloader.dataset.annotation_keys.0': 'segmentation'
            for part in ('train', 'val', 'test')
        },
    },
}


@pytest.mark.parametrize('path', CONTRASTIVE, ids=lambda path: path.stem)
@pytest.mark.slow
def test_contrastive_leaf_changes_only_what_its_name_says(path):
    pattern = r'([\w-]+_(?:res50|hrnet-w32))_(?:(.+)-)?4xb64-140e_coco-224x224'
    network, change = re.fullmatch(pattern, path.stem).groups()
    changed = difference(read(path), read(contrastive(network)))
    if change == 'two-views':
        [views] = read(path).model.views
        [large, _] = SwAV.recipe
        assert {**views, 'colors': dict(views.colors)} == large
        parts = {tuple(name.split('.')[:2]) for name in changed}
        assert {part for part in parts if part[0] != 'two_views'} == {('model', 'views')}
    elif change == 'invariant':
        assert read(path).model.views[0].to_dict() == PeCLR.recipe[0]
        head = read(path).model.head
        peclr, simclr = (
            PeCLRHead(4),
            SimCLRHead(
                **{
                    k: v
                    for k, v in head.items()
                    if k[0] != '_' and k not in ('type', 'in_channels')
                },
                in_channels=4,
            ),
        )
        assert str(peclr.projector) == str(simclr.projector)
        assert {name.partition('.')[0] for name in changed} == {'model'}
    else:
        assert changed == (CONTRASTIVE_CHANGES[change] if change else {})


def test_contrastive_families_differ_in_network_alone():
    for method in ('simclr', 'mocov2'):
        changed = difference(
            read(contrastive(f'{method}_hrnet-w32')), read(contrastive(f'{method}_res50'))
        )
        assert all(re.match(r'hrnet_w32|model\.(backbone|neck|head)\.', name) for name in changed)


@pytest.mark.slow
@pytest.mark.parametrize('path', CONTRASTIVE, ids=lambda path: path.stem)
def test_contrastive_trains(path, tiny_coco, tmp_path):
    MessageHub.get_current_instance().update_info('max_iters', 100)
    config = shrink(read(path), tiny_coco)
    dataset = config.train_dataloader.dataset
    if config.model.get('segments', {}).get('method') == 'felzenszwalb':
        pytest.importorskip('skimage')
    if 'annotation_keys' in dataset:
        dataset.ann_file = str(with_outlines(tiny_coco / 'boxes.json', tmp_path))
    log = train_once(config)
    # of two crops: among three other views, or for MoCo among two keys
    assert log['retrieval_chance'] == pytest.approx(1 / 2 if 'mocov2' in path.stem else 1 / 3)
    assert math.isfinite(log['loss'])


def jointcon(network: str) -> Path:
    """The family's default of this network."""
    return ROOT / f'configs/jointcon/jointcon_{network}_4xb64-140e_coco-224x224.py'


SAVE_BEST = 'default_hooks.checkpoint.save_best'
JOINTCON_CHANGES = {
    'image': {'model.positives': 'image', SAVE_BEST: 'joints/image_retrieval'},
    'image-and-joint': {
        'model.positives': 'image_and_joint', SAVE_BEST: 'joints/pair_retrieval',
    },
    'c4': {
        'model.backbone.num_stages': 3,
        'model.backbone.out_indices.0': 2,
        **{f'model.backbone.strides.{i}': s for i, s in enumerate((1, 2, 2))},
        **{f'model.backbone.dilations.{i}': 1 for i in range(3)},
        'model.head.in_channels': 1024,
    },
}  # fmt: skip


@pytest.mark.parametrize('path', JOINTCON, ids=lambda path: path.stem)
def test_jointcon_leaf_changes_only_what_its_name_says(path):
    pattern = r'jointcon_(.+?)_(?:(.+)-)?4xb64-140e_coco-224x224'
    network, change = re.fullmatch(pattern, path.stem).groups()
    expected = JOINTCON_CHANGES[change] if change else {}
    assert difference(read(path), read(jointcon(network))) == expected


def test_jointcon_families_differ_in_the_network_alone():
    names = difference(read(jointcon('hrnet-w32')), read(jointcon('res50')))
    assert all(re.match(r'hrnet_w32|model\.(backbone|neck|head)\.', name) for name in names)


def test_jointcon_has_the_papers_schedule_for_2d_joints():
    config = read(jointcon('res50'))
    [scheduler] = config.param_scheduler
    assert (scheduler.milestones, scheduler.gamma, scheduler.by_epoch) == ([90, 120], 0.1, True)
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('path', JOINTCON, ids=lambda path: path.stem)
def test_jointcon_trains(path, tiny_coco, tmp_path):
    """On the tiny data set's persons, with keypoints spread over their boxes."""
    config = shrink(read(path), tiny_coco)
    if 'c4' in path.stem:
        config.model.head.in_channels = 128
    content = json.loads((tiny_coco / 'boxes.json').read_text())
    shares = np.stack(np.meshgrid(np.linspace(0.2, 0.8, 5), np.linspace(0.2, 0.8, 4)), axis=-1)
    for person in content['annotations']:
        left, top, width, height = person['bbox']
        points = (left, top) + shares.reshape(-1, 2)[:17] * (width, height)
        flags = np.full((17, 1), 2)
        person.update(keypoints=np.hstack([points, flags]).ravel().tolist(), num_keypoints=17)
    (tmp_path / 'keypoints.json').write_text(json.dumps(content))
    config.train_dataloader.dataset.ann_file = str(tmp_path / 'keypoints.json')
    log = train_once(config)
    assert log['loss'] == log['loss_contrastive'] > log['floor'] >= 0
    assert 0 < log['joint_retrieval_chance'] < 0.1


def with_outlines(ann_file: Path, folder: Path) -> Path:
    """A copy of annotations in which each person has the upper left half of its box as mask."""
    content = json.loads(ann_file.read_text())
    for row in content['annotations']:
        left, top, width, height = row['bbox']
        row['segmentation'] = [[left, top, left + width, top, left, top + height]]
    path = folder / 'outlines.json'
    path.write_text(json.dumps(content))
    return path


def shrink(config: Config, folder: Path) -> Config:
    """Put a pretext config on tiny data: 64×64 crops, and few channels for its network."""
    config = copy.deepcopy(config)
    config.model.input_size = (64, 64)
    dataset = config.train_dataloader.dataset
    boxes = 'boxes.json' if dataset.ann_file else ''
    dataset.update(data_root=str(folder), ann_file=boxes, data_prefix=dict(img='images/'))
    for step in dataset.pipeline:
        if step['type'] in ('TopdownAffine', 'hsjp_mm.InputAffine'):
            step['input_size'] = (64, 64)
    backbone = config.model.backbone
    if backbone.type == 'hsjp_mm.PartBranchHourglass':
        backbone.num_stacks = 2
    elif backbone.type == 'HRNet':
        fused = backbone.extra.stage4.get('multiscale_output', False)
        tiny = copy.deepcopy(read(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny)
        tiny.extra.stage4.multiscale_output = fused
        config.model.backbone = tiny
        config.model.head.in_channels = 16 + fused * (32 + 64 + 128)
    else:
        backbone.update(stem_channels=8, base_channels=8)
        config.model.head.in_channels = {18: 64, 50: 256}[backbone.depth]
    return config


def train_once(config: Config) -> dict:
    """Two steps with the config's own data pipeline and optimiser, from its own initialisation.

    Two, for ResNet starts with zeros that let no gradient into its blocks. The log of the last one.
    """
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    model.train()
    dataset = DATASETS.build(config.train_dataloader.dataset)
    hooks = [*config.custom_hooks, *config.default_hooks.values()]
    if dict(type='hsjp_mm.PrepareDataHook') in hooks:
        model.prepare(dataset)
    trained = {n: value for n, value in model.named_parameters() if value.requires_grad}
    before = {name: value.clone() for name, value in trained.items()}
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
    for _ in range(2):
        log = model.train_step(pseudo_collate([dataset[0], dataset[1]]), optim_wrapper)
    still = [n for n, value in trained.items() if torch.equal(value, before[n])]
    assert still == [], 'parameters that no gradient reaches'
    assert all(value.isfinite().all() for value in model.parameters())
    return {name: float(value) for name, value in log.items()}


@pytest.mark.slow
@every_hsjp
def test_hsjp_trains(path, tiny_coco):
    log = train_once(shrink(read(path), tiny_coco))
    assert 0 < log['loss'] == log['loss_puzzle'] < 1
    assert 0 <= log['placed'] <= 1


def assert_jigclu_trains(config: Config, folder: Path) -> None:
    log = train_once(shrink(config, folder))
    head, patches = config.model.head, config.model.grid**2
    losses = {name for name in log if name.startswith('loss_')}
    weights = {'loss_clustering': head.get('alpha', 1), 'loss_location': head.get('beta', 1)}
    assert losses == {name for name, weight in weights.items() if weight}
    assert log['loss'] == pytest.approx(sum(log[name] for name in losses))
    assert log['retrieval_chance'] == pytest.approx((patches - 1) / (2 * patches - 1))
    assert log.get('location_chance', 1 / patches) == pytest.approx(1 / patches)


@pytest.mark.slow
@every_jigclu
def test_jigclu_trains(path, tiny_coco):
    assert_jigclu_trains(read(path), tiny_coco)


@pytest.mark.parametrize('network, grid', [('res50', 3), ('hrnet-w32', 4)])
def test_jigclu_trains_with_the_grid_alone_changed(network, grid, tiny_coco):
    config = copy.deepcopy(read(jigclu(network, 'coco')))
    config.merge_from_dict({'model.grid': grid})
    assert_jigclu_trains(config, tiny_coco)


def dense(name: str) -> Path:
    """A config on COCO, by its task, network and change."""
    join = '-' if name.count('_') > 1 else '_'
    return ROOT / f'configs/dense_labels/{name}{join}4xb32-140e_coco-256x192.py'


@pytest.mark.parametrize('path', DENSE_POSE, ids=lambda path: path.stem)
def test_2d_pose_differs_from_stock_in_the_studys_schedule(path):
    data, size = re.search(r'140e_(coco|mpii)-(.+)', path.stem).groups()
    stock = get_config(
        f'mmpose::body_2d_keypoint/topdown_heatmap/{data}/td-hm_res50_8xb64-210e_{data}-{size}.py'
    )
    config = read(path)
    changed = difference(config, stock)
    expected = {
        'train_dataloader.batch_size': 32,
        'train_cfg.max_epochs': 140,
        'optim_wrapper.optimizer.lr': 1e-3,
        'auto_scale_lr.base_batch_size': 128,
        **SEED_HOOK,
    }
    assert expected.items() <= changed.items()
    assert all(
        name in expected or name.startswith(('param_scheduler.', 'model.backbone.init_cfg'))
        for name in changed
    )
    assert (config.model.backbone.init_cfg is None) == ('scratch' in path.stem)


@pytest.mark.parametrize('path', DENSE, ids=lambda path: path.stem)
def test_dense_labels_have_the_studys_schedule(path):
    config = read(path)
    [scheduler] = config.param_scheduler
    assert (scheduler.type, scheduler.gamma, scheduler.by_epoch) == ('MultiStepLR', 0.1, True)
    assert scheduler.milestones == [90, 120]
    assert config.train_cfg.max_epochs == 140
    assert config.optim_wrapper.optimizer.type == 'Adam'
    assert config.optim_wrapper.optimizer.lr == 1e-3


def test_dense_labels_leaves_change_what_their_names_say():
    for task in ('partseg', 'densepose'):
        changed = difference(read(dense(f'{task}_res50_scratch')), read(dense(f'{task}_res50')))
        assert set(changed) == {f'model.backbone.init_cfg{k}' for k in ('', '.type', '.checkpoint')}
    parts, points = read(dense('partseg_res50')), read(dense('densepose_res50'))
    flip = read(dense('densepose_res50_flip'))
    steps = [
        [step.type for step in config.train_dataloader.dataset.pipeline]
        for config in (parts, points, flip)
    ]
    assert steps[0] == steps[2]
    assert steps[1] == [name for name in steps[0] if name != 'RandomFlip']
    assert flip.train_dataloader.dataset.symmetry_file
    assert {
        name.partition('.')[0] for name in difference(flip, points)
    } == {'train_dataloader'}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize('name', ['partseg_res50', 'partseg_hrnet-w32_scratch', 'densepose_res50'])
def test_dense_labels_train(name, dense_bodies):
    config = copy.deepcopy(read(dense(name)))
    dataset = config.train_dataloader.dataset
    dataset.update(
        data_root=str(dense_bodies), ann_file='densepose.json', data_prefix=dict(img='images/')
    )
    if 'hrnet' in name:
        config.model.backbone = read(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny
        config.model.head.in_channels = 16
    else:
        config.model.backbone.update(stem_channels=8, base_channels=8, init_cfg=None)
        config.model.head.in_channels = 256
    log = train_once(config)
    losses = {'loss_parts'} | ({'loss_charts', 'loss_uv'} if 'densepose' in name else set())
    assert {key for key in log if key.startswith('loss_')} == losses
    assert log['loss'] == pytest.approx(sum(log[key] for key in losses))


@pytest.mark.slow
def test_jigclu_on_an_hourglass_takes_the_last_stack(tiny_coco):
    """As its README says, with fewer channels; 128 must divide the side."""
    config = shrink(read(jigclu('res50', 'coco')), tiny_coco)
    config.model.input_size = (128, 128)
    config.model.backbone = dict(
        type='HourglassNet', num_stacks=2, feat_channel=16,
        stage_channels=(256, 16, 16, 16, 16, 16), stage_blocks=(1, 1, 1, 1, 1, 1),
    )  # fmt: skip
    config.model.head.in_channels = 16
    assert train_once(config)['loss'] > 0


@pytest.mark.parametrize(
    'path', [p for p in TOPDOWN if p not in FEW_LABELS + FROZEN], ids=lambda path: path.stem
)
@pytest.mark.slow
def test_topdown_differs_from_stock_only_in_what_its_name_says(path):
    network, pretraining, epochs = re.fullmatch(
        r'td-hm_(hrnet-w32|res50|ViTPose-\w+)_(scratch|\w+-pre)-8xb64-(\d+)e_coco-256x192',
        path.stem,
    ).groups()
    stock = get_config(STOCK.format(network))
    changed = difference(read(path), stock)
    init = {n: v for n, v in changed.items() if n.startswith('model.backbone.init_cfg')}
    assert SEED_HOOK.items() <= changed.items()
    schedule = {n: v for n, v in changed.items() if n not in init | SEED_HOOK}
    backbone = read(path).model.backbone
    if pretraining == 'scratch':
        assert backbone.init_cfg is None
    elif pretraining == 'imagenet-pre':
        assert init == {}
        assert backbone.init_cfg.type == 'Pretrained'
    else:
        assert pretraining in ('hsjp-pre', 'jigclu-pre', 'mae-pre')
        names = {'type': 'hsjp_mm.PretextInit', 'checkpoint': ''}
        assert {k: v for k, v in backbone.init_cfg.items() if k != '_scope_'} == names
    old = stock.param_scheduler[1]
    longer = int(epochs) / stock.train_cfg.max_epochs
    assert schedule == (
        {}
        if longer == 1
        else {
            'train_cfg.max_epochs': int(epochs),
            'param_scheduler.1.begin': None,  # the default, 0
            'param_scheduler.1.end': int(epochs),
            'param_scheduler.1.milestones.0': round(old.milestones[0] * longer),
            'param_scheduler.1.milestones.1': round(old.milestones[1] * longer),
        }
    )


def leaf_and_base(path: Path, change: str) -> tuple[Config, Config]:
    """A leaf, and the config without this part of its name."""
    stem, found = re.subn(change, '', path.stem)
    assert found == 1
    return read(path), read(path.with_stem(stem))


@pytest.mark.parametrize('path', FEW_LABELS, ids=lambda path: path.stem)
def test_few_labels_leaf_wraps_the_training_data_and_changes_nothing_else(path):
    config, base = leaf_and_base(path, r'-labels10(?=-8xb64)')
    wrapper = config.train_dataloader.dataset
    assert flatten(wrapper.dataset) == flatten(base.train_dataloader.dataset)
    rest = {name: value for name, value in wrapper.items() if name not in ('dataset', '_scope_')}
    assert rest == {'type': 'hsjp_mm.LabelSubset', 'fraction': 0.1}
    changed = difference(config, base)
    assert all(name.startswith('train_dataloader.dataset.') for name in changed)


def test_figures_5_and_6_have_their_leaves():
    pattern = r'td-hm_(hrnet-w32|res50)_(hsjp-pre|scratch)-labels10-8xb64-210e_coco-256x192'
    found = [re.fullmatch(pattern, path.stem).groups() for path in FEW_LABELS]
    networks, starts = ('hrnet-w32', 'res50'), ('hsjp-pre', 'scratch')
    assert found == [(network, init) for network in networks for init in starts]
    name = 'td-hm_hrnet-w32_hsjp-pre-frozen0-{}-8xb64-210e_coco-256x192'
    assert [path.stem for path in FROZEN] == [name.format(last) for last in range(5)]


@pytest.mark.parametrize(
    ('options', 'size'),
    [
        ({'fraction': 0.9}, (0.9, None, 'images')),
        ({'fraction': None, 'number': 5000, 'by': 'persons'}, (None, 5000, 'persons')),
    ],
)
def test_options_of_the_readme_change_the_share_of_labels(options, size):
    config = copy.deepcopy(read(FEW_LABELS[0]))
    parser = ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    given = [f'train_dataloader.dataset.{name}={value}' for name, value in options.items()]
    config.merge_from_dict(parser.parse_args(['--cfg-options', *given]).cfg_options)
    dataset = DATASETS.build({**config.train_dataloader.dataset, 'lazy_init': True})
    assert (dataset.fraction, dataset.number, dataset.by) == size


@pytest.mark.slow
@pytest.mark.parametrize('path', FROZEN, ids=lambda path: path.stem)
def test_frozen_leaf_freezes_what_its_name_says(path):
    last = int(re.search(r'-frozen0-(\d)-', path.stem)[1])
    config, base = leaf_and_base(path, r'-frozen0-\d(?=-8xb64)')
    assert difference(config, base) == {
        'custom_hooks.2.type': 'hsjp_mm.FreezeHook',
        **{f'custom_hooks.2.layers.{layer}': layer for layer in range(last + 1)},
    }
    model = build_model(config)
    HOOKS.build(config.custom_hooks[2]).before_run(SimpleNamespace(model=model))
    stock = copy.deepcopy(config)
    stock.model.backbone.frozen_stages = last
    trained, expected = (
        {name for name, p in network.named_parameters() if p.requires_grad}
        for network in (model, build_model(stock))
    )
    assert trained == expected
    readme = (path.parent / 'README.md').read_text()
    number = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert f']({path.name}) | 0–{last} | {number:,} |' in readme


@pytest.mark.parametrize('path', DETECTION, ids=lambda path: path.stem)
def test_detection_differs_from_stock_only_in_its_backbone(path):
    assert re.fullmatch(r'faster-rcnn_r50_(hsjp|jigclu)-pre_fpn_1x_coco', path.stem)
    stock = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    changed = difference(read(path), stock)
    assert changed == {
        'custom_hooks.0.type': 'hsjp_mm.SeedHook',
        'model.backbone.frozen_stages': -1,
        'model.backbone.norm_eval': False,
        'model.backbone.norm_cfg.type': 'SyncBN',
        'model.backbone.init_cfg.type': 'hsjp_mm.PretextInit',
        'model.backbone.init_cfg.checkpoint': '',
    }


@pytest.mark.slow
def test_detection_trains_every_parameter_of_the_backbone():
    backbone = build_model(read(DETECTION[0])).backbone
    backbone.train()
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.SyncBatchNorm)]
    assert len(norms) == 53
    assert all(norm.training for norm in norms)


AE = 'mmpose::body_2d_keypoint/associative_embedding/coco/ae_hrnet-w32_8xb24-300e_coco-512x512.py'
HIGHERHRNET_DEFAULT = (
    ROOT / 'configs/higherhrnet/coco/higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py'
)
PRETEXT_INIT = {
    'model.backbone.init_cfg.type': 'hsjp_mm.PretextInit',
    'model.backbone.init_cfg.checkpoint': '',
}
HIGHERHRNET_CHANGES = {
    'hsjp-pre': PRETEXT_INIT,
    'jigclu-pre': PRETEXT_INIT,
    'scratch': {
        'model.backbone.init_cfg': None,
        'model.backbone.init_cfg.type': None,
        'model.backbone.init_cfg.checkpoint': None,
    },
    'public-code': {'max_shift': 0.2 * 512},
    'no-blocks': {'model.head.num_blocks': 0},
    'no-blocks-no-aggregate': {'model.head.num_blocks': 0, 'model.test_cfg.aggregate': False},
    'no-blocks-no-concat-no-aggregate': {
        'model.head.num_blocks': 0,
        'model.head.concat': False,
        'model.test_cfg.aggregate': False,
    },
    'deconvs2-no-blocks': {'model.head.num_deconvs': 2, 'model.head.num_blocks': 0},
}


def without_pipelines(changes: dict) -> dict:
    """The changes but those of the data pipelines, and of the variables that these are made of."""
    kept = r'(?!.*pipeline)(?!(codec|input_size|finest|data|hrnet_w48)\b)'
    return {name: value for name, value in changes.items() if re.match(kept, name)}


@pytest.mark.parametrize('path', HIGHERHRNET, ids=lambda path: path.stem)
@pytest.mark.slow
def test_higherhrnet_sizes_agree_everywhere(path):
    config = read(path)
    head, targets = config.model.head, config.train_dataloader.dataset.pipeline[3]
    assert (
        build_model(config).head.in_channels == config.model.backbone.extra.stage2.num_channels[0]
    )
    side = int(path.stem.split('x')[-1])
    assert head.decoder.heatmap_size == head.decoder.input_size == (side, side)
    assert targets.multilevel
    sizes = [(side * 2**i // 4, side * 2**i // 4) for i in range(head.get('num_deconvs', 1) + 1)]
    assert [encoder.heatmap_size for encoder in targets.encoder] == sizes
    for encoder in targets.encoder:
        assert {**encoder, 'heatmap_size': (side, side)} == head.decoder
        assert encoder.sigma == 2  # the same at every resolution
    metainfo = DATASETS.build(
        {**config.train_dataloader.dataset, 'lazy_init': True, 'pipeline': []}
    ).metainfo
    assert sorted(head.decoder.decode_keypoint_order) == [*range(metainfo['num_keypoints'])]


def test_higherhrnet_changes_in_the_stock_baseline_what_the_paper_has_otherwise():
    config, stock = read(HIGHERHRNET_DEFAULT), get_config(AE)
    changed = without_pipelines(difference(config, stock))
    changed = {name: value for name, value in changed.items() if 'model.head' not in name}
    assert changed == {
        **SEED_HOOK,
        'custom_hooks.2.type': 'hsjp_mm.BottomupVisualizationHook',
        'auto_scale_lr.base_batch_size': 48,
        'optim_wrapper.optimizer.lr': 1e-3,
        'train_dataloader.batch_size': 12,
        **{name: value for name, value in changed.items() if name.startswith('param_scheduler.')},
    }
    [scheduler] = config.param_scheduler
    assert (scheduler.type, scheduler.by_epoch) == ('MultiStepLR', True)
    assert (scheduler.milestones, scheduler.gamma) == ([200, 260], 0.1)
    affine = config.train_dataloader.dataset.pipeline[1]
    built = TRANSFORMS.build(affine)
    assert (built.max_shift, built.rotate_factor, built.distribution) == (40, 30, 'uniform')
    assert (built.scale_factor, built.scale_type) == ((0.75, 1.5), 'short')


@pytest.mark.parametrize(
    'path',
    [p for p in HIGHERHRNET if re.search(r'w32_.+-4xb12.+_coco-512', p.stem)],
    ids=lambda path: path.stem,
)
def test_higherhrnet_leaf_changes_only_what_its_name_says(path):
    change = re.fullmatch(r'higherhrnet_hrnet-w32_(.+)-4xb12-300e_coco-512x512', path.stem)[1]
    expected = dict(HIGHERHRNET_CHANGES[change])
    changed = difference(read(path), read(HIGHERHRNET_DEFAULT))
    shift = expected.pop('max_shift', None)
    if shift:
        places = ('train_pipeline', 'train_dataloader.dataset.pipeline')
        assert changed == {f'{place}.1.max_shift': shift for place in places}
    elif change.startswith('deconvs2'):
        assert without_pipelines(changed) == expected  # its targets: the test of the sizes
    else:
        assert changed == expected


def test_higherhrnet_sizes_widths_and_data_differ_in_nothing_else():
    coco = HIGHERHRNET_DEFAULT.parent
    w32 = read(coco / 'higherhrnet_hrnet-w32_4xb12-300e_coco-640x640.py')
    decoder = {
        f'model.head.decoder.{a}_size.{i}': 640 for a in ('input', 'heatmap') for i in (0, 1)
    }
    assert without_pipelines(difference(w32, read(HIGHERHRNET_DEFAULT))) == decoder
    baseline = read(coco / 'ae_hrnet-w32_4xb12-300e_coco-512x512.py')
    changed = difference(baseline, read(HIGHERHRNET_DEFAULT))
    assert without_pipelines(changed) == {'model.head.num_deconvs': 0}
    w40 = read(coco / 'higherhrnet_hrnet-w40_4xb12-300e_coco-640x640.py')
    network = (
        r'model\.backbone\.(extra\.stage\d\.num_channels|init_cfg)\b.*|model\.head\.in_channels'
    )
    assert all(re.fullmatch(network, name) for name in difference(w40, w32))
    w48 = read(coco / 'higherhrnet_hrnet-w48_4xb10-300e_coco-640x640.py')
    batch = {'train_dataloader.batch_size': 10, 'auto_scale_lr.base_batch_size': 40}
    changed = without_pipelines(difference(w48, w32))
    assert batch.items() <= changed.items()
    assert all(re.fullmatch(network, name) for name in changed if name not in batch)
    crowdpose = read(
        coco.with_name('crowdpose') / 'higherhrnet_hrnet-w48_4xb10-300e_crowdpose-640x640.py'
    )
    changed = without_pipelines(difference(crowdpose, w48))
    keypoints = r'model\.head\.decoder\.decode_keypoint_order\.\d+'
    data = r'data.*|(train|val|test)_dataloader\.dataset\..+|(val|test)_evaluator\..+'
    best = r'default_hooks\.checkpoint\.save_best'
    assert all(re.fullmatch(f'{keypoints}|{data}|{best}', name) for name in changed)
    assert crowdpose.val_dataloader.dataset.pipeline == w48.val_dataloader.dataset.pipeline


def pbn(change: str, data: str = 'mpii') -> Path:
    return ROOT / f'configs/pbn/{data}/pbn_{change}1xb16-250e_{data}-256x256.py'


SHIPPED_GROUPS = 'configs/pbn/part_groups/mpii_{}.json'
PBN_CHANGES = {
    'baseline': {'part_groups': None, 'num_keypoints': 16, 'depth': 0},
    'deep-baseline': {'part_groups': None, 'num_keypoints': 16},
    'specific': {'fuse': 'specific'},
    'hsjp-pre': {'init_cfg.type': 'hsjp_mm.PretextInit', 'init_cfg.checkpoint': ''},
    **{f'depth{n}': {'depth': n} for n in (2, 3)},
    **{f'width{n}': {'width': n} for n in (16, 32, 128, 256)},
    **{f'groups{n}': {'part_groups': SHIPPED_GROUPS.format(n)} for n in (2, 8, 16)},
    **{f'groups-{n}': {'part_groups': SHIPPED_GROUPS.format(n)} for n in ('body', 'overlapping')},
}  # fmt: skip


@pytest.mark.parametrize('path', PBN_OWN, ids=lambda path: path.stem)
@pytest.mark.slow
def test_pbn_leaf_changes_only_what_its_name_says(path):
    stacks, change, data = re.fullmatch(
        r'pbn_stack(\d)_(?:(.+)-)?1xb16-250e_(\w+)-256x256', path.stem
    ).groups()
    changed = difference(read(path), read(pbn('stack8_', data)))
    if change == 'pyramid':
        pipeline = read(path).test_dataloader.dataset.pipeline
        assert [step.type for step in pipeline[2:]] == [
            'hsjp_mm.TopdownPyramid', 'hsjp_mm.PackImagePyramid'
        ]  # fmt: skip
        assert changed.pop('model.type') == 'hsjp_mm.MultiscaleTopdownPoseEstimator'
        assert all(name.startswith('test_dataloader.dataset.pipeline.') for name in changed)
        return
    expected = {'model.backbone.num_stacks': 3, 'model.head.num_stages': 3}
    expected = {} if stacks == '8' else {name: int(stacks) for name in expected}
    expected |= {f'model.backbone.{k}': v for k, v in PBN_CHANGES.get(change, {}).items()}
    assert change is None or change in PBN_CHANGES
    assert changed == expected


def test_pbn_has_the_ablations_of_figure_5():
    stems = {path.stem for path in PBN_OWN}
    assert {pbn(f'stack3_{change}-').stem for change in PBN_CHANGES} <= stems
    for stacks in (1, 3, 8):
        assert {pbn(f'stack{stacks}_', data).stem for data in ('mpii', 'lsp')} <= stems


def test_pbn_is_trained_as_in_the_paper():
    config = read(pbn('stack8_'))
    assert (config.optim_wrapper.optimizer.type, config.optim_wrapper.optimizer.lr) == (
        'RMSprop', 2.5e-4
    )  # fmt: skip
    [scheduler] = config.param_scheduler
    assert (scheduler.type, scheduler.by_epoch) == ('MultiStepLR', True)
    assert (scheduler.milestones, scheduler.gamma) == ([170, 220], 0.1)
    steps = {step.type: step for step in config.train_dataloader.dataset.pipeline}
    box = steps['RandomBBoxTransform']
    assert (box.scale_factor, box.rotate_factor, box.shift_prob) == ((0.75, 1.25), 30, 0)
    assert steps['hsjp_mm.TopdownShearAffine'].shear == 0.5
    encoder = steps['GenerateTarget'].encoder
    assert encoder == config.model.head.decoder
    assert (encoder.type, encoder.sigma) == ('hsjp_mm.HighestCell', 1)
    assert (encoder.input_size, encoder.heatmap_size) == ((256, 256), (64, 64))


@pytest.mark.parametrize(
    ('name', 'millions'), [('stack8_', 26.69), ('stack8_deep-baseline-', 27.22)]
)
def test_pbn_has_the_parameters_of_table_6(name, millions):
    model = build_model(read(pbn(name)))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == millions


def test_pbn_on_lsp_differs_in_data_and_measure():
    changed = difference(read(pbn('stack8_', 'lsp')), read(pbn('stack8_')))
    names = r'model\.(metainfo|test_cfg\.output_keypoint_indices)\b.*|lsp.*|mpii_metainfo\..+'
    data = r'(train|val|test)_dataloader\.dataset\..+|(val|test)_evaluator\.type'
    best = r'default_hooks\.checkpoint\.save_best'
    assert all(re.fullmatch(f'{names}|{data}|{best}', name) for name in changed)
    config = read(pbn('stack8_', 'lsp'))
    assert tuple(config.model.test_cfg.output_keypoint_indices) == MPII_OF_LSP
    assert config.train_dataloader.dataset.pipeline == read(pbn('stack8_')).train_pipeline
    mpii, lsp, extended = config.train_dataloader.dataset.datasets
    assert (mpii.type, lsp.split, 'split' in extended) == ('MpiiDataset', 'train', False)
    assert tuple(map(tuple, lsp.pipeline[0].mapping)) == LSP_TO_MPII
    assert extended.pipeline == lsp.pipeline
    assert config.val_dataloader.dataset.split == 'test'


@pytest.mark.parametrize('network', ['hrnet-w32', 'res50'])
def test_part_branches_change_the_stock_head_alone(network):
    path = ROOT / f'configs/pbn/coco/td-hm_{network}_part-branch-8xb64-210e_coco-256x192.py'
    assert difference(read(path), get_config(STOCK.format(network))) == {
        **SEED_HOOK,
        'model.head.type': 'hsjp_mm.PartBranchHead',
        'model.head.part_groups': 'configs/pbn/part_groups/coco.json',
    }


@pytest.mark.parametrize(
    'path',
    [p for p in CONFIGS if re.search('_(hsjp|jigclu)-pre[-_]', p.stem)],
    ids=lambda path: path.stem,
)
@pytest.mark.slow
def test_pretext_pre_stops_without_a_checkpoint(path):
    config = copy.deepcopy(read(path))
    option = 'model.backbone.init_cfg.checkpoint'
    with pytest.raises(ValueError, match=f'--cfg-options {option}='):
        MODELS.build(config.model).init_weights()
    config.merge_from_dict({option: 'no-such.pth'})
    with pytest.raises(FileNotFoundError, match=r"checkpoint='no-such\.pth' is not a file"):
        MODELS.build(config.model).init_weights()


@pytest.mark.slow
def test_index_names_every_config():
    index = load_index(str(ROOT / 'model-index.yml'))
    collections = {collection.name: collection for collection in index.collections}
    assert all((ROOT / collection.readme).is_file() for collection in collections.values())
    models = {model.config: model for model in index.models}
    assert sorted(models) == [str(path.relative_to(ROOT)) for path in sorted(INDEXED)]
    for path in INDEXED:
        model = models[str(path.relative_to(ROOT))]
        assert model.name == path.stem
        length = read(path).train_cfg
        unit = 'Epochs' if 'max_epochs' in length else 'Iterations'
        assert model.metadata.data[unit] == length.get('max_epochs', length.get('max_iters'))
        assert model.in_collection in collections


@pytest.mark.parametrize('path', INDEXED, ids=lambda path: path.stem)
def test_tables_name_every_config(path):
    assert f']({path.name})' in (path.parent / 'README.md').read_text()


def test_difference_sees_every_kind_of_change():
    one = Config(dict(a=1, b=[dict(c=1), dict(d=2)], e=dict(f=(1, 2)), g=None, _scope_='mmpose'))
    two = Config(dict(a=1, b=[dict(c=1), dict(d=3)], e=dict(f=(1, 5)), h=4))
    assert difference(two, one) == {'b.1.d': 3, 'e.f.1': 5, 'g': None, 'h': 4}
