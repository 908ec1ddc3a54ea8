"""Boxes of an object detector, in the form that PersonCropDataset and MMPose read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.apis import inference_detector, init_detector
from mmengine.utils import track_iter_progress

from hsjp_mm.datasets.person_crops import IMAGE_SUFFIXES


def detect(
    folder: str,
    config: str,
    checkpoint: str,
    category_names: Sequence[str] = ('person',),
    score_thr: float = 0.05,
    device: str = 'cpu',
    cfg_options: dict | None = None,
) -> tuple[dict, list[dict]]:
    """Run an MMDetection model over a folder of images and its subfolders.

    Args:
        folder: the images.
        config: an MMDetection config.
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
        FileNotFoundError: the folder holds no image.
        ValueError: the detector does not know a category.
    """
    paths = sorted(p for p in Path(folder).rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f'folder={folder!r} holds no image ({", ".join(IMAGE_SUFFIXES)})')
    model = init_detector(config, checkpoint, device=device, cfg_options=cfg_options)
    classes = list(model.dataset_meta['classes'])
    unknown = [name for name in category_names if name not in classes]
    if unknown:
        raise ValueError(f'category_names: the detector has no {unknown}; it has {classes}')
    keep = [classes.index(name) for name in category_names]
    images, boxes = [], []
    for image_id, path in enumerate(track_iter_progress(paths), start=1):
        result = inference_detector(model, str(path))
        height, width = result.ori_shape
        name = str(path.relative_to(folder))
        images.append({'id': image_id, 'file_name': name, 'width': width, 'height': height})
        boxes += _boxes(result.pred_instances.cpu().numpy(), image_id, keep, score_thr)
    categories = [{'id': classes.index(name) + 1, 'name': name} for name in category_names]
    return {'images': images, 'categories': categories, 'annotations': []}, boxes


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
