"""The z-buffer against a ray for each pixel and triangle, and against values by hand."""

import numpy as np
import pytest

from hsjp_mm.ops.rasterize import rasterize, vertex_normals

CAMERA = np.array([20.0, 22.0, 11.5, 8.0])
SIZE = (25, 18)


def seen_by_rays(vertices, faces, camera, size):
    """What a ray through each pixel meets first, from the equation of ray and triangle."""
    width, height = size
    found = np.full((height, width), -1)
    depths = np.full((height, width), np.inf)
    weights = np.zeros((height, width, 3))
    for y in range(height):
        for x in range(width):
            ray = np.array([(x - camera[2]) / camera[0], (y - camera[3]) / camera[1], 1])
            for f, face in enumerate(faces):
                # p0 + v (p1 - p0) + w (p2 - p0) = t ray, and t is the depth
                p0, p1, p2 = vertices[face]
                try:
                    v, w, t = np.linalg.solve(np.stack([p1 - p0, p2 - p0, -ray], 1), -p0)
                except np.linalg.LinAlgError:
                    continue
                if min(v, w, 1 - v - w) >= 0 and 0 < t < depths[y, x]:
                    found[y, x], depths[y, x], weights[y, x] = f, t, (1 - v - w, v, w)
    return found, depths, weights


@pytest.mark.parametrize('seed', range(3))
def test_agrees_with_a_ray_for_each_pixel(seed):
    rng = np.random.default_rng(seed)
    vertices = rng.uniform((-3, -3, 2), (3, 3, 6), (36, 3))
    faces = rng.permutation(36).reshape(12, 3)
    raster = rasterize(vertices, faces, CAMERA, SIZE)
    found, depths, weights = seen_by_rays(vertices, faces, CAMERA, SIZE)
    assert 0.3 < (found >= 0).mean() < 1
    assert len(np.unique(found)) > 5
    np.testing.assert_array_equal(raster.faces, found)
    np.testing.assert_allclose(raster.depths, depths)
    np.testing.assert_allclose(raster.weights, weights, atol=1e-9)


def test_a_triangle_by_hand():
    """Corners at the pixels (1, 1), (4, 1) and (1, 3); edges belong to it."""
    depths = np.array([2.0, 4.0, 2.0])
    pixels = np.array([[1, 1], [4, 1], [1, 3]])
    vertices = np.column_stack([pixels * depths[:, None] / 10, depths])
    raster = rasterize(vertices, np.array([[0, 1, 2]]), np.array([10, 10, 0, 0]), (6, 4))
    expected = np.full((4, 6), -1)
    expected[1, 1:5] = expected[2, 1:3] = expected[3, 1] = 0
    np.testing.assert_array_equal(raster.faces, expected)
    # a third of the way in the image: 1 / z = (2/3) / 2 + (1/3) / 4, of which 5/6 · 2.4 / 2 …
    assert raster.depths[1, 2] == pytest.approx(2.4)
    np.testing.assert_allclose(raster.weights[1, 2], [0.8, 0.2, 0], atol=1e-12)
    assert np.isinf(raster.depths[0, 0])
    # the weights put the point together
    assert (raster.weights[1, 2] @ vertices)[2] == pytest.approx(2.4)


def test_the_nearer_of_two_is_seen_whatever_their_order():
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    far = np.column_stack([square * 3, np.full(4, 5.0)])
    near = np.column_stack([square * 0.5, np.full(4, 2.0)])
    halves = np.array([[0, 1, 2], [0, 2, 3]])
    for first, second in ((far, near), (near, far)):
        raster = rasterize(
            np.vstack([first, second]), np.vstack([halves, halves + 4]), CAMERA, SIZE
        )
        assert raster.depths[8, 11] == pytest.approx(2)
        assert raster.depths[1, 1] == pytest.approx(5)
        assert (raster.faces[8, 11] >= 2) == (second is near)


def test_parts_of_a_scene_put_together_are_the_whole():
    rng = np.random.default_rng(3)
    vertices = rng.uniform((-3, -3, 2), (3, 3, 6), (36, 3))
    faces = rng.permutation(36).reshape(12, 3)
    faces = np.vstack([faces, faces[2]])  # as far as its twin, which is the first
    whole = rasterize(vertices, faces, CAMERA, SIZE)
    parts = [rasterize(vertices, part, CAMERA, SIZE) for part in (faces[:7], faces[7:])]
    parts[0].add(parts[1], 7)
    for found, expected in zip(parts[0], whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert {2, *range(7, 12)} & set(np.unique(whole.faces)) > {2} and 12 not in whole.faces


def test_a_closed_surface_has_no_holes():
    """A fan of thin triangles around a pixel's center covers the disk that it makes."""
    angles = np.linspace(0, 2 * np.pi, 101)
    rim = np.stack([12 + 8 * np.cos(angles), 9 + 8 * np.sin(angles)], 1)
    points = np.vstack([[12, 9], rim])
    vertices = np.column_stack([points / 10, np.ones(len(points))])
    faces = np.array([[0, i, i + 1] for i in range(1, 101)])
    raster = rasterize(vertices, faces, np.array([10, 10, 0, 0]), SIZE)
    y, x = np.mgrid[:18, :25]
    inside = np.hypot(x - 12, y - 9) < 7.9
    assert (raster.faces[inside] >= 0).all()
    assert (raster.faces[np.hypot(x - 12, y - 9) > 8.1] == -1).all()


def test_what_is_behind_the_camera_or_beside_the_image_is_not_seen():
    triangle = np.array([[0, 0, 1.0], [1, 0, 1], [0, 1, 1]])
    faces = np.array([[0, 1, 2]])
    for shift in ([0, 0, -3], [0, 0, -1], [50, 0, 0]):
        moved = triangle + np.array(shift)
        assert (rasterize(moved, faces, CAMERA, SIZE).faces == -1).all()
    assert (rasterize(triangle, faces[:0], CAMERA, SIZE).faces == -1).all()
    line = np.array([[0, 0, 1.0], [0.1, 0.1, 1], [0.2, 0.2, 1]])
    for off in (0, 1e-15, 1e-14):  # a line but for rounding
        line[2, 0] = 0.2 + off
        assert (rasterize(line, faces, CAMERA, SIZE).faces == -1).all()


def test_values_are_interpolated_row_by_row():
    vertices = np.array([[-4, -4, 2.0], [4, -4, 2], [-4, 4, 6]])
    faces = np.array([[0, 1, 2]])
    raster = rasterize(vertices, faces, CAMERA, SIZE)
    points = raster.interpolate(faces, vertices)
    y, x = np.nonzero(raster.faces >= 0)
    np.testing.assert_allclose(points[:, 2], raster.depths[y, x])
    pixels = points[:, :2] / points[:, 2:] * CAMERA[:2] + CAMERA[2:]
    np.testing.assert_allclose(pixels, np.stack([x, y], axis=1), atol=1e-9)


def test_normals_of_a_box_point_to_its_corners():
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = np.array([
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ])  # fmt: skip
    normals = vertex_normals(np.vstack([corners, [[9, 9, 9]]]), faces)
    outwards = ((corners - 0.5) * normals[:8]).sum(axis=1)
    assert (outwards > 0.7).all()
    np.testing.assert_allclose(np.linalg.norm(normals[:8], axis=1), 1)
    np.testing.assert_array_equal(normals[8], 0)
