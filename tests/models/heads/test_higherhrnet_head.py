"""Letters as in the module under test."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine import Config
from mmengine.structures import InstanceData, PixelData
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.models.heads import AssociativeEmbeddingHead
from mmpose.models.losses import AssociativeEmbeddingLoss
from mmpose.models.utils.tta import aggregate_heatmaps
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hsjp_mm.codecs import AssociativeEmbedding
from hsjp_mm.models import GroupingLoss, HigherHRNetHead
from tests.helpers import ROOT

FLIP = [0, 2, 1]  # the second and third of three keypoints are a pair


def estimator(backbone: dict, head: dict, **test_cfg) -> nn.Module:
    head = dict(type='hsjp_mm.HigherHRNetHead', num_keypoints=17) | head
    return MODELS.build(
        dict(type='BottomupPoseEstimator', backbone=backbone, head=head, test_cfg=test_cfg)
    )


def hrnet(width: int) -> dict:
    cfg = Config.fromfile(ROOT / 'configs/_base_/hrnet-w32.py').hrnet_w32
    for stage, branches in (('stage2', 2), ('stage3', 3), ('stage4', 4)):
        cfg.extra[stage].num_channels = [width * 2**i for i in range(branches)]
    return cfg


def tiny_hrnet() -> dict:
    return Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny


def head(K: int = 3, C: int = 4, **options) -> HigherHRNetHead:
    """A small head in eval mode with seeded weights and statistics, none of them trivial."""
    torch.manual_seed(0)
    module = HigherHRNetHead(C, K, **options).eval()
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(-0.5, 0.5)
    for name, tensor in module.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 1.5)
    return module


# --- the network ------------------------------------------------------------------------------


def multiply_adds_of_the_paper(model: nn.Module, size: int) -> int:
    """As the authors' summary counts them: weights times output cells, of convolutions only.

    For a transposed convolution with stride 2 that is four times what is computed.
    """
    total = 0

    def count(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            total += module.weight.numel() * output.shape[2] * output.shape[3]

    for module in model.modules():
        module.register_forward_hook(count)
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, size, size, device='meta'), None)
    assert all(parameter.is_meta for parameter in model.parameters())
    model.computed = counter.get_total_flops() // 2
    return total


@pytest.mark.parametrize(
    'width, size, deconvs, parameters, giga_multiply_adds, computed',
    [
        (32, 512, 1, 28.6, 47.9, 46.20),
        (40, 640, 1, 44.5, 110.7, 107.05),
        (48, 640, 1, 63.8, 154.3, 149.47),
        # The baseline's 38.9 in table 1 is 40.78 / 1.024²: there a million was 1024².
        (32, 512, 0, 28.5, 38.9 * 1.024**2, 40.78),
    ],
)
@pytest.mark.slow
def test_counts_are_the_papers(width, size, deconvs, parameters, giga_multiply_adds, computed):
    with torch.device('meta'):
        model = estimator(hrnet(width), dict(in_channels=width, num_deconvs=deconvs))
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert millions == pytest.approx(parameters, rel=0.01) and round(millions, 1) == parameters
    giga = multiply_adds_of_the_paper(model, size) / 1e9
    assert giga == pytest.approx(giga_multiply_adds, rel=0.001)
    assert model.computed / 1e9 == pytest.approx(computed, abs=0.005)


def forward_by_hand(state, x, R: int, blocks: int, concat: bool):
    """The network written from section 3.3 with functions, from a head's state dict."""

    def norm(y, name):
        at = {k: state[f'{name}.{k}'] for k in ('running_mean', 'running_var', 'weight', 'bias')}
        return F.batch_norm(y, *at.values())

    y = F.conv2d(x, state['final_layer.weight'], state['final_layer.bias'])
    K = y.shape[1] // 2
    maps, tags = [y[:, :K]], y[:, K:]
    for i in range(R - 1):
        module = f'deconv_modules.{i}'
        x = torch.cat([x, y], 1) if concat else x
        x = F.conv_transpose2d(x, state[f'{module}.0.weight'], stride=2, padding=1)
        x = norm(x, f'{module}.1').relu()
        for j in range(3, 3 + blocks):
            z = F.conv2d(x, state[f'{module}.{j}.conv1.weight'], padding=1)
            z = norm(z, f'{module}.{j}.bn1').relu()
            z = F.conv2d(z, state[f'{module}.{j}.conv2.weight'], padding=1)
            x = (x + norm(z, f'{module}.{j}.bn2')).relu()
        final = f'deconv_final_layers.{i}'
        y = F.conv2d(x, state[f'{final}.weight'], state[f'{final}.bias'])
        maps.append(y)
    return maps, tags


