"""Pixels of toy bodies, and what each pixel shows.

Drawn at twice the size, the pixels of the image being every second one; so the labels are those of
the pixels' very centers. Image points are (x, y) in pixels; colors are BGR, 0..255.

Letters: H and W height and width of the image, V vertices, F triangles, P pixels of a mesh.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from hsjp_mm.datasets.toy_bodies.backgrounds import (
    draw_floor,
    draw_picture,
    draw_wall,
    floor_points,
)
from hsjp_mm.datasets.toy_bodies.clothing import colors, covers, in_one_color, thickness
from hsjp_mm.datasets.toy_bodies.scenes import BOX_FACES, Scene, draw_scene, free_body
from hsjp_mm.ops.rasterize import Raster, rasterize, vertex_normals

LOOKS = ('varied', 'plain')
"""How a data set may look; see :func:`render_image`."""
SHOWN = 0.5
"""An occluder that hides more than this share of a person's pixels is left out."""
SEEN = 0.001
"""A person shows in at least so much of the image; else another image is drawn."""
SOLID = 255
"""The owner of pixels that show a box."""
STEP = 0.05
"""Meters in depth from which on an edge of a body has a shadow beside it."""


class Rendered(NamedTuple):
    """An image and what shows where in it.

    Attributes:
        image: (H, W, 3), uint8.
        scene: Who is in it; without its occluder, if that would hide too much.
        owner: (H, W) uint8: the number of the person, from 1, 0 the background, SOLID a box.
        joints: (H, W) int16, the joint that the body's part at the pixel goes with, or −1.
        places: (H, W, 3) float32, the place of the pixel on the mean body at rest, in meters.
        depths: (H, W) float32 in meters, infinity on the background.
    """

    image: np.ndarray
    scene: Scene
    owner: np.ndarray
    joints: np.ndarray
    places: np.ndarray
    depths: np.ndarray


class _Meshes(NamedTuple):
    """All meshes of a scene as one, people first; ``owners`` (F,) are numbers as in `Rendered`."""

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    owners: np.ndarray


def render_image(
    rng: np.random.Generator,
    size: tuple[int, int],
    max_persons: int,
    pictures: list[Path] | None = None,
    look: str = 'varied',
) -> Rendered:
    """Draw people before a background.

    Args:
        rng: Draws all.
        size: Width and height of the image.
        max_persons: Of one image.
        pictures: For the background; by default walls and floors are drawn.
        look: ``'plain'`` dresses each person in one color, and has nothing before people; without
            pictures the background is of one color, too.
    """
    while True:
        rendered = _render(rng, size, max_persons, pictures, look == 'plain')
        pixels = np.bincount(rendered.owner.ravel(), minlength=len(rendered.scene.people) + 1)
        if (pixels[1 : len(rendered.scene.people) + 1] >= SEEN * rendered.owner.size).all():
            return rendered


