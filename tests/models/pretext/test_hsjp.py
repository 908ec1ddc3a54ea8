import itertools
import math

import pytest
import torch
from mmengine import Config
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import nn

from hsjp_mm.models import HSJP
from hsjp_mm.models.pretext import hsjp
from hsjp_mm.models.pretext.hsjp import seeded_slots
from hsjp_mm.ops import patches

ANY_SIZE = dict(
    backbone=dict(type='ResNet', depth=18, out_indices=(0,)),
    head=dict(type='hsjp_mm.HSJPHead', in_channels=64, deconv_out_channels=None),
)
"""A network for inputs that HRNet would not take."""

STOCK = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_'


def samples(*ids) -> list[PoseDataSample]:
    made = [PoseDataSample(metainfo={'id': key}) for key in ids]
    for sample in made:
        sample.gt_instances = InstanceData()
    return made


# --------------------------------------------------------------------------- evaluation puzzles


def test_evaluation_puzzles_are_pinned_forever():
    # figures measured with these puzzles can be compared only as long as they stay these
    assert seeded_slots([1], 2, seed=0).tolist() == [[2, 0, 1, 3]]
    assert seeded_slots([1], 3, seed=0).tolist() == [[6, 3, 5, 8, 4, 2, 0, 1, 7]]
    assert seeded_slots(['a/b.jpg'], 3, seed=0).tolist() == [[0, 1, 8, 4, 2, 6, 5, 3, 7]]


@pytest.mark.slow
def test_evaluation_puzzles_differ_between_ids_and_seeds_and_are_uniform():
    slots = seeded_slots(range(6000), 2, seed=0)
    counts = torch.unique(slots, dim=0, return_counts=True)[1]
    assert len(counts) == 24
    assert ((counts - 250) ** 2 / 250).sum() < 41.6  # chi-square with 23 degrees, p = 0.01
    same = (seeded_slots(range(6000), 2, seed=1) == slots).all(dim=1).float().mean()
    assert same == pytest.approx(1 / 24, abs=0.01)


def test_evaluation_puzzles_do_not_depend_on_batch_order_or_random_state(make_model):
    model = make_model(grid=3, input_size=(96, 64))
    crops = torch.rand(4, 3, 64, 96)
    ids = [7, 3, 'folder/a.jpg', 9]
    torch.manual_seed(1)
    whole = model.make_puzzle(crops, ids)
    torch.manual_seed(2)
    single = [model.make_puzzle(crops[i : i + 1], [ids[i]]) for i in range(4)]
    for name in ('inputs', 'centers', 'shuffled', 'slots', 'matrices'):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(p, name) for p in single]))
    backwards = model.make_puzzle(crops.flip(0), ids[::-1])
    assert torch.equal(backwards.inputs.flip(0), whole.inputs)


def test_seed_of_the_model_chooses_the_evaluation_puzzles(make_model):
    crops = torch.rand(1, 3, 64, 64)
    slots = [make_model(grid=4, seed=seed).make_puzzle(crops, [1]).slots for seed in (0, 0, 5)]
    assert torch.equal(slots[0], slots[1]) and not torch.equal(slots[0], slots[2])


