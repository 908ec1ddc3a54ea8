"""Boxes of an object detector, in the form that PersonCropDataset and MMPose read."""

import logging
from collections.abc import Sequence

import numpy as np
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.logging import print_log

from hsjp_mm.datasets.image_files import UnreadableImageError, named_images, read_image
from hsjp_mm.utils.progress import track


def detect(
    folder: str | Sequence[str],
    config: str | Config,
    checkpoint: str,
    category_names: Sequence[str] = ('person',),
    score_thr: float = 0.05,
    device: str = 'cpu',
    cfg_options: dict | None = None,
) -> tuple[dict, list[dict]]:
    """Run an MMDetection model over images, those of folders and subfolders, also by links.

    An image that cannot be read, or is damaged, is left out of both results with a warning.

    Args:
        folder: of the images; or several files and folders, whose names in the result are those
            below the folder that :func:`~hsjp_mm.datasets.image_files.named_images` finds.
        config: an MMDetection config, or its path.
        checkpoint: its weights.
        category_names: the categories to keep, by the names in the checkpoint or config.
        score_thr: the lowest score to keep.
        device: where to run, as in torch.
        cfg_options: changes to the config.

    Returns:
        The images and categories in COCO's form (a PersonCropDataset ``ann_file``), and the boxes
        as ``{image_id, category_id, bbox, score}`` with bbox (left, top, width, height) in pixels
        (its ``bbox_file``).

    Raises:
        FileNotFoundError: an image is not there, or a folder holds none.
        UnreadableImageError: none of its images can be read.
        ValueError: the detector does not know a category.
    """
    root, names = named_images(folder)
    model = init_detector(config, checkpoint, device=device, cfg_options=cfg_options)
    classes = list(model.dataset_meta['classes'])
    unknown = [name for name in category_names if name not in classes]
    if unknown:
        raise ValueError(f'category_names: the detector has no {unknown}; it has {classes}')
    keep = [classes.index(name) for name in category_names]
    rows, boxes, unreadable = [], [], []
    for image_id, name in enumerate(track(names, 'images'), start=1):
        try:
            pixels = read_image(root / name)
        except UnreadableImageError as error:
            unreadable.append(error)
            print_log(f'left out: {error}', 'current', logging.WARNING)
            continue
        result = inference_detector(model, pixels)
        height, width = pixels.shape[:2]
        rows.append({'id': image_id, 'file_name': name, 'width': width, 'height': height})
        boxes += _boxes(result.pred_instances.cpu().numpy(), image_id, keep, score_thr)
    if not rows:
        raise UnreadableImageError(f'none of {len(names)} images could be read: {unreadable[0]}')
    if unreadable:
        message = f'{len(unreadable)} of {len(names)} images could not be read, and are left out'
        print_log(message, 'current', logging.WARNING)
    categories = [{'id': classes.index(name) + 1, 'name': name} for name in category_names]
    return {'images': rows, 'categories': categories, 'annotations': []}, boxes


def _boxes(found, image_id: int, keep: list[int], score_thr: float) -> list[dict]:
    chosen = np.isin(found.labels, keep) & (found.scores >= score_thr)
    corners = found.bboxes[chosen]
    xywh = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).round(2)
    return [
        {
            'image_id': image_id,
            'category_id': int(label) + 1,
            'bbox': box.tolist(),
            'score': round(float(score), 5),
        }
        for box, label, score in zip(xywh, found.labels[chosen], found.scores[chosen], strict=True)
    ]
