"""The models that compare views: a step of each, in one process and in two; what they refuse."""

import multiprocessing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmpose.datasets.transforms import GetBBoxCenterScale
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hsjp_mm.datasets import MakeViews, PackViews
from hsjp_mm.models import (
    BYOL,
    MoCo,
    MoCoHead,
    PeCLR,
    PeCLRHead,
    SimCLR,
    SimCLRHead,
    SimSiam,
    SwAV,
    SwAVHead,
)
from hsjp_mm.models.pretext.peclr import lying
from hsjp_mm.models.pretext.views import key_measures, view_measures
from hsjp_mm.visualization.views import draw_views
from tests.helpers import ROOT, leave_group

HEADS = {
    SimCLR: dict(type='hsjp_mm.SimCLRHead', hidden_channels=8, out_channels=8),
    SimSiam: dict(type='hsjp_mm.SimSiamHead', channels=8, predictor_channels=4),
    BYOL: dict(type='hsjp_mm.BYOLHead', hidden_channels=8, out_channels=8),
    MoCo: dict(type='hsjp_mm.MoCoHead', hidden_channels=8, out_channels=8, queue_length=16),
    SwAV: dict(type='hsjp_mm.SwAVHead', hidden_channels=8, out_channels=8, prototypes=6),
    PeCLR: dict(type='hsjp_mm.PeCLRHead', hidden_channels=8, points=4),
}
every_method = pytest.mark.parametrize('method', HEADS, ids=lambda cls: cls.__name__)


@pytest.fixture(autouse=True)
def known_length():
    """The length of the run and the place in it, which BYOL's target follows."""
    MessageHub.get_current_instance().update_info_dict({'iter': 0, 'max_iters': 100})


def make(method: type, size: tuple[int, int] = (64, 96), **options):
    """Build a method on half of a narrow ResNet-18, with seeded weights."""
    torch.manual_seed(0)
    parts = dict(
        backbone=dict(
            type='ResNet', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1),
            out_indices=(1,), stem_channels=8, base_channels=8,
        ),
        head=dict(**HEADS[method], in_channels=16),
        data_preprocessor=dict(type='hsjp_mm.ViewsDataPreprocessor', mean=[128] * 3, std=[64] * 3),
    )  # fmt: skip
    return method(**{**parts, **options}, input_size=size).train()


def batch_for(model, number: int = 4) -> dict:
    """Preprocessed views of painted images."""
    views = MakeViews(model.views, seed=0)
    pipeline = Compose([GetBBoxCenterScale(), views, PackViews()])
    random = np.random.RandomState(0)
    samples = [
        pipeline(
            {
                'img': random.randint(0, 256, (120, 100, 3), np.uint8),
                'id': i,
                'bbox': np.array([[20.0, 10, 80, 110]]),
                'bbox_score': np.ones(1),
            }
        )
        for i in range(number)
    ]
    return model.data_preprocessor(pseudo_collate(samples), True)


@every_method
def test_a_step_trains_everything_and_measures(method):
    model = make(method)
    loss, logged = model.parse_losses(model(**batch_for(model), mode='loss'))
    loss.backward()
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert not [name for name, weight in trained.items() if weight.grad is None]
    assert not [name for name in trained if name.startswith('target.')]
    # of four crops: among seven other views, or among four keys
    chance = 1 / 4 if method is MoCo else 1 / 7
    assert float(logged['retrieval_chance']) == pytest.approx(chance)
    assert {'retrieval', 'feature_std'} <= logged.keys()
    assert model.health.in_training in logged


@every_method
def test_predicts_two_embeddings_of_length_one_of_each_crop(method):
    model = make(method).eval()
    with torch.no_grad():
        found = model(**batch_for(model, 3), mode='predict')
    assert len(found) == 3
    for sample in found:
        vectors = sample.pred_instances.view_embeddings
        assert vectors.shape == (1, 2, 8)
        assert torch.allclose(vectors.norm(dim=2), torch.ones(1, 2))


@every_method
def test_a_batch_of_one_or_of_single_images_is_refused(method):
    model = make(method)
    with pytest.raises(ValueError, match=f'a batch of 1: {method.__name__} needs 2'):
        model(**batch_for(model, 1), mode='loss')
    with pytest.raises(ValueError, match=r'gives single images, but .* hsjp_mm\.MakeViews'):
        model(torch.zeros(2, 3, 96, 64), [], mode='loss')