@pytest.mark.parametrize('R', [1, 2, 3])
@pytest.mark.parametrize('blocks, concat', [(4, True), (0, True), (0, False), (1, False)])
def test_forward_is_the_papers_network_with_every_switch(R, blocks, concat):
    module = head(num_deconvs=R - 1, num_blocks=blocks, concat=concat)
    feats = (torch.rand(2, 4, 6, 5),)
    maps, tags = module(feats)
    expected, expected_tags = forward_by_hand(module.state_dict(), feats[0], R, blocks, concat)
    torch.testing.assert_close(maps, expected)
    torch.testing.assert_close(tags, expected_tags)
    assert [m.shape[2:] for m in maps] == [(6 * 2**i, 5 * 2**i) for i in range(R)]


@pytest.mark.parametrize('concat', [True, False])
def test_concatenation_shows_tags_and_heat_maps_to_the_next_resolution(concat):
    module = head(concat=concat)
    feats = (torch.rand(1, 4, 6, 5),)
    before = module(feats)[0][1]
    for channel in (0, 5):  # of a heat map, of a tag
        with torch.no_grad():
            module.final_layer.bias[channel] += 1
        after = module(feats)[0][1]
        assert (not torch.allclose(after, before)) == concat
        before = after


def test_without_deconvolutions_it_is_the_stock_head():
    module = head(num_deconvs=0)
    stock = AssociativeEmbeddingHead(4, 3, deconv_out_channels=None)
    stock.load_state_dict(module.state_dict(), strict=True)
    feats = (torch.rand(1, 4, 6, 5),)
    (maps,), tags = module(feats)
    for ours, theirs in zip((maps, tags), stock(feats), strict=True):
        assert torch.equal(ours, theirs)


def test_weights_start_as_in_the_released_code():
    module = HigherHRNetHead(16, 3)
    module.init_weights()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            assert layer.weight.std().item() == pytest.approx(1e-3, rel=0.3)
            assert layer.bias is None or not layer.bias.any()
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.eq(1).all()


# --- the losses -------------------------------------------------------------------------------


def sample(targets, masks, indices) -> PoseDataSample:
    """Packed as the stock pipeline packs it; lists for several resolutions."""
    several = isinstance(targets, list)
    weights = [np.ones(i.shape[:2]) for i in indices] if several else np.ones(indices.shape[:2])
    results = dict(
        img=np.zeros((4, 4, 3), np.uint8),
        heatmaps=targets,
        heatmap_mask=masks,
        keypoint_indices=indices,
        keypoint_weights=weights,
        label_mapping_table={
            'keypoint_indices': 'keypoint_indices',
            'keypoint_weights': 'keypoint_weights',
        },
    )
    return PackPoseInputs(meta_keys=()).transform(results)['data_samples']


def random_batch(persons: list[int], K: int = 3, sizes=((6, 5), (12, 10))) -> list:
    """Samples with random targets, masks and places; some keypoints invisible and far outside."""
    rng = np.random.default_rng(0)
    samples = []
    for N in persons:
        indices = []
        for h, w in sizes:
            visible = rng.random((N, K)) < 0.6
            place = np.where(visible, rng.integers(0, h * w, (N, K)), h * w * 9)
            indices.append(np.stack([place, visible], axis=2))
        targets = [rng.random((K, *size)).astype(np.float32) for size in sizes]
        masks = [rng.random(size) < 0.7 for size in sizes]
        samples.append(sample(targets, masks, indices))
    return samples


