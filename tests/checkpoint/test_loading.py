import hashlib
from pathlib import Path

import pytest
import torch
import torchvision
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from hsjp_mm.checkpoint import audit, export_backbone, load_backbone, load_model, reading
from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.checkpoint.loading import left_behind
from tests.checkpoint.helpers import (
    BACKBONES,
    RESNET50,
    Parent,
    Toy,
    assert_equal,
    build,
    hrnet,
    init,
    save,
    topdown,
    vit,
)

# ------------------------------------------------------------------ stock backbones


@pytest.mark.slow
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


def test_negative_variance(tmp_path):
    def damage(state):
        state['backbone.layer2.1.bn2.running_var'][3] = -0.5

    save(RESNET50, tmp_path / 'x.pth', change=damage)
    message = refusal(RESNET50, tmp_path / 'x.pth')
    assert 'variance below zero, 1: layer2.1.bn2.running_var' in message
    assert 'damaged' in message


def test_quantised_weights(tmp_path):
    def quantise(state):
        state['backbone.conv1.weight'] = (100 * state['backbone.conv1.weight']).to(torch.int8)

    save(RESNET50, tmp_path / 'x.pth', change=quantise)
    message = refusal(RESNET50, tmp_path / 'x.pth')
    assert 'of another kind (file / model), 1: conv1.weight torch.int8 / torch.float32' in message


def test_a_damaged_file_is_not_loaded(tmp_path):
    path = tmp_path / 'x.pth'
    save(RESNET50, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert 'is truncated or damaged: its record x/data/' in refusal(RESNET50, path)


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
    save(
        dict(RESNET50, in_channels=6),
        tmp_path / 'no.pth',
        **{'identity.unshuffled': torch.tensor(0)},
    )
    assert 'takes 6 channels' in refusal(RESNET50, tmp_path / 'no.pth')


@pytest.mark.parametrize(
    'mark', [{'identity.unshuffled': torch.tensor(1)}, {'puzzle': torch.tensor([3, 1])}], ids=str
)
def test_six_channel_stem_of_hsjp_is_summed(mark, tmp_path):
    wide = dict(RESNET50, in_channels=6)
    saved = save(wide, tmp_path / 'x.pth', **mark)
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
        f"from {path} (prefix 'backbone.', sha256 {digest}…); left behind: head (1 tensor)"
    )


@pytest.mark.parametrize('average_first', [True, False])
def test_the_line_ends_with_what_else_would_have_fitted(average_first, tmp_path):
    path = tmp_path / 'x.pth'
    trained = save(RESNET50, path, prefix='')
    average = {name: 2 * value for name, value in trained.items()}
    networks = {'model_ema': average, 'model': trained, 'half': dict(list(trained.items())[:200])}
    torch.save(dict(sorted(networks.items(), reverse=average_first)), path)
    backbone = build(RESNET50)
    line = load_backbone(backbone, path).line()
    assert_equal(backbone, trained, '')
    assert "(prefix 'model.'" in line
    assert line.endswith("; also complete under 'model_ema.'")

    line = load_backbone(backbone, path, prefix='model_ema').line()
    assert_equal(backbone, average, '')
    assert 'also complete' not in line


def test_of_two_equal_networks_the_line_names_both(tmp_path):
    path = tmp_path / 'x.pth'
    first = save(RESNET50, path, prefix='')
    other = {f'flow.{name}': value + 1 for name, value in first.items()}
    torch.save({f'rgb.{name}': value for name, value in first.items()} | other, path)
    line = load_backbone(build(RESNET50), path).line()
    assert "(prefix 'rgb.'" in line
    assert line.endswith("; also complete under 'flow.'")


