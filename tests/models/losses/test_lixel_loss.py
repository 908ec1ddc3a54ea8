from dataclasses import replace

import pytest
import torch

from hsjp_mm.models import LixelLoss
from hsjp_mm.models.losses import MeshTargets
from hsjp_mm.models.losses.lixel_loss import LixelPrediction
from hsjp_mm.models.losses.mesh_loss import LabelledBody

B, K, J, V = 3, 5, 4, 6
HIPS = [1, 3]
FACES = torch.tensor([[0, 1, 2], [2, 3, 4], [5, 0, 3]])
LIMITS = (0.75, 1.0, 1.0)


def made_up(seed: int = 0):
    """Sample 0 has all, 1 no hip in 3D, 2 no 3D at all; some points are beside the input."""
    torch.manual_seed(seed)
    prediction = LixelPrediction(
        *(torch.randn(B, number, 3) for number in (K, J, V, K)), torch.tensor(LIMITS)
    )
    weights = torch.ones(B, K)
    weights[0, 2] = 0
    weights[1, HIPS[1]] = 0
    weights[2] = 0
    keypoints = 0.6 * torch.randn(B, K, 2)
    places = 0.6 * torch.randn(B, K + J + V, 2)
    targets = MeshTargets(
        keypoints=keypoints,
        keypoint_weights=torch.rand(B, K).round(decimals=1),
        joints=0.6 * torch.randn(B, K, 3),
        joint_weights=weights,
        rotations=torch.zeros(B, 24, 3, 3),
        has_pose=torch.ones(B),
        shape=torch.zeros(B, 10),
        has_shape=torch.ones(B),
        body=LabelledBody(
            joints=0.5 * torch.randn(B, K, 3), vertices=0.5 * torch.randn(B, V, 3),
            joints24=0.5 * torch.randn(B, J, 3), places=places,
            has_body=torch.ones(B), has_place=torch.tensor([1.0, 0, 1]),
        ),
    )  # fmt: skip
    return prediction, targets


def slow_losses(prediction, targets) -> dict[str, float]:
    """Number by number; 64 cells are a side of the crop, and two meters."""
    body = targets.body
    sums = dict.fromkeys(
        ['joints', 'body_joints', 'mesh', 'mesh_joints', 'mesh_body_joints', 'edges', 'normals'],
        0.0,
    )

    def inside(point):
        return all(abs(c) <= limit for c, limit in zip(point, LIMITS, strict=True))

    for b in range(B):
        hips = all(float(targets.joint_weights[b, hip]) > 0 for hip in HIPS)
        middle = sum(float(targets.joints[b, hip, 2]) for hip in HIPS) / 2
        for k in range(K):
            x, y = targets.keypoints[b, k].tolist()
            z = float(targets.joints[b, k, 2]) - middle
            on_crop = float(targets.keypoint_weights[b, k])
            in_depth = float(targets.joint_weights[b, k]) * hips
            beside = on_crop > 0 and not inside((x, y, 0))
            beside = beside or (in_depth > 0 and abs(z) > LIMITS[2])
            if beside:
                continue
            for name, points in (
                ('joints', prediction.joints),
                ('mesh_joints', prediction.mesh_joints),
            ):
                found = points[b, k].tolist()
                sums[name] += 32 * on_crop * (abs(found[0] - x) + abs(found[1] - y))
                sums[name] += 32 * in_depth * abs(found[2] - z)
        if not float(body.has_place[b]):
            continue
        root = sum(float(body.joints[b, hip, 2]) for hip in HIPS) / 2
        rows = [*body.joints[b].tolist(), *body.joints24[b].tolist(), *body.vertices[b].tolist()]
        truth = [
            (*place, row[2] - root)
            for place, row in zip(body.places[b].tolist(), rows, strict=True)
        ]
        found = [*prediction.joints[b].tolist(), *prediction.joints24[b].tolist()]
        for name, points, start in (
            ('body_joints', found, 0),
            ('mesh_body_joints', prediction.mesh_joints[b].tolist(), 0),
            ('mesh', prediction.vertices[b].tolist(), K + J),
        ):
            for i, point in enumerate(points):
                true = truth[start + i]
                if inside(true):
                    sums[name] += 32 * sum(abs(p - t) for p, t in zip(point, true, strict=True))
        true, out = torch.tensor(truth[K + J :]), prediction.vertices[b]
        for face in FACES.tolist():
            sides = [(face[0], face[1]), (face[0], face[2]), (face[1], face[2])]
            normal = torch.linalg.cross(
                true[face[1]] - true[face[0]], true[face[2]] - true[face[0]]
            )
            for i, j in sides:
                if inside(true[i]) and inside(true[j]):
                    length = float((out[i] - out[j]).norm() - (true[i] - true[j]).norm())
                    sums['edges'] += 32 * abs(length)
                if all(inside(true[corner]) for corner in face):
                    side = out[i] - out[j]
                    cosine = float(side @ normal / side.norm() / normal.norm())
                    sums['normals'] += 0.1 * abs(cosine)
    sizes = dict(
        joints=K * 3, body_joints=(K + J) * 3, mesh=V * 3, mesh_joints=K * 3,
        mesh_body_joints=K * 3, edges=9, normals=9,
    )  # fmt: skip
    return {name: value / (B * sizes[name]) for name, value in sums.items()}


