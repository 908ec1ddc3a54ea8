"""Which triangle of a mesh a camera sees at each pixel: a z-buffer without a graphics library.

Graphics libraries want a display or a driver, which servers lack; a mesh of some thousand triangles
needs neither. All triangles are taken at once: their rows of pixels, then the pixels of the rows,
then the nearest triangle of each pixel. Camera frame x right, y down, z forward, in meters; image
points (x, y) in pixels, whole numbers at the centers of pixels.

Letters: V vertices, F triangles, H and W height and width of the image, P pixels with a triangle.
"""

from typing import Any, NamedTuple

import numpy as np

NEAR = 0.01
"""Meters: a triangle that comes nearer to the camera's plane is left out."""
TOUCHES = 1e-9
"""How far, as a share of a triangle, rounding may put a point of its edge outside of it."""

THIN = 1e-12
"""A triangle whose area is less than this share of its coordinates' square is a line but for
rounding, and is left out."""


class Raster(NamedTuple):
    """What a camera sees.

    Attributes:
        faces: (H, W) int, the triangle of each pixel, −1 where there is none.
        depths: (H, W), z of its point in meters, infinity where there is none.
        weights: (H, W, 3), how much of each of the triangle's corners is in the point: its
            barycentric coordinates in space, not in the image; 0 where there is none.
    """

    faces: np.ndarray
    depths: np.ndarray
    weights: np.ndarray

    def add(self, other: 'Raster', first: int) -> None:
        """See further triangles, too, as if all had been rasterized at once; in place.

        Args:
            other: Of the further ones; where they are equally far, those of this raster are seen.
            first: Number of the first of them among all.
        """
        nearer = other.depths < self.depths
        self.faces[nearer] = other.faces[nearer] + first
        self.depths[nearer] = other.depths[nearer]
        self.weights[nearer] = other.weights[nearer]

    def interpolate(self, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Values at the pixels that have a triangle, row by row.

        Args:
            faces: (F, 3), those that were seen.
            values: (V, C), of the vertices.

        Returns:
            (P, C), of ``faces >= 0``.
        """
        pixels = np.flatnonzero(self.faces >= 0)
        corners = values[faces[self.faces.take(pixels)]]
        return np.einsum('pi,pic->pc', self.weights.reshape(-1, 3)[pixels], corners)


def rasterize(
    vertices: np.ndarray, faces: np.ndarray, camera: np.ndarray, size: tuple[int, int]
) -> Raster:
    """See triangles in perspective; of several bodies, give the vertices and faces of all.

    Both sides of a triangle are seen. At a pixel where two are equally far, the first is.

    Args:
        vertices: (V, 3), in the camera's frame.
        faces: (F, 3) int, three vertices each.
        camera: (4,), focal lengths and principal point fx, fy, cx, cy in pixels.
        size: width and height of the image.

    Returns:
        What is seen.
    """
    width, height = size
    corners = np.asarray(vertices, float)[faces]
    kept = np.flatnonzero((corners[..., 2] > NEAR).all(axis=1))
    depths = corners[kept, :, 2]
    camera = np.asarray(camera, float)
    points = corners[kept, :, :2] / depths[..., None] * camera[:2] + camera[2:]
    edges, kept_too = _edges(points)
    points, depths, kept = points[kept_too], depths[kept_too], kept[kept_too]

    low, high = points[..., 1].min(axis=1), points[..., 1].max(axis=1)
    owner, y = _spread(np.ceil(low), np.floor(high), height)
    # corner by corner, which is twice as fast as all at once
    lines = [(a[owner], b[owner] * y + c[owner]) for a, b, c in edges.transpose(1, 2, 0)]
    left, right = _span(lines)
    row, x = _spread(np.ceil(left), np.floor(right), width)
    owner = owner[row]
    shares = []
    for (slope, level), far in zip(lines, depths.T, strict=True):
        share = slope[row] * x
        share += level[row]
        share = np.maximum(share, 0, out=share)
        share /= far[owner]
        shares.append(share)
    depth = 1 / sum(shares)

    pixels = y[row] * width + x
    nearest = np.full(height * width, np.inf)
    np.minimum.at(nearest, pixels, depth)
    seen = np.flatnonzero(depth == nearest[pixels])[::-1]  # the first of equals is written last
    shown = pixels[seen]
    found = np.full(height * width, -1)
    found[shown] = kept[owner[seen]]
    weights = np.zeros((height * width, 3))
    for corner, share in enumerate(shares):
        weights[shown, corner] = share[seen] * depth[seen]
    return Raster(
        found.reshape(height, width),
        nearest.reshape(height, width),
        weights.reshape(height, width, 3),
    )


def _edges(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines (a, b, c) opposite of each corner: a x + b y + c is 1 at the corner, 0 on the line.

    Args:
        points: (F, 3, 2).

    Returns:
        (F', 3, 3), of those triangles that have an area, and (F',) which they are.
    """
    start, end = points[:, [1, 2, 0]], points[:, [2, 0, 1]]
    x, y = start[..., 0], start[..., 1]
    a, b = y - end[..., 1], end[..., 0] - x
    area = (a * points[..., 0] + b * points[..., 1] - a * x - b * y)[:, 0]
    precise = THIN * (1 + np.abs(points).max(axis=(1, 2)) ** 2)
    kept = np.flatnonzero(np.abs(area) > precise)
    lines = np.stack([a, b, -(a * x + b * y)], axis=-1)
    return lines[kept] / area[kept, None, None], kept


def _spread(first: np.ndarray, last: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """List the whole numbers from ``first`` to ``last`` that are from 0 to ``number`` − 1.

    Returns:
        (…,) which range each is of, and (…,) the numbers.
    """
    first = np.clip(first, 0, number).astype(int)
    counts = np.maximum(np.clip(last, -1, number - 1).astype(int) + 1 - first, 0)
    owner = np.repeat(np.arange(len(first)), counts)
    before = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) + (first - before)[owner]


def _span(lines: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """From where to where along x no line is negative.

    Args:
        lines: (R,) slopes and (R,) levels of slope · x + level.

    Returns:
        (R,) and (R,), an empty span where there is no such x.
    """
    left: Any = -np.inf
    right: Any = np.inf
    for slope, level in lines:
        level = level + TOUCHES
        with np.errstate(divide='ignore', invalid='ignore'):
            end = -level / slope
        never = (slope == 0) & (level < 0)
        start = np.where(slope > 0, end, np.where(never, np.inf, -np.inf))
        left = np.maximum(left, start)
        right = np.minimum(right, np.where(slope < 0, end, np.inf))
    return left, right


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Directions away from the surface at its vertices, the mean of the triangles around.

    Args:
        vertices: (V, 3).
        faces: (F, 3) int, counterclockwise seen from outside in a frame of the right hand.

    Returns:
        (V, 3) of length 1, each triangle counting by its area; 0 of a vertex without triangles.
    """
    first, second, third = np.moveaxis(vertices[faces], 1, 0)
    normals = np.zeros(vertices.shape)
    np.add.at(normals, faces, np.cross(second - first, third - first)[:, None])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(lengths > 0, lengths, 1)
