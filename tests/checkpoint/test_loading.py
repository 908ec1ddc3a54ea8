import functools
import hashlib
import http.server
import json
import os
import pickle
import threading
from typing import ClassVar

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import torchvision
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.model import BaseModel, BaseModule
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from hsjp_mm.checkpoint import (
    PretextInit,
    audit,
    export_backbone,
    load_backbone,
    read_checkpoint,
)
from hsjp_mm.checkpoint.coverage import CheckpointError

# ------------------------------------------------------------------ MMEngine's own checkpoints


class Numbers(BaseDataset):
    """Eight vectors, with the kinds of numpy metainfo that MMPose's data sets have."""

    METAINFO: ClassVar = dict(
        sigmas=np.array([0.1, 0.2], np.float32),
        colors=np.zeros((2, 3), np.uint8),
        flip=np.array([1, 0]),
        weights=np.ones(2),
    )

    def load_data_list(self):
        return [dict(inputs=torch.full((4,), float(i))) for i in range(8)]


class Measure(BaseMetric):
    """Always the same value, under a name of two parts."""

    def __init__(self, name, value):
        self.default_prefix, self.name = name.split('/')
        self.value = value
        super().__init__()

    def process(self, data_batch, data_samples):
        self.results.append(self.value)

    def compute_metrics(self, results):
        return {self.name: float(np.mean(results)), 'other': np.float32(1)}


class Toy(BaseModel):
    def __init__(self, unshuffled=False, init_cfg=None):
        super().__init__()
        self.backbone = Branch(init_cfg)
        self.head = nn.Linear(3, 1)
        self.register_buffer('puzzle', torch.tensor([3, int(unshuffled)]))

    def forward(self, inputs, sample_idx=None, mode='loss'):
        error = self.head(self.backbone(inputs)).square().mean()
        return dict(loss=error) if mode == 'loss' else [error]


class Branch(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.layers = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))

    def forward(self, inputs):
        return self.layers(inputs)


def toy_runner(work_dir, **settings) -> Runner:
    """Three epochs of two steps, with AdamW, EMA and two schedulers."""
    torch.manual_seed(0)
    loader = dict(
        dataset=Numbers(),
        batch_size=4,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    cfg = dict(
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=Evaluator(
            [Measure('hsjp/precision', 0.25), Measure('jigclu/retrieval', 0.75)]
        ),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
            dict(type='MultiStepLR', milestones=[2, 3], by_epoch=True),
        ],
        custom_hooks=[dict(type='EMAHook')],
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', interval=1, save_best='hsjp/precision', rule='greater'
            )
        ),
        default_scope='mmengine',
        experiment_name=work_dir.name,
        log_level='ERROR',
    )
    return Runner(model=Toy(), work_dir=str(work_dir), **(cfg | settings))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Work directory of a finished run."""
    work_dir = tmp_path_factory.mktemp('finished')
    toy_runner(work_dir).train()
    return work_dir


def test_resume_goes_on_as_if_never_stopped(trained, tmp_path):
    runner = toy_runner(tmp_path, load_from=str(trained / 'epoch_2.pth'), resume=True)
    runner.train()
    assert not (tmp_path / 'epoch_2.pth').exists()
    whole, resumed = (torch.load(d / 'epoch_3.pth') for d in (trained, tmp_path))
    for key in ('state_dict', 'ema_state_dict'):
        for name, value in whole[key].items():
            assert torch.equal(value, resumed[key][name]), name
    assert whole['param_schedulers'] == resumed['param_schedulers']
    history = resumed['message_hub']['log_scalars']['val/hsjp/precision']
    assert history.statistics('mean') == 0.25


def test_load_from_and_stock_pretrained(trained, tmp_path):
    path = trained / 'epoch_2.pth'
    saved = torch.load(path)['state_dict']
    runner = toy_runner(tmp_path, load_from=str(path), custom_hooks=None)
    runner.load_or_resume()
    assert_equal(runner.model, saved, '')

    model = Toy(init_cfg=dict(type='Pretrained', checkpoint=str(path), prefix='backbone.'))
    model.init_weights()
    assert_equal(model.backbone, saved)


def assert_equal(backbone, saved, prefix='backbone.'):
    state = backbone.state_dict()
    assert state
    for name, value in state.items():
        assert torch.equal(value, saved[prefix + name]), name


class Bomb:
    """Unpickling it makes a directory."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Attribute:
    """Unpickling it calls getattr(owner, name)."""

    def __init__(self, owner, name):
        self.arguments = owner, name

    def __reduce__(self):
        return getattr, self.arguments


