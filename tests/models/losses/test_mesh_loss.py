import math
from dataclasses import replace

import pytest
import torch
from mmengine.logging import MessageHub

from hsjp_mm.models import MeshLoss, MeshPrediction
from hsjp_mm.models.losses import MeshTargets
from hsjp_mm.models.losses.mesh_loss import part_loss, scale_prior
from hsjp_mm.ops.part_labels import IGNORED

B, K, J, S = 4, 5, 24, 3
HIPS = [1, 3]


def made_up(seed: int = 0) -> tuple[MeshPrediction, torch.Tensor, torch.Tensor, MeshTargets]:
    torch.manual_seed(seed)
    prediction = MeshPrediction(
        torch.randn(B, J, 3, 3), torch.randn(B, S), torch.rand(B, 3), torch.randn(B, J + 1, 6, 4)
    )
    for values in prediction[:4]:
        values.requires_grad_()
    weights = torch.rand(B, K)
    weights[0, 2] = 0
    weights[1, HIPS[0]] = 0  # without a hip it has no middle to compare from
    part_map = torch.randint(0, J + 1, (B, 6, 4))
    part_map[0] = IGNORED
    part_map[1, :2] = IGNORED
    targets = MeshTargets(
        keypoints=torch.randn(B, K, 2),
        keypoint_weights=torch.rand(B, K).round(decimals=1),
        joints=torch.randn(B, K, 3),
        joint_weights=weights,
        rotations=torch.randn(B, J, 3, 3),
        has_pose=torch.tensor([1.0, 0, 1, 0]),
        shape=torch.randn(B, S),
        has_shape=torch.tensor([0.0, 0, 0, 1]),
        part_map=part_map,
    )
    keypoints, joints = torch.randn(B, K, 2), torch.randn(B, K, 3)
    return prediction, keypoints.requires_grad_(), joints.requires_grad_(), targets


def slow_losses(prediction, keypoints, joints, targets) -> dict[str, float]:
    """Number by number, from the lists of the docstring, with SPIN's weights."""
    total = 0.0
    for b in range(B):
        for k in range(K):
            for axis in range(2):
                square = float(keypoints[b, k, axis] - targets.keypoints[b, k, axis]) ** 2
                total += float(targets.keypoint_weights[b, k]) * square
    losses = {'keypoints': 60 * 5 * total / (B * K * 2)}
    total, number = 0.0, 0
    for b in range(B):
        if min(float(targets.joint_weights[b, hip]) for hip in HIPS) == 0:
            continue
        number += K * 3
        for k in range(K):
            for axis in range(3):
                middle = [
                    sum(float(points[b, hip, axis]) for hip in HIPS) / 2
                    for points in (joints, targets.joints)
                ]
                found = float(joints[b, k, axis]) - middle[0]
                truth = float(targets.joints[b, k, axis]) - middle[1]
                total += float(targets.joint_weights[b, k]) * (found - truth) ** 2
    losses['joints'] = 60 * 5 * total / number
    for name, found, truth, has, weight in (
        ('pose', prediction.rotations, targets.rotations, targets.has_pose, 1.0),
        ('shape', prediction.shape, targets.shape, targets.has_shape, 0.001),
    ):
        squares = []
        for b in range(B):
            if has[b]:
                pairs = zip(found[b].flatten().tolist(), truth[b].flatten().tolist(), strict=True)
                squares += [(one - other) ** 2 for one, other in pairs]
        losses[name] = 60 * weight * sum(squares) / len(squares)
    losses['scale'] = 60 * sum(math.exp(-10 * float(s)) ** 2 for s in prediction.weak[:, 0]) / B
    logs = []
    for b in range(B):
        for row in range(6):
            for column in range(4):
                label = int(targets.part_map[b, row, column])
                if label != IGNORED:
                    scores = prediction.part_scores[b, :, row, column].tolist()
                    logs.append(math.log(sum(math.exp(s) for s in scores)) - scores[label])
    losses['parts'] = 60 * sum(logs) / len(logs)
    return losses


def test_losses_are_those_of_a_slow_loop():
    parts = made_up()
    found = MeshLoss()(*parts, HIPS)
    expected = slow_losses(*parts)
    assert set(found) == {f'loss_{name}' for name in expected}
    for name, value in expected.items():
        assert float(found[f'loss_{name}']) == pytest.approx(value, rel=1e-5), name


def test_each_weight_multiplies_its_loss():
    parts = made_up()
    plain = MeshLoss()(*parts, HIPS)
    weights = dict(keypoints=1, joints=2, pose=3, shape=4, scale=5, parts=6)
    found = MeshLoss(**weights, factor=0.5)(*parts, HIPS)
    usual = dict(keypoints=5, joints=5, pose=1, shape=0.001, scale=1, parts=1)
    for name, weight in weights.items():
        expected = float(plain[f'loss_{name}']) / 60 / usual[name] * weight / 2
        assert float(found[f'loss_{name}']) == pytest.approx(expected, rel=1e-5)