def slow_grouping(tags, indices) -> tuple[float, float]:
    """Pull and push of one image, sum by sum, from tags (K, h·w)."""
    persons = [[tags[k, i] for k, (i, v) in enumerate(person) if v] for person in indices]
    persons = [person for person in persons if person]
    means = [sum(person) / len(person) for person in persons]
    pull = sum(
        sum((tag - mean) ** 2 for tag in person) / len(person)
        for person, mean in zip(persons, means, strict=True)
    )
    push = sum(math.exp(-((a - b) ** 2)) for a, b in itertools.permutations(means, 2))
    N = len(persons)
    return pull / N if N else 0, push / (N * (N - 1)) if N > 1 else 0


def test_losses_are_the_papers_with_masks_and_any_number_of_persons():
    module = head()
    samples = random_batch([4, 0, 1, 9])
    feats = (torch.rand(4, 4, 6, 5),)
    losses = module.loss(feats, samples)
    maps, tags = module(feats)

    squares = 0.0
    for level, predicted in enumerate(maps):
        for image, one in enumerate(samples):
            target = one.gt_fields.heatmaps[level].numpy()
            mask = one.gt_fields.heatmap_mask[level].numpy().reshape(target.shape[1:])
            for k, row, column in itertools.product(*map(range, target.shape)):
                if mask[row, column]:
                    off = predicted[image, k, row, column].item() - target[k, row, column]
                    squares += off**2 / target.size / len(samples)
    assert losses['loss_kpt'].item() == pytest.approx(squares, rel=1e-5)

    grouping = [
        slow_grouping(
            tags[image].flatten(1).detach().numpy(),
            one.gt_instance_labels.keypoint_indices[0].tolist(),
        )
        for image, one in enumerate(samples)
    ]
    pull, push = np.mean(grouping, axis=0)
    assert losses['loss_pull'].item() == pytest.approx(1e-3 * pull, rel=1e-4)
    assert losses['loss_push'].item() == pytest.approx(0.5e-3 * push, rel=1e-4)


def test_one_resolution_may_come_without_lists():
    module = head(num_deconvs=0)
    (several,) = random_batch([3], sizes=((6, 5),))
    fields, labels = several.gt_fields, several.gt_instance_labels
    single = sample(
        fields.heatmaps[0].numpy(),
        fields.heatmap_mask[0].numpy().reshape(6, 5),
        labels.keypoint_indices[0].numpy(),
    )
    feats = (torch.rand(1, 4, 6, 5),)
    assert module.loss(feats, [single]) == module.loss(feats, [several])


def test_grouping_loss_by_hand():
    # person 1 has the tags 0 and 2 (mean 1, variance 1), person 2 the tag 3, person 3 is invisible
    tags = torch.tensor([[0.0, 3], [2, 9], [9, 9]]).view(1, 3, 1, 2)
    indices = torch.tensor(
        [[[0, 1], [0, 1], [0, 0]], [[1, 1], [1, 0], [99, 0]], [[0, 0], [0, 0], [-3, 0]]]
    )
    pull, push = GroupingLoss()(tags, [indices])
    assert pull.item() == pytest.approx((1 + 0) / 2)
    assert push.item() == pytest.approx(0.5 * math.exp(-4))
    twice = GroupingLoss(loss_weight=0.1, push_loss_factor=1)(
        tags.repeat(2, 1, 1, 1), [indices] * 2
    )
    assert [term.item() for term in twice] == pytest.approx([0.05, 0.1 * math.exp(-4)])


def test_grouping_loss_of_two_tag_dimensions_takes_their_distance():
    # one person has the tags (0, 0) and (0, 2), mean (0, 1) and variance 1; the other (1, 3) twice
    first, second = [[0.0, 1], [0, 1]], [[0, 3], [2, 3]]  # tag dimension: keypoint, place
    tags = torch.tensor([first, second]).view(1, 4, 1, 2)
    indices = torch.tensor([[[0, 1], [0, 1]], [[1, 1], [1, 1]]])
    pull, push = GroupingLoss(push_loss_factor=1)(tags, [indices])
    assert pull.item() == pytest.approx(1 / 2)
    assert push.item() == pytest.approx(math.exp(-(1**2 + 2**2)))