@pytest.mark.parametrize('reader', [read_checkpoint, CheckpointLoader.load_checkpoint])
def test_nothing_is_unpickled_behind_the_users_back(reader, tmp_path):
    torch.save({'state_dict': {}, 'meta': Bomb(tmp_path / 'boom')}, tmp_path / 'bomb.pth')
    with pytest.raises((CheckpointError, pickle.UnpicklingError)):
        reader(str(tmp_path / 'bomb.pth'))
    assert not (tmp_path / 'boom').exists()


@pytest.mark.parametrize(
    'owner, name', [(HistoryBuffer, '__init__'), (np.ndarray, 'tofile'), (torch.Tensor, 'min')]
)
def test_getattr_reaches_only_the_four_statistics(owner, name, tmp_path):
    torch.save({'x': Attribute(HistoryBuffer, 'mean')}, tmp_path / 'mean.pth')
    assert read_checkpoint(tmp_path / 'mean.pth')['x'] is HistoryBuffer.mean
    torch.save({'x': Attribute(owner, name)}, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'refused.*builtins\.getattr'):
        read_checkpoint(tmp_path / 'x.pth')


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize('zipped', [True, False])
def test_refused_file_names_what_it_holds_and_the_switch(zipped, tmp_path):
    path = tmp_path / 'x.pth'
    state = {'w': torch.ones(2), 'args': functools.partial(print)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r'refused.*functools\.partial.*trust=True.*--trust'):
        read_checkpoint(path)
    assert torch.equal(read_checkpoint(path, trust=True)['w'], torch.ones(2))


def test_reads_safetensors_and_files_of_old_torch(tmp_path):
    state = {'w': torch.arange(6.0).reshape(2, 3)}
    safetensors.torch.save_file(state, tmp_path / 'a.safetensors')
    torch.save(state, tmp_path / 'b.pth', _use_new_zipfile_serialization=False)
    for name in ('a.safetensors', 'b.pth'):
        assert torch.equal(read_checkpoint(tmp_path / name)['w'], state['w'])


@pytest.mark.parametrize('name', ['zip.pth', 'old.pth', 'x.safetensors'])
@pytest.mark.parametrize('share', [0, 0.01, 0.5, 0.99])
def test_truncated_file_is_an_error_with_its_size(name, share, tmp_path):
    path = tmp_path / name
    state = {'w': torch.rand(40, 40)}
    if path.suffix == '.safetensors':
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name == 'zip.pth')
    content = path.read_bytes()[: int(share * path.stat().st_size)]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf'{name} \({len(content):,} bytes\).*truncated'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    'content', [b'version https://git-lfs.github.com/spec/v1', b'<!DOCTYPE html>', b'\0' * 99]
)
def test_no_checkpoint_at_all_shows_how_it_starts(content, tmp_path):
    (tmp_path / 'x.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match='cannot be read') as error:
        read_checkpoint(tmp_path / 'x.pth')
    assert repr(content[:24]) in str(error.value)


def test_missing_or_unset_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        read_checkpoint(tmp_path / 'nowhere.pth')
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path)
    for unset in ('', None):
        message = r'cfg-options model\.backbone\.init_cfg\.checkpoint=.*extract_backbone'
        with pytest.raises(ValueError, match=message):
            PretextInit(unset)
    torch.save([torch.ones(1)], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match='holds a list'):
        read_checkpoint(tmp_path / 'list.pth')


