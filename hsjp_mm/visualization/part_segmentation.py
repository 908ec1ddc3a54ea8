"""Pictures of part segmentation: what is annotated, and what the network sees."""

import numpy as np
import torch
from torch import Tensor

from hsjp_mm.models.pretext.part_segmentation import PartSegmentation, part_labels
from hsjp_mm.ops.part_labels import IGNORED, at_cells
from hsjp_mm.visualization.label_maps import label_colors, overlay, side_by_side
from hsjp_mm.visualization.pictures import to_rgb

CAPTIONS = ('crop', 'annotated', 'predicted', 'wrong')


@torch.no_grad()
def draw_parts(
    model: PartSegmentation, inputs: Tensor, samples: list, fixed: bool
) -> list[tuple[str, np.ndarray]]:
    """Draw a board for each instance: crop, annotated parts, predicted parts, wrong cells.

    Each part has its color in both; what is wrong is white, what is beside the image gray.

    Args:
        model: in evaluation mode.
        inputs: (B, 3, H, W), preprocessed.
        samples: B data samples with labels.
        fixed: whether as in evaluation; the task is the same.
    """
    colors = label_colors(len(model.parts))
    truth = part_labels(samples).cpu()
    found = model.head.predict(model.extract_feat(inputs)).cpu()
    boards = []
    for crop, labels, cells, sample in zip(inputs, truth, found, samples, strict=True):
        image = to_rgb(model, crop)
        asked = at_cells(labels, cells.shape)
        wrong = ((cells != asked) & (asked != IGNORED)).numpy()
        white = np.full((2, 3), 255, np.uint8) * np.array([[0], [1]], np.uint8)
        tiles = [
            image,
            overlay(image, labels.numpy(), colors),
            overlay(image, cells.where(asked != IGNORED, IGNORED).numpy(), colors),
            overlay(image, wrong, white),
        ]
        names = [*CAPTIONS[:3], f'{CAPTIONS[3]}: {wrong.mean():.0%}']
        text = f'instance {sample.metainfo.get("id")} of {sample.metainfo.get("img_path")}'
        boards.append((text, side_by_side(tiles, names)))
    return boards
