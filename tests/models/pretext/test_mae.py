import json
import re
import sys
from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from hsjp_mm.checkpoint import export_backbone
from hsjp_mm.models import MAE
from hsjp_mm.models.pretext import mae
from tests.helpers import ROOT, run_pair

try:
    import mmpretrain  # noqa: F401
except ImportError:
    pytest.skip('mmpretrain, the extra vit, is not installed', allow_module_level=True)

TINY = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)


def vit(**options) -> dict:
    """A small one of ViTPose's, with 4 rows and 3 columns of patches on 24×32 pixels."""
    settings = dict(
        type='mmpretrain.VisionTransformer', arch=TINY, img_size=(32, 24), patch_size=8,
        with_cls_token=False, out_type='featmap', patch_cfg=dict(padding=1),
    )  # fmt: skip
    return settings | options


def make_mae(backbone: dict | None = None, **options) -> MAE:
    torch.manual_seed(0)
    head = dict(type='hsjp_mm.MAEHead', channels=16, depth=1, num_heads=2)
    model = MAE(**dict(backbone=backbone or vit(), head=head) | options)
    model.init_weights()
    return model


def samples(*ids) -> list[PoseDataSample]:
    made = [PoseDataSample(metainfo={'id': key}) for key in ids]
    for sample in made:
        sample.gt_instances = InstanceData()
    return made


# ---------------------------------------------------------------------------------------- masks


def test_evaluation_masks_are_pinned_forever():
    # figures measured with these masks can be compared only as long as they stay these
    order = make_mae().draw_order(torch.zeros(2, 3, 32, 24), [1, 'a/b.jpg'])
    assert order[:, :3].tolist() == [[5, 6, 11], [0, 1, 4]]


def test_evaluation_masks_depend_on_seed_and_id_alone():
    model, crops = make_mae(), torch.zeros(3, 3, 32, 24)
    ids = [7, 'folder/a.jpg', 9]
    whole = model.draw_order(crops, ids)
    torch.manual_seed(5)
    assert torch.equal(model.draw_order(crops[1:2], ids[1:2]), whole[1:2])
    assert len(whole.unique(dim=0)) == 3
    assert not torch.equal(make_mae(seed=1).draw_order(crops, ids), whole)


@pytest.mark.parametrize(('ratio', 'visible'), [(0.75, 3), (0.5, 6), (0.9, 1)])
def test_so_many_patches_are_masked(ratio, visible):
    model = make_mae(mask_ratio=ratio)
    for ids in (None, range(5)):
        order = model.draw_order(torch.zeros(5, 3, 32, 24), ids)
        assert model.num_visible == visible
        assert torch.equal(order.sort(dim=1).values, torch.arange(12).expand(5, 12))
        for part in (order[:, :visible], order[:, visible:]):
            assert (part.diff(dim=1) > 0).all()


def test_every_patch_is_masked_as_often():
    model = make_mae()
    torch.manual_seed(0)
    visible = model.draw_order(torch.zeros(8000, 3, 32, 24))[:, :3]
    counts = visible.flatten().bincount(minlength=12)
    assert ((counts - 2000) ** 2 / 2000).sum() < 24.7  # chi-square with 11 degrees, p = 0.01


def test_processes_draw_the_masks_of_one_with_the_whole_batch(monkeypatch):
    model = make_mae()
    torch.manual_seed(0)
    whole = model.draw_order(torch.zeros(6, 3, 32, 24))
    for rank in range(2):
        monkeypatch.setattr(mae, 'get_dist_info', lambda rank=rank: (rank, 2))
        torch.manual_seed(0)
        assert torch.equal(model.draw_order(torch.zeros(3, 3, 32, 24)), whole[rank::2])