def test_web_address_is_fetched_once_and_read_as_safely(tmp_path, monkeypatch):
    (tmp_path / 'www').mkdir()
    torch.save({'w': torch.ones(3)}, tmp_path / 'www/good.pth')
    torch.save({'w': Bomb(tmp_path / 'boom')}, tmp_path / 'www/bad.pth')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / 'www')
    )
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f'http://127.0.0.1:{server.server_port}'
        assert torch.equal(read_checkpoint(f'{host}/good.pth')['w'], torch.ones(3))
        (tmp_path / 'www/good.pth').unlink()
        assert torch.equal(read_checkpoint(f'{host}/good.pth')['w'], torch.ones(3))
        with pytest.raises(CheckpointError, match='refused'):
            read_checkpoint(f'{host}/bad.pth')
        with pytest.raises(CheckpointError, match=f'{host}/no.pth cannot be downloaded'):
            read_checkpoint(f'{host}/no.pth')
        server.shutdown()
    assert not (tmp_path / 'boom').exists()


# ------------------------------------------------------------------ stock backbones


def hrnet(multiscale_output=None, **settings) -> dict:
    """HRNet-W32's structure with a quarter of its width and half of its modules."""

    def stage(modules, widths, block='BASIC'):
        return dict(
            num_modules=modules,
            num_branches=len(widths),
            block=block,
            num_blocks=(2,) * len(widths),
            num_channels=widths,
        )

    stages = [
        stage(1, (16,), 'BOTTLENECK'),
        stage(1, (8, 16)),
        stage(2, (8, 16, 32)),
        stage(2, (8, 16, 32, 64)),
    ]
    extra = {f'stage{i}': cfg for i, cfg in enumerate(stages, 1)}
    if multiscale_output is not None:
        extra['stage4']['multiscale_output'] = multiscale_output
    return dict(extra=extra, **settings)


def vit(**settings) -> dict:
    arch = dict(embed_dims=24, num_layers=3, num_heads=2, feedforward_channels=48)
    settings = dict(img_size=(64, 48), arch=arch) | settings
    return dict(
        type='mmpretrain.VisionTransformer',
        patch_size=16,
        out_type='featmap',
        with_cls_token=False,
        **settings,
    )


RESNET50 = dict(type='mmpose.ResNet', depth=50, base_channels=8, stem_channels=8)
BACKBONES = {
    'resnet50': RESNET50,
    'resnet18': dict(type='mmpose.ResNet', depth=18),
    'hrnet': dict(type='mmpose.HRNet', zero_init_residual=True, **hrnet()),
    'hourglass': dict(
        type='mmpose.HourglassNet',
        downsample_times=2,
        num_stacks=1,
        stage_channels=(16, 16, 16),
        stage_blocks=(1, 1, 1),
        feat_channel=16,
    ),
    'vit': vit(),
    'mmdet_resnet50': dict(type='mmdet.ResNet', depth=50, base_channels=8, stem_channels=8),
    'mmdet_hrnet': dict(type='mmdet.HRNet', **hrnet()),
}


def build(cfg, **settings) -> nn.Module:
    if cfg['type'].startswith('mmpretrain'):
        pytest.importorskip('mmpretrain')
    return MODELS.build(dict(cfg, **settings))


def save(cfg, path, prefix='backbone.', change=None, **extra) -> dict:
    """Write a checkpoint with random values everywhere, so that none equals an initial one."""
    generator = torch.Generator().manual_seed(5)
    state = {
        prefix + name: torch.randn(value.shape, generator=generator)
        if value.is_floating_point()
        else value + 7
        for name, value in build(cfg).state_dict().items()
    }
    if change:
        change(state)
    torch.save({'state_dict': {**state, 'head.weight': torch.ones(2), **extra}}, path)
    return state


class Parent(BaseModel):
    """A stock estimator's way to hold a backbone, with an initialiser that reaches into it."""

    def __init__(self, backbone):
        super().__init__(init_cfg=dict(type='Constant', layer='Conv2d', val=3))
        self.backbone = build(backbone)
        self.head = BaseModule(init_cfg=dict(type='Constant', layer='Conv2d', val=4))
        self.head.conv = nn.Conv2d(1, 1, 1)

    def forward(self, inputs):
        return inputs


