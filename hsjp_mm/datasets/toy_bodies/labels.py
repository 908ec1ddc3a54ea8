"""Labels of toy bodies, all from what is drawn: COCO's, DensePose's, parts, and the body in 3D.

Image points are (x, y) in pixels, whole numbers at the centers of pixels; COCO's box has its edges
half a pixel around them, at whole numbers.

Letters: H and W height and width of the image, K points of a set.
"""

from functools import cache

import cv2
import numpy as np
import torch
from pycocotools import mask as rle

from hsjp_mm.datasets.part_masks import SIDE, box_frame
from hsjp_mm.datasets.toy_bodies.charts import LABELS, surface
from hsjp_mm.datasets.toy_bodies.rendering import Rendered
from hsjp_mm.datasets.toy_bodies.scenes import free_body
from hsjp_mm.ops.cameras import to_pixels
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.ops.part_labels import DENSEPOSE_PARTS
from hsjp_mm.ops.rotations import matrix_to_axis_angle

JOINT_SET = 'mesh_22'
NAMES = joint_names('coco_17')
DENSE_POINTS = 100
"""Points of a person with a place on the surface, about as many as in DensePose-COCO."""


@cache
def _reach() -> np.ndarray:
    """How far below the surface one still sees each of COCO's points, (K,) in meters.

    A joint is inside of the body, half a limb below its skin and clothes.
    """
    body = free_body()
    _, [joints] = body.pose(np.eye(3)[None, None].repeat(24, 1), np.zeros((1, 10)))
    points = body.keypoints(body.rest, joints, 'coco_17')
    gaps = np.linalg.norm(points[:, None] - body.rest, axis=2).min(axis=1)
    return 0.03 + 1.4 * gaps


def keypoint_labels(rendered: Rendered, number: int) -> np.ndarray:
    """COCO's keypoints x, y, v of a person, (17, 3).

    v is 2 where one sees the point through clothes and skin, 1 behind another limb, person or
    thing, and 0 (at 0, 0) outside of the image.
    """
    person = rendered.scene.people[number - 1]
    height, width = rendered.owner.shape
    points = free_body().keypoints(person.vertices, person.joints, 'coco_17')
    pixels = to_pixels(points, rendered.scene.camera)
    nearest = np.rint(pixels).astype(int)
    inside = ((nearest >= 0) & (nearest < (width, height))).all(axis=1)
    x, y = np.clip(nearest, 0, (width - 1, height - 1)).T
    above = points[:, 2] - rendered.depths[y, x] < _reach()
    seen = (rendered.owner[y, x] == number) & above
    labels = np.column_stack([pixels, 1 + seen])
    labels[~inside] = 0
    return labels