def test_all_losses_are_those_of_slow_loops():
    prediction, targets = made_up()
    found = LixelLoss(max_meters=10, max_cells=1000)(prediction, targets, HIPS, FACES)
    expected = slow_losses(prediction, targets)
    assert set(found) == {f'loss_{name}' for name in expected}
    for name, value in expected.items():
        assert value > 0
        assert float(found[f'loss_{name}']) == pytest.approx(value, rel=1e-4), name


def test_the_truth_costs_nothing():
    prediction, targets = made_up()
    body = targets.body
    root = body.joints[:, HIPS, 2:].mean(dim=1, keepdim=True)
    depths = torch.cat([body.joints, body.joints24, body.vertices], dim=1)[..., 2:] - root
    points = torch.cat([body.places, depths], dim=2)
    joints, joints24, vertices = points.split([K, J, V], dim=1)
    told = LixelPrediction(joints, joints24, vertices, joints, prediction.limits)
    truth = replace(
        targets,
        keypoints=joints[..., :2],
        joints=torch.cat([body.joints[..., :2] + 3, joints[..., 2:] + 7], dim=2),
    )
    for name, value in LixelLoss(max_meters=10)(told, truth, HIPS, FACES).items():
        assert float(value) == pytest.approx(0, abs=1e-5), name


def test_fits_that_are_far_from_their_labels_are_dropped():
    _, targets = made_up()
    loss = LixelLoss()
    body = targets.body
    assert loss.good_fits(targets).tolist() == [0, 0, 0]
    away = torch.zeros(B, K, 3)
    away[:, 0, 0], away[:, 1, 0] = 0.06, -0.06  # 0.12 over the known joints, the mean stays
    on_crop = torch.zeros(B, K, 2)
    on_crop[:, 0, 1] = 0.4  # 12.8 cells
    weights = torch.ones(B, K)
    weights[2] = 0
    near = replace(
        targets,
        joints=body.joints + away + 5,
        joint_weights=weights,
        keypoints=body.places[:, :K] + on_crop,
        keypoint_weights=torch.ones(B, K),
    )
    # 24 mm of five joints; 2.56 cells
    assert loss.good_fits(near).tolist() == [1, 1, 1]
    fewer = weights.clone()
    fewer[0, 4] = 0  # 30 mm of four
    assert loss.good_fits(replace(near, joint_weights=fewer)).tolist() == [0, 1, 1]
    seen = torch.ones(B, K)
    seen[:, 4] = 0  # 3.2 cells of four
    assert loss.good_fits(replace(near, keypoint_weights=seen)).tolist() == [1, 1, 0]
    assert LixelLoss(max_cells=3.3).good_fits(replace(near, keypoint_weights=seen))[2] == 1


def test_what_is_not_known_is_not_looked_at():
    prediction, targets = made_up()
    prediction = prediction._replace(vertices=prediction.vertices.requires_grad_())
    bare = replace(
        targets,
        keypoints=torch.full_like(targets.keypoints, torch.nan),
        keypoint_weights=torch.zeros(B, K),
        joints=torch.full_like(targets.joints, torch.nan),
        joint_weights=torch.zeros(B, K),
        body=replace(
            targets.body,
            places=torch.full_like(targets.body.places, torch.nan),
            has_place=torch.zeros(B),
        ),
    )
    losses = LixelLoss()(prediction, bare, HIPS, FACES)
    assert all(float(value) == 0 for value in losses.values())
    sum(losses.values()).backward()
    assert not prediction.vertices.grad.any()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r'max_cells=-1 must be at least 0'):
        LixelLoss(max_cells=-1)
    prediction, targets = made_up()
    with pytest.raises(ValueError, match=r'targets\.body must be given'):
        LixelLoss()(prediction, replace(targets, body=None), HIPS, FACES)
