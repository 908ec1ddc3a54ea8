"""Placed people: size, place and overlap."""

import numpy as np
import pytest

from hsjp_mm.datasets.toy.scene import draw_background, sample_people


def test_people_are_of_the_promised_size_and_hide_little_of_each_other():
    counts = set()
    for seed in range(20):
        people = sample_people(np.random.default_rng(seed), np.zeros(3), 160, 120, 3)
        counts.add(len(people))
        for i, placed in enumerate(people):
            x1, y1, x2, y2 = placed.box
            assert y2 - y1 < 0.95 * 120 + 1e-6
            assert x2 - x1 < 0.95 * 160 + 1e-6
            for other in people[:i]:
                sides = np.minimum(placed.box[2:], other.box[2:]) - np.maximum(
                    placed.box[:2], other.box[:2]
                )
                areas = [np.prod(p.box[2:] - p.box[:2]) for p in (placed, other)]
                assert np.prod(sides.clip(0)) < 0.3 * min(areas)
    assert counts == {1, 2, 3}


def test_a_figure_lands_in_its_box():
    for placed in sample_people(np.random.default_rng(4), np.zeros(3), 160, 120, 3):
        points = np.concatenate([s.polygon for part in placed.figure.parts for s in part.shapes])
        drawn = points * placed.scale + placed.offset
        np.testing.assert_allclose(
            [*drawn.min(axis=0), *drawn.max(axis=0)], placed.box, rtol=1e-5, atol=1e-4
        )


def test_a_window_is_cut_to_the_image():
    [placed, *_] = sample_people(np.random.default_rng(0), np.zeros(3), 160, 120, 1)
    placed = placed._replace(box=np.array([-7.5, 3.2, 40.1, 200.0]))
    assert placed.window(160, 120) == (0, 1, 44, 120)


@pytest.mark.parametrize('size', [(160, 120), (65, 200)])
def test_background_has_texture(size):
    image = draw_background(np.random.default_rng(0), *size)
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8
    assert image.std() > 5