def test_what_stands_on_the_model_reaches_the_views():
    own = [dict(num=2, area=(0.5, 1.0)), dict(size=(32, 32), num=3, area=(0.1, 0.2))]
    model = make(SimCLR, views=own)
    shapes = [tuple(view.shape[2:]) for view in batch_for(model)['inputs']]
    assert shapes == [(96, 64)] * 2 + [(32, 32)] * 3
    dataset = type('Data', (), {'pipeline': Compose([MakeViews()])})()
    model.prepare(dataset)
    assert len(dataset.pipeline.transforms[0].views) == 5
    with pytest.raises(ValueError, match=r'no hsjp_mm\.MakeViews stands in the pipeline'):
        model.prepare(type('Data', (), {'pipeline': Compose([])})())
    with pytest.raises(ValueError, match='area='):
        make(SimCLR, views=[dict(area=(0, 2))])


@pytest.mark.parametrize(
    ('method', 'numbers', 'wanted'),
    [
        (SimCLR, [1], '2 or more'),
        (PeCLR, [1], '2 or more'),
        (SwAV, [1], '2 or more'),
        (SimSiam, [1, 3], '2'),
        (BYOL, [1, 3], '2'),
        (MoCo, [1, 3], '2'),
    ],
)
def test_views_that_a_loss_cannot_use_are_refused(method, numbers, wanted):
    for number in numbers:
        with pytest.raises(ValueError, match=f'compares {wanted} views of an image, not {number}'):
            make(method, views=[dict(num=number, area=(0.5, 1.0))])


def test_swavs_small_views_are_three_sevenths():
    sizes = [view['size'] for view in make(SwAV, size=(224, 224)).views]
    assert sizes == [(224, 224), (96, 96)]


def test_hrnet_needs_whole_cells():
    tiny = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny.to_dict()
    head = dict(**HEADS[SimCLR], in_channels=16)
    message = 'makes inputs of 48×64 pixels, but HRNet needs sides that 32 divides'
    with pytest.raises(ValueError, match=message):
        SimCLR(backbone=tiny, head=head, input_size=(48, 64))


@pytest.mark.parametrize(
    ('backbone', 'channels'),
    [
        (
            dict(
                type='mmpretrain.VisionTransformer', patch_size=16, img_size=(96, 64),
                arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32),
                with_cls_token=False, out_type='featmap',
            ),
            16,
        ),
        (
            dict(
                type='SwinTransformer', embed_dims=8, depths=(1, 1), num_heads=(1, 2),
                window_size=2, strides=(4, 2), out_indices=(0, 1), convert_weights=False,
            ),
            16,
        ),
    ],
    ids=['ViT', 'Swin'],
)  # fmt: skip
def test_transformers_give_their_last_map(backbone, channels):
    head = dict(**HEADS[SimCLR], in_channels=channels)
    model = make(SimCLR, backbone=backbone, head=head)
    loss, _ = model.parse_losses(model(**batch_for(model), mode='loss'))
    loss.backward()
    first = next(model.backbone.parameters())
    assert first.grad is None or first.grad.isfinite().all()
    assert model.vectors(batch_for(model)['inputs'][0]).shape == (4, channels)


def test_another_head_is_refused():
    with pytest.raises(ValueError, match=r"must be 'hsjp_mm\.SimCLRHead'"):
        make(SimCLR, head=dict(type='hsjp_mm.MoCoHead', in_channels=16))


# ------------------------------------------------------------------------------- moving averages


