"""The data preprocessor of samples that hold several images."""

from mmpose.models.data_preprocessors import PoseDataPreprocessor
from torch import Tensor

from hsjp_mm.registry import MODELS


@MODELS.register_module()
class ViewsDataPreprocessor(PoseDataPreprocessor):
    """The stock PoseDataPreprocessor for samples with a list of images, such as views or scales.

    Stock takes one image a sample. Here the images at each place of the lists are stacked and
    preprocessed together, so that the places may have several sizes.

    Args:
        mean, std, bgr_to_rgb, ...: as in stock.

    Examples:
        >>> data_preprocessor = dict(
        ...     type='hsjp_mm.ViewsDataPreprocessor',
        ...     mean=[123.675, 116.28, 103.53],
        ...     std=[58.395, 57.12, 57.375],
        ...     bgr_to_rgb=True,
        ... )
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess a batch.

        Args:
            data: ``inputs``, for each place the B images (3, H, W), as MMEngine's
                ``pseudo_collate`` gives them, or B images; ``data_samples``.
            training: whether to augment batches, as in stock.

        Returns:
            ``inputs``, a tuple of (B, 3, H, W) for each place, or (B, 3, H, W); ``data_samples``,
            with the shapes of the first place.
        """
        if isinstance(data['inputs'][0], Tensor):
            return super().forward(data, training)
        inputs, samples = preprocess_each(super().forward, data, training)
        return {'inputs': tuple(inputs), 'data_samples': samples}  # MMPose would stack a list


def preprocess_each(preprocess, data: dict, training: bool) -> tuple[list[Tensor], list]:
    """Preprocess the images at each place by themselves, for stock takes images of one size.

    Args:
        preprocess: a data preprocessor, or its ``forward``.
        data: ``inputs``, for each place the B images (3, H, W); ``data_samples``.
        training: whether to augment batches.

    Returns:
        for each place (B, 3, H, W), and the B data samples, with the shapes of the first place.
    """
    places = [
        preprocess({**data, 'inputs': list(images)}, training)
        for images in reversed(data['inputs'])
    ][::-1]
    return [place['inputs'] for place in places], places[0]['data_samples']