def test_gradient_of_two_processes_is_that_of_one_with_the_whole_batch(monkeypatch):
    model, crops = make_mae(), torch.randn(6, 3, 32, 24)

    def gradients(part):
        torch.manual_seed(3)
        model.zero_grad()
        model.loss(part)['loss_pixels'].backward()
        return [p.grad.clone() for p in model.parameters() if p.requires_grad]

    whole, parts = gradients(crops), []
    for rank in range(2):
        monkeypatch.setattr(mae, 'get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(gradients(crops[rank::2]))
    for expected, *found in zip(whole, *parts, strict=True):
        torch.testing.assert_close(sum(found) / 2, expected, rtol=1e-4, atol=1e-7)


# -------------------------------------------------------------------------------------- network


@pytest.mark.parametrize('padding', [0, 1])
def test_with_nothing_masked_the_encoder_is_the_backbone(padding):
    model = make_mae(vit(patch_cfg=dict(padding=padding))).eval()
    crops = torch.randn(2, 3, 32, 24)
    found = model.encode(crops, torch.arange(12).expand(2, 12))
    expected = model.extract_feat(crops)[-1]
    assert expected.shape == (2, 24, 4, 3)
    torch.testing.assert_close(found.transpose(1, 2).unflatten(2, (4, 3)), expected)


@pytest.mark.parametrize('padding', [0, 1, 3])
def test_nothing_of_a_masked_patch_is_seen(padding):
    model = make_mae(vit(patch_cfg=dict(padding=padding))).eval()
    crops = torch.randn(2, 3, 32, 24)
    order = model.draw_order(crops, [1, 2])
    windows = model.windows.split(crops)
    others = windows.scatter(
        1, order[:, 3:, None].expand(-1, -1, windows.shape[2]), torch.randn(2, 9, windows.shape[2])
    )
    found, same = (model.paint(model.windows.join(some), order) for some in (windows, others))
    assert torch.equal(found, same)
    visible = windows.scatter(
        1, order[:, :3, None].expand(-1, -1, windows.shape[2]), torch.randn(2, 3, windows.shape[2])
    )
    assert not torch.allclose(model.paint(model.windows.join(visible), order), found)


def test_prediction_is_the_heads_with_the_evaluation_mask():
    model, crops = make_mae().eval(), torch.randn(2, 3, 32, 24)
    with torch.no_grad():
        found = model(crops, samples(4, 'b'), mode='predict')
    order = model.draw_order(crops, [4, 'b'])
    windows = model.windows.split(crops)
    for i, sample in enumerate(found):
        mask = sample.gt_instances.mask[0]
        assert mask.nonzero()[:, 0].tolist() == order[i, 3:].tolist()
        own = windows[i, mask]
        expected = (own - own.mean(dim=1, keepdim=True)) / own.std(dim=1, keepdim=True)
        torch.testing.assert_close(sample.gt_instances.patches[0], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(sample.pred_instances.patches[0], model.paint(crops, order)[i])


def test_pixels_and_weights_of_both_parts_get_gradients():
    model = make_mae()
    model.loss(torch.randn(4, 3, 32, 24))['loss_pixels'].backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == ['backbone.pos_embed']


def test_positions_are_fixed_and_a_loaded_backbone_keeps_its_own(tmp_path):
    model = make_mae()
    assert model.backbone.pos_embed[0, 0, :6].tolist() == [0] * 6  # sines of row 0
    assert not model.backbone.pos_embed.requires_grad
    model.backbone.pos_embed.data.fill_(0.25)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'trained.pth')
    init = dict(type='hsjp_mm.PretextInit', checkpoint=str(tmp_path / 'trained.pth'))
    other = make_mae(vit(init_cfg=init))
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(other.backbone.state_dict()[name], value)


@pytest.mark.parametrize('place', ['model', 'backbone'])
@pytest.mark.parametrize('several', [False, True])
def test_what_the_stock_initialiser_loads_is_not_drawn_anew(place, several, tmp_path):
    model = make_mae()
    for parameter in model.parameters():
        parameter.data.add_(0.25)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'trained.pth')
    prefix = {} if place == 'model' else {'prefix': 'backbone.'}
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'trained.pth'), **prefix)
    init = [dict(type='TruncNormal', layer='Linear', std=0.02), init] if several else init
    other = make_mae(init_cfg=init) if place == 'model' else make_mae(vit(init_cfg=init))
    part = model if place == 'model' else model.backbone
    for name, value in part.state_dict().items():
        found = (other if place == 'model' else other.backbone).state_dict()[name]
        assert torch.equal(found, value), name


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ('backbone', 'message'),
    [
        (dict(type='ResNet', depth=18), r"'ResNet' must be 'mmpretrain\.VisionTransformer'"),
        (vit(with_cls_token=True), 'with_cls_token=True .* must be False'),
        (vit(out_type='avg_featmap'), "out_type='avg_featmap' must be .*'featmap'"),
        (vit(patch_cfg=dict(stride=4)), r'stride=\(4, 4\) .* without overlap'),
        (vit(img_size=(30, 24), patch_cfg={}), r'img_size=\(30, 24\).* a whole number'),
    ],
)
def test_another_backbone_is_refused(backbone, message):
    with pytest.raises(ValueError, match=message):
        make_mae(backbone)


