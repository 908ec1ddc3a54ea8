"""What HigherHRNet computes on a device before persons are grouped, as one module to export."""

from collections.abc import Sequence

from mmpose.models.pose_estimators import BottomupPoseEstimator
from torch import Tensor, nn

from hsjp_mm.models.heads import HigherHRNetHead


class BottomupMaps(nn.Module):
    """The network of a bottom-up estimator with the aggregation of its maps, without grouping.

    It computes what ``predict`` does up to the decoder, whose ``batch_decode`` takes its two
    outputs, at one scale and with ``test_cfg.aggregate`` of the model.

    Args:
        model: an estimator with a HigherHRNetHead.
        flip_indices: the keypoint of the other side of each keypoint, as a data set's
            ``flip_indices``, to average with the mirrored image; None for no flip test.

    Raises:
        ValueError: another head, or ``flip_indices`` of another number of keypoints.
    """

    def __init__(
        self, model: BottomupPoseEstimator, flip_indices: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        if not isinstance(model.head, HigherHRNetHead):
            raise ValueError(
                f'model.head must be a hsjp_mm.HigherHRNetHead, not a {type(model.head).__name__}'
            )
        if flip_indices is not None and len(flip_indices) != model.head.num_keypoints:
            raise ValueError(
                f'flip_indices must have {model.head.num_keypoints} entries, as many as the head '
                f'has keypoints, not {len(flip_indices)}'
            )
        self.model = model
        self.flip_indices = None if flip_indices is None else list(flip_indices)
        self.train(model.training)  # what is exported is put back into its own mode

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the maps.

        Args:
            image: (B, 3, H, W), normalized.

        Returns:
            heat maps (B, K, H, W), and tags (B, K, H, W), or (B, 2K, H, W) with a flip test.
        """
        views = [self.model.extract_feat(image)]
        if self.flip_indices is not None:
            views.append(self.model.extract_feat(image.flip(-1)))
        return self.model.head.aggregate(
            [views], self.flip_indices, self.model.test_cfg.get('aggregate', True)
        )
