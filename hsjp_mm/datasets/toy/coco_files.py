"""Data sets of rendered people in COCO's layout: labels, files and a contact sheet.

Nothing is downloaded; the same seed gives the same bytes.

Shape letters: K = 17 keypoints, H and W are the height and width of the image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from hsjp_mm.datasets.toy.figures import FACE, PARTS
from hsjp_mm.datasets.toy.layout import (
    FIRST_IMAGE_ID,
    JPEG_QUALITY,
    SKELETON,
    coco_data,
    require_writable,
)
from hsjp_mm.datasets.toy.pose import KEYPOINT_NAMES
from hsjp_mm.datasets.toy.rendering import SUPERSAMPLING, Rendered, render_image
from hsjp_mm.datasets.toy.scene import Placed

# Parts that may cover a joint that still counts as seen: clothes do not hide it, other limbs do.
SUPPORTS = {
    'shoulder': ('torso', 'upper_arm'), 'elbow': ('upper_arm', 'forearm'), 'wrist': ('forearm',),
    'hip': ('torso', 'pelvis', 'thigh'), 'knee': ('pelvis', 'thigh', 'shin'), 'ankle': ('shin',),
}  # fmt: skip


def annotate(rendered: Rendered) -> list[dict]:
    """COCO fields, without ids, of each person of an image."""
    height, width = rendered.owner.shape
    pairs = zip(rendered.people, rendered.part_maps, strict=True)
    labels = [label_keypoints(placed, part_map, width, height) for placed, part_map in pairs]
    return [annotation(label, rendered.owner == i) for i, label in enumerate(labels, start=1)]


def label_keypoints(placed: Placed, part_map: np.ndarray, width: int, height: int) -> np.ndarray:
    """Keypoints (K, 3) as integers x, y, v of a figure as if it stood alone in the image."""
    exact = placed.figure.keypoints * placed.scale + placed.offset
    pixels = np.rint(exact).astype(int)
    inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
    x1, y1, _, _ = placed.window(width, height)
    places = np.rint(SUPERSAMPLING * (exact - (x1, y1)) + (SUPERSAMPLING - 1) / 2).astype(int)
    label = np.zeros((len(KEYPOINT_NAMES), 3), int)
    for k in np.flatnonzero(inside):
        x, y = places[k]
        part = PARTS[part_map[y, x] - 1] if part_map[y, x] else ''
        seen = not placed.figure.turned_away[k] and part in _supports(KEYPOINT_NAMES[k])
        label[k] = (*pixels[k], 2 if seen else 1)
    return label


def _supports(name: str) -> set[str]:
    """The parts on which a keypoint may be seen."""
    if name in FACE:
        return {'head'}
    side, joint = name.split('_')
    return {part if part in PARTS else f'{side}_{part}' for part in SUPPORTS[joint]}


def annotation(label: np.ndarray, visible: np.ndarray) -> dict:
    """COCO fields of one person from its keypoints (K, 3) and the pixels (H, W) that show it."""
    contours, _ = cv2.findContours(
        visible.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    simple = [cv2.approxPolyDP(contour, 1.0, True).reshape(-1) for contour in contours]
    # Specks that stick out from behind another person have no outline: they do not count as seen.
    kept = [k for k, outline in enumerate(simple) if len(outline) >= 6]
    filled = np.zeros(visible.shape, np.uint8)
    cv2.drawContours(filled, [contours[k] for k in kept], -1, (1,), -1)
    visible = visible & (filled > 0)
    label = label.copy()
    for point in label:
        if point[2] == 2 and not visible[point[1], point[0]]:
            point[2] = 1
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    return dict(
        segmentation=[simple[k].tolist() for k in kept],
        num_keypoints=int((label[:, 2] > 0).sum()),
        area=int(visible.sum()),
        iscrowd=0,
        keypoints=label.reshape(-1).tolist(),
        bbox=[x, y, w, h],
        category_id=1,
    )


def render(
    folder: str | Path,
    num_train: int,
    num_val: int,
    seed: int = 0,
    image_size: tuple[int, int] = (320, 240),
    max_persons: int = 3,
    progress: Callable[[list[int]], Iterable[int]] = iter,
) -> None:
    """Write a data set of rendered people in COCO's layout.

    The folder gets ``train/*.jpg``, ``val/*.jpg`` and
    ``annotations/person_keypoints_{train,val}.json``. An image follows from the seed, its split and
    its number alone, whatever the number of images. Boxes, areas and outlines are those of the
    pixels in which a figure shows; a keypoint has v = 2 where it can be seen through clothes, 1
    behind another limb, the head or another person, and 0 (at 0, 0) outside of the image.

    Args:
        folder: Where to write; new or empty.
        num_train: Number of training images.
        num_val: Number of validation images.
        seed: The same seed gives the same bytes.
        image_size: (width, height) in pixels.
        max_persons: An image shows one to so many people, fewer where there is no room.
        progress: Wraps the list of image numbers of a split, to show how far it has come.

    Raises:
        FileExistsError: If the folder holds anything.
        ValueError: If a number is too small.
    """
    folder = Path(folder)
    require_writable(
        folder, image_size, num_train=num_train, num_val=num_val, seed=seed, max_persons=max_persons
    )
    for split, count in (('train', num_train), ('val', num_val)):
        data = _render_split(folder / split, count, seed, image_size, max_persons, progress)
        file = folder / 'annotations' / f'person_keypoints_{split}.json'
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(data))


def _render_split(
    folder: Path,
    count: int,
    seed: int,
    image_size: tuple[int, int],
    max_persons: int,
    progress: Callable[[list[int]], Iterable[int]],
) -> dict:
    """Write the images of one split and return its annotation file's content."""
    folder.mkdir(parents=True)
    width, height = image_size
    first = FIRST_IMAGE_ID[folder.name]
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id in progress(list(range(first, first + count))):
        rng = np.random.default_rng([seed, image_id])
        rendered = render_image(rng, width, height, max_persons)
        file_name = f'{image_id:012d}.jpg'
        _, code = cv2.imencode('.jpg', rendered.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / file_name).write_bytes(code.tobytes())
        images.append(dict(id=image_id, file_name=file_name, width=width, height=height))
        for person in annotate(rendered):
            annotations.append(dict(id=first + len(annotations), image_id=image_id, **person))
    return coco_data(f'rendered people, seed {seed}', images, annotations)


def contact_sheet(folder: str | Path, split: str, columns: int = 4, rows: int = 3) -> np.ndarray:
    """The first images of a split with boxes and keypoints, as one BGR image, uint8.

    The person's left is green, the right orange, the middle blue; a hollow ring is a hidden
    keypoint (v = 1), which MMPose's visualizer would not tell from a visible one.

    Args:
        folder: What `render` wrote.
        split: ``'train'`` or ``'val'``.
        columns: Number of images side by side.
        rows: Number of images below one another.
    """
    folder = Path(folder)
    data = json.loads((folder / 'annotations' / f'person_keypoints_{split}.json').read_text())
    tiles = []
    for record in data['images'][: columns * rows]:
        tile = cv2.imread(str(folder / split / record['file_name']))
        tile = cv2.resize(tile, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        for person in data['annotations']:
            if person['image_id'] == record['id']:
                _draw_annotation(tile, person)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    lines = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(lines)


def _draw_annotation(tile: np.ndarray, person: dict) -> None:
    """Draw one person's annotation on its image (2H, 2W, 3), enlarged twice, in place."""
    x, y, w, h = person['bbox']
    cv2.rectangle(tile, (2 * x, 2 * y), (2 * (x + w) - 1, 2 * (y + h) - 1), (255, 255, 255), 1)
    points = np.array(person['keypoints']).reshape(-1, 3)
    places = [(int(2 * px + 1), int(2 * py + 1)) for px, py, _ in points]
    colors = {'left': (0, 220, 0), 'right': (0, 128, 255)}
    for i, j in np.array(SKELETON) - 1:
        if points[i, 2] and points[j, 2]:
            names = {KEYPOINT_NAMES[k].split('_')[0] for k in (i, j)}
            color = colors.get(names.pop(), (255, 80, 0)) if len(names) == 1 else (255, 80, 0)
            cv2.line(tile, places[i], places[j], color, 1, cv2.LINE_AA)
    for name, place, v in zip(KEYPOINT_NAMES, places, points[:, 2], strict=True):
        if v:
            color = colors.get(name.split('_')[0], (255, 80, 0))
            cv2.circle(tile, place, 4, color, -1 if v == 2 else 1, cv2.LINE_AA)
