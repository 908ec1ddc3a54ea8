"""What stands behind people and below their feet: walls, floors, photographs.

Image points are (x, y) in pixels. Level frame: x right, y down, z forward, in meters, with the
camera at its origin, not turned with the camera. Colors are BGR, 0..255.

Letters: H and W height and width of the image.
"""

from pathlib import Path

import cv2
import numpy as np

from hsjp_mm.datasets.toy_bodies.clothing import random_color

PICTURES = ('.jpg', '.jpeg', '.png')


def picture_files(folder: str | Path) -> list[Path]:
    """The pictures of a folder, by name.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
    """
    found = sorted(p for p in Path(folder).glob('**/*') if p.suffix.lower() in PICTURES)
    if not found:
        raise FileNotFoundError(
            f'backgrounds={str(folder)!r} must be a folder with pictures '
            f'({", ".join(PICTURES)}), but none is there'
        )
    return found


def draw_picture(rng: np.random.Generator, files: list[Path], size: tuple[int, int]) -> np.ndarray:
    """A random piece of one of the pictures, (H, W, 3) uint8.

    Raises:
        ValueError: It cannot be read.
    """
    path = files[rng.integers(len(files))]
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f'backgrounds: {path} is no picture that can be read')
    height, width = picture.shape[:2]
    scale = min(width / size[0], height / size[1]) * rng.uniform(0.7, 1)
    w, h = max(1, int(size[0] * scale)), max(1, int(size[1] * scale))
    x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
    return cv2.resize(picture[y : y + h, x : x + w], size, interpolation=cv2.INTER_AREA)


def draw_wall(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A wall with a texture and clutter before it, (H, W, 3) uint8."""
    width, height = size
    image = np.clip(_noise(rng, width, height), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(1, 10))):
        color = tuple(random_color(rng))
        center = rng.uniform(0, 1, 2) * size
        sides = rng.uniform(0.03, 0.35, 2) * height
        box = (center.tolist(), sides.tolist(), rng.choice([0, rng.uniform(0, 180)]))
        kind = rng.integers(3)
        if kind == 0:
            cv2.fillConvexPoly(image, np.rint(cv2.boxPoints(box)).astype(int), color, cv2.LINE_AA)
        elif kind == 1:
            cv2.ellipse(image, box, color, -1, cv2.LINE_AA)
        else:
            end = rng.uniform(0, 1, 2) * size
            thickness = int(rng.integers(1, max(3, height // 20)))
            cv2.line(
                image,
                center.astype(int).tolist(),
                end.astype(int).tolist(),
                color,
                thickness,
                cv2.LINE_AA,
            )
    blur = int(rng.integers(0, 3))
    return cv2.blur(image, (2 * blur + 1, 2 * blur + 1)) if blur else image


def _noise(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Value noise (H, W, 3) between two random colors, over one to three octaves."""
    field = np.zeros((height, width), np.float32)
    cells = int(rng.integers(2, 7))
    for octave in range(int(rng.integers(1, 4))):
        grid = rng.random((cells * 4**octave, cells * 4**octave), np.float32)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR) * 0.6**octave
    cv2.normalize(field, field, 0, 1, cv2.NORM_MINMAX)
    first, second = (random_color(rng).astype(np.float32) for _ in range(2))
    strength = np.float32(rng.uniform(0.3, 1))
    # color by color, which is faster than all side by side
    return cv2.merge([a + field * (b - a) * strength for a, b in zip(first, second, strict=True)])


def floor_points(
    camera: np.ndarray, view: np.ndarray, floor: float, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Where on the floor each pixel looks.

    Args:
        camera: (4,), fx, fy, cx, cy.
        view: (3, 3), turns the level frame into the camera's.
        floor: How far below the camera it is, in meters.
        size: Width and height.

    Returns:
        (H, W) x and (H, W) z in meters; infinity where the pixel looks at no floor.
    """
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    rays = np.stack([(x - camera[2]) / camera[0], (y - camera[3]) / camera[1], np.ones(x.shape)])
    right, down, forward = np.tensordot(view.T, rays, axes=1)
    with np.errstate(divide='ignore', invalid='ignore'):
        distance = np.where(down > 1e-3, floor / down, np.inf)
        return np.where(down > 1e-3, right * distance, np.inf), forward * distance


def draw_floor(
    rng: np.random.Generator, wall: np.ndarray, x: np.ndarray, z: np.ndarray, end: float
) -> np.ndarray:
    """Lay a floor before a wall.

    Args:
        rng: Draws the texture.
        wall: (H, W, 3) uint8.
        x, z: Of :func:`floor_points`.
        end: How far away the wall is, in meters.

    Returns:
        (H, W, 3) uint8.
    """
    shown = z < end
    base, other = random_color(rng), random_color(rng)
    other = base + (other - base) * rng.uniform(0.1, 0.5)
    tile = rng.uniform(0.25, 1.2)
    far = z[shown]
    u, v = x[shown] / tile, far / tile
    kind = rng.choice(['plain', 'tiles', 'boards'], p=[0.4, 0.3, 0.3])
    if kind == 'tiles':
        mixed = ((np.floor(u) + np.floor(v)) % 2).astype(float)
    elif kind == 'boards':
        mixed = np.sin(7.3 * np.floor(4 * u)) * 0.5 + 0.5
    else:
        mixed = 0.5 + 0.25 * np.sin(2.1 * u + rng.uniform(0, 6)) * np.sin(1.7 * v)
    grid = rng.random((64, 64))
    mixed = 0.7 * mixed + 0.3 * grid[(v * 8).astype(int) % 64, (u * 8).astype(int) % 64]
    # far away the texture is finer than pixels
    mixed = 0.5 + (mixed - 0.5) * np.clip(tile * 8 / far, 0, 1)
    image = wall.copy()
    light = 0.8 + 0.3 / (1 + 0.1 * far)
    painted = base[:, None] + mixed * (other - base)[:, None]  # faster than colors side by side
    image[shown] = np.clip(painted * light, 0, 255).T
    return image
