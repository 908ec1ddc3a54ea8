"""What the resolution of heat maps and the grouping leave of perfect predictions.

Letters: N persons, K keypoints, R resolutions (1/4, 1/2, …: the coarsest first), h and w height
and width of a map.
"""

from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmpose.models.pose_estimators import BottomupPoseEstimator
from mmpose.registry import KEYPOINT_CODECS
from torch import Tensor

from hsjp_mm.datasets.transforms.pyramid import to_input
from hsjp_mm.models.heads.higherhrnet_head import STRIDE, HigherHRNetHead
from hsjp_mm.ops.visibility import visibility
from hsjp_mm.utils.progress import track

STEP = 10.0
"""Between the tags of two persons: far, so that what lies between them is nobody's."""


class OracleHead(HigherHRNetHead):
    """The head whose predictions are given as features: it enlarges, averages and groups only."""

    def forward(self, feats: Any) -> tuple[list[Tensor], Tensor]:
        """Hand R heat maps and the tags through."""
        return feats


def oracle_maps(
    keypoints: np.ndarray,
    visible: np.ndarray,
    input_size: tuple[int, int],
    codec: dict,
    num_resolutions: int,
) -> tuple[list[Tensor], Tensor]:
    """Make what a perfect network would predict.

    The heat maps are the codec's targets. Every cell of a keypoint's tag map has the number of the
    person whose keypoint is nearest.

    Args:
        keypoints: (N, K, 2), (x, y) in pixels of the input.
        visible: (N, K), above 0.5 where annotated.
        input_size: (width, height) of the input in pixels.
        codec: its config; the sizes in it do not matter.
        num_resolutions: R.

    Returns:
        R heat maps (1, K, h, w), and the tags (1, K, h, w) of the coarsest.
    """
    heatmaps = []
    for level in range(num_resolutions):
        size = tuple(side * 2**level // STRIDE for side in input_size)
        encoder = KEYPOINT_CODECS.build({**codec, 'input_size': input_size, 'heatmap_size': size})
        heatmaps.append(torch.from_numpy(encoder.encode(keypoints, visible)['heatmaps'])[None])
    tags = np.zeros(heatmaps[0].shape[1:], np.float32)
    y, x = (STRIDE * (cell + 0.5) for cell in np.indices(tags.shape[1:]))
    for k in range(len(tags)):
        persons = np.flatnonzero(visible[:, k] > 0.5)
        if len(persons):
            distances = [np.hypot(x - u, y - v) for u, v in keypoints[persons, k]]
            tags[k] = STEP * persons[np.argmin(distances, axis=0)]
    return heatmaps, torch.from_numpy(tags)[None]


def oracle_scores(
    dataset: BaseDataset, metric: Any, codec: dict, num_resolutions: int
) -> dict[str, float]:
    """Score a network that predicts its targets, and each person's number as tag, without error.

    Everything else is real: resizing, the aggregation of :class:`HigherHRNetHead` (without flip),
    the codec's grouping, the way back to the pixels of the image, and the metric.

    Args:
        dataset: bottom-up, with the pipeline of the test at one scale.
        metric: a metric or its config, such as stock CocoMetric.
        codec: config of the codec, with the order of the keypoints.
        num_resolutions: R; 1 for heat maps at 1/4 alone.

    Returns:
        the metric's values by name.
    """
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dataset.metainfo
    decoder = {**codec, 'heatmap_size': codec['input_size']}
    head = OracleHead(1, dataset.metainfo['num_keypoints'], decoder=decoder)
    for i in track(range(len(dataset)), 'images'):
        sample = dataset[i]['data_samples']
        maps = oracle_maps(*_annotated(sample), sample.input_size, codec, num_resolutions)
        persons = head.predict(maps, [sample])
        BottomupPoseEstimator.add_pred_to_datasample(None, persons, None, [sample])
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))


def _annotated(sample) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, K, 2) in pixels of the input and whether they are annotated (N, K)."""
    if 'keypoints' not in sample.gt_instances:
        num_keypoints = len(sample.flip_indices)
        return np.zeros((0, num_keypoints, 2)), np.zeros((0, num_keypoints))
    persons = sample.gt_instances
    return to_input(persons.keypoints, sample.metainfo), visibility(persons.keypoints_visible)
