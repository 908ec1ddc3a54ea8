from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.datasets import MpiiDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import nn

from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.models import HSJP, PartBranchHourglass
from hsjp_mm.models.utils.part_branches import PartBranches, Residual

KEYPOINTS = list(parse_pose_metainfo(MpiiDataset.METAINFO)['keypoint_name2id'])
INDICES = [[0, 1, 4, 5], [2, 3, 6], [7, 8, 9, 12, 13], [14, 15], [10, 11]]
FIVE = dict(keypoints=KEYPOINTS, groups=[[KEYPOINTS[i] for i in group] for group in INDICES])
# Of four keypoints, the second in two groups.
OVERLAPPING = dict(keypoints=list('abcd'), groups=[['d', 'b'], ['a', 'b', 'c']])


def network(part_groups: dict | None = FIVE, num_stacks: int = 2, **options) -> PartBranchHourglass:
    torch.manual_seed(0)
    return PartBranchHourglass(part_groups, num_stacks=num_stacks, **options)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def total_gradient(module: nn.Module) -> float:
    """Sum of the absolute gradients; NaN or infinity if one is."""
    return sum(p.grad.abs().sum().item() for p in module.parameters() if p.grad is not None)


# ------------------------------------------------------------------------------------ the network


def test_parameters_are_the_papers_to_the_last_digit():
    pbn, deep = network(num_stacks=8), network(None, 8, num_keypoints=16)
    assert f'{count(pbn) / 1e6:.2f} M' == '26.69 M'
    assert f'{count(deep) / 1e6:.2f} M' == '27.22 M'
    assert f'{(count(deep) - count(pbn)) / 1e6:.2f} M' == '0.53 M'
    # the deep baseline's residual block: 1×1, 3×3 and 1×1 convolutions with biases, three norms
    block = 256 * 128 + 128 + 9 * 128 * 128 + 128 + 128 * 256 + 256 + 2 * (256 + 128 + 128)
    assert count(deep) - count(network(None, 8, num_keypoints=16, depth=0)) == 8 * block


@pytest.mark.slow
def test_eight_stacks_at_full_size_train_every_layer():
    model = network(num_stacks=8)
    stacks = model(torch.randn(1, 3, 256, 256))
    assert [tuple(maps.shape) for maps in stacks] == 8 * [(1, 16, 64, 64)]
    sum((maps**2).mean() for maps in stacks).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_hourglass_has_the_blocks_and_resolutions_of_the_text():
    model = network(num_stacks=1)
    sizes = []
    for module in model.trunk.hourglasses.modules():
        if isinstance(module, Residual):
            module.register_forward_hook(lambda _, args, out: sizes.append(out.shape[-1]))
    stem = []
    for module in model.trunk.stem:
        module.register_forward_hook(lambda _, args, out: stem.append(tuple(out.shape[1:])))
    model(torch.randn(1, 3, 256, 256))
    assert stem == [
        (64, 256, 256), (64, 128, 128), (64, 128, 128), (64, 128, 128),
        (128, 128, 128), (128, 64, 64), (128, 64, 64), (256, 64, 64),
    ]  # fmt: skip
    # at each of four resolutions one beside the pooling and, a level below, one after it and one
    # before the upsampling; one in the middle; and one more at the output's resolution
    assert Counter(sizes) == {64: 2, 32: 3, 16: 3, 8: 3, 4: 3}


@pytest.mark.parametrize('fuse', ['shared', 'specific'])
def test_three_maps_are_added_between_stacks(fuse):
    model = network(fuse=fuse)
    model.eval()
    first, second = model.trunk.hourglasses
    seen = {}
    model.trunk.stem.register_forward_hook(lambda _, args, out: seen.update(stem=out))
    first.register_forward_hook(lambda _, args, out: seen.update(shared=out))
    second.register_forward_hook(lambda _, args, out: seen.update(input=args[0]))
    maps, _ = model(torch.randn(1, 3, 64, 64))
    passed, join = seen['shared'], None
    if fuse == 'shared':
        [join] = model.trunk.joins
    else:
        [join] = model.specific_joins
        passed = torch.cat([branch(passed) for branch in model.predictors[0].specific], dim=1)
        assert passed.shape[1] == 5 * 64 and not hasattr(model.trunk, 'joins')
    expected = seen['stem'] + model.remaps[0](maps) + join(passed)
    torch.testing.assert_close(seen['input'], expected)


@pytest.mark.slow
def test_a_map_of_the_last_stack_moves_its_own_branch_and_the_trunk():
    for keypoints, owner in zip(INDICES, range(5), strict=True):
        model = network()
        maps = model(torch.randn(2, 3, 64, 64))[-1]
        (maps[:, keypoints[-1]] * torch.randn(2, 16, 16)).sum().backward()
        first, last = model.predictors
        reached = [total_gradient(branch) > 0 for branch in last.specific]
        assert reached == [branch == owner for branch in range(5)]
        assert [total_gradient(layer) > 0 for layer in last.linear] == reached
        own = last.linear[owner].weight.grad.abs().sum(dim=(1, 2, 3)) > 0
        assert own.tolist() == [k == keypoints[-1] for k in keypoints]
        for part in (model.trunk.stem, *model.trunk.hourglasses, *model.trunk.joins):
            assert total_gradient(part) > 0
        # what the first stack predicts goes into the second
        assert all(total_gradient(branch) > 0 for branch in first.specific)