def annotation(labels: np.ndarray, visible: np.ndarray) -> dict:
    """COCO fields of one person from its keypoints (17, 3) and the pixels (H, W) that show it."""
    contours, _ = cv2.findContours(
        visible.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    simple = [cv2.approxPolyDP(contour, 0.5, True).reshape(-1) for contour in contours]
    # Specks that stick out from behind another person have no outline: they do not count as seen.
    kept = [k for k, outline in enumerate(simple) if len(outline) >= 6]
    filled = np.zeros(visible.shape, np.uint8)
    cv2.drawContours(filled, [contours[k] for k in kept], -1, (1,), -1)
    visible = visible & (filled > 0)
    labels = labels.copy()
    for point in labels:
        column, row = np.rint(point[:2]).astype(int)
        if point[2] == 2 and not visible[row, column]:
            point[2] = 1
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    return dict(
        segmentation=[simple[k].tolist() for k in kept],
        num_keypoints=int((labels[:, 2] > 0).sum()),
        area=int(visible.sum()),
        iscrowd=0,
        keypoints=[round(value, 2) if i % 3 < 2 else int(value)
                   for i, value in enumerate(labels.reshape(-1).tolist())],
        bbox=[x, y, w, h],
        category_id=1,
    )  # fmt: skip


def part_map(rendered: Rendered, number: int) -> np.ndarray:
    """1 + joint where a person shows, else 0, (H, W) uint8."""
    own = rendered.owner == number
    return np.where(own, 1 + rendered.joints, 0).astype(np.uint8)


def _encoded(labels: np.ndarray, number: int) -> list[dict | None]:
    """The masks of labels 1 to ``number`` as run lengths, None of those that are nowhere."""
    counts = np.bincount(labels.ravel(), minlength=number + 1)
    columns = np.ascontiguousarray(labels.T)  # the order that masks are encoded in
    masks: list[dict | None] = []
    for label in range(1, number + 1):
        if not counts[label]:
            masks.append(None)
            continue
        mask = rle.encode((columns == label).view(np.uint8).T)
        masks.append(dict(size=[int(s) for s in mask['size']], counts=mask['counts'].decode()))
    return masks


def part_masks(parts: np.ndarray) -> dict:
    """The plain form of masks that :class:`~hsjp_mm.datasets.PartMaskDataset` reads."""
    return dict(part_masks=_encoded(parts, len(joint_names('smpl_24'))))


def dense_pose(
    rng: np.random.Generator, rendered: Rendered, parts: np.ndarray, bbox: list[int]
) -> dict:
    """DensePose-COCO's fields of a person.

    Args:
        rng: Draws the points.
        rendered: The image.
        parts: (H, W) of :func:`part_map`.
        bbox: left, top, width, height.
    """
    frame = box_frame(bbox)
    column, row = (
        np.clip(np.rint(frame[i, i] * np.arange(SIDE) + frame[i, 2]).astype(int), 0, size - 1)
        for i, size in enumerate(parts.shape[::-1])
    )
    masks = _encoded(LABELS[parts[np.ix_(row, column)]], len(DENSEPOSE_PARTS))
    left, top, width, height = bbox
    shown = parts[top : top + height, left : left + width]
    y, x = np.nonzero(shown)
    chosen = np.sort(rng.choice(len(y), min(DENSE_POINTS, len(y)), replace=False))
    y, x = y[chosen] + top, x[chosen] + left
    charts, uv = surface(parts[y, x].astype(int) - 1, rendered.places[y, x])
    places = (np.stack([x, y]) - frame[:, 2:]) / np.diag(frame)[:, None]
    dense = zip(('dp_x', 'dp_y', 'dp_U', 'dp_V'), (*places, *uv.T), strict=True)
    return dict(
        dp_masks=[mask or [] for mask in masks],
        dp_I=charts.tolist(),
        **{key: np.round(values, 3).tolist() for key, values in dense},
    )


def mesh_sample(rendered: Rendered, number: int, bbox: list[int]) -> dict[str, np.ndarray]:
    """The arrays of a person in the format of meshes, but paths and id."""
    person = rendered.scene.people[number - 1]
    height, width = rendered.owner.shape
    points = free_body().keypoints(person.vertices, person.joints, JOINT_SET)
    pixels = to_pixels(points, rendered.scene.camera)
    sure = np.ones((len(points), 1))
    left, top, w, h = bbox
    pose = matrix_to_axis_angle(torch.from_numpy(person.rotations)).numpy()
    return dict(
        image_size=np.array([width, height]),
        box=np.array([left, top, left + w, top + h], np.float32),
        keypoints=np.concatenate([pixels, sure], axis=1).astype(np.float32),
        joints=np.concatenate([points, sure], axis=1).astype(np.float32),
        pose=pose.astype(np.float32),
        shape=person.shape.astype(np.float32),
        translation=person.translation.astype(np.float32),
        has_pose=np.array(True),
        has_shape=np.array(True),
        has_translation=np.array(True),
        gender=np.array('neutral'),
        camera=rendered.scene.camera.astype(np.float32),
        sequence=np.array(''),
        frame=np.array(-1),
    )
