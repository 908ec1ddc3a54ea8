"""Testing a bottom-up model at several scales."""

from mmpose.models.pose_estimators import BottomupPoseEstimator
from torch import Tensor

from hsjp_mm.registry import MODELS


@MODELS.register_module()
class MultiscalePoseEstimator(BottomupPoseEstimator):
    """The stock bottom-up estimator, tested on image pyramids in batches of any size.

    Stock predicts from a pyramid, but none arrives there: its data preprocessor and its
    ``forward`` take one size. Here each scale is preprocessed by itself; images of a batch are
    padded at their right and bottom to the largest, in every scale by the same share, and the head
    cuts the maps to each image. Pyramids come from ``hsjp_mm.BottomupResize`` with ``aug_scales``
    and ``hsjp_mm.PackImagePyramid``. Training and arguments are those of stock.
    """

    def test_step(self, data: dict) -> list:
        """Predict a batch.

        Args:
            data: ``inputs``, for each scale, 1 first, the B images (3, H, W); ``data_samples``.

        Returns:
            the B data samples with ``pred_instances``, in pixels of the original images.

        Raises:
            ValueError: images of one scale, or ``test_cfg`` without ``multiscale_test=True``.
        """
        pyramid = not isinstance(data['inputs'][0], Tensor)
        if not pyramid or not self.test_cfg.get('multiscale_test', False):
            raise ValueError(
                'MultiscalePoseEstimator needs test_cfg.multiscale_test=True, got '
                f'{self.test_cfg.get("multiscale_test")}, and in the pipeline aug_scales and '
                f'hsjp_mm.PackImagePyramid, got {"a pyramid" if pyramid else "one scale"}'
            )
        scales = [
            self.data_preprocessor({**data, 'inputs': images}, False) for images in data['inputs']
        ]
        return self.predict([scale['inputs'] for scale in scales], scales[0]['data_samples'])

    val_step = test_step