def init(path, **settings) -> dict:
    return dict(type='hsjp_mm.PretextInit', checkpoint=str(path), **settings)


@pytest.mark.parametrize('name', BACKBONES)
def test_loaded_weights_survive_init_weights_of_the_whole_model(name, tmp_path):
    path = tmp_path / 'x.pth'
    saved = save(BACKBONES[name], path)
    model = Parent(dict(BACKBONES[name], init_cfg=init(path)))
    model.init_weights()
    assert_equal(model.backbone, saved)
    assert model.head.conv.weight == 4
    model.backbone.init_weights()  # a second call changes nothing either
    assert_equal(model.backbone, saved)


def test_without_the_marks_stock_backbones_would_overwrite_what_was_loaded(tmp_path):
    """Proves that the test above can fail."""
    path = tmp_path / 'x.pth'
    saved = save(RESNET50, path)
    model = Parent(dict(RESNET50, init_cfg=init(path)))
    model.init_weights()
    model.backbone._is_init, model.backbone.init_cfg = False, None
    model.backbone.init_weights()
    with pytest.raises(AssertionError, match=r'bn3\.weight'):
        assert_equal(model.backbone, saved)


class DrawsItself(BaseModule):
    """Like the attention of MMPose's HRFormer: no call of super, so it never counts as done."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))

    def init_weights(self):
        nn.init.normal_(self.weight)


class DrawsLast(BaseModule):
    """Like MMPose's Swin with use_abs_pos_embed: draws after super, whatever was loaded."""

    def __init__(self, init_cfg, draw):
        super().__init__(init_cfg)
        self.draw = draw
        self.weight = nn.Parameter(torch.zeros(3))
        self.child = DrawsItself()

    def init_weights(self):
        super().init_weights()
        if self.draw:
            nn.init.normal_(self.weight)


@pytest.mark.parametrize('draw', [False, True])
def test_weights_stay_or_it_is_an_error(draw, tmp_path):
    saved = {'weight': torch.arange(3.0), 'child.weight': torch.ones(3)}
    torch.save(saved, tmp_path / 'x.pth')
    model = BaseModule()
    model.backbone = DrawsLast(init(tmp_path / 'x.pth'), draw)
    if draw:
        with pytest.raises(
            CheckpointError, match=r'weight of .*x\.pth, was overwritten.*DrawsLast'
        ):
            model.init_weights()
    else:
        model.init_weights()
        assert_equal(model.backbone, saved, '')


def test_children_are_initialised_where_the_file_may_lack_them(tmp_path):
    torch.save({'weight': torch.arange(3.0)}, tmp_path / 'x.pth')
    model = DrawsLast(init(tmp_path / 'x.pth', allow_missing=['child.*']), draw=False)
    model.init_weights()
    assert torch.equal(model.weight, torch.arange(3.0))
    assert model.child.weight.abs().min() > 0  # it starts as zeros


def topdown(init_cfg=None) -> dict:
    return dict(
        type='mmpose.TopdownPoseEstimator',
        data_preprocessor=dict(type='mmpose.PoseDataPreprocessor'),
        backbone=dict(RESNET50, init_cfg=init_cfg),
        head=dict(
            type='mmpose.HeatmapHead',
            in_channels=256,
            out_channels=2,
            deconv_out_channels=(8,),
            deconv_kernel_sizes=(4,),
            loss=dict(type='mmpose.KeypointMSELoss'),
        ),
    )


def detector(init_cfg) -> dict:
    return dict(
        type='mmdet.FCOS',
        backbone=dict(BACKBONES['mmdet_hrnet'], init_cfg=init_cfg),
        neck=dict(type='mmdet.HRFPN', in_channels=[8, 16, 32, 64], out_channels=8, num_outs=5),
        bbox_head=dict(type='mmdet.FCOSHead', num_classes=1, in_channels=8, feat_channels=32),
        data_preprocessor=dict(type='mmdet.DetDataPreprocessor'),
    )


