"""What the figures of the priors show."""

import cv2
import numpy as np
import pytest

from hsjp_mm.analysis.keypoint_priors import Persons, measure_priors
from hsjp_mm.visualization import plot_keypoint_priors
from hsjp_mm.visualization.keypoint_priors import _figure, _parts

COCO = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder',
    'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee',
    'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip


def priors_of(names: tuple[str, ...], grid: int = 3, unlabelled: tuple[str, ...] = ()):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 30, (20, len(names), 2))
    labelled = np.array([[name not in unlabelled for name in names]] * 20)
    boxes = np.array([[0.0, 0, 30, 30]] * 20)
    return measure_priors(Persons(names, points, labelled, boxes), grid)


def test_parts_of_the_body_as_in_the_supplement():
    parts = _parts(COCO)
    assert list(parts) == ['head', 'upper_limbs', 'lower_limbs']
    assert [sorted(column) for column in parts['head']] == [
        ['nose'], ['left_eye', 'right_eye'], ['left_ear', 'right_ear'],
    ]  # fmt: skip
    joints = [[name.split('_')[1] for name in column] for column in parts['lower_limbs']]
    assert joints == [['hip'] * 2, ['knee'] * 2, ['ankle'] * 2]
    assert _parts(('left_paw', 'pelvis')) == {'other': [['left_paw'], ['pelvis']]}


@pytest.mark.parametrize('names', [COCO, ('tail', 'nose', 'thorax')])
@pytest.mark.slow
def test_a_panel_for_every_keypoint(tmp_path, names):
    priors = priors_of(names)
    titles = [
        ax.get_title()
        for columns in _parts(names).values()
        for ax in _figure(priors, columns).axes
        if ax.get_title()
    ]
    assert sorted(titles) == sorted(name.replace('_', ' ') for name in names)
    for path in plot_keypoint_priors(priors, tmp_path / 'new' / 'folder'):
        assert cv2.imread(str(path)).std() > 10


def test_a_panel_shows_the_shares_by_row_and_column():
    points = np.array([[[5.0, 25.0]]] * 3 + [[[25.0, 5.0]]])
    boxes = np.array([[0.0, 0, 30, 30]] * 4)
    priors = measure_priors(Persons(('nose',), points, np.ones((4, 1), bool), boxes))
    ax = _figure(priors, [['nose']]).axes[0]
    (image,) = ax.images
    np.testing.assert_allclose(image.get_array(), [[0, 0, 25], [0, 0, 0], [75, 0, 0]])
    written = {text.get_text(): text.get_position() for text in ax.texts if text.get_text() != '0'}
    assert written == {
        '75': pytest.approx((1 / 6, 5 / 6)), '25': pytest.approx((5 / 6, 1 / 6)),
    }  # fmt: skip
    assert ax.get_xlabel() == '0% outside, labelled 4×'


def test_finer_grids_and_keypoints_that_are_never_labelled(tmp_path):
    priors = priors_of(('nose', 'left_eye'), grid=9, unlabelled=('left_eye',))
    ax = _figure(priors, [['left_eye']]).axes[0]
    assert ax.get_xlabel() == 'labelled 0×' and not ax.texts
    assert [path.name for path in plot_keypoint_priors(priors, tmp_path)] == ['head.png']