def test_overlapping_groups_average_their_maps():
    torch.manual_seed(0)
    branches = PartBranches(6, [[3, 1], [0, 1, 2]], width=4, depth=2)
    shared = torch.randn(2, 6, 5, 7)
    (x, y), (p, q) = branches.specific, branches.linear
    first, second = p(x(shared)), q(y(shared))
    expected = [second[:, 0], (first[:, 1] + second[:, 1]) / 2, second[:, 2], first[:, 0]]
    torch.testing.assert_close(branches(shared), torch.stack(expected, dim=1))
    assert [len(branch) for branch in branches.specific] == [3, 3]  # reduction and two blocks


@pytest.mark.parametrize('groups', [[[0, 1, 2, 3]], [[2], [0], [3], [1]]])
def test_disjoint_groups_keep_their_maps(groups):
    torch.manual_seed(0)
    branches = PartBranches(6, groups, width=4)
    specific = branches.specific_features(torch.randn(2, 6, 5, 7))
    found = branches.heatmaps(specific)
    for group, linear, features in zip(groups, branches.linear, specific, strict=True):
        torch.testing.assert_close(found[:, group], linear(features))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_stacks=0), 'num_stacks=0 must be 1 or more'),
        (dict(width=33), 'width=33 must be an even number, 2 or more'),
        (dict(width=0), 'width=0 must be an even number'),
        (dict(depth=-1), 'depth=-1 must be 0 or more'),
        (dict(part_groups=None, num_keypoints=3, depth=-1), 'depth=-1 must be 0 or more'),
        (dict(fuse='both'), r"fuse='both' must be one of \('shared', 'specific'\)"),
        (dict(num_keypoints=16), 'num_keypoints=16: give one of them'),
        (dict(part_groups=None), 'part_groups=None and num_keypoints=None: give one of them'),
        (dict(part_groups=None, num_keypoints=16, fuse='specific'), "'specific' needs part_groups"),
        (dict(part_groups=dict(FIVE, groups=FIVE['groups'][1:])), 'in no group: right_ankle'),
    ],
)
def test_arguments_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_a_side_that_64_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r'the input has 192×224 pixels; .* so 64 must divide'):
        network(num_stacks=1)(torch.zeros(1, 3, 224, 192))


# -------------------------------------------------------------------- in a stock top-down estimator

CODEC = dict(type='hsjp_mm.HighestCell', input_size=(64, 128), heatmap_size=(16, 32), sigma=1)


def estimator(num_stacks: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='hsjp_mm.PartBranchHourglass', part_groups=OVERLAPPING, num_stacks=num_stacks
            ),
            head=dict(
                type='CPMHead',
                in_channels=4,
                out_channels=4,
                num_stages=num_stacks,
                final_layer=None,
                loss=dict(type='KeypointMSELoss', use_target_weight=True),
                decoder=CODEC,
            ),
        )
    )


def sample(seed: int) -> PoseDataSample:
    torch.manual_seed(seed)
    made = PoseDataSample(
        metainfo=dict(
            flip_indices=[0, 2, 1, 3],
            input_size=(64, 128),
            input_center=torch.tensor([32.0, 64]).numpy(),
            input_scale=torch.tensor([64.0, 128]).numpy(),
        )
    )
    made.gt_instances = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 64, 128]]).numpy(), bbox_scores=torch.ones(1).numpy()
    )
    made.gt_fields = PixelData(heatmaps=torch.rand(4, 32, 16))
    weights = torch.tensor([[1.0, 0, 1, 1]])
    made.gt_instance_labels = InstanceData(keypoint_weights=weights)
    return made


