from dataclasses import replace

import pytest
import torch

from hsjp_mm.models import MeshPrediction, Pose2PoseLoss
from hsjp_mm.models.losses import MeshTargets
from hsjp_mm.models.losses.mesh_loss import LabelledBody
from hsjp_mm.ops.rotations import axis_angle_to_matrix

B, K, J, S = 3, 5, 24, 4
HIPS = [1, 3]


def made_up(seed: int = 0):
    torch.manual_seed(seed)
    turns = axis_angle_to_matrix(torch.randn(2, B, J, 3))
    prediction = MeshPrediction(
        turns[0], torch.randn(B, S), torch.rand(B, 3), places=torch.randn(B, K, 3),
        limits=torch.tensor([1.2, 1.0, 1.5]),
    )  # fmt: skip
    weights = torch.ones(B, K)
    weights[0, 2] = 0
    weights[1, HIPS[1]] = 0
    targets = MeshTargets(
        keypoints=torch.randn(B, K, 2),
        keypoint_weights=torch.rand(B, K).round(decimals=1),
        joints=torch.randn(B, K, 3),
        joint_weights=weights,
        rotations=turns[1],
        has_pose=torch.tensor([1.0, 0, 1]),
        shape=torch.randn(B, S),
        has_shape=torch.tensor([1.0, 1, 0]),
        body=LabelledBody(
            joints=torch.randn(B, K, 3), vertices=torch.randn(B, 9, 3),
            joints24=torch.randn(B, J, 3), places=torch.randn(B, K + J + 9, 2),
            has_body=torch.tensor([1.0, 0, 1]), has_place=torch.tensor([0.0, 0, 1]),
        ),
    )  # fmt: skip
    return prediction, torch.randn(B, K, 2), torch.randn(B, K, 3), targets


def slow_losses(prediction, keypoints, joints, targets) -> dict[str, float]:
    """Number by number; cells of the volume are a fourth of half a side, and of a meter."""

    def middle(points, b, axis):
        return sum(float(points[b, hip, axis]) for hip in HIPS) / 2

    sums = dict.fromkeys(['places', 'keypoints', 'joints', 'body_places', 'body_joints'], 0.0)
    body, limits = targets.body, prediction.limits.tolist()
    for b in range(B):
        hips = all(float(targets.joint_weights[b, hip]) > 0 for hip in HIPS)
        for k in range(K):
            in_2d, in_3d = float(targets.keypoint_weights[b, k]), float(targets.joint_weights[b, k])
            in_3d *= hips
            in_joints = in_3d
            seen = [*targets.keypoints[b, k].tolist(), targets.joints[b, k, 2] - middle(
                targets.joints, b, 2)]  # fmt: skip
            drawn = [*body.places[b, k].tolist(), body.joints[b, k, 2] - middle(
                body.joints, b, 2)]  # fmt: skip
            has = [in_2d, in_2d, in_3d]
            if any(w > 0 and abs(x) > limit for w, x, limit in zip(has, seen, limits, strict=True)):
                in_2d = in_3d = 0.0
            has_place, has_body = float(body.has_place[b]), float(body.has_body[b])
            has = [has_place, has_place, has_body]
            if any(
                w > 0 and abs(x) > limit for w, x, limit in zip(has, drawn, limits, strict=True)
            ):
                has_place = has_body = 0.0
            for axis in range(3):
                own = float(joints[b, k, axis]) - middle(joints, b, axis)
                true = float(targets.joints[b, k, axis]) - middle(targets.joints, b, axis)
                of_body = float(body.joints[b, k, axis]) - middle(body.joints, b, axis)
                place = float(prediction.places[b, k, axis])
                sums['joints'] += in_joints * abs(own - true)
                sums['body_joints'] += float(body.has_body[b]) * abs(own - of_body)
                if axis < 2:
                    sums['places'] += in_2d * 4 * abs(place - seen[axis])
                    sums['keypoints'] += in_2d * 4 * abs(float(keypoints[b, k, axis]) - seen[axis])
                    sums['body_places'] += has_place * 4 * abs(place - drawn[axis])
                else:
                    sums['places'] += in_3d * 4 * abs(place - true)
                    sums['body_places'] += has_body * 4 * abs(place - of_body)
    counts = {name: B * K * (2 if name == 'keypoints' else 3) for name in sums}
    losses = {name: value / counts[name] for name, value in sums.items()}
    for name, found, truth, has in (
        ('pose', prediction.rotations, targets.rotations, targets.has_pose),
        ('shape', prediction.shape, targets.shape, targets.has_shape),
    ):
        total = sum(float(has[b]) * float((found[b] - truth[b]).abs().sum()) for b in range(B))
        losses[name] = total / found.numel()
    return losses


def test_all_losses_are_those_of_slow_loops():
    given = made_up()
    found = Pose2PoseLoss()(*given, HIPS)
    expected = slow_losses(*given)
    assert set(found) == {f'loss_{name}' for name in expected}
    for name, value in expected.items():
        assert float(found[f'loss_{name}']) == pytest.approx(value, rel=1e-5), name


def test_keypoints_beside_the_input_pull_nothing_to_its_border():
    prediction, keypoints, joints, targets = made_up()
    inside = replace(
        targets,
        keypoints=targets.keypoints.clamp(-0.9, 0.9),
        keypoint_weights=torch.ones(B, K),
        joints=torch.zeros(B, K, 3),
    )
    beside = replace(inside, keypoints=inside.keypoints.index_put(
        (torch.tensor(1), torch.tensor(2)), torch.tensor([0.0, 1.8])))  # fmt: skip
    without = replace(beside, keypoint_weights=torch.ones(B, K).index_put(
        (torch.tensor(1), torch.tensor(2)), torch.tensor(0.0)))  # fmt: skip
    found, expected, other = (
        Pose2PoseLoss()(prediction, keypoints, joints, given, HIPS)
        for given in (beside, without, inside)
    )
    for name in ('loss_places', 'loss_keypoints'):
        assert found[name] == expected[name] < other[name]


def test_rotations_of_the_original_are_axes_times_angles():
    prediction, keypoints, joints, targets = made_up()
    angles = torch.zeros(2, B, J, 3)
    angles[0, 0, 5] = torch.tensor([0.3, 0, -0.2])
    angles[1, 0, 5] = torch.tensor([0.1, 0.4, 0])
    turns = axis_angle_to_matrix(angles)
    prediction = prediction._replace(rotations=turns[0])
    targets = replace(targets, rotations=turns[1])
    found = Pose2PoseLoss(axis_angle=True)(prediction, keypoints, joints, targets, HIPS)
    assert float(found['loss_pose']) == pytest.approx((0.2 + 0.4 + 0.2) / (B * J * 3), rel=1e-4)


def test_what_is_not_known_is_not_looked_at():
    prediction, keypoints, joints, targets = made_up()
    zeros = torch.zeros(B)
    bare = replace(
        targets,
        keypoints=torch.full_like(targets.keypoints, torch.nan),
        keypoint_weights=torch.zeros(B, K),
        joints=torch.full_like(targets.joints, torch.nan),
        joint_weights=torch.zeros(B, K),
        has_pose=zeros,
        has_shape=zeros,
        body=replace(targets.body, has_body=zeros, has_place=zeros),
    )
    for value in Pose2PoseLoss()(prediction, keypoints, joints, bare, HIPS).values():
        assert float(value) == 0


def test_a_head_without_places_is_refused():
    prediction, *others = made_up()
    with pytest.raises(ValueError, match='must tell places'):
        Pose2PoseLoss()(prediction._replace(places=None), *others, HIPS)
