"""Pose probes on persons that are seventeen dots, and a backbone that sees dots or nothing."""

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModule
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from torch import nn

from hsjp_mm.analysis import PoseProbe
from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.probing.pose import (
    Crops,
    LinearHead,
    copied_keypoints,
    load_crops,
    standardise,
    train_head,
)

WIDTH, HEIGHT, CELL = 64, 96, 4  # of a crop and of a cell of the heat map, in pixels
KEYPOINTS = 17
CODEC = dict(
    type='MSRAHeatmap', input_size=(WIDTH, HEIGHT), heatmap_size=(WIDTH // 4, HEIGHT // 4), sigma=1
)
COLOUR = 14  # of the first dot, and from dot to dot


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
        colours = torch.arange(1, KEYPOINTS + 1)[:, None, None] * COLOUR
        return ((dots - colours).abs() < 3).float() * self.sight


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
        centre = np.array([38 + 83 * place, 53])
        points = pose + centre - (WIDTH // 2, HEIGHT // 2)
        for k, (x, y) in enumerate(points):
            image[y, x, 0] = COLOUR * (k + 1)
        cv2.imwrite(str(folder / part / name), image)
        box = [*(centre - (WIDTH / 2.5, HEIGHT / 2.5)), WIDTH / 1.25, HEIGHT / 1.25]
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


@pytest.fixture
def config(tmp_path) -> Config:
    rng = np.random.RandomState(0)
    write_dots(tmp_path, 'train', [random_pose(rng) for _ in range(8)])
    write_dots(tmp_path, 'val', [random_pose(rng) for _ in range(5)])
    return dots_config(tmp_path)


@pytest.fixture
def seeing(tmp_path) -> Path:
    """A checkpoint of the backbone that marks the dots."""
    state = {f'backbone.{k}': v for k, v in MODELS.get('DotBackbone')().state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'seeing.pth')
    return tmp_path / 'seeing.pth'


# -------------------------------------------------------------------------------- the whole probe


def test_one_hot_features_give_everything_and_blind_ones_the_floor(config, seeing):
    probe = PoseProbe(config)
    found = probe.measure(seeing)
    assert found['figures']['AP'] == pytest.approx(1)
    assert found['figures']['OKS'] == pytest.approx(1)
    assert found['scores']['coco/AR'] == pytest.approx(1)
    assert '6 of 6 tensors' in found['coverage'] and found['seconds'] > 0
    assert probe.metric == 'coco/AP'
    # of nothing a linear head makes the same places for all
    assert probe.floor['figures']['AP'] == 0 and probe.floor['figures']['OKS'] < 0.3
    assert probe.floor['coverage'] == 'backbone: random weights'


def test_the_floor_is_what_a_file_of_the_same_random_weights_gives(config, tmp_path):
    config.model.backbone = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
    probe = PoseProbe(config, iterations=20, seed=3)
    torch.manual_seed(3)
    backbone = MODELS.build(config.model.backbone)
    backbone.init_weights()
    torch.save(backbone.state_dict(), tmp_path / 'random.pth')
    found = probe.measure(tmp_path / 'random.pth')
    assert found['scores'] == probe.floor['scores']
    assert found['figures'] == probe.floor['figures']
    assert PoseProbe(config, iterations=20, seed=4).floor['figures'] != probe.floor['figures']


def test_measuring_does_not_depend_on_what_was_measured_before(config, seeing):
    probe = PoseProbe(config, iterations=5)
    first, _, again = probe.measure(seeing), probe.floor, probe.measure(seeing)
    assert first['figures'] == again['figures']
    assert first['figures'] == PoseProbe(config, iterations=5).measure(seeing)['figures']


def test_the_caller_keeps_random_numbers_scope_and_grad_mode(config, seeing):
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
        figures = PoseProbe(config, iterations=100).measure(seeing)['figures']
        assert DefaultScope.get_current_instance().scope_name == 'mmdet'
    assert draw() == expected
    assert figures['OKS'] > 0.9  # so the head was trained, in no_grad too


def test_identical_crops_are_copied_exactly_but_never_from_the_same_image(tmp_path, seeing):
    rng = np.random.RandomState(0)
    poses = [random_pose(rng) for _ in range(2)]
    write_dots(tmp_path, 'train', [pose for pose in poses for _ in range(6)])
    write_dots(tmp_path, 'val', poses)
    config = dots_config(tmp_path)
    assert PoseProbe(config, iterations=1).measure(seeing)['figures']['copied_OKS'] == (
        pytest.approx(1)
    )
    # three images of each pose, two persons each; the own one left out, four alike are left
    config.val_dataloader.dataset.update(ann_file='train.json', data_prefix=dict(img='train'))
    config.val_evaluator.ann_file = str(tmp_path / 'train.json')
    probe = PoseProbe(config, iterations=1)
    strict = probe.measure(seeing)['figures']['copied_OKS']
    fifth = poses[1] - poses[0]  # the fifth neighbour has the other pose
    variances = (2 * np.array(probe.val.metainfo['sigmas'])) ** 2
    expected = np.exp(-((fifth / 5) ** 2).sum(1) / (2 * 3000 * variances)).mean()
    assert strict == pytest.approx(expected, abs=1e-4)


def test_pck_where_the_config_measures_it(config, seeing):
    config.val_evaluator = [dict(type='PCKAccuracy', thr=0.01), dict(type='AUC')]
    config.default_hooks.checkpoint.save_best = 'PCK'
    probe = PoseProbe(config)
    assert probe.measure(seeing)['figures']['PCK'] == 1
    assert probe.floor['figures']['PCK'] < 0.2
    config.default_hooks.checkpoint.save_best = 'auto'  # the evaluator's first
    assert 'PCK' in PoseProbe(config, iterations=1).floor['figures']


def test_ap_is_the_stock_evaluators(config, monkeypatch):
    """That of noisy places on all images, by the stock Evaluator with the file as it is."""
    probe = PoseProbe(config)
    judged = []
    process = probe.evaluator.process
    monkeypatch.setattr(probe.evaluator, 'process', lambda x: (judged.extend(x), process(x)))
    rng = np.random.RandomState(0)
    spread = np.linspace(0, 0.05, 5)[:, None, None]
    found = probe._evaluate(
        probe.val.places + spread * rng.normal(size=(5, KEYPOINTS, 2)), rng.rand(5, KEYPOINTS)
    )
    stock = Evaluator(config.val_evaluator)
    stock.dataset_meta = probe.val.metainfo
    stock.process(judged)
    assert stock.evaluate(len(judged)) == pytest.approx(found)
    assert 0.1 < found['coco/AP'] < 0.9


def test_only_the_chosen_images_count(config, seeing):
    found = PoseProbe(config, persons=2).measure(seeing)
    assert found['figures']['AP'] == pytest.approx(1)  # the persons of other images are not missed


# ------------------------------------------------------------------------------- what is looked at


def test_choices_are_whole_images_that_lie_inside_one_another(config):
    def chosen(persons: int, seed: int = 0) -> set[int]:
        return {sample.id for sample in load_crops(config, 'train', persons, seed).samples}

    two, four, all_of_them = chosen(1), chosen(3), chosen(99)
    assert [len(two), len(four), len(all_of_them)] == [2, 4, 8]
    assert two < four < all_of_them
    assert {i ^ 1 for i in four} == four  # the two persons of an image
    assert any(chosen(3, seed) != four for seed in (1, 2, 3))


def test_crops_are_those_of_validation_with_annotated_boxes(config):
    config.train_dataloader.dataset.pipeline = [dict(type='LoadImage'), dict(type='RandomFlip')]
    config.val_dataloader.dataset.bbox_file = 'nowhere.json'
    probe = PoseProbe(config)
    assert len(probe.val.images) == 5
    for crops in (probe.train, probe.val):
        for image, places in zip(crops.images, crops.places, strict=True):
            x, y = (places * (WIDTH, HEIGHT)).round().astype(int).T
            assert image[0, y, x].tolist() == list(range(14, 14 * 18, 14))
        assert np.allclose(crops.to_image(crops.places), crops.keypoints, atol=1e-3)
        assert crops.mean_oks(crops.places) == pytest.approx(1)


@pytest.mark.parametrize(
    'wrapper, persons',
    [
        (dict(type='hsjp_mm.LabelSubset', number=3, by='persons'), 3),
        (dict(type='RepeatDataset', times=1), 8),
    ],
)
def test_wrapped_data_sets(config, wrapper, persons):
    config.train_dataloader.dataset = {**wrapper, 'dataset': config.train_dataloader.dataset}
    probe = PoseProbe(config)
    assert len(probe.train.samples) == persons
    assert all(len(sample.gt_fields.heatmaps) == KEYPOINTS for sample in probe.train.samples)


def make_crops(keypoints: np.ndarray, visible: np.ndarray, area: float | None) -> Crops:
    sample = PoseDataSample(
        metainfo=dict(input_center=np.array([50, 60]), input_scale=np.array([40, 80]))
    )
    if area:
        sample.set_metainfo(dict(raw_ann_info=dict(area=area)))
    sample.gt_instances = InstanceData(
        keypoints=keypoints[None], keypoints_visible=visible[None], bboxes=np.array([[0, 0, 10, 5]])
    )
    return Crops([dict(inputs=None, data_samples=sample)], dict(sigmas=[0.05, 0.1, 0.1]))


def test_mean_oks_by_hand():
    keypoints = np.array([[40.0, 60], [50, 60], [0, 0]])
    crops = make_crops(keypoints, np.array([1.0, 1, 0]), area=100)
    assert crops.places[0, :2].tolist() == [[0.25, 0.5], [0.5, 0.5]]
    # the first is a tenth of the width off, 4 pixels: exp(-16 / (2 · 100 · 0.1²)) = exp(-8)
    places = np.array([[[0.35, 0.5], [0.5, 0.5], [9, 9]]])
    assert crops.mean_oks(places) == pytest.approx((np.exp(-8) + 1) / 2)
    # without an area 0.53 of the box
    crops = make_crops(keypoints, np.array([1.0, 1, 0]), area=None)
    assert crops.mean_oks(places) == pytest.approx((np.exp(-16 / (2 * 26.5 * 0.01)) + 1) / 2)


# -------------------------------------------------------------------------------------- the parts


def test_training_comes_to_the_least_squares_solution(config):
    samples = PoseProbe(config).train.samples
    generator = torch.Generator().manual_seed(0)
    targets = torch.stack([sample.gt_fields.heatmaps for sample in samples])
    noise = torch.randn(len(samples), 6, 24, 16, generator=generator)
    mix = torch.randn(6, KEYPOINTS, generator=generator)
    maps = 5 * noise + torch.einsum('ck,nkhw->nchw', mix, targets) * 20 + 3
    standardise(maps)
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


def test_standardised_maps_forget_scale_and_constants():
    generator = torch.Generator().manual_seed(0)
    maps, others = (torch.rand(n, 3, 4, 5, generator=generator) for n in (6, 2))
    maps[:, 2] = others[:, 2] = 0.3
    scaled = [1e-7 * maps + 1e-8, 1e-7 * others + 1e-8]
    copies = maps.clone(), others.clone()
    standardise(*copies)
    standardise(*scaled)
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
    nearest = copied_keypoints(queries, bank, places, labelled, allowed, neighbours=1)
    assert nearest[0].tolist() == [[0, 1], [8, 9], [0.5, 0.5]]
    assert nearest[1].tolist() == [[18, 19], [20, 21], [0.5, 0.5]]
    allowed[0, 0] = False
    two = copied_keypoints(queries, bank, places, labelled, allowed, neighbours=2)
    assert two[0].tolist() == [[9, 10], [14, 15], [0.5, 0.5]]  # of crops 1 and 2; 1 and 3; none
    assert two[1].tolist() == [[15, 16], [14, 15], [0.5, 0.5]]  # of 3 and 2; 3 and 1; none
    every = copied_keypoints(queries, bank, places, labelled, allowed, neighbours=99)
    assert every[1, 0].tolist() == [9, 10]


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize('argument', ['persons', 'iterations'])
def test_numbers_below_one(config, argument):
    with pytest.raises(ValueError, match=f'{argument}=0 must be at least 1'):
        PoseProbe(config, **{argument: 0})


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
def test_configs_that_cannot_be_probed(config, key, value, message):
    *path, last = key.split('.')
    part = config
    for name in path:
        part = part[name]
    part[last] = value
    with pytest.raises((ValueError, KeyError), match=message):
        PoseProbe(config, iterations=1).floor  # noqa: B018


def test_an_unknown_measure_and_device(config):
    config.default_hooks.checkpoint.save_best = 'coco/PCK'
    with pytest.raises(ValueError, match=r"save_best='coco/PCK' .* one of .*coco/AP, "):
        PoseProbe(config, iterations=1).floor  # noqa: B018
    with pytest.raises(ValueError, match="device='tpu9'"):
        PoseProbe(config, device='tpu9')


def test_checkpoints_that_do_not_fit(config, seeing):
    probe = PoseProbe(config, iterations=1)
    state = torch.load(seeing)['state_dict']
    state.pop('backbone.sight')
    torch.save(state, seeing)
    with pytest.raises(CheckpointError, match='sight'):
        probe.measure(seeing)
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        probe.measure('nowhere.pth')
