"""Letters as in the module under test."""

import json

import numpy as np
import pytest

from hsjp_mm.analysis import measure_priors, read_persons
from hsjp_mm.analysis.keypoint_priors import Persons
from tests.helpers import SHARED

COCO_MINI = [
    SHARED / f'coco_mini/annotations/person_keypoints_{split}2017.json'
    for split in ('train', 'val')
]


def persons(points, boxes, labelled=None) -> Persons:
    points = np.array(points, float)
    labelled = np.ones(points.shape[:2], bool) if labelled is None else np.array(labelled, bool)
    names = tuple('abcdefgh'[: points.shape[1]])
    return Persons(names, points, labelled, np.array(boxes, float))


def slow(people: Persons, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares and shares outside, keypoint by keypoint, by comparing with each patch."""
    counts = np.zeros((len(people.names), grid, grid))
    outside = np.zeros(len(people.names))
    for points, seen, (left, top, width, height) in zip(
        people.keypoints, people.labelled, people.boxes, strict=True
    ):
        for k, (x, y) in enumerate(points):
            if not seen[k] or width <= 0 or height <= 0:
                continue
            found = False
            for row in range(grid):
                for column in range(grid):
                    across = left + width * column / grid <= x < left + width * (column + 1) / grid
                    down = top + height * row / grid <= y < top + height * (row + 1) / grid
                    if across and down:
                        counts[k, row, column] += 1
                        found = True
            outside[k] += not found
    total = counts.sum(axis=(1, 2)) + outside
    return counts / total[:, None, None], outside / total


def test_by_hand():
    # a box from (10, 20), 30 wide and 60 high: patches of 10 × 20
    points = [[(11, 21), (39, 79), (25, 50)], [(25, 21), (5, 79), (12, 70)]]
    priors = measure_priors(persons(points, [(10, 20, 30, 60)] * 2))
    expected = np.zeros((3, 3, 3))
    expected[0, 0, 0] = expected[0, 0, 1] = 0.5
    expected[1, 2, 2] = 0.5  # the other is left of the box
    expected[2, 1, 1] = expected[2, 2, 0] = 0.5
    assert np.array_equal(priors.shares, expected)
    assert priors.outside.tolist() == [0, 0.5, 0]
    assert priors.labelled.tolist() == [2, 2, 2]


def test_borders_go_right_and_down_and_the_last_edge_is_inside():
    points = [[(20, 20), (10, 40), (40, 80), (40.1, 80), (10, 19.9)]]
    priors = measure_priors(persons(points, [(10, 20, 30, 60)]))
    places = [np.argwhere(share).tolist() for share in priors.shares]
    assert places == [[[0, 1]], [[1, 0]], [[2, 2]], [], []]
    assert priors.outside.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize('grid', [1, 2, 3, 6, 7])
def test_against_a_slow_loop(grid):
    rng = np.random.default_rng(grid)
    boxes = rng.uniform(1, 200, (40, 4))
    boxes[::9, 2 + grid % 2] = 0
    points = boxes[:, None, :2] + rng.uniform(-0.1, 1.1, (40, 5, 2)) * boxes[:, None, 2:]
    people = persons(points, boxes, rng.random((40, 5)) < 0.6)
    priors = measure_priors(people, grid)
    shares, outside = slow(people, grid)
    np.testing.assert_allclose(priors.shares, shares)
    np.testing.assert_allclose(priors.outside, outside)
    np.testing.assert_allclose(priors.shares.sum(axis=(1, 2)) + priors.outside, 1)


def test_coarse_patches_are_sums_of_fine_ones():
    rng = np.random.default_rng(0)
    people = persons(rng.uniform(0, 60, (100, 4, 2)), [(5, 3, 52, 49)] * 100)
    fine, coarse = measure_priors(people, 6), measure_priors(people, 3)
    summed = fine.shares.reshape(4, 3, 2, 3, 2).sum(axis=(2, 4))
    np.testing.assert_allclose(coarse.shares, summed)


def test_who_is_left_out_is_counted():
    points = np.full((4, 2, 2), 5.0)
    boxes = [(0, 0, 10, 10), (0, 0, 10, 0), (0, 0, 10, 10), (0, 0, -3, 10)]
    labelled = [(1, 0), (1, 1), (0, 0), (0, 0)]
    priors = measure_priors(persons(points, boxes, labelled))
    assert (priors.persons, priors.without_area, priors.unlabelled) == (1, 1, 2)
    assert priors.labelled.tolist() == [1, 0]
    assert np.isnan(priors.shares[1]).all() and np.isnan(priors.outside[1])
    written = json.loads(json.dumps(priors.to_dict(), allow_nan=False))
    assert written['keypoints']['a']['shares'][1] == [0, 1, 0]
    assert written['keypoints']['b'] == {'labelled': 0, 'outside': None, 'shares': None}
    assert (written['grid'], written['without_area'], written['unlabelled']) == (3, 1, 2)


def test_refused():
    people = persons([[(1, 1)]], [(0, 0, 0, 3)])
    with pytest.raises(ValueError, match='grid=0 must be 1 or more'):
        measure_priors(people, 0)
    with pytest.raises(ValueError, match='none of 1 persons has labelled keypoints and a box'):
        measure_priors(people)


@pytest.mark.skipif(not SHARED.is_dir(), reason='../shared/data is absent')
def test_priors_of_the_supplement_on_real_people():
    priors = measure_priors(read_persons(*COCO_MINI))
    assert priors.persons == 86 + 68
    rows = dict(zip(priors.names, priors.shares.sum(axis=2), strict=True))
    for name in ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear'):
        assert rows[name][0] > 0.75
    for name in ('left_knee', 'right_knee'):
        assert rows[name].argmax() == 2 and rows[name][2] > 0.5 and rows[name][0] == 0
    for name in ('left_ankle', 'right_ankle'):
        assert rows[name][2] > 0.8
    for name in ('left_hip', 'right_hip'):
        assert rows[name].argmax() == 1
    columns = dict(zip(priors.names, priors.shares.sum(axis=1), strict=True))
    for joint in ('shoulder', 'elbow', 'wrist'):  # most people face the camera
        assert columns[f'right_{joint}'].argmax() == 0 and columns[f'left_{joint}'].argmax() == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason='../shared/data is absent')
def test_keypoints_outside_of_real_boxes_are_hidden_ones():
    outside = []
    for path in COCO_MINI:
        for annotation in json.loads(path.read_text())['annotations']:
            left, top, width, height = annotation['bbox']
            for x, y, flag in np.reshape(annotation['keypoints'], (-1, 3)):
                if flag and not (left <= x <= left + width and top <= y <= top + height):
                    outside.append(flag)
    priors = measure_priors(read_persons(*COCO_MINI))
    assert len(outside) == round((priors.outside * priors.labelled).sum()) == 71
    assert set(outside) == {1}


@pytest.mark.skipif(not SHARED.is_dir(), reason='../shared/data is absent')
def test_real_mpii_people():
    priors = measure_priors(read_persons(SHARED / 'mpii/test_mpii.json'))
    assert priors.persons == 5
    rows = dict(zip(priors.names, priors.shares.sum(axis=2), strict=True))
    assert rows['head_top'][0] == rows['pelvis'][1] == rows['left_ankle'][2] == 1
