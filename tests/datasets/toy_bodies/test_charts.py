"""DensePose's parts and charts on the free body."""

import numpy as np
import pytest

from hsjp_mm.datasets.densepose import read_symmetry
from hsjp_mm.datasets.toy_bodies.charts import LABELS, surface, write_symmetry
from hsjp_mm.datasets.toy_bodies.postures import JOINTS
from hsjp_mm.datasets.toy_bodies.scenes import free_body
from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices
from hsjp_mm.ops.part_labels import CHART_MIRROR, CHARTS, DENSEPOSE_PARTS, mirrored


def test_joints_and_parts_have_the_same_mirror_image():
    sides = mirror_indices(joint_names('smpl_24'))
    swapped = mirrored(DENSEPOSE_PARTS)
    np.testing.assert_array_equal(swapped[LABELS[1:]], LABELS[1:][sides])
    assert set(LABELS) == set(range(15))
    assert DENSEPOSE_PARTS[LABELS[1 + JOINTS['right_knee']] - 1] == 'right_lower_leg'
    assert DENSEPOSE_PARTS[LABELS[1 + JOINTS['left_elbow']] - 1] == 'left_lower_arm'


def test_places_by_hand():
    joints = np.array([JOINTS[j] for j in ('spine3', 'spine3', 'left_elbow', 'right_hip', 'head')])
    places = np.array([
        [0, 0.3, 0.2], [0, 0.3, -0.2], [0.5, 0.5, 0.1], [-0.1, -0.3, -0.2], [-0.05, 0.7, 0.1],
    ])  # fmt: skip
    charts, uv = surface(joints, places)
    assert charts.tolist() == [2, 1, 21, 7, 23]
    assert uv[0, 0] == pytest.approx(0.5)  # the middle of the chest
    assert ((uv >= 0) & (uv <= 1)).all()


def test_v_runs_along_a_limb():
    x = np.linspace(0.45, 0.65, 5)
    points = np.column_stack([x, np.full(5, 0.44), np.full(5, 0.05)])
    _, uv = surface(np.full(5, JOINTS['left_elbow']), points)
    assert (np.diff(uv[:, 1]) > 0.1).all()
    np.testing.assert_allclose(uv[:, 0], uv[0, 0])


def test_all_charts_are_used_and_fill_their_squares():
    body = free_body()
    charts, uv = surface(body.parts, body.rest)
    assert set(charts) == set(range(1, CHARTS + 1))
    for chart in range(1, CHARTS + 1):
        assert (np.ptp(uv[charts == chart], axis=0) > 0.5).all()


def test_a_flipped_body_has_the_flipped_charts(tmp_path):
    """What the file says of a point is where the point's mirror image is."""
    write_symmetry(tmp_path / 'symmetry.mat')
    symmetry = read_symmetry(tmp_path / 'symmetry.mat')
    body = free_body()
    sides = np.array(mirror_indices(joint_names('smpl_24')))
    off_center = np.abs(body.rest[:, 0]) > 1e-6
    joints, places = body.parts[off_center], body.rest[off_center]
    charts, uv = surface(joints, places)
    flipped_charts, flipped_uv = surface(sides[joints], places * (-1, 1, 1))
    np.testing.assert_array_equal(CHART_MIRROR[charts], flipped_charts)
    found_charts, found_uv = symmetry.flip(charts, uv)
    np.testing.assert_array_equal(found_charts, flipped_charts)
    np.testing.assert_allclose(found_uv, flipped_uv, atol=0.01)
