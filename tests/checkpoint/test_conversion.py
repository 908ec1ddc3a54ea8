from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmengine.runner import load_checkpoint
from mmpose.models.backbones import HRNet
from mmpose.registry import MODELS
from torch import nn

from hsjp_mm.checkpoint.conversion import convert, convert_checkpoint
from hsjp_mm.checkpoint.coverage import CheckpointError
from tests.helpers import ROOT

TINY = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny
del TINY['init_cfg']  # weights are to be loaded
W32 = Config.fromfile(ROOT / 'configs/_base_/hrnet-w32.py').hrnet_w32


def block(channels: int) -> nn.Module:
    """Two convolutions with norms under the old names, and what they are added to."""
    module = nn.Module()
    for i in (1, 2):
        conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        module.add_module(f'conv{i}', conv)
        module.add_module(f'bn{i}', nn.BatchNorm2d(channels))
    module.forward = lambda x: (
        x + module.bn2(module.conv2(module.bn1(module.conv1(x)).relu()))
    ).relu()
    return module


class OldHead(nn.Module):
    """The tree of the authors' and MMPose 0.x's higher-resolution head: lists within lists."""

    def __init__(self, width: int, keypoints: int, deconvs: int, blocks: int, cat: bool):
        super().__init__()
        self.cat = cat
        outputs = [2 * keypoints] + [keypoints] * deconvs
        self.final_layers = nn.ModuleList(nn.Conv2d(width, n, 1) for n in outputs)
        self.deconv_layers = nn.ModuleList()
        for i in range(deconvs):
            seen = width + (outputs[i] if cat else 0)
            deconv = nn.ConvTranspose2d(seen, width, 4, 2, 1, bias=False)
            first = nn.Sequential(deconv, nn.BatchNorm2d(width), nn.ReLU())
            rest = [nn.Sequential(block(width)) for _ in range(blocks)]
            self.deconv_layers.append(nn.Sequential(first, *rest))

    def forward(self, x):
        outputs = [self.final_layers[0](x)]
        for final_layer, deconv in zip(self.final_layers[1:], self.deconv_layers, strict=True):
            x = deconv(torch.cat([x, outputs[-1]], 1) if self.cat else x)
            outputs.append(final_layer(x))
        return outputs


class OldModel(nn.Module):
    """A random network, and its state dict under the old names."""

    def __init__(self, keypoints: int = 3, deconvs: int = 1, blocks: int = 2, cat: bool = True):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = HRNet(**{k: v for k, v in TINY.items() if k != 'type'})
        self.head = OldHead(16, keypoints, deconvs, blocks, cat)
        for name, tensor in self.state_dict().items():
            if tensor.is_floating_point():
                positive = name.endswith('running_var')
                tensor.uniform_(0.5, 1.5) if positive else tensor.uniform_(-0.2, 0.2)
        self.train(False)

    def forward(self, x):
        return self.head(self.backbone(x)[0])

    def state(self, style: str) -> dict[str, torch.Tensor]:
        prefixes = {'authors': ('', ''), 'mmpose': ('backbone.', 'keypoint_head.')}[style]
        parts = zip(prefixes, (self.backbone, self.head), strict=True)
        return {p + name: t for p, part in parts for name, t in part.state_dict().items()}


def plain(state: dict) -> dict:
    """As AESimpleHead of MMPose 0.x names its only layer."""
    return {name.replace('final_layers.0.', 'final_layer.'): t for name, t in state.items()}


def assert_same_output(old: OldModel, new: nn.Module) -> None:
    image = torch.rand(1, 3, 64, 96)
    new.train(False)
    with torch.no_grad():
        maps, tags = new(image, None)
        first, *rest = old(image)
    torch.testing.assert_close(torch.cat((maps[0], tags), 1), first)
    torch.testing.assert_close(maps[1:], rest)
    assert all(one.std() > 1e-3 for one in maps)


@pytest.mark.parametrize('style', ['authors', 'mmpose'])
@pytest.mark.parametrize(
    'options',
    [dict(), dict(deconvs=2, keypoints=4), dict(blocks=0), dict(blocks=1, cat=False)],
    ids=str,
)
def test_same_input_same_output(style, options):
    old = OldModel(**options)
    tensors, config = convert(old.state(style))
    new = MODELS.build(config)
    new.load_state_dict(tensors, strict=True)
    assert_same_output(old, new)


@pytest.mark.parametrize('style', ['authors', 'mmpose', 'AESimpleHead'])
def test_plain_associative_embedding(style):
    old = OldModel(deconvs=0)
    state = old.state('authors') if style == 'authors' else plain(old.state('mmpose'))
    tensors, config = convert(state)
    new = MODELS.build(config)
    new.load_state_dict(tensors, strict=True)
    assert config['head']['num_deconvs'] == 0
    assert_same_output(old, new)

    stock = dict(
        type='AssociativeEmbeddingHead', in_channels=16, num_keypoints=3, deconv_out_channels=None
    )
    MODELS.build(config | dict(head=stock)).load_state_dict(tensors, strict=True)


def test_the_network_is_read_from_names_and_shapes():
    _, config = convert(OldModel(keypoints=5, deconvs=2, blocks=1, cat=False).state('authors'))
    assert config == dict(
        type='BottomupPoseEstimator',
        backbone=TINY.to_dict(),
        head=dict(
            type='hsjp_mm.HigherHRNetHead',
            in_channels=16,
            num_keypoints=5,
            num_deconvs=2,
            num_blocks=1,
            concat=False,
        ),
    )