@pytest.mark.parametrize(
    'scope, make, file', [('mmpose', topdown, 'resnet50'), ('mmdet', detector, 'mmdet_hrnet')]
)
def test_whole_stock_estimator_and_detector(scope, make, file, tmp_path):
    path = tmp_path / 'x.pth'
    saved = save(BACKBONES[file], path)
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(make(init(path)))
        model.init_weights()
    assert_equal(model.backbone, saved)


def test_mmpose_resnet_goes_into_mmdet(tmp_path):
    path = tmp_path / 'x.pth'
    saved = save(RESNET50, path)
    model = Parent(dict(BACKBONES['mmdet_resnet50'], init_cfg=init(path)))
    model.init_weights()
    assert_equal(model.backbone, saved)


def test_mmpose_hrnet_goes_into_mmdet_with_multiscale_output(tmp_path):
    backbone = build(BACKBONES['mmdet_hrnet'])
    save(BACKBONES['hrnet'], tmp_path / 'plain.pth')
    with pytest.raises(CheckpointError, match=r'stage4\.multiscale_output=True') as error:
        load_backbone(backbone, tmp_path / 'plain.pth')
    assert 'missing (only in the model), 78:' in str(error.value)

    allowed = "['stage4.*.fuse_layers.[123].*']"
    assert allowed in str(error.value)
    load_backbone(backbone, tmp_path / 'plain.pth', allow_missing=['stage4.*.fuse_layers.[123].*'])

    multiscale = dict(type='mmpose.HRNet', **hrnet(multiscale_output=True))
    saved = save(multiscale, tmp_path / 'multi.pth')
    load_backbone(backbone, tmp_path / 'multi.pth')
    assert_equal(backbone, saved)
    neck = MODELS.build(dict(type='mmpose.FeatureMapProcessor', concat=True))
    (features,) = neck(build(multiscale)(torch.zeros(1, 3, 64, 64)))
    assert features.shape == (1, 8 + 16 + 32 + 64, 16, 16)


def test_file_that_the_authors_of_jigclu_released(tmp_path):
    """Its layout: an encoder with torchvision's names, and the branches as its linear layers."""
    encoder = torchvision.models.resnet18()
    encoder.fc_clu = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 128))
    encoder.fc_loc = nn.Linear(512, 4)
    del encoder.fc
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.03, momentum=0.9)
    for parameter in encoder.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    encoder.bn1.running_mean += 1
    state = {f'module.encoder.{name}': value for name, value in encoder.state_dict().items()}
    content = {
        'epoch': 200,
        'arch': 'resnet18',
        'state_dict': state,
        'optimizer': optimizer.state_dict(),
    }
    torch.save(content, tmp_path / 'x.pth.tar')

    coverage, _ = audit(build(BACKBONES['resnet18']), tmp_path / 'x.pth.tar')
    layers = ('fc_clu.0', 'fc_clu.2', 'fc_loc')
    assert coverage.unexpected == [f'{n}.{kind}' for n in layers for kind in ('weight', 'bias')]
    assert coverage.line().startswith('backbone: 120 of 120 tensors, 11.2 M of 11.2 M parameters')
    assert "prefix 'module.encoder.'" in coverage.line()
    assert '6 of the file unused: fc_clu.0.weight, fc_clu.0.bias' in coverage.line()
    model = Parent(dict(BACKBONES['resnet18'], init_cfg=init(tmp_path / 'x.pth.tar')))
    model.init_weights()
    assert_equal(model.backbone, state, 'module.encoder.')


# ------------------------------------------------------------------ what does not fit


def refusal(model, path, **settings) -> str:
    """The message of the refusal, after a look that nothing was loaded."""
    backbone = build(model)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        load_backbone(backbone, path, **settings)
    assert_equal(backbone, before, '')
    assert path.name in str(error.value)
    return str(error.value)


@pytest.mark.parametrize('file, model', [(18, 50), (34, 50), (50, 34), (101, 50), (50, 101)])
def test_other_depth(file, model, tmp_path):
    small = dict(type='mmpose.ResNet', base_channels=8, stem_channels=8)
    save(dict(small, depth=file), tmp_path / 'x.pth')
    message = refusal(dict(small, depth=model), tmp_path / 'x.pth')
    assert f'file looks like ResNet-{file}, the model like ResNet-{model}' in message


