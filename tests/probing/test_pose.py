"""Pose probes on persons that are seventeen dots, and a backbone that sees dots or nothing."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.evaluator import Evaluator
from mmengine.registry import MODELS, DefaultScope

from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.probing.pose import (
    LinearHead,
    PoseProbe,
    copied_keypoints,
    standardize,
    train_head,
)
from tests.probing.dots import CODEC, HEIGHT, KEYPOINTS, WIDTH, dots_config, random_pose, write_dots


@pytest.fixture
def seeing(tmp_path) -> Path:
    """A checkpoint of the backbone that marks the dots."""
    state = {f'backbone.{k}': v for k, v in MODELS.get('DotBackbone')().state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'seeing.pth')
    return tmp_path / 'seeing.pth'


# -------------------------------------------------------------------------------- the whole probe


@pytest.mark.slow
def test_one_hot_features_give_everything_and_blind_ones_the_floor(dots, seeing):
    probe = PoseProbe(dots)
    found = probe.measure(seeing)
    assert found['figures']['AP'] == pytest.approx(1)
    assert found['figures']['OKS'] == pytest.approx(1)
    assert found['scores']['coco/AR'] == pytest.approx(1)
    assert '6 of 6 tensors' in found['coverage'] and found['seconds'] > 0
    assert probe.metric == 'coco/AP'
    # of nothing a linear head makes the same places for all
    assert probe.floor['figures']['AP'] == 0 and probe.floor['figures']['OKS'] < 0.3
    assert probe.floor['coverage'] == 'backbone: random weights'


@pytest.mark.slow
def test_the_floor_is_what_a_file_of_the_same_random_weights_gives(dots, tmp_path):
    dots.model.backbone = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
    probe = PoseProbe(dots, iterations=20, seed=3)
    torch.manual_seed(3)
    backbone = MODELS.build(dots.model.backbone)
    backbone.init_weights()
    torch.save(backbone.state_dict(), tmp_path / 'random.pth')
    found = probe.measure(tmp_path / 'random.pth')
    assert found['scores'] == probe.floor['scores']
    assert found['figures'] == probe.floor['figures']
    assert PoseProbe(dots, iterations=20, seed=4).floor['figures'] != probe.floor['figures']


@pytest.mark.slow
def test_measuring_does_not_depend_on_what_was_measured_before(dots, seeing):
    probe = PoseProbe(dots, iterations=5)
    first, _, again = probe.measure(seeing), probe.floor, probe.measure(seeing)
    assert first['figures'] == again['figures']
    assert first['figures'] == PoseProbe(dots, iterations=5).measure(seeing)['figures']


@pytest.mark.slow
def test_the_caller_keeps_random_numbers_scope_and_grad_mode(dots, seeing):
    def draw() -> tuple:
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002

    def seed() -> None:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)

    seed()
    expected = draw()
    seed()
    with torch.no_grad(), DefaultScope.overwrite_default_scope('mmdet'):
        figures = PoseProbe(dots, iterations=100).measure(seeing)['figures']
        assert DefaultScope.get_current_instance().scope_name == 'mmdet'
    assert draw() == expected
    assert figures['OKS'] > 0.9  # so the head was trained, in no_grad too


@pytest.mark.slow
def test_identical_crops_are_copied_exactly_but_never_from_the_same_image(tmp_path, seeing):
    rng = np.random.RandomState(0)
    poses = [random_pose(rng) for _ in range(2)]
    write_dots(tmp_path, 'train', [pose for pose in poses for _ in range(6)])
    write_dots(tmp_path, 'val', poses)
    dots = dots_config(tmp_path)
    assert PoseProbe(dots, iterations=1).measure(seeing)['figures']['copied_OKS'] == (
        pytest.approx(1)
    )
    # three images of each pose, two persons each; the own one left out, four alike are left
    dots.val_dataloader.dataset.update(ann_file='train.json', data_prefix=dict(img='train'))
    dots.val_evaluator.ann_file = str(tmp_path / 'train.json')
    probe = PoseProbe(dots, iterations=1)
    strict = probe.measure(seeing)['figures']['copied_OKS']
    fifth = poses[1] - poses[0]  # the fifth neighbor has the other pose
    variances = (2 * np.array(probe.val.metainfo['sigmas'])) ** 2
    expected = np.exp(-((fifth / 5) ** 2).sum(1) / (2 * 3000 * variances)).mean()
    assert strict == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_pck_where_the_config_measures_it(dots, seeing):
    dots.val_evaluator = [dict(type='PCKAccuracy', thr=0.01), dict(type='AUC')]
    dots.default_hooks.checkpoint.save_best = 'PCK'
    probe = PoseProbe(dots)
    assert probe.measure(seeing)['figures']['PCK'] == 1
    assert probe.floor['figures']['PCK'] < 0.2
    dots.default_hooks.checkpoint.save_best = 'auto'  # the evaluator's first
    assert 'PCK' in PoseProbe(dots, iterations=1).floor['figures']


def test_ap_is_the_stock_evaluators(dots, monkeypatch):
    """That of noisy places on all images, by the stock Evaluator with the file as it is."""
    probe = PoseProbe(dots)
    judged = []
    process = probe.evaluator.process
    monkeypatch.setattr(probe.evaluator, 'process', lambda x: (judged.extend(x), process(x)))
    rng = np.random.RandomState(0)
    spread = np.linspace(0, 0.05, 5)[:, None, None]
    found = probe._evaluate(
        probe.val.places + spread * rng.normal(size=(5, KEYPOINTS, 2)), rng.rand(5, KEYPOINTS)
    )
    stock = Evaluator(dots.val_evaluator)
    stock.dataset_meta = probe.val.metainfo
    stock.process(judged)
    assert stock.evaluate(len(judged)) == pytest.approx(found)
    assert 0.1 < found['coco/AP'] < 0.9


@pytest.mark.slow
def test_only_the_chosen_images_count(dots, seeing):
    found = PoseProbe(dots, persons=2).measure(seeing)
    assert found['figures']['AP'] == pytest.approx(1)  # the persons of other images are not missed


@pytest.mark.parametrize(
    'wrapper, persons',
    [
        (dict(type='hsjp_mm.LabelSubset', number=3, by='persons'), 3),
        (dict(type='RepeatDataset', times=1), 8),
    ],
)
def test_wrapped_data_sets(dots, wrapper, persons):
    dots.train_dataloader.dataset = {**wrapper, 'dataset': dots.train_dataloader.dataset}
    probe = PoseProbe(dots)
    assert len(probe.train.samples) == persons
    assert all(len(sample.gt_fields.heatmaps) == KEYPOINTS for sample in probe.train.samples)


# -------------------------------------------------------------------------------------- the parts


@pytest.mark.slow
def test_training_comes_to_the_least_squares_solution(dots):
    samples = PoseProbe(dots).train.samples
    generator = torch.Generator().manual_seed(0)
    targets = torch.stack([sample.gt_fields.heatmaps for sample in samples])
    noise = torch.randn(len(samples), 6, 24, 16, generator=generator)
    mix = torch.randn(6, KEYPOINTS, generator=generator)
    maps = 5 * noise + torch.einsum('ck,nkhw->nchw', mix, targets) * 20 + 3
    standardize(maps)
    head = LinearHead(6, KEYPOINTS, CODEC)
    train_head(head, maps, samples, iterations=300)
    with torch.no_grad():
        loss = head.loss((maps,), samples, {'compute_acc': False})['loss_kpt'].item()
    inputs = F.pad(maps.permute(0, 2, 3, 1).reshape(-1, 6), (0, 1), value=1).double()
    outputs = targets.permute(0, 2, 3, 1).reshape(-1, KEYPOINTS).double()
    least = torch.linalg.lstsq(inputs, outputs).solution
    best = F.mse_loss(inputs @ least, outputs).item()
    assert best < loss < 1.001 * best
    assert best < 0.95 * F.mse_loss(outputs.mean(0).expand_as(outputs), outputs).item()


def test_low_maps_are_enlarged_as_if_before_the_convolution():
    maps = torch.randn(2, 5, 3, 2, generator=torch.Generator().manual_seed(0))
    head = LinearHead(5, KEYPOINTS, CODEC)
    before = F.interpolate(maps, (24, 16), mode='bilinear', align_corners=False)
    assert torch.allclose(head((maps,)), head.final_layer(before), atol=1e-6)


def test_standardized_maps_forget_scale_and_constants():
    generator = torch.Generator().manual_seed(0)
    maps, others = (torch.rand(n, 3, 4, 5, generator=generator) for n in (6, 2))
    maps[:, 2] = others[:, 2] = 0.3
    scaled = [1e-7 * maps + 1e-8, 1e-7 * others + 1e-8]
    copies = maps.clone(), others.clone()
    standardize(*copies)
    standardize(*scaled)
    assert torch.allclose(copies[0][:, :2].mean((0, 2, 3)), torch.zeros(2), atol=1e-6)
    assert torch.allclose(copies[0][:, :2].std((0, 2, 3)), torch.ones(2))
    back = copies[1][:, 0] * maps[:, 0].std() + maps[:, 0].mean()
    assert torch.allclose(back, others[:, 0], atol=1e-6)
    assert (copies[0][:, 2] == 0).all() and (copies[1][:, 2] == 0).all()
    for one, other in zip(copies, scaled, strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_copied_keypoints_by_hand():
    angles = torch.tensor([10.0, 20, 30, 80]).deg2rad()
    bank = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[9.0], [1], [2], [5]])
    queries = torch.tensor([[2.0, 0], [0, 1]])  # at 0 and 90 degrees
    places = torch.arange(24.0).reshape(4, 3, 2)
    labelled = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0]]).bool()
    allowed = torch.ones(2, 4, dtype=torch.bool)
    nearest = copied_keypoints(queries, bank, places, labelled, allowed, neighbors=1)
    assert nearest[0].tolist() == [[0, 1], [8, 9], [0.5, 0.5]]
    assert nearest[1].tolist() == [[18, 19], [20, 21], [0.5, 0.5]]
    allowed[0, 0] = False
    two = copied_keypoints(queries, bank, places, labelled, allowed, neighbors=2)
    assert two[0].tolist() == [[9, 10], [14, 15], [0.5, 0.5]]  # of crops 1 and 2; 1 and 3; none
    assert two[1].tolist() == [[15, 16], [14, 15], [0.5, 0.5]]  # of 3 and 2; 3 and 1; none
    every = copied_keypoints(queries, bank, places, labelled, allowed, neighbors=99)
    assert every[1, 0].tolist() == [9, 10]


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize('argument', ['persons', 'iterations'])
def test_numbers_below_one(dots, argument):
    with pytest.raises(ValueError, match=f'{argument}=0 must be at least 1'):
        PoseProbe(dots, **{argument: 0})


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('model.head', dict(type='hsjp_mm.HSJPHead'), r'has no model\.head\.decoder: give the top'),
        ('train_dataloader', None, r'has no train_dataloader\.dataset'),
        ('val_evaluator', None, 'has no val_evaluator'),
        ('val_dataloader.dataset.data_mode', 'bottomup', "data_mode='bottomup' must be 'topdown'"),
        (
            'model.head.decoder',
            dict(type='RegressionLabel', input_size=(WIDTH, HEIGHT)),
            "'RegressionLabel'.* must be a codec with a heat map for each of the 17 keypoints",
        ),
        (
            'model.head.decoder',
            dict(
                type='UDPHeatmap', input_size=(WIDTH, HEIGHT), heatmap_size=(16, 24),
                heatmap_type='combined',
            ),
            'must be a codec with a heat map for each of the 17',
        ),
        ('model.backbone.type', 'Mobile', 'Mobile'),
    ],
)  # fmt: skip
def test_configs_that_cannot_be_probed(dots, key, value, message):
    *path, last = key.split('.')
    part = dots
    for name in path:
        part = part[name]
    part[last] = value
    with pytest.raises((ValueError, KeyError), match=message):
        PoseProbe(dots, iterations=1).floor  # noqa: B018


def test_an_unknown_measure_and_device(dots):
    dots.default_hooks.checkpoint.save_best = 'coco/PCK'
    with pytest.raises(ValueError, match=r"save_best='coco/PCK' .* one of .*coco/AP, "):
        PoseProbe(dots, iterations=1).floor  # noqa: B018
    with pytest.raises(ValueError, match="device='tpu9'"):
        PoseProbe(dots, device='tpu9')


def test_checkpoints_that_do_not_fit(dots, seeing):
    probe = PoseProbe(dots, iterations=1)
    state = torch.load(seeing)['state_dict']
    state.pop('backbone.sight')
    torch.save(state, seeing)
    with pytest.raises(CheckpointError, match='sight'):
        probe.measure(seeing)
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        probe.measure('nowhere.pth')