def test_stock_hrnet_has_the_names_of_the_released_w32():
    with torch.device('meta'):
        shapes = {name: tuple(t.shape) for name, t in MODELS.build(W32).state_dict().items()}
    released = {
        'conv2.weight': (64, 64, 3, 3),
        'bn2.running_var': (64,),
        'layer1.0.downsample.0.weight': (256, 64, 1, 1),
        'layer1.3.conv3.weight': (256, 64, 1, 1),
        'transition1.0.0.weight': (32, 256, 3, 3),
        'transition1.1.0.0.weight': (64, 256, 3, 3),
        'transition3.3.0.1.bias': (256,),
        'stage2.0.branches.1.3.bn2.bias': (64,),
        'stage3.3.fuse_layers.2.0.0.0.weight': (32, 32, 3, 3),
        'stage3.3.fuse_layers.2.0.1.0.weight': (128, 32, 3, 3),
        'stage4.2.fuse_layers.0.3.0.weight': (32, 256, 1, 1),
    }
    assert {name: shapes[name] for name in released} == released
    assert not any(name.startswith('stage4.2.fuse_layers.1') for name in shapes)


def test_a_converted_file_loads_in_mmengine(tmp_path):
    old = OldModel()
    content = {'state_dict': old.state('mmpose'), 'meta': {'mmpose_version': '0.29.0'}}
    torch.save(content, tmp_path / 'old.pth')
    path, config = convert_checkpoint(tmp_path / 'old.pth', tmp_path / 'out/new.pth')
    new = MODELS.build(config)
    assert load_checkpoint(new, str(path), strict=True)['meta']['model'] == config
    assert_same_output(old, new)


def test_a_file_that_could_not_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    torch.save(OldModel().state('authors'), tmp_path / 'old.pth')
    (tmp_path / 'new.pth').write_bytes(b'the one before')

    def half(content, path):
        Path(path).write_bytes(b'ha')
        raise OSError('the disk is full')

    monkeypatch.setattr(torch, 'save', half)
    with pytest.raises(OSError, match='full'):
        convert_checkpoint(tmp_path / 'old.pth', tmp_path / 'new.pth')
    assert (tmp_path / 'new.pth').read_bytes() == b'the one before'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['new.pth', 'old.pth']


def test_old_files_without_batch_counters_convert(tmp_path):
    old = OldModel()
    state = {k: v for k, v in old.state('authors').items() if not k.endswith('batches_tracked')}
    torch.save(state, tmp_path / 'old.pth')
    path, config = convert_checkpoint(tmp_path / 'old.pth', tmp_path / 'new.pth')
    new = MODELS.build(config)
    load_checkpoint(new, str(path), strict=True)
    assert_same_output(old, new)


def changed(name: str, value: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = OldModel().state('authors')
    assert (name in state) != (value is not None and value.numel() == 1)
    if value is None:
        del state[name]
    else:
        state[name] = value
    return state


@pytest.mark.parametrize(
    'name, value, message',
    [
        ('stage3.0.branches.2.0.bn1.weight', None, 'missing.*stage3.0.branches.2.0.bn1.weight'),
        ('deconv_layers.0.0.1.bias', None, r'missing.*deconv_modules\.0\.1\.bias'),
        ('deconv_layers.0.2.0.conv1.weight', None, r'missing.*deconv_modules\.0\.4\.conv1'),
        ('final_layers.0.weight', None, 'head.final_layer.weight is missing'),
        ('stage2.0.branches.0.0.conv1.weight', None, 'stage2.0.branches.0.0.conv1.weight is mis'),
        ('classifier.weight', torch.ones(1), r'unexpected.*backbone\.classifier\.weight'),
        ('final_layer.bias', torch.ones(1), r'unexpected.*backbone\.final_layer\.bias'),
        ('deconv_layers.0.weight', torch.ones(1), 'deconv_layers.0.weight is no name'),
        ('keypoint_head.final_layers.0.bias', torch.ones(1), 'two tensors .* head.final_layer.bi'),
        ('final_layers.0.weight', torch.ones(4, 16, 1, 1), '4 maps at 1/4 and 3 keypoints'),
        ('deconv_layers.0.0.0.weight', torch.ones(19, 16, 4, 4), r'differing.*19, 16.* / \(22, '),
        ('conv1.weight', torch.full((64, 3, 3, 3), torch.nan), r'not finite.*conv1\.weight'),
    ],
)
def test_what_does_not_make_a_whole_model_is_refused_by_name(name, value, message):
    with pytest.raises(CheckpointError, match=f'(?s){message}'):
        convert(changed(name, value))


def test_other_networks_are_refused():
    resnet = {'backbone.layer1.0.conv1.weight': torch.ones(4, 4, 1, 1)}
    with pytest.raises(CheckpointError, match=r'on HRNet: backbone\.stage2\S+ is missing'):
        convert(resnet)
    with pytest.raises(CheckpointError, match=r'layer1\S+ is missing .*none'):
        convert({})


def test_a_refused_file_is_named_and_writes_nothing(tmp_path):
    torch.save(changed('conv1.weight', None), tmp_path / 'old.pth')
    with pytest.raises(CheckpointError, match=r'old\.pth: .*(?s:.*)missing.*conv1'):
        convert_checkpoint(tmp_path / 'old.pth', tmp_path / 'new.pth')
    with pytest.raises(ValueError, match=r'out=.* must end in \.pth'):
        convert_checkpoint(tmp_path / 'old.pth', tmp_path / 'new.safetensors')
    with pytest.raises(ValueError, match=r'out=.*old\.pth. must be another file than the check'):
        convert_checkpoint(tmp_path / 'old.pth', tmp_path / 'old.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['old.pth']
