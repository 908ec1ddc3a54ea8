"""Drawn bodies: what each pixel shows is what a camera there would see."""

import cv2
import numpy as np
import pytest

from hsjp_mm.datasets.toy_bodies.rendering import SEEN, SOLID, render_image
from hsjp_mm.datasets.toy_bodies.scenes import free_body

SIZE = (160, 120)


@pytest.fixture(scope='module')
def images():
    return [render_image(np.random.default_rng(seed), SIZE, 3) for seed in range(12)]


def test_pixels_have_their_part_where_the_vertices_of_the_part_are(images):
    """At each pixel of a person the place on the body at rest leads back to the pixel."""
    body = free_body()
    for rendered in images:
        for number, person in enumerate(rendered.scene.people, start=1):
            rows, columns = np.nonzero(rendered.owner == number)
            places = rendered.places[rows, columns]
            nearest = np.linalg.norm(places[:, None] - body.rest, axis=2).argmin(axis=1)
            points = person.vertices[nearest]
            pixels = points[:, :2] / points[:, 2:] * rendered.scene.camera[:2]
            pixels = pixels + rendered.scene.camera[2:]
            gaps = np.linalg.norm(pixels - np.column_stack([columns, rows]), axis=1)
            meter = rendered.scene.camera[0] / points[:, 2]  # in pixels
            # edges of the mesh are centimeters long, and clothes stand off
            assert np.percentile(gaps / meter, 99) < 0.08
            depths = rendered.depths[rows, columns]
            assert np.percentile(np.abs(depths - points[:, 2]), 99) < 0.12
            agree = body.parts[nearest] == rendered.joints[rows, columns]
            assert agree.mean() > 0.9


def test_who_is_nearer_covers_who_is_farther(images):
    covered = 0
    for rendered in images:
        for number, person in enumerate(rendered.scene.people, start=1):
            pixels = person.vertices[:, :2] / person.vertices[:, 2:] * rendered.scene.camera[:2]
            columns, rows = np.rint(pixels + rendered.scene.camera[2:]).astype(int).T
            inside = (columns >= 0) & (columns < SIZE[0]) & (rows >= 0) & (rows < SIZE[1])
            columns, rows, z = columns[inside], rows[inside], person.vertices[inside, 2]
            others = (rendered.owner[rows, columns] > 0) & (rendered.owner[rows, columns] != number)
            covered += others.sum()
            # a vertex behind another's pixel is farther away, but for the pixel's own extent
            hidden = z[others] - rendered.depths[rows, columns][others]
            assert (hidden > -0.3).all()
    assert covered > 50


def test_everybody_is_seen(images):
    for rendered in images:
        counts = np.bincount(rendered.owner.ravel(), minlength=256)
        assert (counts[1 : len(rendered.scene.people) + 1] >= SEEN * rendered.owner.size).all()
        assert counts[len(rendered.scene.people) + 1 : SOLID].sum() == 0


def test_labels_belong_to_people_only(images):
    for rendered in images:
        person = (rendered.owner > 0) & (rendered.owner < SOLID)
        assert ((rendered.joints >= 0) == person).all()
        assert (np.isfinite(rendered.depths) == (rendered.owner > 0)).all()


def test_the_light_comes_from_the_left(images):
    ratios = []
    for rendered in images:
        image = rendered.image.mean(axis=2)
        for number in range(1, len(rendered.scene.people) + 1):
            mask = rendered.owner == number
            left = np.arange(SIZE[0]) < np.median(np.nonzero(mask)[1])
            ratios.append(image[mask & left].mean() / image[mask & ~left].mean())
    assert np.median(ratios) > 1.05


def test_pictures_stand_behind(tmp_path):
    picture = np.full((200, 300, 3), (40, 200, 90), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), picture)
    rendered = render_image(np.random.default_rng(0), SIZE, 1, [tmp_path / 'a.png'])
    behind = rendered.image[
        ~cv2.dilate((rendered.owner > 0).astype(np.uint8), np.ones((5, 5))).astype(bool)
    ]
    share = behind.mean(axis=0) / (40, 200, 90)
    np.testing.assert_allclose(share, share.mean(), atol=0.04)
    assert 0.8 < share.mean() < 1.15


def test_sizes_need_not_be_even():
    rendered = render_image(np.random.default_rng(5), (101, 77), 2)
    assert rendered.image.shape == (77, 101, 3)
    assert rendered.owner.shape == rendered.depths.shape == (77, 101)


def test_a_plain_look_shows_the_same_people_without_texture():
    """Of the same seed: the same bodies before one color, without shadow and occluder."""
    varied, plain = (
        render_image(np.random.default_rng(3), SIZE, 3, look=look) for look in ('varied', 'plain')
    )
    assert len(varied.scene.people) == len(plain.scene.people)
    for one, other in zip(varied.scene.people, plain.scene.people, strict=True):
        np.testing.assert_array_equal(one.vertices, other.vertices)
        np.testing.assert_array_equal(one.look.shirt, other.look.shirt)
    assert plain.scene.occluder is None
    noise = []
    for rendered in (varied, plain):
        near = cv2.dilate((rendered.owner > 0).astype(np.uint8), np.ones((3, 3)))
        noise.append(rendered.image[near == 0].std(axis=0).max())
    assert noise[0] > 10 > 6 > noise[1]  # the camera's noise alone