@pytest.mark.parametrize('method', [MoCo, BYOL], ids=lambda cls: cls.__name__)
def test_the_target_begins_as_a_copy_and_follows(method):
    """After the first step by the formula: target ← (1 − m)·target + m·network."""
    model = make(method)
    with torch.no_grad():
        model.backbone.conv1.weight.mul_(2)  # as if a checkpoint had been loaded
    batch = batch_for(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(**batch, mode='loss')
    copied = model.target.module['backbone'].conv1.weight.clone()
    assert torch.equal(copied, model.backbone.conv1.weight)
    model.parse_losses(model(**batch, mode='loss'))[0].backward()
    optimizer.step()
    before = model.target.module['backbone'].conv1.weight.clone()
    network = model.backbone.conv1.weight.detach().clone()
    MessageHub.get_current_instance().update_info('iter', 2)
    model.update_target()
    # BYOL's share falls by a cosine over the 100 steps; this is the third
    share = 0.001 if method is MoCo else 0.004 * (np.cos(np.pi * 2 / 100) + 1) / 2
    expected = before + share * (network - before)
    assert torch.allclose(model.target.module['backbone'].conv1.weight, expected, atol=1e-9)


def move(model) -> float:
    """Change the network as a step of the optimizer does; how far the target follows."""
    weights = model.target.module['backbone'].conv1.weight
    with torch.no_grad():
        model.backbone.conv1.weight.add_(1)
    apart, before = model.backbone.conv1.weight - weights, weights.clone()
    model.update_target()
    return float(((weights - before) / apart).mean())


def test_a_second_run_from_a_checkpoint_of_the_first_begins_at_the_whole_share():
    """The checkpoint has the count of the first run's steps."""
    first = make(BYOL)
    first.update_target()
    first.target.steps.fill_(100)
    second = make(BYOL)
    second.load_state_dict(first.state_dict())
    hub = MessageHub.get_current_instance()
    shares = []
    for iteration in (0, 50, 99):
        hub.update_info('iter', iteration)
        shares.append(move(second))
    assert shares == pytest.approx([0.004, 0.002, 0.004 * (1 + np.cos(0.99 * np.pi)) / 2], rel=1e-2)


@pytest.mark.parametrize('method', [MoCo, BYOL], ids=lambda cls: cls.__name__)
def test_the_target_moves_once_for_the_batches_that_a_step_gathers(method):
    model = make(method)
    model.accumulative_counts = 4
    moved = []
    for iteration in range(9):
        MessageHub.get_current_instance().update_info('iter', iteration)
        moved.append(move(model) > 0)
    assert moved == [True, False, False, False, True, False, False, False, True]


def test_byol_says_that_it_needs_a_run():
    del MessageHub.get_current_instance().runtime_info['max_iters']
    model = make(BYOL)
    with pytest.raises(RuntimeError, match='no runner has told'):
        model(**batch_for(model), mode='loss')


def test_mocos_keys_come_back_in_order_and_are_normalised_in_other_company():
    """With the batch as a whole a key does not depend on the order; in parts it does."""
    images = torch.randn(8, 3, 32, 32)
    whole = make(MoCo, splits=1)
    whole.update_target()
    vectors = nn.functional.normalize(whole.target_projections(images), dim=1)
    assert torch.allclose(whole.keys(images), vectors, atol=1e-5)
    parts = make(MoCo)
    assert [len(part) for part in parts._parts(images)] == [2, 2, 2, 2]
    parts.update_target()
    assert not torch.allclose(parts.keys(images), parts.keys(images), atol=1e-3)
    assert [len(part) for part in parts._parts(images[:3])] == [3]
    with pytest.raises(ValueError, match='splits=0'):
        make(MoCo, splits=0)


@pytest.mark.parametrize('splits', [1, 3, 4, 7])
def test_mocos_parts_have_two_images_or_more(splits):
    """Batch norm would refuse one, or tell nothing."""
    model = make(MoCo, splits=splits)
    for number in range(2, 40):
        sizes = [len(part) for part in model._parts(torch.zeros(number, 1))]
        assert sum(sizes) == number
        assert len(sizes) == min(splits, number // 2)
        assert min(sizes) >= 2


def test_measures_tell_near_neighbors_apart_under_autocast():
    """Embeddings that lie close together, as at the start of a run: bfloat16 makes many equal."""
    torch.manual_seed(0)
    crops = torch.ones(64, 16) + 0.05 * torch.randn(64, 16)
    views = [torch.nn.functional.normalize(crops + 1e-4 * torch.randn(64, 16)) for _ in range(2)]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert float(view_measures(views)['retrieval']) == 1
        assert float(key_measures(*views)['retrieval']) == 1


def test_queries_are_searched_among_keys_alone():
    """The query at 45° lies nearest to the key at 20°, which is another's; the others find theirs.

    Among all vectors none of two equal queries would find a key.
    """
    angles = torch.deg2rad(torch.tensor([[0.0, 90, 45], [20, 110, 140]]))
    queries, keys = torch.stack([angles.cos(), angles.sin()], dim=2)
    found = key_measures(queries, keys)
    assert float(found['retrieval']) == pytest.approx(2 / 3)
    assert float(found['retrieval_chance']) == pytest.approx(1 / 3)
    same = queries[:1].expand(2, -1)
    assert float(key_measures(same, keys[:2])['retrieval']) == 1 / 2


# ---------------------------------------------------------------------------------------- PeCLR


def test_peclr_reads_how_a_crop_lies_from_the_matrix():
    """A crop turned by 30° about its center, 8 pixels right of and 6 above the view's one."""
    angle = torch.tensor(torch.pi / 6, dtype=torch.float64)
    linear = 0.5 * torch.tensor(
        [[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]], dtype=torch.float64
    )
    center = torch.tensor([90.0, 70], dtype=torch.float64)
    moved = torch.tensor([32 + 8, 48 - 6.0], dtype=torch.float64) - linear @ center
    angles, shifts = lying(torch.column_stack([linear, moved])[None], center[None], (64, 96))
    assert torch.allclose(angles, angle[None])
    assert torch.allclose(shifts, torch.tensor([[8 / 64, -6 / 96]], dtype=torch.float64))


def test_pixels_are_not_rounded_by_autocast():
    """At 1,204 pixels bfloat16 knows every eighth."""
    matrices = torch.tensor([[[0.8, -0.6, 100.0], [0.6, 0.8, -1000.0]]])
    centers = torch.tensor([[1204.0, 640.0]])
    expected = lying(matrices, centers, (224, 224))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = lying(matrices, centers, (224, 224))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_peclr_refuses_views_that_it_cannot_undo():
    for view in (dict(area=(0.2, 1)), dict(side=(1, 1), flip_prob=0.5)):
        with pytest.raises(ValueError, match='which PeCLR cannot undo'):
            make(PeCLR, views=[dict(num=2, **view)])
    with pytest.raises(ValueError, match='needs data_samples'):
        make(PeCLR).embed(torch.zeros(2, 3, 96, 64))


# ------------------------------------------------------------------------------- two processes

SIZES = (3, 2)
"""Images by process."""


class Crossing(nn.Module):
    """A linear network with a head whose loss crosses images."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.network = nn.Linear(5, 8)
        self.head = head

    def forward(self, views: list[torch.Tensor]) -> torch.Tensor:
        embeddings = [nn.functional.normalize(self.network(view), dim=1) for view in views]
        if isinstance(self.head, MoCoHead):
            return self.head.loss(embeddings[0], embeddings[1].detach())
        found = self.head.loss(embeddings)
        return found['loss_swapped'] if isinstance(found, dict) else found


def crossing() -> dict[str, nn.Module]:
    small = dict(in_channels=4, hidden_channels=4)
    torch.manual_seed(0)
    heads = {
        'SimCLR': SimCLRHead(**small, out_channels=8),
        'PeCLR': PeCLRHead(**small, points=4),
        'MoCo': MoCoHead(**small, out_channels=8, queue_length=7),
        'SwAV': SwAVHead(**small, out_channels=8, prototypes=4, frozen_steps=0, queue_length=7),
    }
    return {name: Crossing(head).double() for name, head in heads.items()}


def crossing_views(step: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    shape = (sum(SIZES), 5)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(2)]


def two_steps(model: nn.Module, part) -> dict:
    """Losses and gradients of two steps, the second of which sees the queue of the first."""
    plain = model.module if isinstance(model, DistributedDataParallel) else model
    found = {}
    for step in range(2):
        model.zero_grad()
        loss = model([part(view) for view in crossing_views(step)])
        loss.backward()
        found |= {f'loss {step}': loss.detach(), f'gradient {step}': plain.network.weight.grad}
        if isinstance(plain.head, SwAVHead):
            found[f'prototypes {step}'] = plain.head.prototypes.weight.grad
    found |= {name: buffer.double() for name, buffer in plain.head.named_buffers()}
    return {name: value.clone() for name, value in found.items()}


def run_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    init_default_scope('mmpose')
    torch.distributed.init_process_group(
        'gloo', f'file://{folder}/pair', timedelta(seconds=60), 2, rank
    )
    found = {
        name: two_steps(
            DistributedDataParallel(model, find_unused_parameters=True),
            lambda view: view.split(list(SIZES))[rank],
        )
        for name, model in crossing().items()
    }
    torch.save(found, f'{folder}/{rank}')
    leave_group()


@pytest.fixture(scope='module')
def pair(tmp_path_factory) -> list[dict]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp('pair')
    multiprocessing.set_forkserver_preload(['hsjp_mm.models', 'torch._dynamo'])
    torch.multiprocessing.start_processes(
        run_rank, (str(folder),), nprocs=2, start_method='forkserver'
    )
    return [torch.load(Path(folder, str(rank))) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize('name', ['SimCLR', 'PeCLR', 'MoCo', 'SwAV'])
def test_two_processes_are_one(pair, name):
    expected = two_steps(crossing()[name], lambda view: view)
    for found in pair:
        assert found[name].keys() == expected.keys()
        for key, value in expected.items():
            assert torch.allclose(found[name][key], value, rtol=0, atol=1e-9), key
    assert expected['gradient 1'].abs().sum() > 0


# ------------------------------------------------------------------------------------ the board


@every_method
def test_board_shows_the_views_and_the_neighbours(method):
    model = make(method).eval()
    batch = batch_for(model, 3)
    [(caption, picture)] = draw_views(model, batch['inputs'], batch['data_samples'], True)
    assert caption == 'instances 0, 1, 2'
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    # three rows of views of 128 pixels, and the neighbours in frames
    assert picture.shape[0] > 3 * 128
    assert picture.std() > 10
