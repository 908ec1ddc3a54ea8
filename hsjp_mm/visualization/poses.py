"""Predicted poses drawn on their images."""

import json
from pathlib import Path

import cv2
import numpy as np
from mmpose.apis import inference_topdown, init_model
from mmpose.structures import merge_data_samples
from mmpose.visualization import PoseLocalVisualizer


def draw_poses(
    config: str, checkpoint: str, ann_file: str, folder: str, number: int = 6, height: int = 240
) -> np.ndarray:
    """Draw a top-down model's poses of the annotated persons of some images, side by side.

    Args:
        config: of the model.
        checkpoint: its weights.
        ann_file: COCO-format annotations, whose boxes are used.
        folder: the images.
        number: how many images, the first ones with persons.
        height: of each picture in pixels.

    Returns:
        (height, width, 3), RGB, uint8.
    """
    coco = json.loads(Path(ann_file).read_text())
    boxes: dict[int, list] = {}
    for annotation in coco['annotations']:
        if not annotation['iscrowd'] and annotation['num_keypoints']:
            x, y, w, h = annotation['bbox']
            boxes.setdefault(annotation['image_id'], []).append([x, y, x + w, y + h])
    model = init_model(config, checkpoint, device='cpu')
    visualizer = PoseLocalVisualizer(radius=3, line_width=2)
    visualizer.set_dataset_meta(model.dataset_meta)
    pictures = []
    for image in [image for image in coco['images'] if image['id'] in boxes][:number]:
        pixels = cv2.imread(str(Path(folder) / image['file_name']))
        poses = inference_topdown(model, pixels, np.array(boxes[image['id']]))
        drawn = visualizer.add_datasample(
            'pose', pixels[..., ::-1], merge_data_samples(poses), draw_gt=False, kpt_thr=0.2
        )
        width = round(drawn.shape[1] * height / drawn.shape[0])
        pictures.append(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA))
    return np.hstack(pictures)
