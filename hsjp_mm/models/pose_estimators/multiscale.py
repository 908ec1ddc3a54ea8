"""Testing a model at several scales: bottom-up on whole images, top-down on crops."""

import math

import numpy as np
import torch
from mmengine.structures import PixelData
from mmpose.codecs import MegviiHeatmap, MSRAHeatmap, UDPHeatmap
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.models.pose_estimators import BottomupPoseEstimator, TopdownPoseEstimator
from torch import Tensor

from hsjp_mm.codecs import HighestCell
from hsjp_mm.models.data_preprocessors.views_data_preprocessor import preprocess_each
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class MultiscalePoseEstimator(BottomupPoseEstimator):
    """The stock bottom-up estimator, tested on image pyramids in batches of any size.

    Stock predicts from a pyramid, but none arrives there: its data preprocessor and its
    ``forward`` take one size. Here each scale is preprocessed by itself; images of a batch are
    padded at their right and bottom to the largest, in every scale by the same share, and the head
    cuts the maps to each image. Pyramids come from ``hsjp_mm.BottomupResize`` with ``aug_scales``
    and ``hsjp_mm.PackImagePyramid``. Training is that of stock.

    Args:
        backbone, neck, head, data_preprocessor: configs of the parts, as in stock.
        test_cfg: with ``multiscale_test=True``; ``flip_test=True`` averages with the mirrored
            image.
        train_cfg, use_syncbn, init_cfg: as in stock.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.MultiscalePoseEstimator',
        ...     backbone=dict(type='ResNet', depth=18, strides=(1, 1, 1, 1)),
        ...     head=dict(type='hsjp_mm.HigherHRNetHead', in_channels=512, num_keypoints=17),
        ...     test_cfg=dict(multiscale_test=True, flip_test=True),
        ... )
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
        return self.predict(*preprocess_each(self.data_preprocessor, data, False))

    val_step = test_step


@MODELS.register_module()
class MultiscaleTopdownPoseEstimator(TopdownPoseEstimator):
    """The stock top-down estimator, for any heat-map model, tested on pyramids of crops.

    The pipeline decides: pyramids come from ``hsjp_mm.TopdownPyramid`` and
    ``hsjp_mm.PackImagePyramid``; single crops are predicted as in stock. Training is that of stock.

    The head gives each scale's heat maps, averaged with the flipped crop's if
    ``test_cfg.flip_test`` says so. They are brought into the frame of the crop at scale 1, enlarged
    by whole cells until it holds the largest crop, bilinearly, with zeros outside a crop, and
    averaged over the scales; the decoder reads the mean. So a joint that only the larger crops show
    can be found, and a score at the height of one scale's map needs all scales to agree. The cells
    are those of scale 1, which is what the decoders' own steps towards the place between cells are
    made for; ``hsjp_mm.HighestCell``, which takes none, gets cells of an input pixel. The public
    code of Yang et al., ICCV 2017, averages in the same way in the pixels of the image.

    Args:
        backbone, neck, head, data_preprocessor: configs of the parts, as in stock. The head's
            ``decoder`` must be MSRAHeatmap, MegviiHeatmap or a Gaussian UDPHeatmap.
        test_cfg: ``flip_test=True`` averages with the mirrored crops; ``output_heatmaps=True``
            gives the mean's part inside the crop at scale 1.
        train_cfg, init_cfg, metainfo: as in stock.

    Raises:
        ValueError: a head with another ``decoder``; in a batch, several sets of scales.

    Examples:
        >>> codec = dict(
        ...     type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(64, 64), sigma=2
        ... )
        >>> model = dict(
        ...     type='hsjp_mm.MultiscaleTopdownPoseEstimator',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='HeatmapHead', in_channels=2048, out_channels=17, decoder=codec),
        ...     test_cfg=dict(flip_test=True),
        ... )
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        decoder = getattr(self.head, 'decoder', None)
        if (
            not isinstance(decoder, MSRAHeatmap | MegviiHeatmap | UDPHeatmap)
            or getattr(decoder, 'heatmap_type', 'gaussian') != 'gaussian'
        ):
            raise ValueError(
                'MultiscaleTopdownPoseEstimator needs a head whose decoder is MSRAHeatmap, '
                "MegviiHeatmap or UDPHeatmap with heatmap_type='gaussian', got "
                f'{type(decoder).__name__} with heatmap_type='
                f'{getattr(decoder, "heatmap_type", None)!r}'
            )

    def test_step(self, data: dict) -> list:
        """Predict a batch.

        Args:
            data: ``inputs``, the B crops (3, H, W), or such for each scale; ``data_samples``.

        Returns:
            the B data samples with ``pred_instances``, in pixels of the original images.
        """
        if isinstance(data['inputs'][0], Tensor):
            return super().test_step(data)
        inputs, samples = preprocess_each(self.data_preprocessor, data, False)
        return self._run_forward(
            {'inputs': torch.stack(inputs), 'data_samples': samples}, mode='predict'
        )

    val_step = test_step

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Predict from crops.

        Args:
            inputs: (B, 3, H, W), or (scales, B, 3, H, W).
            data_samples: B of them; for a pyramid with ``aug_scales``.
        """
        if inputs.ndim == 4:
            return super().predict(inputs, data_samples)
        scales = data_samples[0].aug_scales
        if any(sample.aug_scales != scales for sample in data_samples):
            found = {tuple(sample.aug_scales) for sample in data_samples}
            raise ValueError(f'all samples of a batch must have the same scales, got {found}')
        maps = [self._heatmaps(crops, data_samples) for crops in inputs]
        height, width = maps[0].shape[-2:]
        decoder = self.head.decoder
        columns, rows = (_Axis(side, decoder, max(scales)) for side in (width, height))
        framed = (
            rows.weights(scale).to(one) @ one @ columns.weights(scale).to(one).T
            for one, scale in zip(maps, scales, strict=True)
        )
        mean = sum(framed, start=torch.zeros(())) / len(scales)
        predictions = self.head.decode(mean)
        pixels = np.array(decoder.input_size) / [columns.extent, rows.extent]  # of a cell
        for found in predictions:
            found.keypoints = found.keypoints / rows.parts - pixels * [columns.margin, rows.margin]
        fields = None
        if self.test_cfg.get('output_heatmaps', False):
            fields = [PixelData(heatmaps=one) for one in mean[..., rows.inside, columns.inside]]
        return self.add_pred_to_datasample(predictions, fields, data_samples)

    def _heatmaps(self, crops: Tensor, data_samples: list) -> Tensor:
        """Let the stock head make the heat maps (B, K, h, w) of one scale, flip test included.

        It decodes them too, in vain: the maps come out of nowhere else in every stock head.
        """
        feats = self.extract_feat(crops)
        if self.test_cfg.get('flip_test', False):
            feats = [feats, self.extract_feat(crops.flip(-1))]
        test_cfg = {**self.test_cfg, 'output_heatmaps': True}
        _, fields = self.head.predict(feats, data_samples, test_cfg=test_cfg)
        return torch.stack([field.heatmaps for field in fields]).float()


class _Axis:
    """One axis of the frame, in cells of the map at scale 1, each cut into ``parts``.

    Args:
        size: cells of the map.
        decoder: the stock codecs disagree on where the crop's center is in the map and how many
            cells the crop is long.
        largest: the largest scale.
    """

    def __init__(self, size: int, decoder: BaseKeypointCodec, largest: float) -> None:
        self.size = size
        self.center = size / 2 if isinstance(decoder, MSRAHeatmap) else (size - 1) / 2
        self.extent = size - 1 if isinstance(decoder, UDPHeatmap) else size
        self.margin = max(0, math.ceil((largest - 1) * size / 2))  # at either end
        self.parts = 1
        if isinstance(decoder, HighestCell):
            self.parts = round(float(max(decoder.scale_factor)))
        first = self.margin * self.parts
        self.inside = slice(first, first + (size - 1) * self.parts + 1, self.parts)

    def weights(self, scale: float) -> Tensor:
        """Bilinear weights (places of the frame, size) that bring a crop's map into the frame.

        Args:
            scale: of the crop's box; the center stays where it is.
        """
        last = (self.size + self.margin - 1) * self.parts
        frame = torch.arange(-self.margin * self.parts, last + 1, dtype=torch.float64) / self.parts
        places = self.center + (frame - self.center) / scale
        return (1 - (places[:, None] - torch.arange(self.size)).abs()).clamp(min=0)
