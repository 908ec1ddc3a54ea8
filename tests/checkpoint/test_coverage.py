import pytest
import torch
from torch import nn

from hsjp_mm.checkpoint.coverage import (
    CheckpointError,
    compare,
    find_backbone,
    fold_stem,
    networks_of,
)


def toy() -> nn.Module:
    """Names like a backbone's, with a parameter, a buffer and a counter in each block."""
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            'stem': nn.Conv2d(3, 4, 3),
            'layers': nn.Sequential(*[nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))] * 1),
        }
    )


def tensors(value: float = 1.0) -> dict:
    """A file's tensors that fit the toy network, all filled with value."""
    return {name: torch.full_like(t, value) for name, t in toy().state_dict().items()}


def named(prefix: str, values: dict) -> dict:
    return {prefix + name: value for name, value in values.items()}


TRAINED, AVERAGE = tensors(1), tensors(2)
HEAD = {'fc.weight': torch.zeros(3, 3), 'head.stem.weight': torch.zeros(5, 5)}
FILES = {
    '': TRAINED | HEAD,
    'backbone.': {'state_dict': named('backbone.', TRAINED) | HEAD, 'meta': {'epoch': 1}},
    'module.': {'state_dict': named('module.', TRAINED)},
    'module.backbone.': named('module.backbone.', TRAINED) | HEAD,
    'module.encoder_q.': {
        'state_dict': named('module.encoder_q.', TRAINED) | named('module.encoder_k.', AVERAGE)
    },
    # Safetensors files are sorted by name, which puts the average first.
    'encoder_q.': named('encoder_k.', AVERAGE) | named('encoder_q.', TRAINED),
    'online_network.': named('target_network.', AVERAGE) | named('online_network.', TRAINED),
    'online_network.backbone.': named('online_network.backbone.', TRAINED),
    'student.backbone.': {
        'teacher': named('backbone.', AVERAGE),
        'student': named('backbone.', TRAINED),
    },
    'teacher.': {'teacher': TRAINED, 'epoch': 3},
    'model.encoder.': {'model': named('encoder.', TRAINED), 'optimizer': {'state': {0: AVERAGE}}},
    'my.own.name.': named('my.own.name.', TRAINED),
}


@pytest.mark.parametrize('prefix', FILES)
def test_finds_the_trained_network_under_the_usual_prefixes(prefix):
    found, where = find_backbone(FILES[prefix], toy().state_dict())
    assert where == prefix
    assert all(torch.equal(found[name], value) for name, value in TRAINED.items())


def test_mmengine_checkpoint_with_ema_takes_the_model_that_mmengine_would():
    state = {
        'state_dict': named('backbone.', TRAINED),
        'ema_state_dict': named('module.backbone.', AVERAGE),
    }
    assert find_backbone(state, toy().state_dict())[1] == 'backbone.'
    found, _ = find_backbone(state, toy().state_dict(), 'ema_state_dict.module.backbone.')
    assert torch.equal(found['stem.weight'], AVERAGE['stem.weight'])


def test_equal_shapes_outweigh_equal_names():
    other = {name: torch.zeros(7) for name in TRAINED}
    _, where = find_backbone(named('a.', other) | named('b.', TRAINED), toy().state_dict())
    assert where == 'b.'


def test_given_prefix_needs_no_dot_and_wins():
    state = FILES['module.encoder_q.']
    found, where = find_backbone(state, toy().state_dict(), 'module.encoder_k')
    assert where == 'module.encoder_k.'
    assert torch.equal(found['stem.weight'], AVERAGE['stem.weight'])


@pytest.mark.parametrize('wrong', ['', 'backbon', 'module'])
def test_wrong_prefix_is_an_error_that_names_the_right_one(wrong):
    with pytest.raises(CheckpointError, match=r"wrong prefix.*'backbone\.'"):
        find_backbone(FILES['backbone.'], toy().state_dict(), wrong)


def test_no_common_name_is_another_architecture():
    state = {'blocks.0.attn.qkv.weight': torch.zeros(3)}
    with pytest.raises(CheckpointError, match=r'another architecture.*blocks\.0.*stem\.weight'):
        find_backbone(state, toy().state_dict())
    with pytest.raises(CheckpointError, match='no tensors'):
        find_backbone({'meta': {}}, toy().state_dict())


def test_networks_are_named_by_their_path():
    state = {'state_dict': {'a': torch.ones(1)}, 'x': {'state_dict': {'b': torch.ones(1)}}, 'n': 1}
    assert {path: list(group) for path, group in networks_of(state).items()} == {
        '': ['a'],
        'x.': ['b'],
    }


