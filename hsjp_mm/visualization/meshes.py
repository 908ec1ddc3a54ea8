"""Pictures of bodies: over the image, from the side and from above, turning around.

All is numpy: vertices in, a picture out. No model is needed, and no graphics library, which on
servers without a display would fail. Pictures are RGB, uint8. Camera frame x right, y down, z
forward, in meters.

Letters: V vertices, F triangles, K points, J joints, H and W height and width of an image, S the
side of a tile in pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from hsjp_mm.ops.rasterize import rasterize, vertex_normals
from hsjp_mm.visualization.label_maps import label_colors, side_by_side
from hsjp_mm.visualization.pictures import TILE

LIGHT = np.array([-0.45, -0.6, -0.66])  # towards the light
COLORS = ((120, 170, 235), (240, 160, 90), (130, 205, 130), (225, 125, 150), (180, 150, 225))
"""Of bodies in turn."""
TRUTH = (165, 165, 165)
"""Of a body that is the ground truth."""
PAPER = 245
FAR = 12.0
"""How many times its radius a body is away that is seen from the side or above."""
SIDE, ABOVE = (
    np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], float),  # from the image's right
    np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float),  # the image's depth is up
)
"""Turn a body so that the camera sees it from there."""


def draw_meshes(
    image: np.ndarray,
    bodies: Sequence[np.ndarray],
    faces: np.ndarray,
    camera: np.ndarray,
    colors: Sequence[Sequence[int]] = COLORS,
    opacity: float = 0.85,
) -> np.ndarray:
    """Lay bodies over the image that they are of; the nearer one covers the farther one.

    Args:
        image: (H, W, 3).
        bodies: (V, 3) of each, in the camera's frame: vertices and translation.
        faces: (F, 3).
        camera: (4,), fx, fy, cx, cy in pixels.
        colors: RGB of the bodies, repeated if there are more of them.
        opacity: From 0 to 1.

    Returns:
        (H, W, 3).
    """
    if not len(bodies):
        return image.copy()
    vertices = np.concatenate(bodies)
    every = np.concatenate([faces + i * len(bodies[0]) for i in range(len(bodies))])
    height, width = image.shape[:2]
    raster = rasterize(vertices, every, camera, (width, height))
    seen = raster.faces >= 0
    normals = np.concatenate([vertex_normals(body, faces) for body in bodies])
    normals = raster.interpolate(every, normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    shades = 0.62 + 0.42 * np.clip(normals @ LIGHT, -0.4, 1)
    owners = raster.faces[seen] // len(faces)
    painted = np.array(colors)[owners % len(colors)] * shades[:, None]
    drawn = image.copy()
    drawn[seen] = np.clip(opacity * painted + (1 - opacity) * image[seen], 0, 255).round()
    return drawn


def draw_turned(
    bodies: Sequence[np.ndarray],
    faces: np.ndarray,
    turn: np.ndarray,
    side: int = TILE,
    colors: Sequence[Sequence[int]] = COLORS,
) -> np.ndarray:
    """Draw bodies alone on paper, turned, all of the first one and what is near it.

    Args:
        bodies: (V, 3) of each, in the camera's frame.
        faces: (F, 3).
        turn: (3, 3), about the middle of the first body: :data:`SIDE`, :data:`ABOVE` or another.
        side: S.
        colors: RGB of the bodies.

    Returns:
        (S, S, 3).
    """
    middle = (bodies[0].min(axis=0) + bodies[0].max(axis=0)) / 2
    radius = np.linalg.norm(bodies[0] - middle, axis=1).max()
    away = np.array([0, 0, FAR * radius])
    turned = [(body - middle) @ turn.T + away for body in bodies]
    large = 2 * side  # for smooth edges
    focal = 0.47 * large * (FAR - 1)
    camera = np.array([focal, focal, (large - 1) / 2, (large - 1) / 2])
    paper = np.full((large, large, 3), PAPER, np.uint8)
    drawn = draw_meshes(paper, turned, faces, camera, colors, opacity=1)
    return cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA)


def draw_points(
    image: np.ndarray,
    points: np.ndarray,
    links: Sequence[tuple[int, int]] = (),
    color: Sequence[int] = (255, 60, 60),
) -> np.ndarray:
    """Draw points, and lines between them.

    Args:
        image: (H, W, 3).
        points: (K, 2) in pixels; those that are not finite are left out.
        links: Pairs of them.
        color: RGB.

    Returns:
        (H, W, 3).
    """
    drawn = image.copy()
    color = tuple(map(int, color))
    known = np.isfinite(points).all(axis=1)
    # 16 steps a pixel for cv2's `shift`; far beyond the image it would overflow
    places = np.clip(np.where(known[:, None], points, 0), -4e3, 2e4)
    places = np.rint(16 * places).astype(int)
    for i, j in links:
        if known[i] and known[j]:
            cv2.line(drawn, places[i].tolist(), places[j].tolist(), color, 1, cv2.LINE_AA, 4)
    for place in places[known]:
        cv2.circle(drawn, place.tolist(), 16 * 4, color, -1, cv2.LINE_AA, 4)
    return drawn


def draw_attention(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Show where each joint looks: every part in its color, the stronger the more.

    Args:
        image: (H, W, 3), the network's input.
        attention: (J, h, w), at least 0; each joint's map counts relative to its highest value.

    Returns:
        (H, W, 3).
    """
    highest = attention.reshape(len(attention), -1).max(axis=1)
    shares = attention / np.maximum(highest, 1e-12)[:, None, None]
    colors = label_colors(len(attention))[1 + shares.argmax(axis=0)].astype(np.float32)
    size = image.shape[1], image.shape[0]
    weight = cv2.resize(shares.max(axis=0).astype(np.float32), size)[..., None]
    colors = cv2.resize(colors, size, interpolation=cv2.INTER_NEAREST)
    return ((1 - 0.75 * weight) * 0.6 * image + 0.75 * weight * colors).round().astype(np.uint8)