@pytest.mark.parametrize('ratio', [0, 0.03, 0.99, 1, -1])
def test_mask_ratio_must_leave_something(ratio):
    with pytest.raises(ValueError, match=rf'mask_ratio={ratio} leaves \d+ of 12'):
        make_mae(mask_ratio=ratio)


def test_another_head_is_refused():
    with pytest.raises(ValueError, match=r"head\.type='HeatmapHead' must be 'hsjp_mm\.MAEHead'"):
        make_mae(head=dict(type='HeatmapHead'))


def test_crops_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r'the crops are 32×24 pixels.* img_size=\(32, 24\)'):
        make_mae().loss(torch.zeros(1, 3, 24, 32))


@pytest.mark.parametrize(
    ('backbone', 'message'),
    [
        (vit(img_size=(24, 32)), 'image_height=32 and image_width=24'),
        (vit(patch_cfg={}), 'padding_height=1 and padding_width=1'),
    ],
)
def test_weights_for_other_windows_are_refused(backbone, message):
    state = make_mae().state_dict()
    with pytest.raises(ValueError, match=message):
        make_mae(backbone).load_state_dict(state)


def test_without_mmpretrain_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmpretrain', None)
    with pytest.raises(ImportError, match=r'hsjp_mm\.MAE needs mmpretrain: run `pip install'):
        make_mae()


# ------------------------------------------------------------------------------ on to fine-tuning


def vitpose(size: str, **backbone) -> Config:
    name = f'td-hm_ViTPose-{size}_mae-pre-8xb64-210e_coco-256x192.py'
    cfg = Config.fromfile(ROOT / 'configs/topdown_heatmap/coco' / name)
    cfg.model.backbone.update(backbone)
    return cfg


@pytest.mark.parametrize('size', ['base', 'small'])
def test_vitpose_takes_every_tensor_of_the_pretraining(size):
    path = ROOT / f'configs/mae/mae_vit-{size}_8xb64-1600e_coco-256x192.py'
    with torch.device('meta'):
        ours = MODELS.build(Config.fromfile(path).model)
        theirs = MODELS.build(vitpose(size, init_cfg=None).model)
    shapes = [
        {name: value.shape for name, value in model.backbone.state_dict().items()}
        for model in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]
    assert ours.windows.grid == (16, 12) and ours.num_visible == 48
    for name in ('kernel_size', 'stride', 'padding'):
        found = [getattr(m.backbone.patch_embed.projection, name) for m in (ours, theirs)]
        assert found[0] == found[1]


