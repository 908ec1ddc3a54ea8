import copy
import multiprocessing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from mmengine import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmpose.structures import PoseDataSample
from torch import nn

from hsjp_mm.datasets import MakeViews, PersonCropDataset, SegmentCrop
from hsjp_mm.models import BYOL, DetConB, DetConS, SimCLR
from hsjp_mm.ops import distributed
from tests.helpers import ROOT, leave_group, tiny_detcon

NAMES = ('DetConS', 'DetConB')
SIZES = ((2, 2), (3, 2))
"""Images by process."""
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.SegmentCrop'),
    dict(type='hsjp_mm.MakeViews'),
    dict(type='hsjp_mm.PackViews'),
]


@pytest.fixture(autouse=True)
def length_of_the_run():
    MessageHub.get_current_instance().update_info_dict({'iter': 0, 'max_iters': 100})


def batch(number: int, seed: int = 5) -> tuple[tuple[torch.Tensor, ...], list[PoseDataSample]]:
    """Two views 48×32 of each image, and segments of which not all are in both."""
    generator = torch.Generator().manual_seed(seed)
    shape = (number, 3, 32, 48)
    views = tuple(torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(2))
    samples = []
    for i in range(number):
        cells = torch.randint(0, 5, (2, 4, 6), generator=generator) + torch.tensor(
            [[[i % 2]], [[0]]]
        )
        segments = cells.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
        samples.append(
            PoseDataSample(metainfo={'id': i}, gt_fields=PixelData(view_segments=segments))
        )
    return views, samples


# ----------------------------------------------------------------------------------- many processes


def step(model, number: int, mine: slice, seed: int) -> dict:
    """What one training step computes of some images of a batch; ``model`` may be wrapped."""
    plain = getattr(model, 'module', model)
    for part in plain.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()  # a batch norm over the processes is torch's business
    views, samples = batch(number)
    torch.manual_seed(seed)
    values = model(tuple(view[mine] for view in views), samples[mine], mode='loss')
    loss, logged = plain.parse_losses(values)
    loss.backward()
    gradients = {n: weight.grad for n, weight in plain.named_parameters() if weight.requires_grad}
    return {
        'loss': loss.detach(),
        'logged': {key: float(value) for key, value in logged.items()},
        'gradients': gradients,
    }


def run_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    init_default_scope('mmpose')
    MessageHub.get_current_instance().update_info_dict({'iter': 0, 'max_iters': 100})
    torch.distributed.init_process_group(
        'gloo', f'file://{folder}/2', timedelta(seconds=60), 2, rank
    )
    found = {}
    for name in NAMES:
        for sizes in SIZES:
            wrapped = MMDistributedDataParallel(tiny_detcon(name).double(), device_ids=None)
            first = sum(sizes[:rank])
            mine = slice(first, first + sizes[rank])
            found[name, sizes] = step(wrapped, sum(sizes), mine, seed=100 + rank)
    torch.save(found, f'{folder}/{rank}')
    leave_group()


