"""Scenes: people stand on the floor, in the image, beside one another."""

import numpy as np
import pytest
import torch

from hsjp_mm.datasets.toy_bodies.scenes import draw_scene, free_body
from hsjp_mm.models import BodyModel

SIZE = (160, 120)


@pytest.fixture(scope='module')
def scenes():
    return [draw_scene(np.random.default_rng(seed), np.zeros(3), SIZE, 3) for seed in range(40)]


def test_there_are_one_to_three_people(scenes):
    assert {len(scene.people) for scene in scenes} == {1, 2, 3}


def test_the_body_model_puts_each_body_where_it_is(scenes):
    people = [person for scene in scenes for person in scene.people]
    rotations, shapes, translations = (
        torch.tensor(np.stack([getattr(p, name) for p in people]), dtype=torch.float32)
        for name in ('rotations', 'shape', 'translation')
    )
    body = BodyModel()(rotations, shapes, translations)
    np.testing.assert_allclose(body.vertices, np.stack([p.vertices for p in people]), atol=1e-5)
    np.testing.assert_allclose(body.joints, np.stack([p.joints for p in people]), atol=1e-5)


def test_feet_are_on_the_floor(scenes):
    for scene in scenes:
        for person in scene.people:
            level = person.vertices @ scene.view
            assert level[:, 1].max() == pytest.approx(scene.floor)
            assert 0 < level[:, 2].min() < scene.end


def test_boxes_are_those_of_the_vertices_and_mostly_in_the_image(scenes):
    out = 0
    for scene in scenes:
        for person in scene.people:
            points = person.vertices[:, :2] / person.vertices[:, 2:] * scene.camera[:2]
            points = points + scene.camera[2:]
            np.testing.assert_allclose([*points.min(axis=0), *points.max(axis=0)], person.box)
            inside = np.clip(person.box, 0, (*SIZE, *SIZE))
            share = np.prod(inside[2:] - inside[:2]) / np.prod(person.box[2:] - person.box[:2])
            assert share > 0.6
            out += share < 1
    assert 0 < out < 25


def test_people_hide_little_of_each_other(scenes):
    for scene in scenes:
        for i, person in enumerate(scene.people):
            for other in scene.people[:i]:
                sides = np.minimum(person.box[2:], other.box[2:]) - np.maximum(
                    person.box[:2], other.box[:2]
                )
                areas = [np.prod(p.box[2:] - p.box[:2]) for p in (person, other)]
                assert np.prod(sides.clip(0)) < 0.3 * min(areas)
                assert np.linalg.norm(person.joints[0] - other.joints[0]) > 0.4


def test_a_seat_reaches_from_the_floor_to_who_sits_on_it(scenes):
    seats = [(scene, seat) for scene in scenes for seat in scene.seats]
    assert len(seats) > 3
    for scene, seat in seats:
        heights = (seat.vertices @ scene.view)[:, 1]
        assert heights.max() == pytest.approx(scene.floor)
        assert 0.2 < heights.max() - heights.min() < 0.7


def test_people_are_seen_from_all_sides(scenes):
    """x of the chest's front in the camera; z below 0 looks at the camera."""
    forward = np.array([p.rotations[0] @ [0, 0, 1] for scene in scenes for p in scene.people])
    assert 0.4 < (forward[:, 2] < -0.5).mean() < 0.85
    assert (forward[:, 2] > 0.5).sum() > 3
    assert (np.abs(forward[:, 0]) > 0.8).sum() > 3


def test_the_mean_body_stands_in_a_t_pose():
    body = free_body()
    assert body.rest.shape == (len(body.parts), 3)
    assert np.ptp(body.rest[:, 0]) > 1.5 and np.ptp(body.rest[:, 1]) > 1.5