@pytest.mark.parametrize('N', [2, 7])
def test_grouping_loss_has_the_stock_gradient_for_one_image(N):
    (one,) = random_batch([N])
    indices = one.gt_instance_labels.keypoint_indices[0]
    assert indices[..., 1].any(dim=1).sum() > 1
    gradients = []
    for loss in (GroupingLoss(), AssociativeEmbeddingLoss()):
        torch.manual_seed(0)
        tags = torch.rand(1, 3, 6, 5, requires_grad=True)
        sum(loss(tags, [indices])).backward()
        gradients.append(tags.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_no_person_and_one_person():
    tags = torch.rand(2, 3, 6, 5, requires_grad=True)
    nobody = torch.zeros(0, 3, 2, dtype=torch.long)
    alone = torch.tensor([[[7, 1], [8, 1], [9, 0]]])
    pull, push = GroupingLoss()(tags, [nobody, alone])
    (pull + push).backward()
    assert push.item() == 0
    at = torch.zeros(2, 3, 6, 5, dtype=torch.bool)
    at[1, 0].view(-1)[7] = at[1, 1].view(-1)[8] = True
    assert torch.equal(tags.grad != 0, at)
    half = (tags[1, 0].view(-1)[7] - tags[1, 1].view(-1)[8]).item() / 2
    assert pull.item() == pytest.approx(half**2 / 2)  # the variance, halved by the empty image
    # d(half²)/d(tag) = ± half, over two images
    assert tags.grad[at].tolist() == pytest.approx([half / 2, -half / 2])


@pytest.mark.parametrize('deconvs', [0, 1, 2])
@pytest.mark.parametrize('persons', [[0, 0], [3, 1]])
def test_the_gradient_reaches_every_parameter(deconvs, persons):
    torch.manual_seed(0)
    model = estimator(
        tiny_hrnet(), dict(in_channels=16, num_keypoints=3, num_deconvs=deconvs)
    ).train()
    sizes = [(16 * 2**r, 24 * 2**r) for r in range(deconvs + 1)]
    samples = random_batch(persons, sizes=sizes)
    losses = model(torch.rand(2, 3, 64, 96), samples, mode='loss')
    total = sum(losses.values())
    assert total.isfinite() and total > 0
    total.backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_masked_pixels_and_nothing_else_are_without_gradient():
    module = head(K=1, num_deconvs=0)
    mask = np.zeros((6, 5), bool)
    mask[2, 3] = True
    one = sample(np.zeros((1, 6, 5), np.float32), mask, np.zeros((0, 1, 2), np.int64))
    feats = torch.rand(1, 4, 6, 5, requires_grad=True)
    module.loss((feats,), [one])['loss_kpt'].backward()
    assert (feats.grad != 0).any(dim=1)[0].nonzero().tolist() == [[2, 3]]


# --- inference --------------------------------------------------------------------------------


def enlarge(maps, size) -> np.ndarray:
    """Bilinear, a pixel being a square: (…, h, w) to (…, height, width), row by row."""
    for axis, length in zip((-2, -1), size, strict=True):
        cells = maps.shape[axis]
        where = (np.arange(length) + 0.5) * cells / length - 0.5
        maps = np.apply_along_axis(lambda v, w=where: np.interp(w, range(len(v)), v), axis, maps)
    return maps


def data_samples(*sizes, flip_indices=FLIP) -> list:
    return [
        PoseDataSample(metainfo=dict(input_size=size, flip_indices=flip_indices)) for size in sizes
    ]


def aggregated(module, feats, samples, **test_cfg) -> list[PixelData]:
    """The maps that predict() gives to the codec."""
    given = []

    def decode(maps):
        given.append(maps)
        return [InstanceData()]

    module.decode = decode
    _, fields = module.predict(feats, samples, dict(output_heatmaps=True, **test_cfg))
    for (heatmaps, tags), field in zip(given, fields, strict=True):
        assert torch.equal(heatmaps[0], field.heatmaps) and torch.equal(tags[0], field.tags)
    return fields


@pytest.mark.parametrize('aggregate', [True, False])
@pytest.mark.parametrize('deconvs', [0, 1, 2])
@torch.no_grad()
def test_aggregation_flip_and_scales_by_hand(deconvs, aggregate):
    module = head(num_deconvs=deconvs)
    h, w = 4, 6
    feats = [[(torch.rand(1, 4, int(h * s), int(w * s)),) for _ in range(2)] for s in (1, 0.5, 2)]
    (field,) = aggregated(
        module, feats, data_samples((24, 16)), flip_test=True, multiscale_test=True,
        aggregate=aggregate,
    )  # fmt: skip

    expected, tags = [], []
    for scale, (normal, flipped) in enumerate(feats):
        for view, mirrored in ((normal, False), (flipped, True)):
            maps, view_tags = module(view)
            step, swap = (-1, FLIP) if mirrored else (1, [0, 1, 2])
            for one in maps if aggregate else maps[-1:]:
                expected.append(enlarge(one[0].numpy()[swap][..., ::step], (16, 24)))
            if scale == 0:
                tags.append(enlarge(view_tags[0].numpy()[swap][..., ::step], (16, 24)))
    np.testing.assert_allclose(field.heatmaps, np.mean(expected, axis=0), atol=1e-5)
    np.testing.assert_allclose(field.tags, np.concatenate(tags), atol=1e-5)


@pytest.mark.parametrize('deconvs', [0, 1, 2])
@torch.no_grad()
def test_aggregation_is_that_of_the_stock_function_bit_for_bit(deconvs):
    module, size = head(num_deconvs=deconvs), (24, 16)
    views = [[(torch.rand(1, 4, int(4 * s), int(6 * s)),)] for s in (1, 0.5, 2)]
    heatmaps, tags = module.aggregate(views)
    maps = [module(view)[0] for (view,) in views]
    stock = aggregate_heatmaps([aggregate_heatmaps(one, size) for one in maps], size)
    assert torch.equal(heatmaps, stock)
    stock_tags = aggregate_heatmaps([module(views[0][0])[1]], size, mode='concat')
    assert torch.equal(tags, stock_tags)
    alone, _ = module.aggregate(views[:1])
    assert torch.equal(alone, aggregate_heatmaps(module(views[0][0])[0], size))


@torch.no_grad()
def test_images_of_a_batch_are_cut_to_their_own_size():
    module = head()
    feats = (torch.rand(2, 4, 5, 6),)
    fields = aggregated(module, feats, data_samples((24, 16), (16, 20)))
    whole = aggregated(module, feats, data_samples((24, 20), (24, 20)))
    for field, full, (width, height) in zip(fields, whole, ((24, 16), (16, 20)), strict=True):
        assert torch.equal(field.heatmaps, full.heatmaps[:, :height, :width])
        assert torch.equal(field.tags, full.tags[:, :height, :width])
    alone = aggregated(module, (feats[0][1:, :, :, :4],), data_samples((16, 20)))
    torch.testing.assert_close(fields[1].tags[:, :, :14], alone[0].tags[:, :, :14])


def codec(size=(64, 64), heatmap_size=None, K: int = 3) -> dict:
    return dict(
        type='AssociativeEmbedding', input_size=size, heatmap_size=heatmap_size or size, sigma=2,
        decode_topk=5, decode_keypoint_order=list(range(K)),
    )  # fmt: skip


@torch.no_grad()
def test_persons_come_out_where_their_peaks_are_each_in_its_image():
    # the layer hands features through, so that they are the heat maps and tags
    module = HigherHRNetHead(6, 3, num_deconvs=0, decoder=codec()).eval()
    module.final_layer.weight.copy_(torch.eye(6).view(6, 6, 1, 1))
    module.final_layer.bias.zero_()
    feats = torch.zeros(2, 6, 16, 16)
    places = {
        0: [[(3, 2), (9, 4), (5, 12)]],
        1: [[(2, 2), (3, 3), (4, 4)], [(9, 9), (7, 11), (8, 7)]],
    }
    for image, persons in places.items():
        for tag, person in enumerate(persons):
            for k, (x, y) in enumerate(person):
                feats[image, k, y, x : x + 2] = feats[image, k, y + 1, x] = 0.4
                feats[image, k, y, x] = 1 - 0.1 * tag
                feats[image, 3 + k, y - 1 : y + 2, x - 1 : x + 2] = 5.0 * tag
    results = module.predict((feats,), data_samples((64, 64), (64, 64)))
    for image, persons in places.items():
        found = sorted(results[image].keypoints.tolist())
        # cell x covers the pixels 4x to 4x + 3; what lies beside the peak draws it to the right
        np.testing.assert_allclose(found, 4 * np.array(persons) + 2, atol=0.3)
        assert len(results[image].bbox_scores) == len(persons)


@torch.no_grad()
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('num_deconvs', [0, 1, 2, 3])
def test_persons_are_the_same_whether_blocks_or_all_is_enlarged(num_deconvs, flip, monkeypatch):
    decoder = codec() | dict(type='hsjp_mm.AssociativeEmbedding', decode_keypoint_thr=0.5)
    module = head(num_deconvs=num_deconvs, num_blocks=1, decoder=decoder)
    # Random maps, for those of the layers have ties. They are larger than the images, for at the
    # far border torch rounds equal pixels to unequal ones.
    feats = [(torch.zeros(2, 4, 24, 32),), (torch.ones(2, 4, 24, 32),)]
    maps = []
    for _ in feats:
        levels = [torch.rand(2, 3, 24 << level, 32 << level) for level in range(num_deconvs + 1)]
        maps.append((levels, 10 * torch.rand(2, 3, 24, 32)))
    monkeypatch.setattr(module, 'forward', lambda view: maps[int(view[0].flatten()[0])])
    samples = data_samples((96, 64), (64, 56), flip_indices=[1, 0, 2])
    enlarged = []
    interpolate = F.interpolate
    monkeypatch.setattr(
        F, 'interpolate', lambda *a, **k: enlarged.append(1) or interpolate(*a, **k)
    )
    for aggregate in (True, False):
        cfg = dict(flip_test=flip, aggregate=aggregate)
        view = feats if flip else feats[0]
        persons = module.predict(view, samples, cfg)
        # finer maps than the input have to be reduced, so all are
        assert bool(enlarged) == (num_deconvs == 3)
        expected, _ = module.predict(view, samples, dict(output_heatmaps=True, **cfg))
        assert enlarged
        enlarged.clear()
        for ours, theirs in zip(persons, expected, strict=True):
            assert len(theirs.keypoints) > 1
            for name in ('keypoints', 'keypoint_scores', 'bbox_scores'):
                np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)


