import pytest
import torch
from torch import nn

from hsjp_mm.checkpoint.coverage import (
    CheckpointError,
    compare,
    find_backbone,
    find_backbones,
    fold_stem,
    identity_of,
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


AVERAGES = {
    # of timm, MMEngine, torch, DINO, MoCo v1 to v3, BYOL, I-JEPA, solo-learn, lightly, ema-pytorch
    'model_ema.': 'model.',
    'state_dict_ema.': 'net.',
    'ema_state_dict.module.backbone.': 'backbone.',
    'swa_model.': 'model.',
    'swa_model.module.': 'model.module.',
    'teacher.backbone.': 'student.module.backbone.',
    'module.encoder_k.': 'module.encoder_q.',
    'module.momentum_encoder.': 'module.base_encoder.',
    'target_net.module.0.': 'backbone.',
    'target_encoder.': 'encoder.',
    'momentum_backbone.': 'net.',
    'backbone_momentum.': 'backbone.',
    'backbone.': 'anchor_backbone.',
    'ema_model.': 'online_model.',
    'key_encoder.': 'query_encoder.',
    'shadow.': 'model.',
    'averaged.': 'model.',
    'model_avg.': 'model.',
    'moving_average.': 'net.',
    'polyak.': 'net.',
    'netEMA.': 'net.',
    'EMAModel.': 'model.',
    'visual_encoder_m.': 'visual_encoder.',
    'modelema.': 'model.',
}


@pytest.mark.parametrize('average', AVERAGES)
@pytest.mark.parametrize('first', ['average', 'trained'])
def test_the_trained_network_goes_before_any_average(average, first):
    parts = [named(average, AVERAGE), named(AVERAGES[average], TRAINED)]
    if first == 'trained':
        parts.reverse()
    found, where = find_backbone(parts[0] | parts[1], toy().state_dict())
    assert where == AVERAGES[average]
    assert torch.equal(found['stem.weight'], TRAINED['stem.weight'])


def test_a_network_of_size_m_is_no_copy():
    state = named('net_m.', TRAINED) | named('z.', AVERAGE)
    assert find_backbone(state, toy().state_dict())[1] == 'net_m.'


@pytest.mark.parametrize('counter', ['n_averaged', 'steps'])
def test_an_average_without_a_telling_name_is_known_by_its_counter(counter):
    copy = {counter: torch.tensor(9)} | named('module.', AVERAGE)
    state = {'second': copy, 'first': named('module.', TRAINED)}
    assert find_backbone(state, toy().state_dict())[1] == 'first.module.'
    inside = {f'copy.{counter}': torch.tensor(9)} | named('copy.module.net.', AVERAGE)
    state = {'state_dict': inside | named('net.', TRAINED)}
    assert find_backbone(state, toy().state_dict())[1] == 'net.'


@pytest.mark.parametrize(
    'prefix', ['keypoint_head.', 'schema.', 'teammate.', 'attention.k.', 'steps.module.', 'swap.']
)
def test_names_that_only_look_like_an_average_stay_where_they_are(prefix):
    state = named(prefix, TRAINED) | named('z.', AVERAGE)
    assert find_backbone(state, toy().state_dict())[1] == prefix


def test_counters_have_no_vote():
    trained = {name: t for name, t in TRAINED.items() if 'num_batches' not in name}
    state = named('encoder_k.', AVERAGE) | named('encoder_q.', trained)
    assert find_backbone(state, toy().state_dict())[1] == 'encoder_q.'
    with pytest.raises(CheckpointError, match='another architecture'):
        find_backbone({'x.layers.0.1.num_batches_tracked': torch.tensor(1)}, toy().state_dict())


def test_an_average_does_not_stand_in_for_a_trained_network_that_lacks_a_tensor():
    trained = {name: t for name, t in TRAINED.items() if name != 'stem.bias'}
    state = {'teacher': AVERAGE, 'student': trained}
    found = find_backbones(state, toy().state_dict())
    assert list(found) == ['student.', 'teacher.']
    # but where hardly anything of the student fits, it is another network, as in distillation
    state = {'student': {'stem.bias': torch.zeros(4)}, 'teacher': AVERAGE}
    assert list(find_backbones(state, toy().state_dict())) == ['teacher.']


def test_equal_candidates_come_in_the_order_of_the_file():
    state = named('rgb.', TRAINED) | named('flow.', AVERAGE) | named('other.', {'stem.bias': HEAD})
    state = {k: v for k, v in state.items() if isinstance(v, torch.Tensor)}
    assert list(find_backbones(state, toy().state_dict())) == ['rgb.', 'flow.']
    assert list(find_backbones(state, toy().state_dict(), 'flow')) == ['flow.']


def test_a_checkpoint_of_odd_shape_is_an_error_and_no_crash():
    loop: dict = {'w': torch.ones(1)}
    loop['state'] = loop
    deep: dict = {}
    for _ in range(500):
        deep = {'x': deep}
    for state in (loop, {'a': {'b': loop}}, deep):
        with pytest.raises(CheckpointError, match='contains itself or is nested too deep'):
            networks_of(state)
    for state in (
        {'w': torch.ones(1), 'state_dict': {'w': torch.zeros(1)}},
        {1: torch.ones(1), '1': torch.zeros(1)},
        {'a.b': {'w': torch.ones(1)}, 'a': {'b': {'w': torch.zeros(1)}}},
    ):
        with pytest.raises(CheckpointError, match='two tensors of the file are called'):
            networks_of(state)
    shared = {'w': torch.ones(1)}
    state = {'a': shared, 'state_dict': shared, 3: {None: torch.ones(2)}, 'x': [shared]}
    assert {k: list(v) for k, v in networks_of(state).items()} == {
        'a.': ['w'],
        '': ['w'],
        '3.': ['None'],
    }


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


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_real_numbers_of_16_to_64_bits_are_taken(dtype):
    file = {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors().items()}
    assert compare(file, expected()).ok


@pytest.mark.parametrize(
    'tensor',
    [
        torch.ones(4, dtype=torch.int8),
        torch.ones(4, dtype=torch.int64),
        torch.ones(4, dtype=torch.bool),
        torch.ones(4, dtype=torch.complex64),
        torch.ones(4).to(torch.float8_e4m3fn),
        torch.ones(4).to(torch.float8_e5m2),
        torch.ones(4).to_sparse(),
        torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
        torch.ones(4, device='meta'),
    ],
    ids=lambda t: f'{t.dtype}-{t.layout}-{t.device}',
)
def test_weights_of_another_kind_are_refused_and_named(tensor):
    coverage = compare(tensors() | {'stem.bias': tensor}, expected())
    assert not coverage.ok
    assert [name for name, *_ in coverage.kinds] == ['stem.bias']
    assert 'of another kind (file / model), 1: stem.bias' in coverage.report()
    assert '/ torch.float32' in coverage.report()
    assert '16 bits or more' in coverage.report()


@pytest.mark.filterwarnings('ignore:The PyTorch API of nested')
def test_a_nested_tensor_has_another_shape():
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    coverage = compare(tensors() | {'stem.bias': nested}, expected())
    assert coverage.differing == [('stem.bias', ('nested',), (4,))]
    assert find_backbone({'stem.bias': nested}, toy().state_dict())[1] == ''


def test_a_subclass_of_tensors_is_another_kind():
    class Distributed(torch.Tensor):
        pass

    coverage = compare(
        tensors() | {'stem.bias': torch.ones(4).as_subclass(Distributed)}, expected()
    )
    assert coverage.kinds == [('stem.bias', 'Distributed', 'torch.float32')]


@pytest.mark.parametrize(
    'value, fits',
    [
        (torch.tensor(7, dtype=torch.int32), True),
        (torch.tensor(7.0), True),
        (torch.tensor(7.5), False),
        (torch.tensor(torch.nan), False),
    ],
)
def test_whole_numbers_are_taken_where_none_would_change(value, fits):
    coverage = compare(tensors() | {'layers.0.1.num_batches_tracked': value}, expected())
    assert coverage.ok == fits


def test_variances_below_zero_are_refused_like_nan():
    file = tensors()
    file['layers.0.1.running_var'] = torch.tensor([1.0, -1e-9, 1.0, 1.0])
    coverage = compare(file, expected())
    assert not coverage.ok
    assert 'variance below zero, 1: layers.0.1.running_var' in coverage.report()
    assert 'hint: a variance below zero' in coverage.report()
    file['layers.0.1.running_var'] = torch.tensor([-0.0, 0.0, 1.0, 2.0])
    file['layers.0.1.running_mean'] = -torch.ones(4)
    assert compare(file, expected()).ok


def test_what_overflows_in_the_precision_of_the_model_is_refused():
    large = torch.full((4,), 1e39, dtype=torch.float64)
    assert compare(tensors() | {'stem.bias': large}, expected()).non_finite == ['stem.bias']
    assert compare(tensors() | {'stem.bias': large}, toy().double().state_dict()).ok
    half = {name: t.half() for name, t in expected().items()}
    assert compare(tensors() | {'stem.bias': torch.full((4,), 1e5)}, half).non_finite


def test_identity_of_new_and_old_checkpoints():
    new = {'identity.grid': torch.tensor(3), 'identity.unshuffled': torch.tensor(1)}
    assert identity_of({'state_dict': new}) == {'grid': 3, 'unshuffled': 1}
    assert identity_of({'state_dict': {'puzzle': torch.tensor([4, 0])}}) == {
        'grid': 4,
        'unshuffled': 0,
    }
    for other in (torch.tensor(3), torch.ones(2), torch.tensor([1, 2, 3]), torch.ones(0)):
        assert identity_of({'puzzle': other}) == {}
    assert identity_of({'identity.x': torch.ones(2), 'identity.y': torch.tensor(0.5)}) == {}


def test_folding_a_quantised_stem_is_an_error():
    kernel = torch.quantize_per_tensor(torch.ones(4, 6, 3, 3), 0.1, 0, torch.qint8)
    with pytest.raises(CheckpointError, match=r'w is torch\.qint8'):
        fold_stem({'w': kernel})


def test_long_lists_are_shortened_with_a_count():
    file = tensors() | {f'fc.{i}': torch.zeros(1) for i in range(20)}
    assert 'fc.7 … and 12 more' in compare(file, expected()).report()


def test_a_kernel_in_the_place_of_a_vector_is_named():
    """As of ResNetV1d's downsampling, whose second layer is a convolution and not a norm."""
    file = {'a.weight': torch.ones(2, 2, 1, 1)}
    coverage = compare(file, {'a.weight': torch.ones(2)})
    assert [name for name, *_ in coverage.differing] == ['a.weight']
    assert 'a.weight' in coverage.report()