def test_the_average_that_mmengine_keeps_for_use_is_said_to_be_one(trained, tmp_path):
    content = torch.load(trained / 'epoch_3.pth', weights_only=False)
    model = Toy()
    line = load_backbone(model.backbone, trained / 'epoch_3.pth').line()
    assert_equal(model.backbone, content['state_dict'])
    assert "average of MMEngine's EMAHook" in line
    assert line.endswith("also complete under 'ema_state_dict.module.backbone.'")
    assert any(
        not torch.equal(value, content['ema_state_dict'][f'module.{name}'])
        for name, value in content['state_dict'].items()
    )
    line = load_backbone(
        model.backbone, trained / 'epoch_3.pth', 'ema_state_dict.module.backbone'
    ).line()
    assert_equal(model.backbone, content['ema_state_dict'], 'module.backbone.')
    assert 'EMAHook' not in line


def test_the_file_is_hashed_once(tmp_path, monkeypatch):
    saved = save(RESNET50, tmp_path / 'x.pth')
    path, _ = export_backbone(tmp_path / 'x.pth', tmp_path / 'x.safetensors')
    hashed, crc = [], []
    whole = reading.file_sha256
    monkeypatch.setattr(reading, 'file_sha256', lambda path: hashed.append(path) or whole(path))
    monkeypatch.setattr(reading, '_damaged_record', crc.append)
    backbone = build(RESNET50)
    load_backbone(backbone, path)
    assert_equal(backbone, saved)
    assert (hashed, crc) == ([path], [])


OLD = Path(__file__).resolve().parents[1] / 'data'
OLD_NET = dict(
    type='mmpose.ResNet', depth=18, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,),
    stem_channels=4, base_channels=4,
)  # fmt: skip


@pytest.mark.parametrize('name', ['hsjp_0.1', 'jigclu_0.1'])
def test_a_checkpoint_of_version_0_1_goes_on_loading(name, tmp_path):
    path = OLD / f'{name}.pth'
    saved = torch.load(path, weights_only=False)['state_dict']
    model = Parent(dict(OLD_NET, init_cfg=init(path)))
    model.init_weights()
    kernel = saved['backbone.conv1.weight']
    if name == 'hsjp_0.1':  # it was trained with unshuffled=True
        kernel = kernel[:, :3] + kernel[:, 3:]
    assert_equal(model.backbone, saved | {'backbone.conv1.weight': kernel})


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


def test_a_whole_model_is_loaded_or_its_differences_are_named(tmp_path):
    torch.manual_seed(0)
    model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    for name, content in (
        ('whole', {'state_dict': other.state_dict()}),
        ('bare', other.state_dict()),
        ('missing', {'state_dict': {'weight': torch.zeros(3, 2)}}),
        ('shape', {'state_dict': nn.Linear(3, 3).state_dict()}),
    ):
        torch.save(content, tmp_path / f'{name}.pth')
    for name in ('whole', 'bare'):
        nn.init.zeros_(model.weight)
        load_model(model, tmp_path / f'{name}.pth')
        assert torch.equal(model.weight, other.weight)
    for name, said in (('missing', r'Missing key.*"bias"'), ('shape', 'size mismatch for weight')):
        with pytest.raises(CheckpointError, match=rf'{name}\.pth is no checkpoint.*{said}'):
            load_model(model, tmp_path / f'{name}.pth')


@pytest.mark.parametrize(
    ('prefix', 'others', 'expected'),
    [
        ('backbone.', [], ['head (2 tensors)', 'neck (1 tensor)']),
        ('ema.module.backbone.', [], ['ema.module.head (2 tensors)', 'ema.module.neck (1 tensor)']),
        ('rgb.net.', ['rgb.flow.'], ['rgb.head (1 tensor)']),
        ('rgb.net.', [], ['rgb.flow (1 tensor)', 'rgb.head (1 tensor)']),
        ('', [], []),
    ],
)
def test_what_a_network_has_beside_the_backbone_is_named(prefix, others, expected):
    one = torch.zeros(1)
    model = {'backbone.a': one, 'head.a': one, 'head.b': one, 'neck.a': one}
    if prefix.startswith('rgb.'):
        state = {'rgb': {'net.a': one, 'flow.a': one, 'head.a': one}}
    else:
        average = {f'module.{name}': value for name, value in model.items()}
        state = {'state_dict': model, 'ema': average, 'message_hub': 1}
    assert left_behind(state, prefix, others) == expected