def tiny_config(folder: Path, work_dir: Path, **options) -> Config:
    """The small config on the tiny data set; non-square, 24 pixels wide."""
    cfg = Config.fromfile(ROOT / 'configs/mae/mae_vit-tiny_1xb32-3000i_coco-96x96.py')
    cfg.model.backbone.update(arch=TINY, img_size=(32, 24))
    cfg.model.head.update(channels=16, depth=1, num_heads=2)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=3, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(folder), ann_file='boxes.json', data_prefix=dict(img='images')
        )
        loader.dataset.pipeline[-2].input_size = (24, 32)
    cfg.train_cfg.update(max_iters=6, val_interval=3)
    cfg.default_hooks.checkpoint.update(interval=3, max_keep_ckpts=-1)
    cfg.default_hooks.logger.interval = 1
    cfg.param_scheduler = []  # its end would be that of the training
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = cfg.visualizer.name = f'{work_dir.parent.name}-{work_dir.name}'
    cfg.randomness = dict(seed=0)
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.slow
def test_it_learns_and_vitpose_starts_from_it(tiny_coco, tmp_path, capfd):
    cfg = tiny_config(tiny_coco, tmp_path / 'mae', **{'train_cfg.max_iters': 400})
    cfg.train_cfg.val_interval = cfg.default_hooks.checkpoint.interval = 100
    cfg.train_dataloader.batch_size = 6
    cfg.train_dataloader.dataset.pipeline = cfg.val_dataloader.dataset.pipeline
    cfg.optim_wrapper.optimizer.lr = 3e-3
    cfg.param_scheduler = []
    Runner.from_cfg(cfg).train()
    [log] = (tmp_path / 'mae').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert losses[-1] < 0.7 * losses[0]
    measured = [
        (v['mae/explained'], v['mae/explained_chance']) for v in lines if 'mae/explained' in v
    ]
    assert len(measured) == 4
    assert measured[-1][0] > measured[-1][1] + 0.2
    boards = list((tmp_path / 'mae').glob('*/vis_data/vis_image/puzzle_0_*.png'))
    assert len(boards) == 4

    [best] = (tmp_path / 'mae').glob('best_mae_explained_iter_*.pth')
    backbone, meta = export_backbone(best, tmp_path / 'backbone.safetensors')
    assert meta['validation']['mae/explained'] == pytest.approx(max(m[0] for m in measured))
    assert (meta['patch_height'], meta['padding_height']) == (8, 1)
    model = vitpose(
        'small', arch=TINY, img_size=(32, 24), patch_size=8, patch_cfg=dict(padding=1)
    ).model
    model.backbone.init_cfg.checkpoint = str(backbone)
    model.head.in_channels = 24
    capfd.readouterr()
    estimator = MODELS.build(model)
    estimator.init_weights()
    line = re.search('backbone: .*', ''.join(capfd.readouterr()))[0]
    names = estimator.backbone.state_dict()
    assert line.startswith(f'backbone: {len(names)} of {len(names)} tensors')
    assert 'unused' not in line and 'missing' not in line
    trained = torch.load(best)['state_dict']
    for name, value in names.items():
        assert torch.equal(value, trained[f'backbone.{name}'])
    assert estimator.backbone.pos_embed.requires_grad


RANK_RECORDER = """
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RankRecorder(Hook):
    '''Save what each process ends with.'''

    priority = 'LOWEST'

    def after_train(self, runner):
        state = runner.model.module.state_dict()
        torch.save(state, f'{runner.work_dir}/rank_{runner.rank}.pth')
"""


@pytest.mark.slow
def test_two_processes_end_like_one_with_the_whole_batch(tiny_coco, tmp_path):
    options = {'train_dataloader.batch_size': 3}
    one, other = run_pair(
        tiny_config(tiny_coco, tmp_path / 'pair', **options), RANK_RECORDER, tmp_path
    )
    options = {'train_dataloader.batch_size': 6}
    single = Runner.from_cfg(tiny_config(tiny_coco, tmp_path / 'single', **options)).train()
    for name, value in single.state_dict().items():
        assert torch.equal(one[name], other[name])
        torch.testing.assert_close(one[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tiny_coco, tmp_path):
    whole = Runner.from_cfg(tiny_config(tiny_coco, tmp_path / 'whole')).train()
    Runner.from_cfg(
        tiny_config(tiny_coco, tmp_path / 'parts', **{'train_cfg.max_iters': 3})
    ).train()
    torch.manual_seed(99)
    workers = {'train_dataloader.num_workers': 1}
    second = tiny_config(tiny_coco, tmp_path / 'parts', resume=True, **workers)
    second.experiment_name = second.visualizer.name = f'{second.experiment_name}-resumed'
    resumed = Runner.from_cfg(second).train()
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
