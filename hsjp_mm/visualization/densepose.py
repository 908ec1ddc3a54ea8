"""Pictures of DensePose: the charts at the annotated points, and those that the network sees."""

import cv2
import numpy as np
import torch
from torch import Tensor

from hsjp_mm.models.pretext.densepose import DensePose, dense_points
from hsjp_mm.models.pretext.part_segmentation import part_labels
from hsjp_mm.ops.part_labels import CHARTS, IGNORED, at_cells
from hsjp_mm.visualization.label_maps import label_colors, overlay, side_by_side
from hsjp_mm.visualization.pictures import to_rgb

CAPTIONS = ('annotated points', 'at these points', 'annotated parts', 'parts', 'charts')


@torch.no_grad()
def draw_densepose(
    model: DensePose, inputs: Tensor, samples: list, fixed: bool
) -> list[tuple[str, np.ndarray]]:
    """Draw a board for each instance.

    Tiles: the annotated points in the colors of their charts; the same points in the colors of the
    charts that the network tells, black for the background; annotated and predicted parts; the
    charts everywhere. What is beside the image is gray.

    Args:
        model: in evaluation mode.
        inputs: (B, 3, H, W), preprocessed.
        samples: B data samples with labels and points.
        fixed: whether as in evaluation; the task is the same.
    """
    charts, parts = label_colors(CHARTS), label_colors(len(model.parts))
    points = dense_points(samples)
    truth = part_labels(samples).cpu()
    found = model.head.predict(model.extract_feat(inputs), points, inputs.shape[-1])
    beside = at_cells(truth, found[0].shape[-2:]) == IGNORED
    found_parts, found_charts = (v.cpu().masked_fill(beside, IGNORED).numpy() for v in found[:2])
    told = found[2].cpu().numpy()
    boards = []
    for i, sample in enumerate(samples):
        image = to_rgb(model, inputs[i])
        own = (points.samples == i).cpu().numpy()
        places = points.places.cpu().numpy()[own]
        annotated = points.charts.cpu().numpy()[own]
        tiles = [
            _dots(image, places, charts[annotated]),
            _dots(image, places, charts[told[own]]),
            overlay(image, truth[i].numpy(), parts),
            overlay(image, found_parts[i], parts),
            overlay(image, found_charts[i], charts),
        ]
        text = f'instance {sample.metainfo.get("id")} of {sample.metainfo.get("img_path")}'
        boards.append((text, side_by_side(tiles, CAPTIONS)))
    return boards


def _dots(image: np.ndarray, places: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Draw points, (x, y) in pixels, on a copy of an image."""
    drawn = image.copy()
    radius = max(1, image.shape[0] // 100)
    for (x, y), color in zip(places, colors.tolist(), strict=True):
        cv2.circle(drawn, (round(float(x)), round(float(y))), radius, color, -1, cv2.LINE_AA)
    return drawn