def test_other_depth_of_a_transformer(tmp_path):
    arch = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)
    save(vit(arch=arch), tmp_path / 'two.pth')
    save(vit(), tmp_path / 'three.pth')
    assert 'lacks the whole of layers.2' in refusal(vit(), tmp_path / 'two.pth')
    assert 'goes on with layers.2' in refusal(vit(arch=arch), tmp_path / 'three.pth')


def test_other_architecture(tmp_path):
    save(BACKBONES['hrnet'], tmp_path / 'x.pth')
    assert 'another architecture' in refusal(RESNET50, tmp_path / 'x.pth')
    assert 'another architecture' in refusal(BACKBONES['vit'], tmp_path / 'x.pth')


def test_other_width(tmp_path):
    save(dict(RESNET50, base_channels=16, stem_channels=16), tmp_path / 'x.pth')
    message = refusal(RESNET50, tmp_path / 'x.pth')
    assert 'conv1.weight (16, 3, 7, 7) / (8, 3, 7, 7)' in message


def test_nan_weights(tmp_path):
    def diverge(state):
        state['backbone.layer2.1.bn2.weight'][3] = float('nan')

    save(RESNET50, tmp_path / 'x.pth', change=diverge)
    message = refusal(RESNET50, tmp_path / 'x.pth')
    assert 'not finite, 1: layer2.1.bn2.weight' in message
    assert 'diverged' in message


def test_wrong_prefix(tmp_path):
    save(RESNET50, tmp_path / 'x.pth')
    message = refusal(RESNET50, tmp_path / 'x.pth', prefix='encoder_q.')
    assert "wrong prefix: no name of the model stands under 'encoder_q.'" in message
    assert "'backbone.'" in message


def test_one_missing_tensor_names_it(tmp_path):
    save(RESNET50, tmp_path / 'x.pth', change=lambda s: s.pop('backbone.layer3.5.conv1.weight'))
    message = refusal(RESNET50, tmp_path / 'x.pth')
    assert 'backbone: 317 of 318 tensors' in message
    assert 'missing (only in the model), 1: layer3.5.conv1.weight' in message


@pytest.mark.parametrize('settings', [dict(img_size=(96, 48)), dict(img_size=(64, 64))])
def test_position_embedding_of_another_size_is_not_interpolated(settings, tmp_path):
    save(vit(**settings), tmp_path / 'x.pth')
    message = refusal(vit(), tmp_path / 'x.pth')
    assert 'pos_embed is for another input size' in message


def test_six_channel_stem_without_the_mark_of_hsjp(tmp_path):
    save(dict(RESNET50, in_channels=6), tmp_path / 'x.pth')
    message = refusal(RESNET50, tmp_path / 'x.pth')
    assert 'conv1.weight takes 6 channels in the file, 3 in the model' in message
    save(dict(RESNET50, in_channels=6), tmp_path / 'no.pth', puzzle=torch.tensor([3, 0]))
    assert 'takes 6 channels' in refusal(RESNET50, tmp_path / 'no.pth')


def test_six_channel_stem_of_hsjp_is_summed(tmp_path):
    wide = dict(RESNET50, in_channels=6)
    saved = save(wide, tmp_path / 'x.pth', puzzle=torch.tensor([3, 1]))
    kernel = saved['backbone.conv1.weight']
    backbone = build(RESNET50)
    coverage = load_backbone(backbone, tmp_path / 'x.pth')
    assert torch.equal(backbone.conv1.weight, kernel[:, :3] + kernel[:, 3:])
    assert 'the two halves of its 6-channel stem summed' in coverage.line()
    saved['backbone.conv1.weight'] = backbone.conv1.weight.detach()
    assert_equal(backbone, saved)

    saved['backbone.conv1.weight'] = kernel
    going_on = build(wide)
    load_backbone(going_on, tmp_path / 'x.pth')
    assert_equal(going_on, saved)


# ------------------------------------------------------------------ PretextInit


