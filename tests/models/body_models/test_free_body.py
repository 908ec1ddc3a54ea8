import sys
import types

import numpy as np
import pytest
import torch

from hsjp_mm.models import BodyModel
from hsjp_mm.models.body_models.free_body import (
    ANNY,
    BONES,
    JOINTS,
    PARENTS,
    Bodies,
    bodies_of_anny,
    joint_of_bone,
    make_free_body,
    turn_to,
)
from hsjp_mm.models.body_models.smpl_files import read_body
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.ops.rotations import axis_angle_to_matrix


@pytest.fixture(scope='module')
def hanging() -> Bodies:
    """Bodies of 24 bones with hanging arms and spread legs, made from the free body itself."""
    arrays = read_body('free')
    generator = torch.Generator().manual_seed(0)
    shape = torch.randn(40, 10, generator=generator, dtype=torch.float64)
    angles = torch.zeros(40, 24, 3, dtype=torch.float64)
    for joint, z in (('shoulder', -0.8), ('elbow', -0.1), ('hip', 0.1), ('ankle', -0.1)):
        angles[:, JOINTS.index(f'left_{joint}'), 2] = z
        angles[:, JOINTS.index(f'right_{joint}'), 2] = -z
    model = BodyModel.of(arrays).double()
    body = model(axis_angle_to_matrix(angles), shape, torch.tensor([0.0, 1, 2]).expand(40, 3))
    bones = []
    for joint in JOINTS:
        side, _, part = joint.rpartition('_')
        bones.append(BONES[part][0] + dict(left='.L', right='.R').get(side, ''))
    return Bodies(
        vertices=body.vertices.numpy(),
        bones=body.joints.numpy(),
        bone_names=tuple(bones),
        weights=arrays.weights,
        faces=arrays.faces,
        keypoints=model.keypoints(body, 'coco_17').numpy(),
    )


@pytest.fixture(scope='module')
def made(hanging) -> dict[str, np.ndarray]:
    return make_free_body(hanging)


def test_what_was_bent_is_straight_again(made):
    """Joints are as they were; vertices too, but for those that bent with two joints."""
    arrays = read_body('free')
    flat = made['J_template'].reshape(24, 3)
    known = arrays.joint_template
    # the mean of the 40 shapes that were drawn is not the mean body
    assert np.abs(flat - known).max() < 0.05
    for joint in ('left_elbow', 'left_wrist', 'left_hand'):
        assert flat[JOINTS.index(joint), 1] == pytest.approx(flat[JOINTS.index('left_shoulder'), 1])
    ankle, hip = (flat[JOINTS.index(f'left_{part}')] for part in ('ankle', 'hip'))
    assert ankle[0] == pytest.approx(hip[0], abs=1e-6)
    # a body of either: the same shape, found from the joints, gives the same vertices
    rigid = arrays.weights.max(axis=1) > 0.999
    mean = made['v_template'] - flat[arrays.weights.argmax(axis=1)]
    before = arrays.template - known[arrays.weights.argmax(axis=1)]
    shift = np.abs(mean - before)[rigid]
    assert rigid.sum() > 300 and shift.mean() < 0.01


def test_shapes_are_what_was_drawn(hanging, made):
    """The 40 bodies are one mean and 10 components of unit variance, joints included."""
    arrays = read_body('free')
    old = arrays.joint_directions.reshape(-1, 10)
    new = made['J_shapedirs'].reshape(-1, 10)
    # both span the same space of joints
    rest = new - old @ np.linalg.lstsq(old, new, rcond=None)[0]
    assert np.abs(rest).max() < 1e-4
    sizes = np.linalg.norm(made['shapedirs'].reshape(-1, 10), axis=0)
    assert (np.diff(sizes) < 0).all()
    top, bottom = made['v_template'][:, 1].argmax(), made['v_template'][:, 1].argmin()
    assert (made['shapedirs'][top, 1] >= made['shapedirs'][bottom, 1]).all()


def test_it_is_a_body_with_both_sets_of_keypoints(hanging, made, tmp_path):
    assert {array.dtype for array in made.values()} == {
        np.dtype(kind) for kind in ('float32', 'uint16', 'uint32')
    }
    np.testing.assert_array_equal(made['vertex_mirror'], read_body('free').mirror)
    np.savez(tmp_path / 'body.npz', **made)
    model = BodyModel(str(tmp_path / 'body.npz'))
    assert model.joint_sets == ('coco_17', 'h36m_17')
    assert (model.parents, model.name) == (PARENTS, 'body')
    sources = np.concatenate([hanging.bones, hanging.vertices], axis=1)
    found = np.einsum('ks,nsc->nkc', made['regressor_coco_17'], sources)
    errors = np.linalg.norm(found - hanging.keypoints, axis=2).mean(axis=0)
    assert errors.max() < 2e-3
    for name in ('coco_17', 'h36m_17'):
        np.testing.assert_allclose(made[f'regressor_{name}'].sum(axis=1), 1, atol=1e-6)
        assert (made[f'regressor_{name}'] >= 0).all()


def test_bones_go_with_joints():
    for bone, joint in (
        ('root', 'pelvis'), ('pelvis.L', 'pelvis'), ('spine05', 'pelvis'), ('spine01', 'spine3'),
        ('upperleg02.R', 'right_hip'), ('toe5-3.L', 'left_foot'), ('shoulder01.L', 'left_collar'),
        ('eye.R', 'head'), ('neck03', 'neck'), ('metacarpal3.R', 'right_hand'),
    ):  # fmt: skip
        assert joint_of_bone(bone) == joint


def test_turns_are_the_smallest():
    source, target = np.random.default_rng(0).normal(size=(2, 20, 3))
    turns = turn_to(source, target)
    turned = np.einsum('nij,nj->ni', turns, source)
    cosines = (turned * target).sum(1) / np.linalg.norm(source, axis=1)
    np.testing.assert_allclose(cosines, np.linalg.norm(target, axis=1))
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    axes = np.cross(source, target)
    np.testing.assert_allclose(np.einsum('nij,nj->ni', turns, axes), axes, atol=1e-12)


def test_a_mesh_of_unlike_sides_is_refused(hanging):
    vertices = hanging.vertices.copy()
    vertices[:, 5, 0] += 0.05
    with pytest.raises(ValueError, match='the mesh is not alike on both sides'):
        make_free_body(Bodies(**{**vars(hanging), 'vertices': vertices}))


def test_another_version_of_anny_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, 'anny', None)
    with pytest.raises(
        ImportError, match='making the free body needs anny: run `pip install anny`'
    ):
        bodies_of_anny(1)
    other = types.SimpleNamespace(__version__='0.7.0')
    monkeypatch.setitem(sys.modules, 'anny', other)
    with pytest.raises(ImportError, match=f'pip install anny=={ANNY}'):
        bodies_of_anny(1)


def test_joints_are_smpls():
    assert joint_names('smpl_24') == JOINTS
    assert read_body('free').parents == PARENTS