def test_folded_stem_answers_as_the_old_one_to_the_same_image_twice():
    torch.manual_seed(1)
    old, new = nn.Conv2d(6, 4, 3).double(), nn.Conv2d(3, 4, 3).double()
    folded = fold_stem(dict(old.state_dict()))
    new.load_state_dict(folded)
    image = torch.rand(2, 3, 9, 7).double()
    torch.testing.assert_close(new(image), old(torch.cat([image, image], 1)), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize('number', [0, 2])
def test_folding_needs_one_convolution_of_six_channels(number):
    with pytest.raises(CheckpointError, match=f'{number} do'):
        fold_stem({f'conv{i}.weight': torch.zeros(4, 6, 3, 3) for i in range(number)})


def expected() -> dict:
    return toy().state_dict(keep_vars=True)


def test_everything_matched():
    coverage = compare(tensors(), expected())
    # Two convolutions (3·4·9 + 4 and 4·4 + 4), one norm (4 + 4); 3 buffers are no parameters.
    assert coverage.ok
    assert (len(coverage.matched), coverage.tensors) == (9, 9)
    assert coverage.parameters == (112 + 20 + 8, 112 + 20 + 8)
    assert coverage.report() == ''
    assert '9 of 9 tensors, 140 of 140 parameters' in coverage.line()


def test_lists_are_exact():
    file = tensors() | {'fc.weight': torch.zeros(2)}
    del file['stem.bias']
    file['stem.weight'] = torch.zeros(4, 5, 3, 3)
    file['layers.0.1.running_var'][2] = float('inf')
    coverage = compare(file, expected())
    assert not coverage.ok
    assert coverage.missing == ['stem.bias']
    assert coverage.differing == [('stem.weight', (4, 5, 3, 3), (4, 3, 3, 3))]
    assert coverage.non_finite == ['layers.0.1.running_var']
    assert coverage.unexpected == ['fc.weight']
    assert coverage.parameters == (140, 140 - 112)
    for text in ('missing', 'stem.bias', '(4, 5, 3, 3) / (4, 3, 3, 3)', 'not finite', 'fc.weight'):
        assert text in coverage.report()


@pytest.mark.parametrize('name', ['stem.bias', 'layers.0.1.running_mean'])
def test_one_missing_tensor_stops_unless_allowed(name):
    file = tensors()
    del file[name]
    assert not compare(file, expected()).ok
    allowed = compare(file, expected(), [name[:-2] + '*'])
    assert allowed.ok
    assert allowed.allowed == [name]
    assert name in allowed.line()
    assert not compare(file, expected(), ['layers.0.0.*']).ok


def test_allow_missing_is_checked():
    with pytest.raises(ValueError, match=r"'stme\.\*' fits no name"):
        compare(tensors(), expected(), ['stme.*'])
    with pytest.raises(ValueError, match='list of patterns'):
        compare(tensors(), expected(), 'stem.*')


def test_absent_counters_are_fine_and_said():
    file = {name: t for name, t in tensors().items() if 'num_batches' not in name}
    coverage = compare(file, expected())
    assert coverage.ok
    assert '8 of 9 tensors' in coverage.line()
    assert '1 num_batches_tracked absent' in coverage.line()
    without_norm = {name: t for name, t in file.items() if not name.startswith('layers.0.1.')}
    assert 'layers.0.1.num_batches_tracked' in compare(without_norm, expected()).missing


def test_unexpected_tensors_alone_do_not_stop_but_are_said():
    coverage = compare(tensors() | HEAD, expected())
    assert coverage.ok
    assert '2 of the file unused: fc.weight, head.stem.weight' in coverage.line()


def test_deeper_file_stops_although_everything_expected_matched():
    file = tensors() | {'layers.1.0.weight': torch.zeros(4, 4, 1, 1), 'layers.2.a': torch.zeros(1)}
    coverage = compare(file, expected())
    assert len(coverage.matched) == 9
    assert coverage.deeper == ['layers.1', 'layers.2']
    assert not coverage.ok
    assert 'another depth: the file goes on with layers.1, layers.2' in coverage.report()


def test_deeper_file_is_seen_inside_a_part_of_the_network():
    trunk = {f'trunk.{name}': value for name, value in expected().items()}
    file = named('trunk.', tensors()) | {
        'trunk.layers.1.a': torch.zeros(1),
        'heads.1.a': torch.zeros(1),
    }
    coverage = compare(file, trunk)
    assert (coverage.deeper, coverage.ok) == (['trunk.layers.1'], False)
    assert coverage.unexpected == ['trunk.layers.1.a', 'heads.1.a']


def test_long_lists_are_shortened_with_a_count():
    file = tensors() | {f'fc.{i}': torch.zeros(1) for i in range(20)}
    assert 'fc.7 … and 12 more' in compare(file, expected()).report()