def test_the_line_says_what_was_loaded_from_where(tmp_path):
    path = tmp_path / 'x.pth'
    save(dict(type='mmpose.ResNet', depth=50), path)
    line = load_backbone(build(dict(type='mmpose.ResNet', depth=50)), path).line()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert line == (
        'backbone: 318 of 318 tensors, 23.5 M of 23.5 M parameters '
        f"from {path} (prefix 'backbone.', sha256 {digest}…)"
    )


def test_line_and_initialisation_log(tmp_path):
    saved_by = tmp_path / 'x.pth'
    # Values that the initialisers give too: their means do not change, yet they come from the file.
    save(RESNET50, saved_by, change=lambda s: s['backbone.bn1.weight'].fill_(1))
    log = tmp_path / 'log.txt'
    MMLogger.get_instance('pretext_init', log_file=str(log))
    model = Parent(dict(RESNET50, init_cfg=init(saved_by)))
    model.init_weights()
    text = log.read_text()
    assert text.count('backbone: 318 of 318 tensors') == 1
    for name in ('bn1.weight', 'layer4.2.bn3.weight', 'layer1.0.conv1.weight'):
        assert f'PretextInit: {name} of {saved_by}' in text
    assert 'head.conv.weight - torch.Size([1, 1, 1, 1]): \nConstantInit' in text


def test_allowed_missing_layers_keep_the_initialisers_listed_before(tmp_path):
    path = tmp_path / 'x.pth'
    saved = save(RESNET50, path, change=lambda s: s.pop('backbone.layer4.0.conv1.weight'))
    constant = dict(type='Constant', layer='Conv2d', val=9)
    settings = init(path, allow_missing=['layer4.0.conv1.*'])
    model = Parent(dict(RESNET50, init_cfg=[constant, settings]))
    model.init_weights()
    missing = model.backbone.layer4[0].conv1.weight
    assert torch.equal(missing, torch.full_like(missing, 9))
    assert_equal(model.backbone, saved | {'backbone.layer4.0.conv1.weight': missing})