def _render(
    rng: np.random.Generator,
    size: tuple[int, int],
    max_persons: int,
    pictures: list[Path] | None,
    plain: bool,
) -> Rendered:
    behind = draw_picture(rng, pictures, size) if pictures else draw_wall(rng, size)
    backdrop = np.array(cv2.sumElems(behind)[:3]) / (size[0] * size[1])  # the mean, but faster
    scene = draw_scene(rng, backdrop, size, max_persons)
    if plain:
        people = [one._replace(look=in_one_color(one.look)) for one in scene.people]
        scene = scene._replace(people=people, occluder=None)
    light = np.array([rng.uniform(-0.8, -0.4), rng.uniform(-0.8, -0.5), rng.uniform(-0.7, -0.3)])
    light /= np.linalg.norm(light)
    floor = not (pictures or plain)
    if floor:
        x, z = floor_points(scene.camera, scene.view, scene.floor, size)
        behind = draw_floor(rng, behind, x, z, scene.end)
    elif not pictures:
        behind = np.full_like(behind, backdrop)
    large = (2 * size[0] - 1, 2 * size[1] - 1)
    scene, meshes, raster = _look(scene, large)
    if floor:
        behind = _with_shadows(behind, scene, meshes, light, z < scene.end, size)
    image = cv2.resize(behind, large, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    pixels = np.flatnonzero(raster.faces >= 0)
    painted, joints, places = _paint(scene, meshes, raster, pixels)
    shades = _shades(meshes, raster, pixels, light) * _edges(raster.depths).take(pixels)
    image.reshape(-1, 3)[pixels] = painted * shades[:, None]
    halves = np.array([0.25, 0.5, 0.25])
    small = cv2.sepFilter2D(image, -1, halves, halves)[::2, ::2]
    small = small * rng.uniform(0.85, 1.1) + rng.normal(0, rng.uniform(1, 5), small.shape)
    faces = raster.faces[::2, ::2]
    y, x = np.divmod(pixels, large[0])
    kept = np.flatnonzero((y | x) % 2 == 0)
    all_joints, all_places = (
        np.full(faces.shape, -1, np.int16),
        np.zeros((*faces.shape, 3), np.float32),
    )
    all_joints[y[kept] // 2, x[kept] // 2] = joints[kept]
    all_places[y[kept] // 2, x[kept] // 2] = places[kept]
    return Rendered(
        np.clip(small, 0, 255).astype(np.uint8),
        scene,
        np.where(faces >= 0, meshes.owners[faces], 0).astype(np.uint8),
        all_joints,
        all_places,
        raster.depths[::2, ::2].astype(np.float32),
    )


def _meshes(scene: Scene) -> _Meshes:
    """Dressed bodies and boxes."""
    body = free_body()
    vertices, normals, faces, owners = [], [], [], []
    for number, person in enumerate(scene.people, start=1):
        outwards = vertex_normals(person.vertices, body.faces)
        off = thickness(covers(body.rest, body.parts, person.look), person.look)
        vertices.append(person.vertices + off[:, None] * outwards)
        normals.append(outwards)
        faces.append(body.faces + (number - 1) * len(body.rest))
        owners.append(np.full(len(body.faces), number))
    count = len(scene.people) * len(body.rest)
    solids = [*scene.seats, *([] if scene.occluder is None else [scene.occluder])]
    for i, solid in enumerate(solids):
        vertices.append(solid.vertices)
        normals.append(np.zeros_like(solid.vertices))
        faces.append(BOX_FACES + count + 8 * i)
        owners.append(np.full(len(BOX_FACES), SOLID))
    return _Meshes(*map(np.concatenate, (vertices, normals, faces, owners)))


def _look(scene: Scene, size: tuple[int, int]) -> tuple[Scene, _Meshes, Raster]:
    """See a scene, without its occluder if that hides too much of anybody."""
    meshes = _meshes(scene)
    if scene.occluder is None:
        return scene, meshes, rasterize(meshes.vertices, meshes.faces, 2 * scene.camera, size)
    first = len(meshes.faces) - len(BOX_FACES)  # of the occluder, which is the last mesh
    without, front = (
        rasterize(meshes.vertices, faces, 2 * scene.camera, size)
        for faces in (meshes.faces[:first], meshes.faces[first:])
    )
    owners = meshes.owners[without.faces]
    left = (without.faces >= 0) & ~(front.depths < without.depths)
    before, after = (
        np.bincount(owners[pixels], minlength=SOLID)[1 : len(scene.people) + 1]
        for pixels in (without.faces >= 0, left)
    )
    if (after < SHOWN * before).any():
        scene = scene._replace(occluder=None)
        return scene, _meshes(scene), without
    without.add(front, first)
    return scene, meshes, without


def _with_shadows(
    image: np.ndarray,
    scene: Scene,
    meshes: _Meshes,
    light: np.ndarray,
    floor: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """Darken the floor, a mask (H, W), where it lies in the shadow of a mesh."""
    level, towards = meshes.vertices @ scene.view, scene.view.T @ light
    if towards[1] > -0.2:  # light from below the horizon, or nearly, reaches the wall alone
        return image
    down = (level[:, 1] - scene.floor) / towards[1]
    cast = (level - down[:, None] * towards) @ scene.view.T
    shadow = rasterize(cast, meshes.faces, scene.camera, size).faces >= 0
    soft = cv2.GaussianBlur((shadow & floor).astype(np.float32), (0, 0), 1.2)
    return (image * cv2.merge([1 - 0.45 * soft] * 3)).astype(np.uint8)


def _paint(
    scene: Scene, meshes: _Meshes, raster: Raster, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Color (P, 3), joint (P,) and place on the body at rest (P, 3) of what shows."""
    body = free_body()
    faces = raster.faces.take(pixels)
    corners, owners = meshes.faces[faces], meshes.owners[faces]
    weights = raster.weights.reshape(-1, 3)[pixels]
    painted, places = np.zeros((len(corners), 3)), np.zeros((len(corners), 3))
    joints = np.full(len(corners), -1)
    for number, person in enumerate(scene.people, start=1):
        own = np.flatnonzero(owners == number)
        local, share = corners[own] - (number - 1) * len(body.rest), weights[own]
        a, b, c = share.T  # which is faster than argmax along an axis of three
        largest = np.where((a >= b) & (a >= c), 0, np.where(b >= c, 1, 2))
        nearest = local[np.arange(len(own)), largest]
        joints[own] = body.parts[nearest]
        places[own] = np.einsum('pi,pic->pc', share, body.rest[local])
        painted[own] = colors(places[own], joints[own], person.look)
    first = len(scene.people) * len(body.rest)
    solids = [*scene.seats, *([] if scene.occluder is None else [scene.occluder])]
    solid_of = (corners[:, 0] - first) // 8
    for i, solid in enumerate(solids):
        painted[solid_of == i] = solid.color
    return painted, joints, places


def _shades(meshes: _Meshes, raster: Raster, pixels: np.ndarray, light: np.ndarray) -> np.ndarray:
    """How bright what shows is, (P,): rounded on bodies, one value for each side of a box."""
    faces = raster.faces.take(pixels)
    normals = raster.interpolate(meshes.faces, meshes.normals)
    solid = np.flatnonzero(meshes.owners[faces] == SOLID)
    normals[solid] = _flat_normals(meshes)[faces[solid]]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return 0.58 + 0.62 * np.clip(normals @ light, -0.25, 1)


def _flat_normals(meshes: _Meshes) -> np.ndarray:
    """Directions away from the triangles (F, 3), on the side that faces the camera."""
    corners = meshes.vertices[meshes.faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    flat *= np.where((flat * corners[:, 0]).sum(axis=1) > 0, -1, 1)[:, None]
    return flat


def _edges(depths: np.ndarray) -> np.ndarray:
    """Darken what is beside a nearer thing, so that limbs of one color stay apart, (H, W)."""
    known = np.minimum(depths, 1e3).astype(np.float32)
    dark = np.ones(depths.shape, np.float32)
    for width, shade in ((3, 0.72), (9, 0.88)):
        nearest = cv2.erode(known, np.ones((width, width), np.uint8))
        dark[known - nearest > STEP] *= shade
    return dark
