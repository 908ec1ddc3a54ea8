import numpy as np
import pytest

from hsjp_mm.datasets.converters.samples import (
    Samples,
    box_of_points,
    box_of_scale,
    box_of_xywh,
    mirror_pose,
    numbers,
    parse_gender,
    turn_translation,
)
from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices
from tests.datasets.converters.scene import CAMERA, person, project, rotation, skin, vector


def sample(index: int, seen, **changes) -> dict:
    pixels = project(seen.joints)
    return {
        'id': index,
        'image_path': f'{index}.jpg',
        'box': np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]),
        'joints': np.column_stack([seen.joints, np.ones(24)]),
        'pose': seen.pose,
        'shape': seen.shape,
        'translation': seen.translation,
        'camera': CAMERA,
        **changes,
    }


def collected(**changes) -> Samples:
    samples = Samples('made up', joint_set='smpl_24')
    for index in range(3):
        samples.add(**sample(index, person(index), **changes))
    return samples


def test_what_a_sample_lacks_is_told_apart(tmp_path):
    samples = collected()
    samples.add(**sample(3, person(3), pose=None, shape=None, translation=None, camera=None))
    samples.leave_out('for a test')
    said = str(samples.write(tmp_path / 'out.npz'))
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert labels['has_pose'].tolist() == [True, True, True, False]
    assert np.isnan(labels['camera'][3]).all()
    assert not labels['pose'][3].any()
    for line in ('4 samples in 4 images', '4 with joints', '3 with pose', '3 with camera'):
        assert line in said
    assert 'left out: 1 for a test' in said
    with pytest.raises(ValueError, match='made up: no sample is left; left out: none'):
        Samples('made up').write(tmp_path / 'none.npz')


def turned_over(samples: Samples) -> None:
    for row in samples.rows:
        row['pose'] = np.concatenate([vector(rotation(np.pi, 0, 0))[None] * 0, row['pose'][1:]])


def other_sides(samples: Samples) -> None:
    for row in samples.rows:
        row['joints'] = row['joints'][mirror_indices(joint_names('smpl_24'))]


def behind(samples: Samples) -> None:
    for row in samples.rows:
        row['translation'] = -row['translation']


def beside(samples: Samples) -> None:
    for row in samples.rows:
        row['translation'] = row['translation'] + [5, 0, 0]


@pytest.mark.parametrize(
    ('break_it', 'message'),
    [
        (turned_over, 'made up: 3 of 3 samples are turned upside down: the first rotation is not'),
        (other_sides, 'made up: 3 of 3 samples are with hips on another side than their pose says'),
        (behind, 'made up: 3 of 3 samples are of which the translation is projected beside'),
        (beside, 'made up: 3 of 3 samples are of which the translation is projected beside'),
    ],
)
def test_labels_in_other_axes_or_with_other_sides_are_refused(tmp_path, break_it, message):
    samples = collected()
    break_it(samples)
    with pytest.raises(ValueError, match=message):
        samples.write(tmp_path / 'out.npz')
    assert not list(tmp_path.iterdir())


def test_turning_a_frame_goes_about_the_pelvis():
    """By hand: a quarter turn about z; the pelvis at (0, 1, 0) would go to (−1, 0, 0)."""
    turn = rotation(0, 0, np.pi / 2)
    moved = turn_translation(
        np.array([1.0, 0, 0]), turn, np.array([0, 0, 5.0]), np.array([0, 1.0, 0])
    )
    np.testing.assert_allclose(moved, [-1, 0, 5], atol=1e-12)  # (0, 1, 5) − (0, 1, 0) + (−1, 0, 0)


def test_the_mirrored_pose_is_the_mirror_image_of_the_body():
    seen = person(4)
    joints, _ = skin(seen.pose, np.zeros(10), np.zeros(3))
    other, _ = skin(mirror_pose(seen.pose), np.zeros(10), np.zeros(3))
    expected = joints[mirror_indices(joint_names('smpl_24'))] * [-1, 1, 1]
    np.testing.assert_allclose(other, expected, atol=2e-3)  # the body is as symmetric as that


def test_boxes():
    assert box_of_scale(np.array([100.0, 50]), 0.6).tolist() == [50, 0, 150, 100]  # 0.6 · 200 / 1.2
    assert box_of_xywh(np.array([-5.0, 2, 10, 4]), np.array([8, 4])).tolist() == [0, 2, 5, 4]
    assert box_of_xywh(np.array([9.0, 2, 10, 4]), np.array([8, 4])) is None
    points = np.array([[3.0, 8], [1, 9], [50, 50]])
    assert box_of_points(points, np.array([True, True, False])).tolist() == [1, 8, 3, 9]
    assert box_of_points(points[:1]) is None
    assert box_of_points(points[:0]) is None


@pytest.mark.parametrize(
    ('value', 'gender'),
    [
        (0, 'female'), (1, 'male'), (np.uint8(0), 'female'), (np.array([1]), 'male'),
        ('m', 'male'), ('f', 'female'), ('Female', 'female'), (b'm', 'male'),
        (np.str_('n'), 'neutral'), ('neutral', 'neutral'), (-1, 'neutral'),
    ],
)  # fmt: skip
def test_genders(value, gender):
    assert parse_gender(value) == gender


def test_mistakes_name_where_they_are():
    with pytest.raises(ValueError, match="gender='x' must be one of neutral, n"):
        parse_gender('x')
    with pytest.raises(ValueError, match=r"here must be numbers of shape \(3,\), it is 'abc'"):
        numbers('abc', (3,), 'here')
    with pytest.raises(ValueError, match=r'here must be numbers of shape \(3,\), it is of shape'):
        numbers(np.zeros(4), (3,), 'here')
    with pytest.raises(ValueError, match='here has values that are not finite'):
        numbers([1, float('nan'), 2], (3,), 'here')
