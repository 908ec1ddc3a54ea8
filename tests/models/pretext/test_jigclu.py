import itertools
import math

import pytest
import torch
from mmengine import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import load_checkpoint
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import nn

from hsjp_mm.models import JigClu
from hsjp_mm.models.pretext import jigclu

STOCK = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_'
IMAGENET_SIZE = (224, 224)


def samples(*ids) -> list[PoseDataSample]:
    return [PoseDataSample(metainfo={'id': key}) for key in ids]


def columns(model: JigClu, number: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Patches as the pipeline gives them, of random pixels."""
    width, height = model.patch_size
    generator = torch.Generator().manual_seed(5)
    shape = (number, 3, model.grid**2 * height, width)
    return torch.randn(shape, generator=generator, dtype=dtype)


class MeanColor(nn.Module):
    """A backbone whose map is what stands in the input, so that it can be read off."""

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        return (inputs,)


def reader(grid: int = 2, input_size: tuple[int, int] = (40, 24), **options) -> JigClu:
    """A model whose vector of a patch is its mean color."""
    model = JigClu(
        backbone=dict(type='ResNet', depth=18),
        head=dict(type='hsjp_mm.JigCluHead', in_channels=3, alpha=0),
        grid=grid,
        input_size=input_size,
        **options,
    )
    model.backbone = MeanColor()
    return model.eval()


def colored(model: JigClu, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns of patches of one color each, and the colors (B, K, 3), all different."""
    width, height = model.patch_size
    patches = model.grid**2
    numbers = torch.arange(1, number * patches + 1).reshape(number, patches)
    colors = torch.stack([numbers, numbers**2, torch.ones_like(numbers)], dim=2).float()
    whole = colors[..., None, None].expand(-1, -1, -1, height, width)
    return whole.transpose(1, 2).flatten(2, 3), colors


# ------------------------------------------------------------------------------------- montages


@pytest.mark.parametrize(
    ('grid', 'input_size', 'patch'),
    [
        (2, (224, 224), (112, 112)),
        (3, (224, 224), (75, 75)),
        (4, (224, 224), (56, 56)),
        (2, (192, 256), (96, 128)),
        (3, (20, 31), (7, 11)),
        (2, (15, 9), (8, 5)),
    ],
)
def test_cut_and_stitch_move_every_pixel_to_its_place(make_jigclu, grid, input_size, patch):
    model = make_jigclu(grid, input_size)
    assert model.patch_size == patch
    width, height = patch
    patches = grid**2
    inputs = torch.arange(2 * 3 * patches * height * width).reshape(2, 3, patches * height, width)
    pieces = model.cut(inputs)
    assert pieces.shape == (2 * patches, 3, height, width)
    for image, i in itertools.product(range(2), range(patches)):
        expected = inputs[image, :, i * height : (i + 1) * height]
        assert torch.equal(pieces[image * patches + i], expected)
    montages = model.stitch(pieces)
    assert montages.shape == (2, 3, grid * height, grid * width)
    for image, i in itertools.product(range(2), range(patches)):
        top, left = i // grid * height, i % grid * width
        found = montages[image, :, top : top + height, left : left + width]
        assert torch.equal(found, pieces[image * patches + i])
    assert torch.equal(montages.flatten().sort().values, inputs.flatten())


def test_three_patches_along_a_side_of_224_make_montages_of_225(make_jigclu):
    model = make_jigclu(3, IMAGENET_SIZE)
    assert model.patch_size == (75, 75)
    assert model.stitch(model.cut(torch.zeros(1, 3, 675, 75))).shape == (1, 3, 225, 225)


@pytest.mark.parametrize(
    ('shape', 'given'),
    [
        ((75 * 9, 75), r'75×675 pixels'),  # of m = 3
        ((56 * 16, 56), r'56×896 pixels'),  # of m = 4, 224 pixels as well
        ((112 * 3, 112), r'112×336 pixels'),
        ((112, 448), r'448×112 pixels'),
        ((224, 224), r'224×224 pixels'),
    ],
)
def test_columns_that_do_not_fit_the_grid_are_refused_with_the_numbers(make_jigclu, shape, given):
    model = make_jigclu(2, IMAGENET_SIZE)
    wanted = (
        rf'{given} an image, but grid=2 wants 4 patches of 112×112 .* 112×448; .*PrepareDataHook'
    )
    for call in (lambda x: model.loss(x), lambda x: model.predict(x, samples(1, 2))):
        with pytest.raises(ValueError, match=wanted):
            call(torch.zeros(2, 3, *shape))


def test_width_and_height_of_a_patch_are_not_exchanged(make_jigclu):
    model = make_jigclu(2, (40, 24))
    model.cut(torch.zeros(1, 3, 4 * 12, 20))
    with pytest.raises(ValueError, match=r'12×80 pixels an image.*of 20×12 in a column, 20×48'):
        model.cut(torch.zeros(1, 3, 4 * 20, 12))


# ------------------------------------------------------------------------------------- training


def recorded(model: JigClu, monkeypatch) -> list:
    """What the head is given, and what the backbone sees, at each step."""
    seen: list = []
    backbone, loss = model.backbone.forward, model.head.loss

    def watch_backbone(inputs):
        seen.append(inputs)
        return backbone(inputs)

    def watch_head(vectors, sources, sizes):
        seen.append((vectors, sources, sizes))
        return loss(vectors, sources, sizes)

    monkeypatch.setattr(model.backbone, 'forward', watch_backbone)
    monkeypatch.setattr(model.head, 'loss', watch_head)
    return seen


@pytest.mark.parametrize('grid', [2, 3])
def test_the_patches_of_the_whole_batch_are_shuffled_together(monkeypatch, grid):
    model = reader(grid, (36, 24))
    inputs, colors = colored(model, 3)
    seen = recorded(model, monkeypatch)
    torch.manual_seed(0)
    model(inputs, [], mode='loss')
    montages, (vectors, sources, sizes) = seen
    assert sizes == [3 * grid**2]
    assert sorted(sources.tolist()) == list(range(3 * grid**2))
    # patch i·K + k of the montages is what the sources say, and so is its vector
    colors = colors.flatten(0, 1)[sources]
    torch.testing.assert_close(vectors, colors)
    width, height = model.patch_size
    for i, j in itertools.product(range(3), range(grid**2)):
        top, left = j // grid * height, j % grid * width
        place = montages[i, :, top : top + height, left : left + width]
        assert (place == colors[i * grid**2 + j, :, None, None]).all()
    images = (sources // grid**2).reshape(3, -1)
    assert (images != images[:, :1]).any()  # not only within an image


def test_every_permutation_of_the_batch_is_equally_likely(monkeypatch):
    """And it changes between steps; where each of 8 patches goes, in 3000 steps."""
    model = reader()
    inputs, _ = colored(model, 2)
    orders = []
    monkeypatch.setattr(model, 'patch_vectors', lambda pieces: pieces.mean(dim=(2, 3)))
    monkeypatch.setattr(model.head, 'loss', lambda vectors, sources, sizes: orders.append(sources))
    torch.manual_seed(0)
    for _ in range(3000):
        model.loss(inputs)
    drawn = torch.stack(orders)
    assert len(drawn.unique(dim=0)) > 2700  # of 40320
    expected = 3000 / 8
    counts = nn.functional.one_hot(drawn, 8).sum(dim=0)
    # chi-square of a doubly stochastic table, 49 degrees, p = 0.01, is 74.9
    assert ((counts - expected) ** 2 / expected).sum() * 7 / 8 < 74.9


def test_loss_is_the_sum_of_the_papers_equations(make_jigclu):
    """From pixels to the number, with nothing of the head but its weights."""
    model = make_jigclu().double()
    inputs = columns(model, 3, torch.float64)
    torch.manual_seed(4)
    losses = model(inputs, [], mode='loss')
    torch.manual_seed(4)
    order = torch.randperm(12).tolist()
    pieces = [inputs[s // 4, :, s % 4 * 12 : s % 4 * 12 + 12] for s in order]
    montages = torch.stack(
        [
            torch.cat([torch.cat([a, b], dim=2), torch.cat([c, d], dim=2)], dim=1)
            for a, b, c, d in (pieces[0:4], pieces[4:8], pieces[8:12])
        ]
    )
    maps = nn.functional.interpolate(model.backbone(montages)[-1], (4, 6), mode='bilinear')
    vectors = torch.stack(
        [m[:, r : r + 2, c : c + 3].mean(dim=(1, 2)) for m in maps for r in (0, 2) for c in (0, 3)]
    )
    unit = nn.functional.normalize(model.head.clustering(vectors), dim=1)
    clustering, location = 0.0, 0.0
    for i in range(12):
        others = sum((unit[i] @ unit[k] / 0.3).exp() for k in range(12) if k != i)
        mates = [j for j in range(12) if j != i and order[j] // 4 == order[i] // 4]
        clustering -= sum(((unit[i] @ unit[j] / 0.3).exp() / others).log() for j in mates) / 3
        location -= model.head.location(vectors[i]).log_softmax(dim=0)[order[i] % 4]
    torch.testing.assert_close(losses['loss_clustering'], clustering / 12, rtol=0, atol=1e-12)
    torch.testing.assert_close(losses['loss_location'], location / 12, rtol=0, atol=1e-12)


@pytest.mark.parametrize('options', [{}, dict(alpha=0.0), dict(beta=0.0)])
@pytest.mark.parametrize('input_format', jigclu.FORMATS)
def test_every_parameter_gets_a_gradient(make_jigclu, options, input_format):
    """As DistributedDataParallel wants it."""
    model = make_jigclu(input_format=input_format, **options)
    loss, _ = model.parse_losses(model(columns(model, 2), [], mode='loss'))
    loss.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_autocast_gives_nearly_the_same_losses_in_full_precision(make_jigclu):
    model = make_jigclu()
    inputs = columns(model, 4)
    torch.manual_seed(0)
    exact = model(inputs, [], mode='loss')
    torch.manual_seed(0)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = model(inputs, [], mode='loss')
    for name in ('loss_clustering', 'loss_location'):
        assert mixed[name].dtype == torch.float32
        torch.testing.assert_close(mixed[name], exact[name], rtol=0.01, atol=0)
    sum(mixed[name] for name in ('loss_clustering', 'loss_location')).backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.slow
def test_a_compiled_step_gives_the_same_losses_and_leaves_the_measures_alone(make_jigclu):
    """They are made with numpy and SciPy, which torch.compile can only stumble over."""
    model = make_jigclu()
    inputs = columns(model, 4)
    losses = []
    for loss in (model.loss, torch.compile(model.loss, backend='eager')):
        torch.manual_seed(0)
        losses.append(loss(inputs, []))
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=0)
    breaks = torch._dynamo.explain(model.loss)(inputs, []).break_reasons
    files = {frame.filename.rpartition('/')[2] for found in breaks for frame in found.user_stack}
    assert 'jigclu_head.py' in files  # the guard against NaN, which has to look
    assert not files & {'regrouping.py', 'distributed.py'}


def test_accumulated_gradients_are_those_of_small_batches(make_jigclu):
    """The mean over two batches of 2, not the gradient of one batch of 4."""
    model = make_jigclu().double()
    halves = columns(model, 4, torch.float64).split(2)

    def gradient(inputs, seed):
        torch.manual_seed(seed)
        model.zero_grad()
        model.parse_losses(model(inputs, [], mode='loss'))[0].backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters()])

    expected = (gradient(halves[0], 0) + gradient(halves[1], 1)) / 2
    whole = gradient(torch.cat(halves), 0)
    model.zero_grad()
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    wrapper = OptimWrapper(optimiser, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    for seed, inputs in enumerate(halves):
        torch.manual_seed(seed)
        model.train_step(dict(inputs=inputs, data_samples=[]), wrapper)
    found = before - nn.utils.parameters_to_vector(model.parameters())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert (found - whole).abs().max() > 1e-3


def color_puzzles(model: JigClu) -> torch.Tensor:
    """Eight images of one color each; the place of a patch shows in a bright stripe of it."""
    width, height = model.patch_size
    colors = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)))
    whole = colors[:, None, :, None, None].expand(-1, 4, -1, height, width).clone()
    whole[:, 0, :, : height // 3] += 2
    whole[:, 1, :, -(height // 3) :] += 2
    whole[:, 2, :, :, : width // 3] += 2
    whole[:, 3, :, :, -(width // 3) :] += 2
    whole += 0.2 * torch.randn_like(whole)
    return whole.transpose(1, 2).flatten(2, 3)


@pytest.mark.slow
def test_it_learns_to_sort_colored_patches():
    torch.manual_seed(0)
    model = JigClu(
        backbone=dict(type='ResNet', depth=18),
        head=dict(type='hsjp_mm.JigCluHead', in_channels=32, dim=16),
        input_size=(32, 32),
    )
    model.backbone = nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), Last(),
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(120):
        values = model(color_puzzles(model), [], mode='loss')
        loss, logged = model.parse_losses(values)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append({name: float(value) for name, value in logged.items()})
    start, end = (
        {name: sum(h[name] for h in part) / len(part) for name in history[0]}
        for part in (history[:3], history[-10:])
    )
    assert start['location'] < 0.5 and start['restored'] < 0.2
    assert end['retrieval'] > 0.95 > 3 * end['retrieval_chance']
    assert end['location'] > 0.95
    assert end['restored'] > 0.8
    assert end['loss_clustering'] < 0.7 * start['loss_clustering']
    assert end['loss_location'] < 0.3 * start['loss_location']


class Last(nn.Module):
    """Hands the map on as the backbones do."""

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor]:
        return (maps,)


# ------------------------------------------------------------------------ input formats (table 6)


@pytest.mark.parametrize(
    ('input_format', 'grid', 'patch'),
    [
        ('montage', 2, (112, 112)),
        ('small_patches', 2, (112, 112)),
        ('small_patches', 3, (75, 75)),
        ('scaled_patches', 2, (224, 224)),
        ('scaled_patches', 3, (224, 224)),
    ],
)
def test_size_of_the_patches_and_of_what_the_network_sees(monkeypatch, input_format, grid, patch):
    model = reader(grid, IMAGENET_SIZE, input_format=input_format)
    assert model.patch_size == patch
    seen = recorded(model, monkeypatch)
    model(columns(model, 2), [], mode='loss')
    width, height = patch
    if input_format == 'montage':
        assert seen[0].shape == (2, 3, grid * height, grid * width)
    else:
        assert seen[0].shape == (2 * grid**2, 3, height, width)


@pytest.mark.parametrize('input_format', ['small_patches', 'scaled_patches'])
def test_patches_by_themselves_have_vectors_that_do_not_know_their_neighbors(
    make_jigclu, input_format
):
    model = make_jigclu(input_format=input_format).double().eval()
    pieces = model.cut(columns(model, 2, torch.float64))
    vectors = model.patch_vectors(pieces)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.patch_vectors(pieces[order]), vectors[order])
    torch.testing.assert_close(vectors, model.backbone(pieces)[-1].mean(dim=(2, 3)))


def test_in_a_montage_the_neighbors_are_seen(make_jigclu):
    model = make_jigclu().double().eval()
    pieces = model.cut(columns(model, 2, torch.float64))
    vectors = model.patch_vectors(pieces)
    order = torch.tensor([4, 1, 2, 3, 0, 5, 6, 7])
    assert (model.patch_vectors(pieces[order])[1] - vectors[1]).abs().max() > 1e-3


# ----------------------------------------------------------------------------------- tensor mode


@pytest.mark.parametrize('input_format', jigclu.FORMATS)
def test_tensor_mode_is_the_network_on_what_goes_into_the_backbone(make_jigclu, input_format):
    model = make_jigclu(input_format=input_format).double().eval()
    pieces = model.cut(columns(model, 2, torch.float64))
    embeddings, logits = model(model.stitch(pieces) if model.montage else pieces, None)
    expected = model.head(model.patch_vectors(pieces))
    assert embeddings.shape == (8, 8) and logits.shape == (8, 4)
    assert torch.equal(embeddings, expected[0]) and torch.equal(logits, expected[1])
    (alone,) = make_jigclu(input_format=input_format, beta=0).double().eval()(pieces, None)
    assert alone.shape[1] == 8


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')  # the size of the input is fixed
def test_jigclu_on_hrnet_can_be_traced_as_for_onnx():
    config = Config.fromfile('configs/demo/jigclu_hrnet-tiny_1xb32-1000i_toy-96x96.py')
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval().requires_grad_(False)
    first, second = torch.rand(2, 1, 3, 96, 96)
    traced = torch.jit.trace(lambda images: model(images, None), first, check_trace=False)
    for found, expected in zip(traced(second), model(second, None), strict=True):
        torch.testing.assert_close(found, expected)


# ----------------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize('input_format', jigclu.FORMATS)
def test_predictions_come_in_the_order_of_the_true_locations(input_format):
    model = reader(input_format=input_format)
    inputs, colors = colored(model, 3)
    found = model(inputs, samples(7, 'a/b.jpg', 9), mode='predict')
    for i, sample in enumerate(found):
        expected = nn.functional.normalize(colors[i : i + 1], dim=2)
        torch.testing.assert_close(sample.pred_instances.patch_embeddings, expected)
        logits = model.head.location(colors[i : i + 1])
        torch.testing.assert_close(sample.pred_instances.patch_logits, logits)


def test_evaluation_montages_mix_the_batch_by_ids_and_seed_alone(make_jigclu, monkeypatch):
    model = make_jigclu().eval()
    inputs = columns(model, 3)
    seen = recorded(model, monkeypatch)
    embeddings = []
    for ids in ((1, 2, 3), (1, 2, 3), (1, 2, 4)):
        torch.rand(3)
        found = model(inputs, samples(*ids), mode='predict')
        embeddings.append(torch.cat([s.pred_instances.patch_embeddings for s in found]))
    model.seed = 1
    model(inputs, samples(1, 2, 3), mode='predict')
    assert torch.equal(seen[0], seen[1]) and torch.equal(embeddings[0], embeddings[1])
    assert not torch.equal(seen[0], seen[2]) and not torch.equal(embeddings[0], embeddings[2])
    assert not torch.equal(seen[0], seen[3])
    pieces = model.cut(inputs)
    assert torch.equal(seen[0].flatten().sort().values, pieces.flatten().sort().values)


def test_solve_tells_where_the_patches_went():
    model = reader()
    inputs, colors = colored(model, 3)
    sources, vectors, _ = model.solve(inputs, [1, 2, 3])
    pieces = model.cut(inputs)
    assert sorted(sources.tolist()) == list(range(12))
    assert len({s // 4 for s in sources[:4].tolist()}) > 1
    again = model.head(model.patch_vectors(pieces[sources]))[0]
    torch.testing.assert_close(again, vectors[sources])
    torch.testing.assert_close(vectors, nn.functional.normalize(colors.flatten(0, 1), dim=1))


def test_a_batch_of_one_can_be_evaluated_but_not_trained_on(make_jigclu):
    model = make_jigclu().eval()
    inputs = columns(model, 1)
    found = model(inputs, samples(5), mode='predict')[0].pred_instances
    assert found.patch_embeddings.shape == (1, 4, 8) and found.patch_logits.shape == (1, 4, 4)
    assert found.patch_embeddings.norm(dim=2).tolist() == [pytest.approx([1] * 4)]
    with pytest.raises(ValueError, match=r'a batch of 1 images over 1 processes \(\[1\]\)'):
        model(inputs, samples(5), mode='loss')


def test_without_location_branch_there_are_no_logits(make_jigclu):
    model = make_jigclu(beta=0.0).eval()
    found = model(columns(model, 2), samples(1, 2), mode='predict')[0].pred_instances
    assert set(found.keys()) == {'patch_embeddings'}


def test_samples_without_an_id(make_jigclu):
    model = make_jigclu()
    with pytest.raises(ValueError, match="a data sample has no 'id'"):
        model.predict(columns(model, 1), [PoseDataSample()])


# ------------------------------------------------------------------------------------- networks


HRNET = 'hrnet-w32_8xb64-210e_coco-256x192'
ALL_MAPS = """
model["backbone"]["extra"] = dict(stage4=dict(multiscale_output=True))
model["neck"] = dict(type="FeatureMapProcessor", concat=True)"""


@pytest.mark.parametrize(
    ('config', 'changes', 'grid', 'input_size', 'channels'),
    [
        ('res50_8xb64-210e_coco-256x192', 'model["backbone"]["depth"] = 18', 2, (64, 96), 512),
        ('res50_8xb64-210e_coco-256x192', 'model["backbone"]["depth"] = 18', 3, (64, 96), 512),
        # montages with sides that 32 divides, and 128
        (HRNET, '', 2, (64, 64), 32),
        (HRNET, ALL_MAPS, 2, (64, 96), 480),
        (HRNET, ALL_MAPS, 3, (96, 96), 480),
        ('hourglass52_8xb32-210e_coco-256x256', '', 2, (256, 256), 256),
    ],
)
@pytest.mark.slow
def test_stock_top_down_configs_become_pretext_ones(config, changes, grid, input_size, channels):
    """By changing the model, the way a user does."""
    cfg = Config.fromstring(
        f'_base_ = ["{STOCK}{config}.py"]\n'
        f'model = dict(type="hsjp_mm.JigClu", grid={grid}, input_size={input_size}, '
        'backbone=dict(init_cfg=None), '
        f'head=dict(_delete_=True, type="hsjp_mm.JigCluHead", in_channels={channels}))\n{changes}',
        '.py',
    )
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    inputs = columns(model, 2)
    with torch.no_grad():
        losses = model.train()(inputs, [], mode='loss')
        found = model.eval()(inputs, samples(1, 2), mode='predict')
    patches = 2 * grid**2
    # not far from those of a network that knows nothing
    assert losses['loss_clustering'] == pytest.approx(math.log(patches - 1), rel=0.25)
    assert 0.5 < losses['loss_location'] / math.log(grid**2) < 3
    vectors = torch.cat([s.pred_instances.patch_embeddings for s in found]).flatten(0, 1)
    assert vectors.isfinite().all()
    assert (vectors[None] - vectors[:, None]).abs().amax(dim=2).fill_diagonal_(1).min() > 1e-6


# -------------------------------------------------------------------------------------- weights


def test_weights_of_another_puzzle_or_head_are_refused(make_jigclu, make_model, tmp_path):
    def load(model, state):
        torch.save({'state_dict': state}, tmp_path / 'weights.pth')
        load_checkpoint(model, str(tmp_path / 'weights.pth'), 'cpu')  # as the runner does

    state = make_jigclu().state_dict()
    with torch.no_grad():
        for weight in (model := make_jigclu()).parameters():
            weight.zero_()
    load(model, state)
    assert all(torch.equal(weight, state[name]) for name, weight in model.state_dict().items())
    with pytest.raises(ValueError, match='the checkpoint has grid=2, the model grid=3'):
        load(make_jigclu(3), state)
    with pytest.raises(ValueError, match=r'another head \(clustering.*a JigCluHead \(location'):
        load(make_jigclu(alpha=0.0), state)
    with pytest.raises(ValueError, match=r'another head \(clustering.*PretextInit'):
        load(make_jigclu(), make_jigclu(beta=0.0).state_dict())
    with pytest.raises(ValueError, match=r'another head \(final_layer.*a JigCluHead'):
        load(make_jigclu(), make_model(2).state_dict())
    with pytest.raises(ValueError, match=r'another head \(clustering.*an? HSJPHead'):
        load(make_model(2), state)
    with pytest.raises(ValueError, match=r'another head \(clustering.*an? HSJPHead'):
        load(make_model(2), make_jigclu(beta=0.0).state_dict())


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(grid=1), 'grid=1 must be a whole number from 2 to 24'),
        (dict(grid=25), 'grid=25 must be a whole number from 2 to 24'),
        (dict(grid=2.0), r'grid=2\.0 must be a whole number'),
        (dict(grid=True), 'grid=True must be a whole number'),
        (
            dict(input_format='patches'),
            "input_format='patches' must be one of montage, small_patches, scaled_patches",
        ),
        (dict(head=dict(type='HeatmapHead', in_channels=16)), "'HeatmapHead' must be"),
        (dict(head=dict(type='hsjp_mm.HSJPHead', in_channels=16)), "must be 'hsjp_mm.JigCluHead'"),
        (dict(head=dict(in_channels=16)), "head.type=None must be 'hsjp_mm.JigCluHead'"),
        (
            dict(head=dict(type='hsjp_mm.JigCluHead', in_channels=16, grid=2)),
            r'head\.grid=2: give grid to the model alone',
        ),
        (dict(alpha=0.0, beta=0.0), r'alpha=0\.0 and beta=0\.0 must be'),
        (
            dict(head=dict(type='hsjp_mm.JigCluHead', in_channels=16, temperature=0)),
            'temperature=0 must be positive',
        ),
    ],
)
def test_arguments_outside_their_range(make_jigclu, options, message):
    with pytest.raises(ValueError, match=message):
        make_jigclu(**options)


def test_a_head_for_another_number_of_channels(make_jigclu):
    model = make_jigclu(head=dict(type='hsjp_mm.JigCluHead', in_channels=32))
    with pytest.raises(ValueError, match='in_channels=32, but the last feature map has 16'):
        model(columns(model, 2), [], mode='loss')


def test_input_that_is_not_finite(make_jigclu):
    model = make_jigclu()
    inputs = columns(model, 2)
    inputs[0, 0, 3, 3] = math.nan
    with pytest.raises(ValueError, match='hold NaN or infinity'):
        model(inputs, [], mode='loss')


def test_an_empty_batch(make_jigclu):
    model = make_jigclu()
    with pytest.raises(ValueError, match=r'a batch of 0 images over 1 processes .*drop_last'):
        model(columns(model, 2)[:0], [], mode='loss')
