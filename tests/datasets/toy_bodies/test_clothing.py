"""Clothes: what covers which place of the body."""

import numpy as np
import pytest

from hsjp_mm.datasets.toy_bodies.clothing import (
    BOTTOM,
    HAIR,
    SHIRT,
    SHOES,
    SKIN,
    colors,
    covers,
    draw_look,
    in_one_color,
    thickness,
)
from hsjp_mm.datasets.toy_bodies.postures import JOINTS


@pytest.fixture
def look():
    drawn = draw_look(np.random.default_rng(0), np.zeros(3))
    return drawn._replace(
        sleeve=0.3, hem=0.0, leg=-0.3, collar=0.48, hair_back=0.6, pattern='plain',
        folds=np.zeros((3, 3)), shirt=np.array([10.0, 20, 30]), second=np.array([200.0, 0, 0]),
    )  # fmt: skip


PLACES = {
    'chest': ((0, 0.3, 0.1), 'spine3', SHIRT),
    'upper arm': ((0.25, 0.44, 0), 'left_shoulder', SHIRT),
    'elbow': ((-0.4, 0.44, 0), 'right_elbow', SKIN),
    'throat': ((0, 0.54, 0.05), 'neck', SKIN),
    'collar bone': ((0, 0.5, 0.05), 'spine3', SKIN),
    'thigh': ((0.1, -0.2, 0.05), 'left_hip', BOTTOM),
    'shin': ((0.1, -0.5, 0.05), 'left_knee', SKIN),
    'toes': ((-0.1, -0.88, 0.15), 'right_foot', SHOES),
    'crown': ((0, 0.78, 0), 'head', HAIR),
    'nape': ((0, 0.65, -0.09), 'head', HAIR),
    'cheek': ((0.04, 0.64, 0.12), 'head', SKIN),
}


def placed(*names):
    points = np.array([PLACES[name][0] for name in names], float)
    return points, np.array([JOINTS[PLACES[name][1]] for name in names])


@pytest.mark.parametrize('place', PLACES)
def test_places_are_covered_with_what_is_worn_there(place, look):
    assert covers(*placed(place), look).tolist() == [PLACES[place][2]]


def test_lengths_decide(look):
    long = look._replace(sleeve=0.63, leg=-0.8, hem=-0.25, hair_back=9)
    found = covers(*placed('elbow', 'shin', 'thigh', 'crown'), long)
    assert found.tolist() == [SHIRT, BOTTOM, SHIRT, SKIN]


def test_clothes_stand_off_the_skin(look):
    loose = look._replace(loose=(0.01, 0.02, 0.03, 0.04))
    off = thickness(np.array([SKIN, HAIR, SHIRT, BOTTOM, SHOES]), loose)
    np.testing.assert_allclose(off, [0, 0.01, 0.02, 0.03, 0.04])


def test_stripes_of_a_shirt(look):
    striped = look._replace(pattern='stripes', period=0.1)
    heights = np.array([0.11, 0.14, 0.16, 0.19, 0.21])
    points = np.column_stack([np.zeros(5), heights, np.full(5, 0.1)])
    found = colors(points, np.full(5, JOINTS['spine2']), striped)
    second = (found == striped.second).all(axis=1)
    assert second.tolist() == [True, True, False, False, True]


def test_a_face_has_eyes_in_it(look):
    points = np.array([[0.031, 0.682, 0.12], [-0.031, 0.682, 0.12], [0.0, 0.66, 0.14]])
    found = colors(points, np.full(3, JOINTS['head']), look)
    assert (found[:2] < 40).all()
    np.testing.assert_allclose(found[2], look.skin)


def test_clothes_stand_out_from_the_backdrop():
    backdrop = np.array([60.0, 120, 180])
    rng = np.random.default_rng(3)
    gaps = [np.abs(draw_look(rng, backdrop).shirt - backdrop).sum() for _ in range(200)]
    assert np.mean(gaps) > 200


def test_clothes_of_one_color_hide_no_skin_and_have_no_pattern():
    worn = draw_look(np.random.default_rng(4), np.zeros(3))._replace(pattern='checks')
    plain = in_one_color(worn)
    points, joints = placed('chest', 'upper arm', 'thigh', 'cheek', 'crown')
    points = np.concatenate([points, points + 0.013])  # another square of the checks
    joints = np.tile(joints, 2)
    cover = covers(points, joints, plain)
    np.testing.assert_array_equal(cover, covers(points, joints, worn))
    found = colors(points, joints, plain)
    clothes = (cover == SHIRT) | (cover == BOTTOM)
    assert clothes.sum() >= 4
    np.testing.assert_allclose(found[clothes], np.broadcast_to(worn.shirt, (clothes.sum(), 3)))
    assert not np.allclose(found[cover == SKIN], worn.shirt)