@torch.no_grad()
def test_subclasses_that_use_whole_maps_get_them():
    seen = []

    class OwnHead(HigherHRNetHead):
        def aggregate(self, *args):
            seen.append('aggregate')
            return super().aggregate(*args)

    class OwnCodec(AssociativeEmbedding):
        def batch_decode(self, batch_heatmaps, batch_tags):
            seen.append(tuple(batch_heatmaps.shape))
            return super().batch_decode(batch_heatmaps, batch_tags)

    feats = (torch.rand(1, 4, 16, 16),)
    decoder = codec() | dict(type='hsjp_mm.AssociativeEmbedding')
    OwnHead(4, 3, decoder=decoder).eval().predict(feats, data_samples((64, 64)))
    assert seen == ['aggregate']
    module = head(decoder=decoder)
    module.decoder = OwnCodec((64, 64), (64, 64), decode_keypoint_order=[0, 1, 2])
    module.predict(feats, data_samples((64, 64)))
    assert seen == ['aggregate', (1, 3, 64, 64)]


@torch.no_grad()
def test_the_stock_estimator_sees_each_image_of_a_batch_as_if_alone():
    torch.manual_seed(0)
    part = dict(in_channels=16, num_keypoints=3, decoder=codec())
    options = dict(flip_test=True, multiscale_test=True, output_heatmaps=True)
    model = estimator(tiny_hrnet(), part, **options).eval()
    images = [torch.rand(2, 3, int(64 * s), int(128 * s)) for s in (1, 0.5, 2)]

    def predict(rows, *sizes):
        samples = data_samples(*sizes)
        for one in samples:
            place = dict(input_center=np.array([50, 40]), input_scale=np.array([100, 80]))
            one.set_metainfo(dict(aug_scales=[0.5, 2], **place))
        return model.predict([image[rows] for image in images], samples)

    batch = predict([0, 1], (128, 64), (64, 64))
    first, second = predict([0], (128, 64)) + predict([1], (128, 64))
    for field in ('heatmaps', 'tags'):
        ours = [getattr(one.pred_fields, field) for one in batch]
        assert ours[0].std() > 1e-3
        torch.testing.assert_close(ours[0], getattr(first.pred_fields, field))
        torch.testing.assert_close(ours[1], getattr(second.pred_fields, field)[..., :64])


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(num_deconvs=-1), 'num_deconvs must be 0 or more, got -1'),
        (dict(num_blocks=-2), 'num_blocks must be 0 or more, got -2'),
        (
            dict(decoder=codec(heatmap_size=(16, 16))),
            r'heatmap_size=\(16, 16\) must equal input_size=\(64, 64\)',
        ),
        (dict(decoder=codec(K=17)), 'names 17 keypoints, num_keypoints is 3'),
        (dict(num_keypoints=None), 'give decoder.decode_keypoint_order, .* or num_keypoints'),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        HigherHRNetHead(4, **{'num_keypoints': 3, **options})