@pytest.fixture(scope='module')
def both(tmp_path_factory) -> list[dict]:
    """What two processes computed."""
    folder = tmp_path_factory.mktemp('processes')
    multiprocessing.set_forkserver_preload(['hsjp_mm.models', 'mmpretrain.models', 'torch._dynamo'])
    torch.multiprocessing.start_processes(
        run_rank, (str(folder),), nprocs=2, start_method='forkserver'
    )
    return [torch.load(Path(folder, str(rank))) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize('sizes', SIZES)
@pytest.mark.parametrize('name', NAMES)
def test_two_processes_compute_what_one_does(both, name, sizes):
    """The segments drawn, the loss, its measures, and the gradient of every parameter."""
    expected = step(tiny_detcon(name).double(), sum(sizes), slice(None), seed=100)
    assert expected['loss'] > 0.1
    for found in both:
        found = found[name, sizes]
        torch.testing.assert_close(found['loss'], expected['loss'], rtol=0, atol=1e-9)
        for key in ('loss_contrastive', 'segment_retrieval', 'segment_retrieval_chance'):
            assert found['logged'][key] == pytest.approx(expected['logged'][key], abs=1e-9)
        assert found['gradients'].keys() == expected['gradients'].keys()
        for key, gradient in expected['gradients'].items():
            torch.testing.assert_close(
                found['gradients'][key], gradient, rtol=0, atol=1e-9, msg=key
            )
        assert max(float(g.abs().max()) for g in found['gradients'].values()) > 1e-4


# ------------------------------------------------------------------------------------------ loss


def test_views_are_those_of_simclr_and_byol():
    assert DetConS.recipe is SimCLR.recipe
    assert DetConB.recipe is BYOL.recipe


def means(maps: torch.Tensor, cells: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The means of a map (C, H, W) over some segments."""
    return torch.stack([maps.flatten(1)[:, cells == number].mean(dim=1) for number in chosen])


@pytest.mark.parametrize('name', NAMES)
def test_what_is_drawn_is_pooled_projected_and_compared(name):
    """The loss rebuilt from its parts, each called by itself."""
    model = tiny_detcon(name, num_draws=5).double().eval()
    views, samples = batch(3)
    torch.manual_seed(7)
    values = model.loss(views, samples)
    torch.manual_seed(7)
    picks = torch.rand(3, 2, 5)
    drawn, anchors, keys = [], [], []
    for i in range(3):
        for v in range(2):
            cells = samples[i].gt_fields.view_segments[v, 4::8, 4::8].flatten()
            present = cells.unique()
            chosen = present[(picks[i, v] * len(present)).long()]
            with torch.no_grad():
                maps = model.backbone(views[v][i : i + 1])[-1]
                vectors = means(maps[0], cells, chosen)
                row = model.head.projector((vectors,))[0]
                drawn.append(chosen)
                if name == 'DetConS':
                    anchors.append(row)
                    keys.append(row)
                else:
                    target = model.target.module
                    anchors.append(model.head.predictor((row,))[0])
                    maps = target['backbone'](views[v][i : i + 1])[-1]
                    vectors = means(maps[0], cells, chosen)
                    keys.append(target['projector']((vectors,))[0])
    anchors, keys, drawn = (torch.stack(p).unflatten(0, (3, 2)) for p in (anchors, keys, drawn))
    expected = model.head.loss(anchors, keys, drawn)
    for key, value in expected.items():
        assert float(values[key]) == pytest.approx(float(value), abs=1e-10), key
    assert 0 < float(values['segment_retrieval_chance']) < 1
    assert float(values['retrieval_chance']) == pytest.approx(1 / 5)


def test_the_targets_are_the_moving_averages_and_get_no_gradient():
    model = tiny_detcon('DetConB').double()
    views, samples = batch(3)
    with torch.no_grad():  # so that the two networks differ
        for weight in model.target.module.parameters():
            weight.mul_(1.5)
    model.update_target = lambda: None
    model.loss(views, samples)['loss_contrastive'].backward()
    for key, weight in model.named_parameters():
        if key.startswith('target.'):
            assert weight.grad is None
        else:
            assert weight.grad is not None and weight.grad.abs().sum() > 0, key


def test_each_step_moves_the_target_once():
    model = tiny_detcon('DetConB', momentum=0.25).double()
    views, samples = batch(2)
    model.loss(views, samples)
    before = model.target.module['backbone'].conv1.weight.clone()
    with torch.no_grad():
        model.backbone.conv1.weight.add_(1.0)
    model.loss(views, samples)
    moved = model.target.module['backbone'].conv1.weight - before
    # the share falls from a quarter by a cosine over the 100 steps
    share = 0.25 * (np.cos(np.pi * 1 / 100) + 1) / 2
    torch.testing.assert_close(moved, torch.full_like(moved, share), rtol=1e-3, atol=1e-9)


def test_all_segments_are_embedded_once():
    model = tiny_detcon('DetConS').double().eval()
    views, samples = batch(2)
    rows, numbers = model.embed_segments(views[0], samples, 0)
    for i in range(2):
        assert numbers[i].tolist() == samples[i].gt_fields.view_segments[0].unique().tolist()
    assert rows.shape == (sum(map(len, numbers)), 8)
    maps = model.backbone(views[0])[-1]
    cells = samples[1].gt_fields.view_segments[0, 4::8, 4::8].flatten()
    inside = maps[1].flatten(1)[:, cells == numbers[1][0]]
    expected = model.head.embed(inside.mean(dim=1)[None])
    torch.testing.assert_close(rows[len(numbers[0])], expected[0])


# ------------------------------------------------------------------------------------------ data


@pytest.mark.parametrize('name', NAMES)
def test_a_step_on_the_data_sets_own_pipeline(name, tiny_coco):
    model = tiny_detcon(name, input_size=(64, 96))
    dataset = PersonCropDataset(
        'boxes.json', data_root=str(tiny_coco), data_prefix=dict(img='images'), pipeline=PIPELINE
    )
    model.prepare(dataset)
    segmenting, making = (
        next(s for s in dataset.pipeline.transforms if isinstance(s, cls))
        for cls in (SegmentCrop, MakeViews)
    )
    assert segmenting.how.size == (64, 96) and segmenting.how.method == 'grid'
    assert [view.size for view, _ in making.views] == [(64, 96)] * 2
    samples = [dataset[i] for i in range(4)]
    assert samples[0]['data_samples'].gt_fields.view_segments.shape == (2, 96, 64)
    data = model.data_preprocessor(pseudo_collate(samples), True)
    values = model(**data, mode='loss')
    assert set(values) == {
        'loss_contrastive', 'segment_retrieval', 'segment_retrieval_chance', 'retrieval',
        'retrieval_chance', 'feature_std',
    }  # fmt: skip
    predicted = model.eval()(**data, mode='predict')
    embeddings = predicted[0].pred_instances.view_embeddings
    assert embeddings.shape == (1, 2, 8)
    torch.testing.assert_close(embeddings.norm(dim=2), torch.ones(1, 2))


def data_of(*steps):
    return type('Data', (), {'pipeline': Compose(list(steps))})()


def test_a_pipeline_without_its_step_is_refused():
    model = tiny_detcon('DetConS')
    with pytest.raises(ValueError, match=r'no hsjp_mm\.SegmentCrop stands in the pipeline'):
        model.prepare(data_of(MakeViews()))
    with pytest.raises(ValueError, match=r'no hsjp_mm\.MakeViews stands in the pipeline'):
        model.prepare(data_of(SegmentCrop()))
    views, _ = batch(2)
    for samples in (None, [PoseDataSample(), PoseDataSample(gt_fields=PixelData())]):
        with pytest.raises(ValueError, match=r'gt_fields\.view_segments: the pipeline needs'):
            model.double().loss(views, samples)


def test_sizes_may_be_lists_as_in_a_file():
    whole = dict(area=(0.5, 1))
    model = tiny_detcon('DetConS', views=[dict(**whole, size=[48, 32]), whole])
    assert model.segments == dict(method='grid', size=(48, 32))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_draws=0), 'num_draws=0'),
        (dict(segments=dict(method='slic')), "method='slic'"),
        (dict(segments=dict(cells=3)), 'unknown cells'),
        (dict(views=[dict(area=(0.5, 1), num=3)]), 'compares 2 views of an image, not 3'),
        (
            dict(views=[dict(area=(0.5, 1)), dict(area=(0.5, 1), size=(32, 32))]),
            'not of 48×32 and 32×32',
        ),
        (dict(head=dict(type='hsjp_mm.DetConBHead', in_channels=16)), 'DetConSHead'),
    ],
)
def test_mistakes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_detcon('DetConS', **options)


# --------------------------------------------------------------------------------- a tiny run


def trained(tiny_coco, folder: Path, name: str) -> Runner:
    """Train the config of a method for a few epochs on six persons, each with its parts."""
    cfg = Config.fromfile(ROOT / f'configs/contrastive/{name}_coco-224x224.py')
    cfg.model.input_size = (64, 64)
    cfg.model.segments = dict(method='grid', grid=2)
    cfg.model.num_draws = 4
    # the views are the crop itself, in half of them turned round: four segments that are easy
    cfg.model.views = [dict(num=2, area=(1.0, 1.0), ratio=(1.0, 1.0), flip_prob=0.5)]
    cfg.model.backbone.update(depth=18, stem_channels=8, base_channels=8)
    cfg.model.head.update(in_channels=64, hidden_channels=32, out_channels=16)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=6, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(tiny_coco), ann_file='boxes.json', data_prefix=dict(img='images/')
        )
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    cfg.optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
    cfg.param_scheduler = []
    cfg.train_cfg.update(max_epochs=60, val_interval=60)
    cfg.default_hooks.logger.interval = 1
    cfg.sync_bn = None
    cfg.work_dir = str(folder / 'run')
    cfg.visualizer.name = cfg.experiment_name = folder.name
    cfg.randomness = dict(seed=0)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.mark.slow
@pytest.mark.parametrize('name', ['detcon-s_res50_4xb64-140e', 'detcon-b_res50_4xb64-140e'])
def test_a_run_learns_to_find_segments_again(tiny_coco, tmp_path, name):
    runner = trained(tiny_coco, tmp_path, name)
    logged = {key: value.data[0] for key, value in runner.message_hub.log_scalars.items()}
    losses = logged['train/loss_contrastive']
    found, chance = (logged[f'train/segment_retrieval{end}'] for end in ('', '_chance'))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert np.mean(found[-10:]) > 4 * np.mean(chance)
    assert logged['val/views/retrieval'][-1] > logged['val/views/retrieval_chance'][-1]
    assert distributed.get_world_size() == 1
    assert list(Path(tmp_path, 'run').rglob('*.png')) or list(Path(tmp_path, 'run').rglob('*.jpg'))
