"""Where people stand and from where they are seen.

Level frame: x right, y down, z forward, in meters, the camera at its origin but not turned with it;
the floor is a plane of it. Camera frame: the same, turned with the camera. Image points are (x, y)
in pixels, whole numbers at the centers of pixels.

Letters: V vertices, J = 24 joints, F triangles, S shape components.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from hsjp_mm.datasets.toy_bodies.clothing import Look, draw_look, random_color
from hsjp_mm.datasets.toy_bodies.postures import JOINTS, Pose, draw_pose, intrusion, turn
from hsjp_mm.registry import MODELS

STATURE = 1.7
"""Meters, of which sizes in the image are stated."""
TRIES = 24
CANDIDATES = 6
"""Poses of which the first one is taken whose limbs are not in each other."""
UPRIGHT = np.diag([1.0, -1, -1])
"""Turns the body's frame into the level one of who stands and looks at the camera."""
BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
BOX_FACES = np.array([
    [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
    [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
])  # fmt: skip


class Posed(NamedTuple):
    """What the body model calls a body."""

    vertices: torch.Tensor
    joints: torch.Tensor


class FreeBody:
    """The free body in double precision, so that the number of threads changes no picture.

    Models import data sets; so this one is built by name.

    Attributes:
        model: The body model.
        faces: (F, 3).
        rest: (V, 3), the mean body's vertices in the T-pose.
        parts: (V,), the joint that each goes with most.
    """

    def __init__(self):
        self.model = MODELS.build(dict(type='hsjp_mm.BodyModel', file='free')).double()
        self.faces = self.model.faces.numpy()
        self.parts = self.model.parts.numpy()
        self.rest = self.pose(np.eye(3)[None, None].repeat(24, 1), np.zeros((1, 10)))[0][0]

    def pose(self, rotations: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (B, V, 3) and joints (B, J, 3) of rotations (B, J, 3, 3), shapes (B, S)."""
        with torch.no_grad():
            body = self.model(torch.from_numpy(rotations), torch.from_numpy(shapes))
        return body.vertices.numpy(), body.joints.numpy()

    def keypoints(self, vertices: np.ndarray, joints: np.ndarray, joint_set: str) -> np.ndarray:
        """Points (K, 3) of a set, of vertices (V, 3) and joints (J, 3), in the frame of these."""
        arrays = (torch.from_numpy(array)[None] for array in (vertices, joints))
        return self.model.keypoints(Posed(*arrays), joint_set)[0].numpy()


@cache
def free_body() -> FreeBody:
    """The one that all images share."""
    return FreeBody()


class Person(NamedTuple):
    """A person before the camera.

    Attributes:
        pose: Posture and rotations; the first turns from standing straight.
        shape: (S,).
        look: Clothes.
        rotations: (J, 3, 3), the first in the axes of the camera.
        translation: (3,), so that the body model puts the body into the camera's frame.
        vertices: (V, 3) in the camera's frame.
        joints: (J, 3) in the camera's frame.
        box: x1, y1, x2, y2 in pixels, not cut to the image.
    """

    pose: Pose
    shape: np.ndarray
    look: Look
    rotations: np.ndarray
    translation: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    box: np.ndarray


class Solid(NamedTuple):
    """A box: what one sits on, or what stands before people.

    Attributes:
        vertices: (8, 3) in the camera's frame.
        color: (3,) BGR.
    """

    vertices: np.ndarray
    color: np.ndarray


class Scene(NamedTuple):
    """Who is seen, and from where.

    Attributes:
        camera: (4,), fx, fy, cx, cy in pixels.
        view: (3, 3), turns the level frame into the camera's.
        floor: How far the floor is below the camera, in meters.
        end: How far away the wall is, in meters.
        people: Who is there.
        seats: What they sit on.
        occluder: What stands before them, or None.
    """

    camera: np.ndarray
    view: np.ndarray
    floor: float
    end: float
    people: list[Person]
    seats: list[Solid]
    occluder: Solid | None


class _Figure(NamedTuple):
    """A posed body, level, its pelvis at the origin; ``pelvis`` is where the model has that."""

    pose: Pose
    shape: np.ndarray
    facing: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    pelvis: np.ndarray


def _draw_figure(rng: np.random.Generator) -> _Figure:
    """A body in a pose whose limbs are not in each other, or are as little as may be."""
    body = free_body()
    kind = rng.random()
    yaw = rng.normal(0, 28) if kind < 0.62 else rng.normal(180, 28) if kind < 0.82 else 0
    if kind >= 0.82:  # from a side
        yaw = rng.choice([-90, 90]) + rng.normal(0, 25)
    facing = turn('y', yaw) @ UPRIGHT
    shape = np.clip(rng.normal(0, 0.9, body.model.num_shape), -2.2, 2.2)
    found: list[tuple[float, _Figure]] = []
    for _ in range(CANDIDATES):
        pose = draw_pose(rng)
        rotations = pose.rotations.copy()
        rotations[0] = facing @ rotations[0]
        [vertices], [joints] = body.pose(rotations[None], shape[None])
        pelvis = joints[0].copy()
        figure = _Figure(pose, shape, facing, vertices - pelvis, joints - pelvis, pelvis)
        found.append((float(intrusion(joints[None])[0]), figure))
        if found[-1][0] <= 0:
            return figure
    return min(found, key=lambda pair: pair[0])[1]


def draw_scene(
    rng: np.random.Generator, backdrop: np.ndarray, size: tuple[int, int], max_persons: int
) -> Scene:
    """Draw a camera, and one to ``max_persons`` people that hide little of one another.

    Args:
        rng: Draws them.
        backdrop: (3,) BGR, which clothes should stand out from.
        size: Width and height of the image.
        max_persons: Fewer are there where there is no room.
    """
    width, height = size
    count = int(rng.integers(1, max_persons + 1))
    sizes = (0.45, 1.0) if count == 1 else (0.4, 0.85)
    focal = height * np.exp(rng.uniform(np.log(1.0), np.log(2.4)))
    camera = np.array([focal, focal, width / 2, height / 2])
    figure = _draw_figure(rng)
    for attempt in range(TRIES):
        depth = 1.05 ** max(0, attempt - 4) * focal * STATURE / (rng.uniform(*sizes) * height)
        view, floor, place = _look_at(rng, figure, depth, camera, size)
        first = _person(rng, figure, view, place, camera, backdrop)
        if _fits(rng, first, [], size) or attempt == TRIES - 1:
            break
    people, figures, places = [first], [figure], [place]
    for _ in range(count - 1):
        figure = _draw_figure(rng)
        for _ in range(TRIES):
            depth = focal * STATURE / (rng.uniform(*sizes) * height)
            across = rng.uniform(-0.45, 0.45) * width * depth / focal
            place = np.array([across, floor - figure.vertices[:, 1].max(), depth])
            near = min(np.hypot(*(place - other)[[0, 2]]) for other in places)
            if near < 0.6 or (view @ place)[2] < 1:
                continue
            person = _person(rng, figure, view, place, camera, backdrop)
            if _fits(rng, person, people, size):
                people, figures, places = [*people, person], [*figures, figure], [*places, place]
                break
    end = max(place[2] for place in places) + 0.9 + rng.exponential(2.5)
    seats = [
        _seat(rng, figure, view, place, floor)
        for figure, place in zip(figures, places, strict=True)
        if figure.pose.name == 'sit' and rng.random() < 0.8
    ]
    occluder = _occluder(rng, view, places, floor) if rng.random() < 0.35 else None
    return Scene(camera, view, floor, end, people, seats, occluder)


def _look_at(
    rng: np.random.Generator,
    figure: _Figure,
    depth: float,
    camera: np.ndarray,
    size: tuple[int, int],
) -> tuple[np.ndarray, float, np.ndarray]:
    """A camera that has a figure in the image; its view, the floor, and where the pelvis is."""
    low, high = figure.vertices.min(axis=0), figure.vertices.max(axis=0)
    extent = high - low
    low_camera, high_camera = rng.uniform(0.7, 2.0), rng.uniform(1.8, 2.0 + 0.6 * depth)
    floor = low_camera if rng.random() < 0.7 else high_camera
    pixels = camera[0] / depth * extent[:2]
    room = np.maximum(0.0, np.array(size) - pixels) / 2
    aim = np.array([rng.uniform(-r, r) for r in room])
    middle = floor - extent[1] / 2  # of the figure
    pitch = np.arctan2(middle, depth) - np.arctan2(aim[1], camera[1])
    view = turn('z', rng.normal(0, 2.5)) @ turn('x', float(np.degrees(pitch)))
    center = aim[0] * depth / camera[0] - (low[0] + high[0]) / 2
    return view, floor, np.array([center, floor - high[1], depth])


def _person(
    rng: np.random.Generator,
    figure: _Figure,
    view: np.ndarray,
    place: np.ndarray,
    camera: np.ndarray,
    backdrop: np.ndarray,
) -> Person:
    vertices, joints = ((points + place) @ view.T for points in (figure.vertices, figure.joints))
    rotations = figure.pose.rotations.copy()
    rotations[0] = view @ figure.facing @ rotations[0]
    points = vertices[:, :2] / np.maximum(vertices[:, 2:], 0.1) * camera[:2] + camera[2:]
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    look = draw_look(rng, backdrop)
    translation = view @ place - figure.pelvis
    return Person(figure.pose, figure.shape, look, rotations, translation, vertices, joints, box)


def _fits(
    rng: np.random.Generator, person: Person, others: list[Person], size: tuple[int, int]
) -> bool:
    """Whether one is in the image, and hides little; one in five may reach out of it a bit."""
    sides = person.box[2:] - person.box[:2]
    spare = 0.2 * sides if rng.random() < 0.2 else 0 * sides
    inside = (person.box[:2] > -spare).all() and (person.box[2:] < np.array(size) - 1 + spare).all()
    whole = person.vertices[:, 2].min() > 0.5 and sides.min() > 0.08 * size[1]
    return bool(inside and whole and all(_overlap(person.box, o.box) < 0.3 for o in others))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Shared area of two boxes (x1, y1, x2, y2) as a part of the smaller one."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(
        np.prod(np.clip(sides, 0, None)) / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    )


def _seat(
    rng: np.random.Generator, figure: _Figure, view: np.ndarray, place: np.ndarray, floor: float
) -> Solid:
    """A box below who sits, as deep as from behind the back to the middle of the thighs."""
    side = rng.uniform(0.4, 0.6)
    corner, extent = np.array([-side / 2, 0, -0.3]), np.array([side, 1, 0.42])
    local = figure.vertices @ figure.facing  # in the frame of who stands straight
    above = ((local >= corner) & (local <= corner + extent))[:, [0, 2]].all(axis=1)
    seated = np.isin(free_body().parts, [JOINTS[j] for j in ('pelvis', 'left_hip', 'right_hip')])
    top = local[above & seated, 1].min() + 0.01
    bottom = -(floor - place[1])
    points = BOX * extent + corner
    points[:, 1] = bottom + BOX[:, 1] * (top - bottom)
    return Solid((points @ figure.facing.T + place) @ view.T, random_color(rng))


def _occluder(
    rng: np.random.Generator, view: np.ndarray, places: list[np.ndarray], floor: float
) -> Solid:
    """A box between the camera and one of the people, on the floor or in the air."""
    place = places[rng.integers(len(places))] * rng.uniform(0.6, 0.85)
    extent = rng.uniform((0.15, 0.25, 0.05), (0.8, 1.0, 0.4))
    rise = rng.uniform(0, 1.2) if rng.random() < 0.3 else 0
    middle = np.array([place[0] + rng.normal(0, 0.3), floor - extent[1] / 2 - rise, place[2]])
    points = (BOX - 0.5) * extent @ turn('y', rng.uniform(0, 90)).T + middle
    return Solid(points @ view.T, random_color(rng))
