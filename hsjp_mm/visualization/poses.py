"""Predicted poses drawn on their images."""

from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmpose.apis import inference_topdown, init_model
from mmpose.structures import merge_data_samples
from mmpose.visualization import PoseLocalVisualizer

from hsjp_mm.datasets.coco_files import Id, read_coco
from hsjp_mm.datasets.image_files import local_name, read_image


def draw_poses(
    config: str | Config,
    checkpoint: str,
    ann_file: str,
    folder: str,
    number: int = 6,
    height: int = 240,
) -> np.ndarray:
    """Draw a top-down model's poses of the annotated persons of some images, side by side.

    Args:
        config: of the model, or its path.
        checkpoint: its weights.
        ann_file: COCO-format annotations, whose boxes are used.
        folder: the images.
        number: how many images, the first ones with persons.
        height: of each picture in pixels.

    Returns:
        (height, width, 3), RGB, uint8.

    Raises:
        FileNotFoundError: no such file of annotations.
        UnreadableImageError: an image cannot be read, or is damaged.
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
    model = init_model(config, checkpoint, device='cpu')
    visualizer = PoseLocalVisualizer(radius=3, line_width=2)
    visualizer.set_dataset_meta(model.dataset_meta)
    pictures = []
    shown = coco.images.take([i for i, image in enumerate(coco.images) if image['id'] in boxes])
    if not len(shown):
        raise ValueError(f'ann_file={ann_file!r}: nobody in its images has keypoints')
    for image, name in list(zip(shown, shown.texts('file_name'), strict=True))[:number]:
        pixels = read_image(Path(folder) / local_name(folder, name))
        poses = inference_topdown(model, pixels, np.array(boxes[image['id']]))
        drawn = visualizer.add_datasample(
            'pose', pixels[..., ::-1], merge_data_samples(poses), draw_gt=False, kpt_thr=0.2
        )
        width = round(drawn.shape[1] * height / drawn.shape[0])
        pictures.append(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA))
    return np.hstack(pictures)
