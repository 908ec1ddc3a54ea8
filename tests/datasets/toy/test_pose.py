"""Skeletons: bones keep their length, and the view decides which side is where."""

import numpy as np
import pytest

from hsjp_mm.datasets.toy.pose import POSTURES, sample_skeleton

BONES = {
    ('hip', 'knee'): 0.245, ('knee', 'ankle'): 0.235, ('shoulder', 'elbow'): 0.165,
    ('elbow', 'wrist'): 0.145,
}  # fmt: skip


@pytest.mark.parametrize('posture', POSTURES)
def test_bones_keep_their_length(posture):
    joints = sample_skeleton(np.random.default_rng(0), POSTURES[posture], 1.1, 1.2).joints
    for side in ('left', 'right'):
        for (start, end), length in BONES.items():
            bone = joints[f'{side}_{end}'] - joints[f'{side}_{start}']
            assert np.linalg.norm(bone) == pytest.approx(length)
    # at build 1.1: the shoulders are 2 x 0.112, the hips 2 x 0.075 of the height apart
    for joint, half in (('shoulder', 0.112), ('hip', 0.075)):
        width = np.linalg.norm(joints[f'left_{joint}'] - joints[f'right_{joint}'])
        assert width == pytest.approx(2 * half * 1.1)


def test_facing_the_camera_the_left_hip_is_on_the_right():
    rng = np.random.default_rng(1)
    skeletons = [sample_skeleton(rng, POSTURES['stand'], 1, 1) for _ in range(100)]
    # the head's back points along z, away from the viewer, unless the person is seen from behind
    facing = [s.hips[2, 2] > 0 for s in skeletons]
    assert 0.7 < np.mean(facing) < 0.95
    for skeleton, front in zip(skeletons, facing, strict=True):
        assert (skeleton.joints['left_hip'][0] > skeleton.joints['right_hip'][0]) == front


def test_frames_are_rotations():
    skeleton = sample_skeleton(np.random.default_rng(2), POSTURES['crouch'], 1, 1)
    for frame in (skeleton.hips, skeleton.chest, skeleton.head):
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(frame) == pytest.approx(1)