@pytest.mark.parametrize('after', ['Constant', 'Pretrained'])
def test_nothing_may_initialise_after_it(after, tmp_path):
    save(RESNET50, tmp_path / 'x.pth')
    cfgs = [init(tmp_path / 'x.pth'), dict(type='Constant', layer='Conv2d', val=9)]
    if after == 'Pretrained':
        cfgs = [dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth')), cfgs[0]]
    with pytest.raises(ValueError, match='must be the last'):
        build(RESNET50, init_cfg=cfgs).init_weights()


def test_stops_inside_a_stock_model_that_would_have_trained_on(tmp_path):
    save(dict(type='mmpose.ResNet', depth=18), tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='ResNet-18'):
        MODELS.build(topdown(init(tmp_path / 'x.pth'))).init_weights()
    with pytest.raises(ValueError, match='checkpoint'):
        MODELS.build(topdown(init(''))).init_weights()


# ------------------------------------------------------------------ exporting


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
@pytest.mark.parametrize(
    'file, epoch, when', [('best_hsjp_precision_epoch_1', 1, ''), ('epoch_3', 3, 'earlier_')]
)
def test_exported_backbone_of_a_run(suffix, file, epoch, when, trained, tmp_path):
    source = trained / f'{file}.pth'
    checkpoint = torch.load(source, weights_only=True)
    path, meta = export_backbone(source, tmp_path / f'new/toy{suffix}')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path == tmp_path / f'new/toy-{digest}{suffix}'
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file stays

    if suffix == '.pth':
        content = torch.load(path, weights_only=True)
        tensors, stored = content['state_dict'], content['meta']
    else:
        tensors = safetensors.torch.load_file(path)
        with safetensors.safe_open(path, 'pt') as file:
            stored = json.loads(file.metadata()['hsjp_mm'])
    backbone = {k: v for k, v in checkpoint['state_dict'].items() if k.startswith('backbone.')}
    assert tensors.keys() == backbone.keys()
    assert all(torch.equal(tensors[name], value) for name, value in backbone.items())
    assert stored == meta
    assert meta == dict(
        config=checkpoint['meta']['cfg'],
        grid=3,
        unshuffled=False,
        epoch=epoch,
        iter=2 * epoch,
        source=source.name,
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        **{f'{when}precision': 0.25, f'{when}retrieval': 0.75},
    )
    again, _ = export_backbone(source, tmp_path / f'new/toy{suffix}')
    assert again == path

    model = Toy(init_cfg=init(path))
    model.init_weights()
    assert_equal(model.backbone, backbone)


def test_stock_pretrained_reads_an_exported_pth(tmp_path):
    saved = save(RESNET50, tmp_path / 'x.pth')
    path, _ = export_backbone(tmp_path / 'x.pth', tmp_path / 'y.pth')
    cfg = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')
    model = MODELS.build(topdown(cfg))
    model.init_weights()
    assert_equal(model.backbone, saved)


def test_export_is_float32_contiguous_and_folds(tmp_path):
    kernel = torch.randn(4, 6, 3, 3).half().transpose(2, 3)
    bias = torch.rand(4).half()
    state = {
        'backbone.stem.weight': kernel,
        'backbone.stem.bias': bias,
        'backbone.n': torch.tensor(3),
        'head.w': kernel,
    }
    torch.save({'state_dict': {**state, 'puzzle': torch.tensor([5, 1])}}, tmp_path / 'x.pth')
    for suffix in ('.pth', '.safetensors'):
        path, meta = export_backbone(tmp_path / 'x.pth', tmp_path / f'y{suffix}')
        read = read_checkpoint(path)
        read = read.get('state_dict', read)
        assert read.keys() == {'backbone.stem.weight', 'backbone.stem.bias', 'backbone.n'}
        assert torch.equal(read['backbone.stem.bias'], bias.float())
        assert read['backbone.n'] == 3
        summed = kernel[:, :3].float() + kernel[:, 3:].float()
        assert torch.equal(read['backbone.stem.weight'], summed)
        assert (meta['grid'], meta['unshuffled']) == (5, True)
        assert 'precision' not in meta
        assert 'config' not in meta


def test_config_text_is_carried_and_never_run(tmp_path):
    text = f"import os\nos.mkdir('{tmp_path}/boom')\n"
    state = {'backbone.w': torch.ones(1)}
    torch.save({'state_dict': state, 'meta': {'cfg': text}}, tmp_path / 'x.pth')
    _, meta = export_backbone(tmp_path / 'x.pth', tmp_path / 'y.safetensors')
    assert meta['config'] == text
    assert not (tmp_path / 'boom').exists()


def test_export_refuses(tmp_path):
    torch.save({'backbone.w': torch.tensor([1.0, float('nan')])}, tmp_path / 'nan.pth')
    with pytest.raises(CheckpointError, match=r'nan\.pth: NaN or infinity in w'):
        export_backbone(tmp_path / 'nan.pth', tmp_path / 'y.pth')
    with pytest.raises(CheckpointError, match=r"no tensor.*'net\.'.*start with backbone"):
        export_backbone(tmp_path / 'nan.pth', tmp_path / 'y.pth', prefix='net')
    with pytest.raises(ValueError, match=r'\.safetensors or \.pth'):
        export_backbone(tmp_path / 'nan.pth', tmp_path / 'y.bin')
    assert [p.name for p in tmp_path.iterdir()] == ['nan.pth']


def test_export_takes_other_prefixes(tmp_path):
    state = {'student': {'module.backbone.w': torch.ones(2)}, 'teacher': {'w': torch.zeros(2)}}
    torch.save(state, tmp_path / 'x.pth')
    for prefix, value in (('student.module.backbone', 1), ('teacher.', 0)):
        path, _ = export_backbone(tmp_path / 'x.pth', tmp_path / 'y.safetensors', prefix)
        assert read_checkpoint(path)['backbone.w'].tolist() == [value, value]


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    torch.save({'backbone.w': torch.ones(2)}, tmp_path / 'x.pth')

    def fail(source, target):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='disk full'):
        export_backbone(tmp_path / 'x.pth', tmp_path / 'new/y.pth')
    assert list((tmp_path / 'new').iterdir()) == []
