"""Leaving out joints that are labelled, but occluded."""

import numpy as np
from mmcv.transforms import BaseTransform

from hsjp_mm.datasets.transforms.flips import refuse_flip
from hsjp_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DropOccluded(BaseTransform):
    """Make occluded keypoints unlabelled ones.

    MMPose's data sets have 1 in ``keypoints_visible`` for labelled keypoints, occluded or not.
    Which are occluded is still in ``raw_ann_info``: in COCO's format as v = 1, in LSP as
    ``occluded``. MPII and LSP extended do not tell. Put it before whatever reorders keypoints, such
    as RandomFlip and KeypointConverter.

    Required keys: ``keypoints_visible`` (1, K) or (1, K, 2); ``raw_ann_info``. Modified key:
    ``keypoints_visible``, 0 for occluded keypoints.

    Args:
        drop: whether to do so. A model like ``hsjp_mm.JointCon``, which has an option for it, says
            it through ``hsjp_mm.PrepareDataHook``.

    Raises:
        ValueError: the data set does not tell which keypoints are occluded, or tells it of another
            number of them; the sample is flipped.

    Examples:
        >>> pipeline = [dict(type='LoadImage'), dict(type='hsjp_mm.DropOccluded')]
    """

    def __init__(self, drop: bool = True):
        self.drop = drop

    def transform(self, results: dict) -> dict:
        """Set ``keypoints_visible`` of occluded keypoints to 0."""
        if not self.drop:
            return results
        refuse_flip(results, 'DropOccluded', 'put DropOccluded before it')
        occluded = _occluded(results.get('raw_ann_info') or {})
        visible = np.array(results['keypoints_visible'])
        if occluded is None or len(occluded) != visible.shape[1]:
            told = 'nothing' if occluded is None else f'{len(occluded)} keypoints'
            raise ValueError(
                'occluded keypoints cannot be dropped: the annotation tells of '
                f"{told}, the sample has {visible.shape[1]}. COCO's format and hsjp_mm.LSPDataset "
                'tell it, MPII and LSP extended do not: keep their occluded keypoints '
                '(model.occluded=True)'
            )
        visible[:, occluded] = 0
        return {**results, 'keypoints_visible': visible}


def _occluded(annotation: dict) -> np.ndarray | None:
    """Read which keypoints are occluded, (K,) bool; None if the annotation does not tell."""
    if 'occluded' in annotation:
        return np.asarray(annotation['occluded'], bool)
    if 'keypoints' in annotation:
        return np.asarray(annotation['keypoints'], float).reshape(-1, 3)[:, 2] == 1
    return None
