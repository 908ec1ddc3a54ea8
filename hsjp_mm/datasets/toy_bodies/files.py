"""Data sets of toy bodies as files, and a sheet to look at them.

Nothing is downloaded; the same seed gives the same files.
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from hsjp_mm.datasets.mesh_files import write_mesh_file
from hsjp_mm.datasets.toy.layout import (
    FIRST_IMAGE_ID,
    JPEG_QUALITY,
    coco_data,
    require_writable,
)
from hsjp_mm.datasets.toy_bodies.backgrounds import picture_files
from hsjp_mm.datasets.toy_bodies.charts import write_symmetry
from hsjp_mm.datasets.toy_bodies.labels import (
    JOINT_SET,
    annotation,
    dense_pose,
    keypoint_labels,
    mesh_sample,
    part_map,
    part_masks,
)
from hsjp_mm.datasets.toy_bodies.rendering import LOOKS, render_image
from hsjp_mm.ops.keypoint_orders import joint_names


class _Drawn(NamedTuple):
    """One image as it is written: its bytes, and of each person labels, mesh and part map."""

    code: bytes
    people: list[dict]
    parts: list[dict]
    dense: list[dict]
    meshes: list[dict[str, np.ndarray]]
    maps: list[bytes]


def _draw(
    image_id: int,
    seed: int,
    size: tuple[int, int],
    max_persons: int,
    pictures: list[Path] | None,
    look: str,
) -> _Drawn:
    """Draw an image, which follows from these arguments alone."""
    rng = np.random.default_rng([seed, image_id])
    rendered = render_image(rng, size, max_persons, pictures, look)
    drawn = _Drawn(
        cv2.imencode('.jpg', rendered.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes(),
        [], [], [], [], [],
    )  # fmt: skip
    for number in range(1, len(rendered.scene.people) + 1):
        person = annotation(keypoint_labels(rendered, number), rendered.owner == number)
        parts = part_map(rendered, number)
        drawn.people.append(person)
        drawn.parts.append(part_masks(parts))
        drawn.dense.append(dense_pose(rng, rendered, parts, person['bbox']))
        drawn.meshes.append(mesh_sample(rendered, number, person['bbox']))
        drawn.maps.append(cv2.imencode('.png', parts)[1].tobytes())
    return drawn


def render(
    folder: str | Path,
    num_train: int,
    num_val: int,
    seed: int = 0,
    image_size: tuple[int, int] = (320, 240),
    max_persons: int = 3,
    progress: Callable[[list[int]], Iterable[int]] = iter,
    backgrounds: str | Path | None = None,
    workers: int = 1,
    look: str = 'varied',
) -> None:
    """Write a data set of people, which are the free body in poses of everyday life, dressed.

    The folder gets, for each split (``train`` and ``val``):

    - ``SPLIT/*.jpg``
    - ``annotations/person_keypoints_SPLIT.json``, COCO's layout. Boxes, areas and outlines are
      those of the pixels in which a person shows; a keypoint has v = 2 where it can be seen through
      clothes, 1 behind another limb, person or thing, and 0 (at 0, 0) outside of the image
    - ``annotations/person_parts_SPLIT.json``, the same with masks of the body's 24 parts, for
      :class:`~hsjp_mm.datasets.PartMaskDataset`
    - ``annotations/densepose_SPLIT.json``, the same with masks and points in DensePose's form, for
      :class:`~hsjp_mm.datasets.DensePoseDataset`, with the charts of
      :mod:`~hsjp_mm.datasets.toy_bodies.charts`, and ``annotations/UV_symmetry_transforms.mat``
    - ``mesh/SPLIT.npz``, pose, shape, place, joints and camera for ``hsjp_mm.MeshDataset``, with
      ``data_prefix=dict(img='SPLIT/', parts='parts/SPLIT/')``
    - ``parts/SPLIT/*.png``, for each person 1 + the joint that the body goes with at each pixel

    An image follows from the seed, its split and its number alone, whatever the number of images.

    Args:
        folder: Where to write; new or empty.
        num_train: Number of training images.
        num_val: Number of validation images.
        seed: The same seed gives the same files.
        image_size: (width, height) in pixels.
        max_persons: An image shows one to so many people, fewer where there is no room.
        progress: Wraps the list of image numbers of a split, to show how far it has come.
        backgrounds: A folder of pictures to stand behind the people; by default walls and floors
            are drawn.
        workers: Number of processes that draw.
        look: ``'varied'``, or ``'plain'``: each person in clothes of one color before a background
            of one color, with nothing before people. The labels are of the same kinds, and bodies
            and poses as varied; a network that is trained on the one look meets another domain in
            the other.

    Raises:
        FileExistsError: If the folder holds anything.
        FileNotFoundError: If ``backgrounds`` is no folder with pictures.
        ValueError: If a number is too small, or there is no such look.
    """
    if look not in LOOKS:
        raise ValueError(f'look={look!r} must be one of {LOOKS}')
    folder = Path(folder)
    require_writable(
        folder, image_size, num_train=num_train, num_val=num_val, seed=seed,
        max_persons=max_persons, workers=workers,
    )  # fmt: skip
    pictures = None if backgrounds is None else picture_files(backgrounds)
    draw = partial(
        _draw,
        seed=seed,
        size=image_size,
        max_persons=max_persons,
        pictures=pictures,
        look=look,
    )
    (folder / 'annotations').mkdir(parents=True, exist_ok=True)
    write_symmetry(folder / 'annotations/UV_symmetry_transforms.mat')
    splits = {'train': num_train, 'val': num_val}
    if workers == 1:
        for split, count in splits.items():
            _write_split(folder, split, count, seed, image_size, map, draw, progress)
        return
    # fresh processes: a copy of this one could hang in torch, whose threads are not copied
    with ProcessPoolExecutor(workers, get_context('spawn'), torch.set_num_threads, (1,)) as pool:
        each = partial(pool.map, chunksize=4)
        for split, count in splits.items():
            _write_split(folder, split, count, seed, image_size, each, draw, progress)


def _write_split(
    folder: Path,
    split: str,
    count: int,
    seed: int,
    size: tuple[int, int],
    each: Callable[..., Iterable[_Drawn]],
    draw: Callable[[int], _Drawn],
    progress: Callable[[list[int]], Iterable[int]],
) -> None:
    """Write a split; ``each`` is ``map`` here, or of other processes."""
    (folder / split).mkdir()
    (folder / 'parts' / split).mkdir(parents=True)
    first = FIRST_IMAGE_ID[split]
    ids = list(range(first, first + count))
    images: list[dict] = []
    people: dict[str, list[dict]] = {'person_keypoints': [], 'person_parts': [], 'densepose': []}
    samples: list[dict[str, np.ndarray]] = []
    for image_id, drawn in zip(progress(ids), each(draw, ids), strict=True):
        name = f'{image_id:012d}.jpg'
        (folder / split / name).write_bytes(drawn.code)
        images.append(dict(id=image_id, file_name=name, width=size[0], height=size[1]))
        for i, person in enumerate(drawn.people):
            number = first + len(samples)
            labels = dict(id=number, image_id=image_id, **person)
            people['person_keypoints'].append(labels)
            people['person_parts'].append({**labels, **drawn.parts[i]})
            people['densepose'].append({**labels, **drawn.dense[i]})
            map_name = f'{number:012d}.png'
            (folder / 'parts' / split / map_name).write_bytes(drawn.maps[i])
            paths = dict(image_path=name, part_map_path=map_name, id=number)
            samples.append({**drawn.meshes[i], **{k: np.array(v) for k, v in paths.items()}})
    for kind, annotations in people.items():
        parts = {'parts': joint_names('smpl_24')} if kind == 'person_parts' else {}
        data = coco_data(f'toy bodies, seed {seed}', images, annotations, **parts)
        (folder / 'annotations' / f'{kind}_{split}.json').write_text(json.dumps(data))
    words = dict(body='free', joint_set=JOINT_SET, keypoint_set=JOINT_SET)
    arrays = {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}
    write_mesh_file(folder / 'mesh' / f'{split}.npz', {**words, **arrays})
