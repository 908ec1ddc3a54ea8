"""Classification protocols on a generated folder of colors and small networks."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine import Config
from torch import nn

from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.probing import classification as probes
from hsjp_mm.probing import probe
from tests.helpers import ROOT
from tests.probing.colors import make_images

RESNET = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
FAST = dict(size=32, workers=0)


@pytest.fixture
def config() -> Config:
    return Config(dict(default_scope='mmpose', model=dict(backbone=RESNET)))


@pytest.fixture
def backbones(monkeypatch) -> list[tuple[nn.Module, dict]]:
    """The backbones that probe built, each with its state at that time."""
    built = []
    build = probes.build_backbone

    def spy(*args):
        backbone, coverage = build(*args)
        state = {name: value.clone() for name, value in backbone.state_dict().items()}
        built.append((backbone, state))
        return backbone, coverage

    monkeypatch.setattr(probes, 'build_backbone', spy)
    return built


def moved(backbone: nn.Module, before: dict) -> set[str]:
    after = backbone.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


# The protocols


@pytest.mark.slow
def test_linear_learns_colors_and_moves_nothing_of_the_backbone(config, images, backbones):
    result = probe(config, None, images, 'linear', epochs=30, batch_size=16, **FAST)
    assert result['top1'] == 1
    assert moved(*backbones[0]) == set()
    assert not any(p.requires_grad and p.grad is not None for p in backbones[0][0].parameters())
    assert (result['train_images'], result['val_images'], result['classes']) == (60, 15, 3)
    assert result['chance'] == pytest.approx(1 / 3)
    assert result['top5'] is None
    assert result['lr'] == 10.0 * 16 / 256
    assert result['coverage'] == 'backbone: random weights'


def test_knn_trains_nothing(config, images, backbones):
    result = probe(config, None, images, 'knn', **FAST)
    assert result['top1'] == 1
    assert moved(*backbones[0]) == set()
    assert result['epochs'] is result['lr'] is None


def test_finetune_trains_all_layers_even_those_the_config_freezes(images, backbones):
    backbone = dict(RESNET, frozen_stages=2, norm_eval=True)
    config = Config(dict(default_scope='mmpose', model=dict(backbone=backbone)))
    result = probe(config, None, images, 'finetune', epochs=2, batch_size=10, lr=0.05, **FAST)
    network, before = backbones[0]
    # every parameter and batch-norm statistic
    assert moved(network, before) == set(before)
    assert not network.training
    assert result['lr_last_layer'] == 0.2 * 10 / 256


@pytest.mark.parametrize(
    'scope, backbone',
    [
        ('mmpose', Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny.to_dict()),
        ('mmdet', dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)),
    ],
)
@pytest.mark.slow
def test_other_backbones_and_scopes(scope, backbone, images):
    config = Config(dict(default_scope=scope, model=dict(backbone=backbone)))
    result = probe(config, None, images, 'knn', **FAST)
    assert result['channels'] == {'mmpose': 16, 'mmdet': 64}[scope]
    assert result['top1'] > 0.6


@pytest.mark.parametrize('protocol', ['linear', 'knn', 'finetune'])
def test_same_call_same_result(protocol, config, images):
    epochs = None if protocol == 'knn' else 2
    results = [
        probe(config, None, images, protocol, seed=seed, epochs=epochs, labels=0.5, **FAST)
        for seed in (3, 3)
    ]
    for result in results:
        del result['seconds']
    assert results[0] == results[1]


def test_checkpoint_is_loaded_through_the_audit(config, images, backbones, tmp_path):
    torch.manual_seed(5)
    state = probes.build_backbone(config, None)[0].state_dict()
    torch.save({f'backbone.{name}': value for name, value in state.items()}, tmp_path / 'x.pth')
    result = probe(config, str(tmp_path / 'x.pth'), images, 'knn', **FAST)
    assert f'{len(state)} of {len(state)} tensors' in result['coverage']
    assert moved(backbones[-1][0], state) == set()
    del state['layer4.0.conv1.weight']
    torch.save(state, tmp_path / 'y.pth')
    with pytest.raises(CheckpointError, match=r'layer4\.0\.conv1\.weight'):
        probe(config, str(tmp_path / 'y.pth'), images, 'knn', **FAST)


@pytest.mark.parametrize(
    'labels, lr, lr_last_layer', [(0.01, 0.02, 5.0), (0.1, 0.01, 0.2), (1.0, 0.01, 0.2)]
)
def test_settings_of_the_published_commands(labels, lr, lr_last_layer):
    recipe = probes.default_recipe('finetune', labels)
    assert (recipe.lr, recipe.lr_last_layer) == (lr, lr_last_layer)
    assert probes.default_recipe('linear', labels).drops == (60, 80)


def test_learning_rate_drops(config, images, log_file):
    probe(config, None, images, 'linear', epochs=5, batch_size=30, lr=0.4, **FAST)
    lines = [line for line in log_file.read_text().splitlines() if line.startswith('epoch')]
    rates = [float(line.split()[-1]) for line in lines]
    assert rates == pytest.approx([0.4, 0.4, 0.4, 0.04, 0.004])


def test_training_is_gradient_descent_with_momentum():
    """Two steps of the last layer against the update written out."""
    features = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
    targets = torch.tensor([0, 1])
    head = nn.Linear(2, 2)
    weight, velocity = head.weight.detach().clone(), 0
    bias = head.bias.detach().clone()
    bias_velocity = 0
    for _ in range(2):
        error = (features @ weight.T + bias).softmax(1) - F.one_hot(targets)
        velocity = 0.9 * velocity + error.T @ features / 2
        bias_velocity = 0.9 * bias_velocity + error.mean(0)
        weight, bias = weight - 0.3 * velocity, bias - 0.3 * bias_velocity
    maps = features[:, :, None, None].expand(2, 2, 3, 4)
    probes.train_classifier(nn.Identity(), head, [(maps, targets)], 2, 0.3, None, [9])
    torch.testing.assert_close(head.weight.detach(), weight)
    torch.testing.assert_close(head.bias.detach(), bias)


# The measures


def test_knn_by_hand():
    """Cosines with (1, 0): 1, 0.6, 0, of which K = 2 vote; lengths do not matter."""
    bank = torch.tensor([[5.0, 0.0], [0.6, 0.8], [0.0, 0.1]])
    scores = probes.knn_scores(
        torch.tensor([[2.0, 0.0]]), bank, torch.tensor([2, 0, 1]), 4, neighbors=2, temperature=0.5
    )
    torch.testing.assert_close(scores, torch.tensor([[math.exp(1.2), 0, math.exp(2), 0]]))


def test_knn_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(11, 6, generator=generator, dtype=torch.float64)
    bank = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    targets = torch.randint(5, (30,), generator=generator)
    expected = torch.zeros(11, 5, dtype=torch.float64)
    for q, query in enumerate(queries):
        cosines = [
            (float(query @ row / query.norm() / row.norm()), int(target))
            for row, target in zip(bank, targets, strict=True)
        ]
        for cosine, target in sorted(cosines)[-7:]:
            expected[q, target] += math.exp(cosine / 0.07)
    scores = probes.knn_scores(queries, bank, targets, 5, neighbors=7, chunk=4)
    torch.testing.assert_close(scores, expected)


def test_knn_with_fewer_images_than_neighbors():
    scores = probes.knn_scores(torch.ones(1, 2), torch.ones(3, 2), torch.tensor([0, 1, 1]), 2)
    torch.testing.assert_close(scores[0, 1] / scores[0, 0], torch.tensor(2.0))


def test_top_k_by_hand():
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.7, 0.2, 0.1], [0.0, 0.0, 0.3]])
    targets = torch.tensor([2, 0, 0])
    # ranks 2, 1, and 2 or 3 with equal chance
    assert probes.top_k(scores, targets, 1) == pytest.approx(1 / 3)
    assert probes.top_k(scores, targets, 2) == pytest.approx(2.5 / 3)
    assert probes.top_k(torch.zeros(4, 10), torch.arange(4), 5) == pytest.approx(0.5)
    with pytest.raises(ValueError, match='NaN'):
        probes.top_k(torch.full((1, 2), math.nan), torch.tensor([0]), 1)


def test_top5_with_more_than_five_classes(config, tmp_path):
    colors = {f'c{i}': (40 * i, 20 * i, 240 - 40 * i) for i in range(6)}
    make_images(tmp_path / 'train', colors, number=3, seed=0)
    make_images(tmp_path / 'val', colors, number=2, seed=1)
    result = probe(config, None, str(tmp_path), 'knn', **FAST)
    assert result['top1'] <= result['top5'] <= 1
    assert result['top5'] > 5 / 6


def test_labels_reach_the_training(config, images):
    result = probe(config, None, images, 'knn', labels=0.2, **FAST)
    assert result['train_images'] == 12
    assert result['batch_size'] == 12


# Bad input


@pytest.mark.parametrize(
    'protocol, options, message',
    [
        ('ridge', {}, "protocol='ridge' must be one of linear, knn, finetune"),
        ('knn', dict(labels=0.0), r'labels=0.0 must be in \(0, 1\]'),
        ('knn', dict(labels=1.5), r'labels=1.5 must be in \(0, 1\]'),
        ('knn', dict(size=31), 'size=31 must be at least 32'),
        ('knn', dict(lr=0.1), "lr=0.1 has no use in protocol 'knn'"),
        ('linear', dict(lr_last_layer=0.1), 'lr_last_layer=0.1 has no use'),
        ('linear', dict(lr=-1.0), 'lr=-1.0 must be positive'),
        ('linear', dict(epochs=0), 'epochs=0 must be at least 1'),
        ('linear', dict(batch_size=0), 'batch_size=0 must be at least 1'),
        ('finetune', dict(batch_size=1), 'batch_size=1 must be at least 2'),
        ('knn', dict(workers=-1), 'workers=-1'),
        ('knn', dict(device='gpu'), "device='gpu' cannot be used"),
    ],
)
def test_settings_out_of_range(protocol, options, message, config, images):
    with pytest.raises(ValueError, match=message):
        probe(config, None, images, protocol, **{**FAST, **options})


def test_nan_features(config, images, monkeypatch):
    def broken(*args):
        backbone, coverage = build(*args)
        backbone.layer4[1].bn2.bias.data[0] = math.nan
        return backbone, coverage

    build = probes.build_backbone
    monkeypatch.setattr(probes, 'build_backbone', broken)
    with pytest.raises(ValueError, match='ResNet gives NaN or infinity for 1 of 1 images'):
        probe(config, None, images, 'linear', **FAST)


def test_learning_rate_too_high():
    torch.manual_seed(0)
    batch = 1e3 * torch.rand(2, 3, 2, 2), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r'loss is (inf|nan) in epoch 2: lower lr=1e\+38'):
        probes.train_classifier(nn.Identity(), nn.Linear(3, 2), [batch], 3, 1e38, None, [])
