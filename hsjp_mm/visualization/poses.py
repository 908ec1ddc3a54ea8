"""Predicted poses drawn on their images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmpose.apis import inference_topdown, init_model
from mmpose.structures import merge_data_samples
from mmpose.visualization import PoseLocalVisualizer

from hsjp_mm.datasets.coco_files import Id, read_coco
from hsjp_mm.datasets.image_files import local_name, read_image

Boxes = Mapping[str, Sequence[Sequence[float]]]
"""Left, top, right and bottom of persons, by the paths of their images."""


def draw_poses(
    config: str | Config, checkpoint: str, boxes: Boxes, number: int = 6, height: int = 240
) -> np.ndarray:
    """Draw a top-down model's poses of the persons of some images, side by side.

    Args:
        config: of the model, or its path.
        checkpoint: its weights.
        boxes: of the persons, at least one.
        number: how many images, the first ones.
        height: of each picture in pixels.

    Returns:
        (height, width, 3), RGB, uint8.

    Raises:
        UnreadableImageError: an image cannot be read, or is damaged.
    """
    model = init_model(config, checkpoint, device='cpu')
    visualizer = PoseLocalVisualizer(radius=3, line_width=2)
    visualizer.set_dataset_meta(model.dataset_meta)
    pictures = []
    for path, persons in list(boxes.items())[:number]:
        pixels = read_image(path)
        poses = inference_topdown(model, pixels, np.array(persons))
        drawn = visualizer.add_datasample(
            'pose', pixels[..., ::-1], merge_data_samples(poses), draw_gt=False, kpt_thr=0.2
        )
        width = round(drawn.shape[1] * height / drawn.shape[0])
        pictures.append(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA))
    return np.hstack(pictures)


def boxes_of_file(ann_file: str, folder: str) -> Boxes:
    """Read the boxes of persons with keypoints.

    Args:
        ann_file: COCO-format annotations.
        folder: the images.

    Raises:
        FileNotFoundError: no such file of annotations.
        ValueError: the annotations are not in COCO's format, or nobody in them has keypoints.
    """
    coco = read_coco(ann_file)
    single = ~coco.annotations.flags('iscrowd')
    labelled = [
        i for i, row in enumerate(coco.annotations) if single[i] and row.get('num_keypoints')
    ]
    persons = coco.annotations.take(labelled)
    boxes: dict[Id, list] = {}
    for person, (x, y, w, h) in zip(persons, persons.numbers('bbox', 4).tolist(), strict=True):
        boxes.setdefault(person['image_id'], []).append([x, y, x + w, y + h])
    if not boxes:
        raise ValueError(f'ann_file={ann_file!r}: nobody in its images has keypoints')
    names = zip(coco.images.ids('id'), coco.images.texts('file_name'), strict=True)
    return {
        str(Path(folder) / local_name(folder, name)): boxes[key]
        for key, name in names
        if key in boxes
    }


def boxes_of_dataset(dataset: Any) -> Boxes:
    """Take the boxes of persons from a top-down data set that is built.

    Args:
        dataset: of MMPose's kind, whose samples have ``bbox``, or ``bbox_center`` and
            ``bbox_scale``.
    """
    boxes: dict[str, list] = {}
    for index in range(len(dataset)):
        sample = dataset.get_data_info(index)
        if sample.get('bbox') is not None:
            box = sample['bbox'][0]
        else:
            center, sides = sample['bbox_center'][0], sample['bbox_scale'][0]
            box = np.concatenate([center - sides / 2, center + sides / 2])
        boxes.setdefault(sample['img_path'], []).append(np.asarray(box, float).tolist())
    return boxes