def test_stock_head_supervises_every_stack_and_predicts_by_the_last():
    model = estimator()
    assert count(model.head) == 0
    for predictor in model.backbone.predictors:
        for linear in predictor.linear:
            nn.init.constant_(linear.bias, 5)  # so that each map has a positive cell
    images, samples = torch.randn(2, 3, 128, 64), [sample(1), sample(2)]
    model.eval()
    stacks = model.backbone(images)
    targets = torch.stack([s.gt_fields.heatmaps for s in samples])
    weighted = torch.tensor([1.0, 0, 1, 1])[None, :, None, None]
    expected = sum(((maps - targets) ** 2 * weighted).mean() for maps in stacks)
    found = model.loss(images, samples)['loss_kpt']
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)

    for maps, result in zip(stacks[-1], model.predict(images, samples), strict=True):
        flat = maps.flatten(1).argmax(dim=1)
        cells = torch.stack([flat % 16, flat // 16], dim=1)
        assert result.pred_instances.keypoints[0].tolist() == (4 * cells).tolist()


# -------------------------------------------------------------------------------- HSJP on the trunk


def puzzles(grid: int = 2, unshuffled: bool = False, **backbone) -> HSJP:
    torch.manual_seed(0)
    settings = dict(
        type='hsjp_mm.PartBranchHourglass', part_groups=OVERLAPPING, num_stacks=2, depth=0
    )
    return HSJP(
        backbone={**settings, **backbone},
        head=dict(type='hsjp_mm.HSJPStackHead'),
        grid=grid,
        unshuffled=unshuffled,
        input_size=(64, 64),
    )


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Path:
    """Weights of a pretext run on two stacks, whose values are all moved from the first ones."""
    model = puzzles(grid=3)
    state = {
        name: value if name.startswith('identity.') else value + 1
        for name, value in model.state_dict().items()
    }
    path = tmp_path_factory.mktemp('pbn') / 'hsjp.pth'
    torch.save(dict(state_dict=state), path)
    return path


def started(checkpoint: Path, **options) -> PartBranchHourglass:
    init_cfg = dict(type='hsjp_mm.PretextInit', checkpoint=str(checkpoint))
    model = network(**{'part_groups': OVERLAPPING, **options}, init_cfg=init_cfg)
    model.init_weights()
    return model


def test_the_grid_of_the_model_alone_tells_the_number_of_maps(log_file):
    for grid in (2, 3):
        model = puzzles(grid)
        assert [m.shape[1] for m in model.backbone(torch.randn(2, 3, 64, 64))] == 2 * [grid**2]
        assert count(model.head) == 0
    assert 'HSJP: backbone.part_groups make way for 9 patches' in log_file.read_text()
    with pytest.raises(ValueError, match=r'backbone\.num_keypoints=9: the puzzle has 4 maps'):
        puzzles(2, num_keypoints=9)


def test_every_stack_solves_the_puzzle():
    model = puzzles()
    centers = torch.rand(2, 4, 2) * 80 - 8
    stacks = [torch.rand(2, 4, 16, 16) for _ in range(3)]
    found = model.head.loss(stacks, centers)
    targets, inside = model.head.targets(centers)
    losses = [((m - targets) ** 2 * inside[:, :, None, None]).mean().item() for m in stacks]
    assert found['loss_puzzle'].item() == pytest.approx(sum(losses), rel=1e-5)
    assert found['peak'].item() == pytest.approx(stacks[-1].amax(dim=(2, 3)).mean().item())

    model.loss(torch.randn(2, 3, 64, 64))['loss_puzzle'].backward()
    assert all(total_gradient(predictor) > 0 for predictor in model.backbone.predictors)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize('options', [{}, dict(part_groups=None, num_keypoints=4, depth=0)])
def test_the_trunk_starts_from_the_puzzles(checkpoint, options, log_file):
    model = started(checkpoint, **options)
    stored = torch.load(checkpoint)['state_dict']
    trunk = {f'trunk.{name}': value for name, value in model.trunk.state_dict().items()}
    for name, value in trunk.items():
        assert torch.equal(value, stored[f'backbone.{name}']), name
    # what tells keypoints is drawn anew, the same shape in the file or not
    fresh = network(**{'part_groups': OVERLAPPING, **options})
    fresh.load_state_dict(trunk, strict=False)
    beside = [name for name in model.state_dict() if name not in trunk]
    assert all(torch.equal(fresh.state_dict()[n], model.state_dict()[n]) for n in beside)
    assert beside and any(name in beside and 'backbone.' + name in stored for name in beside)

    [line] = [line for line in log_file.read_text().splitlines() if line.startswith('trunk: ')]
    unused = [n for n in stored if n.startswith('backbone.') and n[9:] not in trunk]
    assert f'trunk: {len(trunk)} of {len(trunk)} tensors, 6.6 M of 6.6 M parameters from' in line
    assert "(prefix 'backbone.', sha256" in line
    assert f'; {len(beside)} beside it start afresh: {beside[0]}, {beside[1]}' in line
    assert f'; {len(unused)} of the file unused: predictors.0.0.weight' in line


def test_the_unshuffled_crops_half_of_the_stem_is_folded(tmp_path):
    model = puzzles(unshuffled=True)
    torch.save(model.state_dict(), tmp_path / 'six.pth')
    stem = started(tmp_path / 'six.pth').trunk.stem[0][0].weight
    six = model.backbone.trunk.stem[0][0].weight
    torch.testing.assert_close(stem, six[:, :3] + six[:, 3:])


def test_another_number_of_stacks_is_refused(checkpoint):
    with pytest.raises(CheckpointError, match=r'goes on with trunk\.hourglasses\.1'):
        started(checkpoint, num_stacks=1)
    with pytest.raises(CheckpointError, match=r'lacks the whole of trunk\.hourglasses\.2'):
        started(checkpoint, num_stacks=3)