UNKNOWN = {
    'keypoints': dict(
        keypoints=torch.full((B, K, 2), math.nan), keypoint_weights=torch.zeros(B, K)
    ),
    'joints': dict(joints=torch.full((B, K, 3), math.nan), joint_weights=torch.zeros(B, K)),
    'pose': dict(rotations=torch.full((B, J, 3, 3), math.nan), has_pose=torch.zeros(B)),
    'shape': dict(shape=torch.full((B, S), math.nan), has_shape=torch.zeros(B)),
    'parts': dict(part_map=None),
}


@pytest.mark.parametrize('lacking', [*UNKNOWN, 'all', 'all cells'])
def test_what_a_whole_batch_lacks_is_zero_and_its_numbers_are_not_looked_at(lacking):
    prediction, keypoints, joints, targets = made_up()
    if lacking == 'all cells':
        missing = {'parts': dict(part_map=torch.full((B, 6, 4), IGNORED))}
    else:
        missing = UNKNOWN if lacking == 'all' else {lacking: UNKNOWN[lacking]}
    for change in missing.values():
        targets = replace(targets, **change)
    losses = MeshLoss()(prediction, keypoints, joints, targets, HIPS)
    for name, value in losses.items():
        assert torch.isfinite(value)
        assert (float(value) == 0) == (name.removeprefix('loss_') in missing), name
    sum(losses.values()).backward()
    for values in (*prediction[:4], keypoints, joints):
        # finite, and there, for processes that wait for one another's
        assert torch.isfinite(values.grad).all()


def test_single_unknown_joints_may_be_anything():
    prediction, keypoints, joints, targets = made_up()
    expected = MeshLoss()(prediction, keypoints, joints, targets, HIPS)
    broken = targets.joints.clone()
    broken[0, 2], broken[1] = math.nan, math.inf
    found = MeshLoss()(prediction, keypoints, joints, replace(targets, joints=broken), HIPS)
    assert float(found['loss_joints']) == pytest.approx(float(expected['loss_joints']))
    found['loss_joints'].backward()
    assert torch.isfinite(joints.grad).all()


def test_scale_prior_is_finite_for_any_scale():
    assert float(scale_prior(torch.tensor([0.5]))) == pytest.approx(math.exp(-5) ** 2)
    assert float(scale_prior(torch.tensor([0.0]))) == 1
    scale = torch.tensor([-100.0, -0.5, 0.0, 100.0], requires_grad=True)
    value = scale_prior(scale)
    assert float(value) == pytest.approx((2001 + 11 + 1) / 4)
    value.backward()
    torch.testing.assert_close(scale.grad, torch.tensor([-5.0, -5, -5, 0]))


def test_part_labels_train_for_so_many_epochs():
    parts = made_up()
    loss = MeshLoss(part_epochs=2)
    hub = MessageHub.get_instance('test_part_labels')
    assert MessageHub.get_current_instance() is hub
    for epoch, trains in ((0, True), (1, True), (2, False), (3, False)):
        hub.update_info('epoch', epoch)
        scores = parts[0].part_scores.detach().requires_grad_()
        found = loss(parts[0]._replace(part_scores=scores), *parts[1:], HIPS)['loss_parts']
        found.backward()  # there in each epoch, so that no process waits for it
        assert (float(found) > 0) == trains
        assert bool(scores.grad.any()) == trains
        assert float(MeshLoss()(*parts, HIPS)['loss_parts']) > 0


def test_part_epochs_in_a_run_by_iterations_are_told_once(log_file):
    MessageHub.get_current_instance().update_info_dict({'epoch': 0, 'max_epochs': 1})
    loss = MeshLoss(part_epochs=2)
    loss(*made_up(), HIPS)
    loss(*made_up(), HIPS)
    assert log_file.read_text().count('part_epochs=2 changes nothing in a run of one epoch') == 1
    MessageHub.get_current_instance().update_info('max_epochs', 100)
    loss = MeshLoss(part_epochs=2)
    loss(*made_up(), HIPS)
    assert log_file.read_text().count('part_epochs=2') == 1


def test_a_head_whose_keypoints_would_not_train_is_refused():
    prediction, *others = made_up()
    places = torch.zeros(*others[1].shape)
    with pytest.raises(ValueError, match=r'loss=MeshLoss .*Pose2PoseLoss'):
        MeshLoss()(prediction._replace(places=places), *others, HIPS)


def test_heads_without_parts_have_no_loss_of_parts():
    prediction, *others = made_up()
    losses = MeshLoss()(prediction._replace(part_scores=None), *others, HIPS)
    assert 'loss_parts' not in losses


def test_maps_of_another_size_are_refused():
    with pytest.raises(ValueError, match='scores of parts are 4×6 cells, their labels 8×12'):
        part_loss(torch.randn(2, 25, 6, 4), torch.zeros(2, 12, 8, dtype=torch.long))


def test_weights_are_checked():
    with pytest.raises(ValueError, match='pose=-1 must be at least 0'):
        MeshLoss(pose=-1)