def test_the_decoder_tells_the_number_of_keypoints():
    assert HigherHRNetHead(4, decoder=codec(K=5)).num_keypoints == 5


@pytest.mark.parametrize('sizes', [((6, 5),), ((12, 10), (6, 5)), ((6, 5), (12, 10), (24, 20))])
def test_targets_of_other_resolutions_are_refused(sizes):
    with pytest.raises(ValueError, match=r'\(3, 6, 5\), \(3, 12, 10\)\].*num_deconvs \+ 1'):
        head().loss((torch.rand(1, 4, 6, 5),), random_batch([2], sizes=sizes))


@pytest.mark.parametrize('name', ['heatmaps', 'heatmap_mask', 'keypoint_indices'])
def test_missing_targets_are_named_with_their_maker(name):
    samples = random_batch([2, 2])
    held = samples[1].gt_fields if name.startswith('heatmap') else samples[1].gt_instance_labels
    held.pop(name)
    maker = {
        'heatmaps': 'GenerateTarget',
        'heatmap_mask': 'BottomupGetHeatmapMask',
        'keypoint_indices': 'hsjp_mm.AssociativeEmbedding',
    }
    with pytest.raises(ValueError, match=f'hold no {name}; .*{maker[name]}'):
        head().loss((torch.rand(2, 4, 6, 5),), samples)


def test_what_cannot_be_aggregated_is_refused():
    module, feats = head(), (torch.rand(1, 4, 4, 6),)
    with pytest.raises(ValueError, match=r'input_size=\(48, 32\) .* \(24, 16\) pixels .* 1/4'):
        module.predict(feats, data_samples((48, 32)))
    with pytest.raises(ValueError, match=r'\(2, 4\) and \(4, 6\) differ in aspect ratio'):
        scales = [feats, (torch.rand(1, 4, 2, 4),)]
        module.predict(scales, data_samples((24, 16)), dict(multiscale_test=True))
    with pytest.raises(ValueError, match=r'2 keypoints \(flip_indices\), the head 3'):
        samples = data_samples((24, 16), flip_indices=[1, 0])
        module.predict([feats, feats], samples, dict(flip_test=True))
    with pytest.raises(ValueError, match='align_corners must be False, got True'):
        module.predict(feats, data_samples((24, 16)), dict(align_corners=True))
