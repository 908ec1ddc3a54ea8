"""Predicted poses drawn on their images."""

import json
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmpose.apis import inference_topdown, init_model
from mmpose.structures import merge_data_samples
from mmpose.visualization import PoseLocalVisualizer


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
        FileNotFoundError: the annotations or an image is missing.
        ValueError: no person is annotated with keypoints.
    """
    coco = json.loads(Path(ann_file).read_text(encoding='utf-8'))
    boxes: dict[int, list] = {}
    for annotation in coco['annotations']:
        if not annotation.get('iscrowd') and annotation.get('num_keypoints'):
            x, y, w, h = annotation['bbox']
            boxes.setdefault(annotation['image_id'], []).append([x, y, x + w, y + h])
    images = [image for image in coco['images'] if image['id'] in boxes][:number]
    if not images:
        raise ValueError(f'{ann_file} has no person with keypoints')
    model = init_model(config, checkpoint, device='cpu')
    visualizer = PoseLocalVisualizer(radius=3, line_width=2)
    visualizer.set_dataset_meta(model.dataset_meta)
    pictures = []
    for image in images:
        path = Path(folder) / image['file_name']
        pixels = cv2.imread(str(path))
        if pixels is None:
            raise FileNotFoundError(f'{path} does not exist, or is no image')
        poses = inference_topdown(model, pixels, np.array(boxes[image['id']]))
        drawn = visualizer.add_datasample(
            'pose', pixels[..., ::-1], merge_data_samples(poses), draw_gt=False, kpt_thr=0.2
        )
        width = round(drawn.shape[1] * height / drawn.shape[0])
        pictures.append(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA))
    return np.hstack(pictures)