def zoomed(
    image: np.ndarray, camera: np.ndarray, box: np.ndarray, side: int = TILE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a square around a box and enlarge it, with the camera that sees it so.

    Args:
        image: (H, W, 3).
        camera: (4,) of the image.
        box: (4,), left, top, right, bottom.
        side: S.

    Returns:
        The square (S, S, 3), the camera (4,) of it, and the matrix (2, 3) that takes points of
        the image to it.
    """
    length = max(float(max(box[2] - box[0], box[3] - box[1])), 1.0)
    scale = side / length
    start = np.array([box[0] + box[2], box[1] + box[3]]) / 2 - length / 2
    shift = (0.5 - start) * scale - 0.5
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = cv2.warpAffine(image, matrix, (side, side), flags=flags, borderValue=(PAPER,) * 3)
    camera = np.concatenate([camera[:2] * scale, camera[2:] * scale + shift])
    return square, camera, matrix


def mesh_board(
    image: np.ndarray,
    body: np.ndarray,
    faces: np.ndarray,
    camera: np.ndarray,
    truth: np.ndarray | None = None,
    keypoints: np.ndarray | None = None,
    crop: np.ndarray | None = None,
    attention: np.ndarray | None = None,
) -> np.ndarray:
    """Show a body on one board: the person, the body over it, from the side, from above.

    Args:
        image: (H, W, 3).
        body: (V, 3) in the camera's frame: vertices and translation.
        faces: (F, 3).
        camera: (4,), fx, fy, cx, cy in pixels of the image.
        truth: (V, 3), the true body in gray, moved to where the predicted one is: seen from the
            side and above, postures are compared and not depths, which one image hardly tells.
        keypoints: (K, 2) in pixels of the image, drawn on the person.
        crop: (h, w, 3), the network's input, for the attention.
        attention: (J, h', w'), see :func:`draw_attention`.

    Returns:
        RGB, uint8; a tile each under its caption.
    """
    points = body[:, :2] / np.maximum(body[:, 2:], 0.01) * camera[:2] + camera[2:]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * (high - low).max()
    box = np.concatenate([low - margin, high + margin])
    square, near, matrix = zoomed(image, camera, box, 2 * TILE)
    person = square
    if keypoints is not None:
        person = draw_points(square, keypoints @ matrix[:, :2].T + matrix[:, 2])
    shown = [body]
    if truth is not None:
        shown.append(truth + (body.mean(axis=0) - truth.mean(axis=0)))
    colors = (COLORS[0], TRUTH)
    tiles = [
        ('image', person),
        ('body', draw_meshes(square, [body], faces, near)),
        ('from the right', draw_turned(shown, faces, SIDE, 2 * TILE, colors)),
        ('from above', draw_turned(shown, faces, ABOVE, 2 * TILE, colors)),
    ]
    if attention is not None and crop is not None:
        tiles.append(('attention', _squared(draw_attention(crop, attention), 2 * TILE)))
    return side_by_side([tile for _, tile in tiles], [caption for caption, _ in tiles])


def _squared(image: np.ndarray, side: int) -> np.ndarray:
    """Put an image in the middle of a square."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    small = cv2.resize(image, (round(width * scale), round(height * scale)))
    top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
    square = np.full((side, side, 3), PAPER, np.uint8)
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square


def turntable(
    body: np.ndarray, faces: np.ndarray, number: int = 36, side: int = 256
) -> list[np.ndarray]:
    """Turn a body once about the vertical.

    Args:
        body: (V, 3) in the camera's frame.
        faces: (F, 3).
        number: Of pictures.
        side: S.

    Returns:
        Pictures (S, S, 3).
    """
    angles = np.arange(number) * 2 * np.pi / number
    turns = [
        np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]) for a in angles
    ]
    return [draw_turned([body], faces, turn, side) for turn in turns]
