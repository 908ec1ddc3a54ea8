import cv2
import numpy as np
import pytest

from hsjp_mm.datasets.toy_bodies.backgrounds import (
    draw_floor,
    draw_picture,
    draw_wall,
    floor_points,
    picture_files,
)
from hsjp_mm.datasets.toy_bodies.postures import turn

CAMERA = np.array([100.0, 100, 80, 60])


@pytest.mark.parametrize('size', [(160, 120), (65, 200)])
def test_a_wall_has_texture(size):
    image = draw_wall(np.random.default_rng(0), size)
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8
    assert image.std() > 5


def test_a_pixel_sees_the_point_of_the_floor_that_projects_to_it():
    view = turn('z', 3) @ turn('x', 20)
    x, z = floor_points(CAMERA, view, 1.5, (161, 121))
    row, column = 100, 30
    point = view @ [x[row, column], 1.5, z[row, column]]
    pixel = point[:2] / point[2] * CAMERA[:2] + CAMERA[2:]
    np.testing.assert_allclose(pixel, [column, row])
    # straight ahead is the horizon; this camera looks down by 20 degrees
    level = floor_points(CAMERA, np.eye(3), 1.5, (161, 121))[1]
    assert np.isinf(level[:61]).all()
    assert level[80, 80] == pytest.approx(1.5 * 100 / 20)


def test_the_floor_ends_at_the_wall():
    wall = np.full((121, 161, 3), 7, np.uint8)
    x, z = floor_points(CAMERA, np.eye(3), 1.5, (161, 121))
    image = draw_floor(np.random.default_rng(0), wall, x, z, 5.0)
    changed = (image != wall).any(axis=2)
    assert not changed[:91].any()  # 1.5 · 100 / 5 = 30 pixels below the middle
    assert changed[91:].mean() > 0.95
    assert (wall == 7).all()


def test_pictures_of_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='must be a folder with pictures'):
        picture_files(tmp_path)
    picture = np.random.default_rng(0).integers(0, 255, (90, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'b.png'), picture)
    (tmp_path / 'a.txt').touch()
    files = picture_files(tmp_path)
    assert [path.name for path in files] == ['b.png']
    piece = draw_picture(np.random.default_rng(1), files, (64, 80))
    assert piece.shape == (80, 64, 3)
    (tmp_path / 'b.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r'b\.png is no picture that can be read'):
        draw_picture(np.random.default_rng(1), files, (64, 80))