@pytest.mark.parametrize('grid', range(2, 9))
def test_evaluation_centers_are_the_papers(make_model, grid):
    model = make_model(grid, (224, 224))
    puzzle = model.make_puzzle(torch.zeros(1, 3, 224, 224), [1])
    formula = {
        ((2 * m + 1) * 224 / (2 * grid), (2 * n + 1) * 224 / (2 * grid))
        for m, n in itertools.product(range(grid), repeat=2)
    }
    expected, found = (torch.tensor(sorted(x)) for x in (formula, puzzle.centers[0].tolist()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    columns, rows = puzzle.slots[0] % grid, puzzle.slots[0] // grid
    by_slots = (2 * torch.stack([columns, rows], dim=1) + 1) * 224 / (2 * grid)
    torch.testing.assert_close(puzzle.centers[0], by_slots, rtol=0, atol=1e-3)


# ----------------------------------------------------------------------------- training puzzles


def test_training_draws_differ_between_images_and_calls(make_model):
    model = make_model(grid=4)
    crops = torch.zeros(8, 3, 64, 64)
    torch.manual_seed(0)
    puzzles = [model.make_puzzle(crops) for _ in range(4)]
    slots = torch.cat([puzzle.slots for puzzle in puzzles])
    matrices = torch.cat([puzzle.matrices for puzzle in puzzles])
    assert len(slots.unique(dim=0)) == len(matrices.unique(dim=0)) == 32
    torch.manual_seed(0)
    again = model.make_puzzle(crops)
    assert torch.equal(again.slots, slots[:8]) and torch.equal(again.matrices, matrices[:8])


def test_processes_draw_different_puzzles_from_one_seed(make_model, monkeypatch):
    model = make_model(grid=4)
    puzzles = []
    for rank in range(2):
        monkeypatch.setattr(hsjp, 'get_dist_info', lambda rank=rank: (rank, 2))
        torch.manual_seed(0)
        puzzles.append(model.make_puzzle(torch.zeros(8, 3, 64, 64)))
    assert len(torch.cat([puzzle.slots for puzzle in puzzles]).unique(dim=0)) == 16
    assert len(torch.cat([puzzle.matrices for puzzle in puzzles]).unique(dim=0)) == 16


@pytest.mark.parametrize(
    ('options', 'limits'),
    [
        ({}, (0.35, 45, 0.1)),
        (dict(scale_factor=0.2, rotate_factor=170, shift_factor=0.3), (0.2, 170, 0.3)),
        (dict(scale_factor=0, rotate_factor=0, shift_factor=0), (0, 0, 0)),
    ],
)
def test_augmentation_fills_its_ranges(make_model, options, limits):
    size = torch.tensor([16, 12])  # width, height
    model = make_model(2, (16, 12), **ANY_SIZE, **options)
    torch.manual_seed(0)
    matrices = model.make_puzzle(torch.zeros(3000, 3, 12, 16)).matrices
    scale = torch.linalg.det(matrices[:, :, :2]).sqrt() - 1
    angle = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg()
    center = (size / 2).expand(3000, 1, 2)
    shift = (patches.warp_points(center, matrices) - center)[:, 0] / size
    for values, limit in zip((scale, angle, *shift.T), (*limits, limits[2]), strict=True):
        assert values.abs().max() <= limit + 1e-4
        assert values.min() <= -0.99 * limit and values.max() >= 0.99 * limit
        assert values.mean().abs() <= 0.05 * limit + 1e-5
        assert values.std() == pytest.approx(limit / math.sqrt(3), rel=0.05, abs=1e-4)
    if limits[0]:
        drawn = torch.corrcoef(torch.stack([scale, angle, *shift.T]))
        assert (drawn - torch.eye(4)).abs().max() < 0.06  # each has its own draw


def test_a_white_pixel_is_followed_from_the_crop_to_the_input(make_model):
    """On an input whose sides differ and which the grid does not divide."""
    width, height, grid = 100, 74, 3
    model = make_model(grid, (width, height), **ANY_SIZE)
    torch.manual_seed(0)
    wide, high = math.ceil(width / grid), math.ceil(height / grid)
    x, y = (torch.arange(side) + 0.5 for side in (width, height))
    errors = []
    for index in range(grid**2):
        for row, column in torch.randint(5, 20, (5, 2)).tolist():
            row += index // grid * height // grid
            column += index % grid * width // grid
            crop = torch.zeros(1, 3, height, width)
            crop[0, :, row, column] = 1
            puzzle = model.make_puzzle(crop)
            image = puzzle.inputs[0, 0]
            found = torch.stack([(image.sum(0) * x).sum(), (image.sum(1) * y).sum()]) / image.sum()
            # the pixel on the canvas, in patches: its patch, and where it lies in it
            across = (column + 0.5) * wide * grid / width / wide
            down = (row + 0.5) * high * grid / height / high
            assert index == int(down) * grid + int(across)
            offset = torch.tensor([(across % 1 - 0.5) * wide, (down % 1 - 0.5) * high])
            expected = puzzle.centers[0, index] + puzzle.matrices[0, :, :2] @ offset
            if (expected > 3).all() and (expected < torch.tensor([width, height]) - 3).all():
                errors.append((found - expected).abs().max().item())
    assert len(errors) > 25
    assert max(errors) < 0.5


def test_centers_are_the_middles_of_the_patches_in_the_input(make_model):
    model = make_model(
        2, (64, 48), **ANY_SIZE, scale_factor=0.3, rotate_factor=20, shift_factor=0.02
    )
    torch.manual_seed(0)
    x, y = (torch.arange(side) + 0.5 for side in (64, 48))
    for index in range(4):
        patch = torch.zeros(1, 4, 3, 24, 32)
        patch[:, index] = 1
        puzzle = model.make_puzzle(patches.join(patch, 2).expand(20, -1, -1, -1))
        image = puzzle.inputs[:, 0]
        x_found = (image.sum(1) * x).sum(1) / image.sum((1, 2))
        y_found = (image.sum(2) * y).sum(1) / image.sum((1, 2))
        found = torch.stack([x_found, y_found], dim=1)
        border = torch.cat([image[:, [0, -1]].flatten(1), image[:, :, [0, -1]].flatten(1)], dim=1)
        whole = border.sum(dim=1) == 0
        assert whole.sum() >= 3
        torch.testing.assert_close(found[whole], puzzle.centers[whole, index], rtol=0, atol=0.1)


def test_autocast_does_not_move_the_puzzle(make_model):
    model = make_model(6, (224, 224))
    crops = torch.rand(2, 3, 224, 224)
    torch.manual_seed(0)
    exact = model.make_puzzle(crops)
    torch.manual_seed(0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = model.make_puzzle(crops)
    assert torch.equal(mixed.centers, exact.centers)
    assert torch.equal(mixed.inputs, exact.inputs)


# ---------------------------------------------------------------------------------------- model


def test_unshuffled_crop_comes_as_channels_3_to_5(make_model):
    model = make_model(3, (96, 64), unshuffled=True)
    crops = torch.rand(2, 3, 64, 96)
    for ids in (None, [1, 2]):
        inputs = model.make_puzzle(crops, ids).inputs
        assert inputs.shape == (2, 6, 64, 96)
        assert torch.equal(inputs[:, 3:], crops)
        assert not torch.equal(inputs[:, :3], crops)
    assert model.backbone.conv1.in_channels == 6
    assert dict(model.identity.named_buffers()) == {'grid': 3, 'unshuffled': 1}
    losses = model.loss(crops)
    losses['loss_puzzle'].backward()
    gradients = model.backbone.conv1.weight.grad.abs().sum(dim=(0, 2, 3))
    assert (gradients > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize('unshuffled', [False, True])
def test_a_training_step_compiles_as_a_whole(make_model, unshuffled):
    model = make_model(grid=3, input_size=(64, 64), unshuffled=unshuffled)
    crops = torch.rand(2, 3, 64, 64)
    losses = []
    # with fullgraph, torch raises an error at the first thing that it cannot compile
    for loss in (model.loss, torch.compile(model.loss, backend='eager', fullgraph=True)):
        torch.manual_seed(0)
        losses.append(loss(crops))
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=0)


def test_loss_is_the_heads_on_a_random_puzzle_and_predict_on_the_fixed_one(make_model):
    model = make_model(3).eval()
    crops = torch.rand(2, 3, 64, 64)
    torch.manual_seed(3)
    puzzle = model.make_puzzle(crops)
    maps = model.head(model.backbone(puzzle.inputs))
    targets, inside = model.head.targets(puzzle.centers)
    expected = ((maps - targets) ** 2 * inside[:, :, None, None]).mean()
    torch.manual_seed(3)
    loss = model(crops, samples(1, 2), mode='loss')['loss_puzzle']
    torch.testing.assert_close(loss, expected)

    nn.init.normal_(model.head.final_layer.weight)  # for peaks that depend on the image
    found = model(crops, samples(5, 'b'), mode='predict')
    fixed = model.make_puzzle(crops, [5, 'b'])
    points, heights = patches.peaks(model.head(model.backbone(fixed.inputs)))
    assert not torch.equal(points[0], points[1])
    for i, sample in enumerate(found):
        truth = torch.from_numpy(sample.gt_instances.patch_centers)
        torch.testing.assert_close(truth, fixed.centers[i : i + 1])
        assert (sample.pred_instances.patch_centers == points[i].numpy() * 4).all()
        torch.testing.assert_close(
            torch.from_numpy(sample.pred_instances.patch_scores), heights[i : i + 1].detach()
        )


def test_overfits_one_image_with_one_fixed_puzzle():
    torch.manual_seed(0)
    crop = nn.functional.interpolate(torch.randn(1, 3, 12, 12), (64, 64))
    model = HSJP(
        backbone=dict(
            type='ResNet', depth=18, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,)
        ),
        head=dict(type='hsjp_mm.HSJPHead', in_channels=64, deconv_out_channels=None),
        grid=3,
        input_size=(64, 64),
    )
    model.init_weights()
    puzzle = model.make_puzzle(crop, [0])
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(80):
        values = model.head.loss(model.extract_feat(puzzle.inputs), puzzle.centers)
        optimiser.zero_grad()
        values['loss_puzzle'].backward()
        optimiser.step()
        history.append({name: value.item() for name, value in values.items()})
    assert history[0]['placed'] < 0.5
    assert history[-1]['placed'] == 1
    assert history[-1]['loss_puzzle'] < 0.1 * history[0]['loss_puzzle']
    assert history[-1]['peak'] > 0.8


def test_the_checkpoint_says_which_puzzle_and_another_model_refuses_it(make_model):
    state = make_model(grid=3).state_dict()
    assert (state['identity.grid'], state['identity.unshuffled']) == (3, 0)
    make_model(grid=3).load_state_dict(state)
    with pytest.raises(ValueError, match=r'grid=3 and unshuffled=False, the model grid=4'):
        make_model(grid=4).load_state_dict(state, strict=False)
    with pytest.raises(ValueError, match=r'the model grid=3 and unshuffled=True'):
        make_model(grid=3, unshuffled=True).load_state_dict(state, strict=False)


# --------------------------------------------------------------------------------- stock configs


@pytest.mark.parametrize(
    ('config', 'changes', 'input_size'),
    [
        ('hrnet-w32_8xb64-210e_coco-256x192', '', (64, 64)),
        ('hrnet-w48_8xb32-210e_coco-256x192', '', (64, 64)),
        (
            'res50_8xb64-210e_coco-256x192',
            'model["backbone"]["depth"] = 18; model["head"]["in_channels"] = 512',
            (64, 64),
        ),
        ('res50_8xb64-210e_coco-256x192', '', (64, 96)),
        ('res101_8xb64-210e_coco-256x192', '', (64, 64)),
        ('res152_8xb32-210e_coco-256x192', '', (64, 64)),
        (
            'hourglass52_8xb32-210e_coco-256x256',
            'model["head"] = dict(_delete_=True, type="hsjp_mm.HSJPHead", in_channels=256, '
            'deconv_out_channels=None)',
            (256, 256),  # its input has to be divisible by 128
        ),
        ('ViTPose-small_8xb64-210e_coco-256x192', '', (224, 224)),
    ],
)
@pytest.mark.slow
def test_stock_top_down_configs_become_pretext_ones(config, changes, input_size):
    """By changing the model, the way a user does."""
    if config.startswith('ViTPose'):
        pytest.importorskip('mmpretrain')
    cfg = Config.fromstring(
        f'_base_ = ["{STOCK}{config}.py"]\n'
        f'model = dict(type="hsjp_mm.HSJP", grid=3, input_size={input_size}, '
        'backbone=dict(init_cfg=None), head=dict(type="hsjp_mm.HSJPHead"))\n' + changes,
        '.py',
    )
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    assert model.head.final_layer.out_channels == model.grid**2 == 9
    assert model.head.decoder is None
    crops = torch.rand(1, 3, *input_size[::-1])
    with torch.no_grad():
        values = model.train()(crops, samples(1), mode='loss')
        found = model.eval()(crops, samples(1), mode='predict')[0]
    # the maps start near 0, so the loss starts near the mean square of the targets
    targets, inside = model.head.targets(model.make_puzzle(crops, [1]).centers)
    start = (targets**2 * inside[:, :, None, None]).mean()
    assert 0.2 * start < values['loss_puzzle'] < 5 * start
    limits = torch.tensor(input_size)
    assert (torch.from_numpy(found.pred_instances.patch_centers) < limits).all()


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(grid=1), 'grid=1 must be a whole number from 2 to 64'),
        (dict(grid=2.5), r'grid=2\.5 must be a whole number'),
        (dict(grid=65), 'grid=65 must be a whole number from 2 to 64'),
        (dict(sigma=5.0), r'sigma=5\.0 .* below 1\.3333'),
        (dict(scale_factor=1.0), r'scale_factor=1\.0 must be in \[0, 1\)'),
        (dict(scale_factor=-0.1), r'scale_factor=-0\.1 must be in'),
        (dict(rotate_factor=-1), 'rotate_factor=-1 and .* must be at least 0'),
        (dict(shift_factor=-0.1), r'shift_factor=-0\.1 must be at least 0'),
        (dict(head=dict(type='HeatmapHead', in_channels=16)), "'HeatmapHead' must be"),
        (dict(head=dict(type='hsjp_mm.HSJPHead', in_channels=16, grid=3)), 'give grid to the'),
        (dict(head=dict(type='hsjp_mm.HSJPHead', in_channels=16, sigma=1)), 'give sigma to the'),
        (
            dict(head=dict(type='hsjp_mm.HSJPHead', in_channels=16, input_size=(9, 9))),
            'give input_size to the model',
        ),
        (
            dict(unshuffled=True, backbone=dict(type='HourglassNet')),
            "6 input channels, but backbone 'HourglassNet' has no in_channels",
        ),
    ],
)
def test_arguments_outside_their_range(make_model, options, message):
    with pytest.raises(ValueError, match=message):
        make_model(**options)


def test_crops_of_another_size(make_model):
    model = make_model(input_size=(64, 32))
    with pytest.raises(ValueError, match=r'crops are 32×64 pixels.*input_size=\(64, 32\)'):
        model.make_puzzle(torch.zeros(1, 3, 64, 32))


def test_sizes_that_hrnet_fails_on_are_named_at_once(make_model):
    message = r'input_size=\(100, 90\) makes inputs of 100×90 pixels, but HRNet needs sides that 32'
    with pytest.raises(ValueError, match=message):
        make_model(input_size=(100, 90))
    model = make_model(input_size=(100, 92), **ANY_SIZE)
    assert torch.isfinite(model.loss(torch.rand(2, 3, 92, 100))['loss_puzzle'])


def test_samples_without_an_id(make_model):
    with pytest.raises(ValueError, match="a data sample has no 'id'"):
        make_model().predict(torch.zeros(1, 3, 64, 64), [PoseDataSample()])
