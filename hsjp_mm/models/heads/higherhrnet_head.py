"""The head of HigherHRNet.

Letters: B batch, K keypoints, N persons, R resolutions (1/4, 1/2, …: the coarsest first), L tag
dimensions, C feature channels; h and w height and width of a map, H and W of the input.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmpose.models.backbones.resnet import BasicBlock
from mmpose.models.heads import AssociativeEmbeddingHead
from mmpose.models.utils.tta import flip_heatmaps
from torch import Tensor, nn

from hsjp_mm.codecs import AssociativeEmbedding
from hsjp_mm.codecs.enlarging import EnlargedMaps
from hsjp_mm.registry import MODELS

STRIDE = 4
"""A cell of the coarsest heat map is so many pixels of the input wide and high."""
FINEST = 3
"""Of so many resolutions the finest is that of the input; any finer would have to be reduced."""

# Options of the stock head that have one meaning here; its configs may go on naming them.
FIXED = {'shift_heatmap': False, 'align_corners': False, 'restore_heatmap_size': True}
# Where a training target comes from.
MAKERS = {
    'heatmaps': 'GenerateTarget',
    'heatmap_mask': 'BottomupGetHeatmapMask',
    'keypoint_indices': "the codec type='hsjp_mm.AssociativeEmbedding' (not the stock one)",
}

Feats = tuple[Tensor, ...]


@MODELS.register_module()
class HigherHRNetHead(AssociativeEmbeddingHead):
    """Predict heat maps at 1/4 of the input, 1/2 and so on, and tags at 1/4.

    Section 3 of `HigherHRNet: Scale-Aware Representation Learning for Bottom-Up Human Pose
    Estimation <https://arxiv.org/abs/1908.10357>`_. A 1×1 convolution on the backbone's features
    gives K heat maps and K tags, one scalar a keypoint (the stock head). Each deconvolution
    module (4×4 with stride 2, batch norm, ReLU, residual blocks, as wide as the features) takes
    the features concatenated with all that was predicted from them, tags included as in the
    released code, and a 1×1 convolution on its output gives K heat maps at twice the resolution.
    ``num_deconvs=0`` is the plain associative-embedding baseline, which stock code cannot train.

    Args:
        in_channels: C of the backbone's last feature map, which must be at 1/4 of the input.
        num_keypoints: K; by default the decoder's ``decode_keypoint_order`` tells it.
        num_deconvs: number of deconvolution modules, R − 1; 2 for the last row of table 3.
        num_blocks: residual blocks in each of them; 0 for rows (b) to (d) of table 4.
        concat: show the module what was predicted; False for row (b) of table 4. Rows (b) and
            (c) also have ``aggregate=False`` in ``test_cfg``.
        keypoint_loss: config of the loss at each resolution; stock ``KeypointMSELoss``.
        tag_loss: config of the loss on the tags; :class:`~hsjp_mm.models.losses.GroupingLoss` with
            weight 1e-3.
        decoder: config of a codec that decodes maps of the input's size.
        init_cfg: as in the stock head: normal with deviation 0.001.

    Raises:
        ValueError: ``num_deconvs`` or ``num_blocks`` is negative, the decoder expects another
            size or another number of keypoints, or nothing tells the number of keypoints.

    Examples:
        >>> codec = dict(
        ...     type='hsjp_mm.AssociativeEmbedding',
        ...     input_size=(512, 512),
        ...     heatmap_size=(512, 512),
        ...     decode_keypoint_order=[0, 1, 2, 3],  # of four keypoints
        ... )
        >>> model = dict(
        ...     type='BottomupPoseEstimator',
        ...     backbone=dict(type='ResNet', depth=18, strides=(1, 1, 1, 1)),
        ...     head=dict(type='hsjp_mm.HigherHRNetHead', in_channels=512, decoder=codec),
        ... )
    """

    def __init__(
        self,
        in_channels: int,
        num_keypoints: int | None = None,
        num_deconvs: int = 1,
        num_blocks: int = 4,
        concat: bool = True,
        keypoint_loss: dict | None = None,
        tag_loss: dict | None = None,
        decoder: dict | None = None,
        init_cfg: dict | list | None = None,
    ):
        for name, value in (('num_deconvs', num_deconvs), ('num_blocks', num_blocks)):
            if value < 0:
                raise ValueError(f'{name} must be 0 or more, got {value}')
        if num_keypoints is None:
            num_keypoints = _keypoints_of(decoder)
        super().__init__(
            in_channels,
            num_keypoints,
            deconv_out_channels=None,
            keypoint_loss=keypoint_loss or dict(type='mmpose.KeypointMSELoss'),
            tag_loss=tag_loss or dict(type='hsjp_mm.GroupingLoss', loss_weight=1e-3),
            decoder=decoder,
            init_cfg=init_cfg,
        )
        self.concat = concat
        self.deconv_modules = nn.ModuleList()
        self.deconv_final_layers = nn.ModuleList()
        predicted = self.out_channels
        for _ in range(num_deconvs):
            width = in_channels + (predicted if concat else 0)
            self.deconv_modules.append(_deconv_module(width, in_channels, num_blocks))
            self.deconv_final_layers.append(nn.Conv2d(in_channels, num_keypoints, 1))
            predicted = num_keypoints
        if self.decoder is not None:
            self._check_decoder()

    def _check_decoder(self) -> None:
        sizes = tuple(self.decoder.heatmap_size), tuple(self.decoder.input_size)
        if sizes[0] != sizes[1]:
            raise ValueError(
                f'decoder: heatmap_size={sizes[0]} must equal input_size={sizes[1]}, for the maps '
                "are enlarged to the input's size before they are decoded: "
                "decoder=dict(codec, heatmap_size=codec['input_size'])"
            )
        order = self.decoder.decode_keypoint_order
        if len(order) not in (0, self.num_keypoints):
            raise ValueError(
                f'decoder: decode_keypoint_order names {len(order)} keypoints, '
                f'num_keypoints is {self.num_keypoints}'
            )

    def forward(self, feats: Feats) -> tuple[list[Tensor], Tensor]:
        """Predict.

        Args:
            feats: feature maps of the backbone; the last one, (B, C, H/4, W/4), is used.

        Returns:
            R heat maps (B, K, h, w), h = H/4, H/2, …; and the tags (B, K, H/4, W/4).
        """
        x = feats[-1]
        heatmap, tags = super().forward(feats)
        heatmaps, predicted = [heatmap], [heatmap, tags]
        for module, final_layer in zip(self.deconv_modules, self.deconv_final_layers, strict=True):
            x = module(torch.cat((x, *predicted), dim=1) if self.concat else x)
            heatmaps.append(final_layer(x))
            predicted = heatmaps[-1:]
        return heatmaps, tags

    def loss(
        self, feats: Feats, batch_data_samples: list, train_cfg: Mapping | None = None
    ) -> dict[str, Tensor]:
        """Compute section 3.4: squared error at every resolution, summed, and the grouping loss.

        Args:
            feats: as for :meth:`forward`.
            batch_data_samples: B samples with ``gt_fields.heatmaps`` (K, h, w) and
                ``gt_fields.heatmap_mask`` (h, w) or (1, h, w), false where nothing is to be
                learnt, each a list of R in a ``MultilevelPixelData`` if R > 1; and with
                ``gt_instance_labels.keypoint_indices`` (N, K, 2) at 1/4, or (R, N, K, 2), of
                which the first is taken. ``GenerateTarget`` with ``multilevel=True`` and
                ``BottomupGetHeatmapMask`` make these.
            train_cfg: not used.

        Returns:
            ``loss_kpt``, ``loss_pull`` and ``loss_push``, weighted.

        Raises:
            ValueError: A target is missing or of another size or number than the prediction.
        """
        heatmaps, tags = self.forward(feats)
        targets = _levels(batch_data_samples, 'heatmaps')
        masks = _levels(batch_data_samples, 'heatmap_mask')
        self._check_targets(heatmaps, targets)
        loss_kpt = sum(
            self.loss_module.keypoint_loss(
                heatmap.float(), target, mask=mask.view(len(mask), 1, *mask.shape[-2:])
            )
            for heatmap, target, mask in zip(heatmaps, targets, masks, strict=True)
        )
        labels = [sample.gt_instance_labels for sample in batch_data_samples]
        indices = [_required(label, 'keypoint_indices') for label in labels]
        coarsest = [index[0] if index.ndim == 4 else index for index in indices]
        loss_pull, loss_push = self.loss_module.tag_loss(tags.float(), coarsest)
        return {'loss_kpt': loss_kpt, 'loss_pull': loss_pull, 'loss_push': loss_push}

    @staticmethod
    def _check_targets(heatmaps: list[Tensor], targets: list[Tensor]) -> None:
        predicted, given = ([tuple(m.shape[1:]) for m in maps] for maps in (heatmaps, targets))
        if predicted[0][0] != given[0][0]:
            raise ValueError(
                f'the data set has {given[0][0]} keypoints, the head {predicted[0][0]}: '
                "decoder.decode_keypoint_order (or num_keypoints) must be of the data set's"
            )
        if predicted != given:
            raise ValueError(
                f'the head predicts heat maps of (keypoints, height, width) {predicted}, the '
                f'targets have {given}: GenerateTarget needs one encoder for each of the '
                f'{len(predicted)} resolutions (num_deconvs + 1), the coarsest first, with '
                'heatmap_size = input_size / 4, / 2 and so on'
            )

    def predict(
        self, feats: Any, batch_data_samples: list, test_cfg: Mapping | None = None
    ) -> list | tuple[list, list]:
        """Aggregate the heat maps (section 3.5) and group them to persons.

        Everything is enlarged bilinearly, in one step, to the size of the input: the heat maps of
        all resolutions, flips and scales are averaged, the tags of the first scale are kept
        beside those of its flip. (The released code enlarges 1/4 to 1/2 first.) Then the maps of
        an image are cut to its own ``input_size``, for images of a batch may be padded at their
        right and bottom to one size.

        On a CPU the codec ``hsjp_mm.AssociativeEmbedding`` has only those blocks enlarged that it
        looks at, which are few, unless there are several scales or the maps are put out. The
        values are then the same up to a share of 1e-6.

        Args:
            feats: the backbone's features; ``[normal, flipped]`` with ``flip_test``; a list of
                these, the original scale first, with ``multiscale_test``.
            batch_data_samples: B samples with ``input_size`` (width, height) in pixels and, with
                ``flip_test``, ``flip_indices``.
            test_cfg: ``flip_test``, ``multiscale_test`` and ``output_heatmaps`` (False), as in
                the stock head; ``aggregate`` (True): False takes the finest heat maps alone.

        Returns:
            B ``InstanceData`` with ``keypoints`` (N, K, 2), (x, y) in pixels of the input,
            ``keypoint_scores`` and ``bbox_scores``. With ``output_heatmaps`` also B ``PixelData``
            with ``heatmaps`` (K, H, W) and ``tags`` (K or 2K, H, W).

        Raises:
            ValueError: The maps do not cover ``input_size``; the scales differ in aspect ratio;
                ``flip_indices`` are of another number of keypoints; or an option of the stock
                head has a value that is not supported.
        """
        test_cfg = test_cfg or {}
        _check_test_cfg(test_cfg)
        flip = test_cfg.get('flip_test', False)
        scales = feats if test_cfg.get('multiscale_test', False) else [feats]
        views = [scale if flip else [scale] for scale in scales]
        _check_scales([view[0][-1].shape[-2:] for view in views])
        flip_indices = self._flip_indices(batch_data_samples) if flip else None
        aggregate = test_cfg.get('aggregate', True)
        sizes = _input_sizes(batch_data_samples, _covered(views))
        output_heatmaps = test_cfg.get('output_heatmaps', False)
        if not output_heatmaps and self._can_enlarge_blocks(views):
            return self.decode(self._block_maps(views[0], flip_indices, aggregate, sizes))

        fields = []
        heatmaps, tags = self.aggregate(views, flip_indices, aggregate)
        for *maps, (width, height) in zip(heatmaps, tags, sizes, strict=True):
            own = [m[:, :height, :width].contiguous() for m in maps]  # codecs take views of them
            fields.append(PixelData(heatmaps=own[0], tags=own[1]))
        persons = [self.decode((f.heatmaps[None], f.tags[None]))[0] for f in fields]
        return (persons, fields) if output_heatmaps else persons

    def _can_enlarge_blocks(self, views: list) -> bool:
        """Tell whether the decoder can do without whole maps, and is faster then.

        Subclasses that put together or decode whole maps of their own are given them.
        """
        return (
            isinstance(self.decoder, AssociativeEmbedding)
            and type(self.decoder).batch_decode is AssociativeEmbedding.batch_decode
            and type(self).aggregate is HigherHRNetHead.aggregate
            and len(views) == 1
            and len(self.deconv_modules) < FINEST
            and views[0][0][-1].device.type == 'cpu'
        )

    def _block_maps(
        self,
        view: Sequence[Feats],
        flip_indices: list[int] | None,
        aggregate: bool,
        sizes: list[tuple[int, int]],
    ) -> tuple[list[EnlargedMaps], list[EnlargedMaps]]:
        """Heat maps and tags as :meth:`aggregate` gives them for one scale, for each image."""
        heatmaps, tags = self._unflipped(view, flip_indices)
        factors = [STRIDE >> level for level in range(len(heatmaps))]
        used = slice(None if aggregate else -1, None)
        images = zip(*heatmaps[used], strict=True)
        return (
            [
                EnlargedMaps(levels, factors[used], (height, width))
                for levels, (width, height) in zip(images, sizes, strict=True)
            ],
            [
                EnlargedMaps([own], [STRIDE], (height, width))
                for own, (width, height) in zip(tags, sizes, strict=True)
            ],
        )

    def _flip_indices(self, batch_data_samples: list) -> list[int]:
        indices = batch_data_samples[0].metainfo['flip_indices']
        if len(indices) != self.num_keypoints:
            raise ValueError(
                f'the data set has {len(indices)} keypoints (flip_indices), the head '
                f'{self.num_keypoints} (num_keypoints)'
            )
        return indices

    def aggregate(
        self, views: list, flip_indices: list[int] | None = None, aggregate: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Make of the features of all views the maps that are decoded, as :meth:`predict` says.

        Args:
            views: for each scale, the original one first, the features of the image or, with
                ``flip_indices``, of the image and of the mirrored one.
            flip_indices: the keypoint of the other side of each keypoint.
            aggregate: False takes the finest heat maps alone.

        Returns:
            the heat maps (B, K, H, W) of all views, and the tags of those of the first scale.
        """
        height, width = _covered(views)
        scales = []
        for view in views:
            heatmaps, tags = self._unflipped(view, flip_indices)
            used = heatmaps if aggregate else heatmaps[-1:]
            scales.append(_mean([_enlarge(one, height, width) for one in used]))
            if len(scales) == 1:
                all_tags = _enlarge(tags, height, width)
        return _mean(scales), all_tags

    def _unflipped(
        self, view: Sequence[Feats], flip_indices: list[int] | None
    ) -> tuple[list[Tensor], Tensor]:
        """R heat maps, averaged over an image and its flip, and their tags one after the other."""
        heatmaps, tags = self.forward(view[0])
        if flip_indices is not None:
            flipped, flipped_tags = self.forward(view[1])
            heatmaps = [
                (a + flip_heatmaps(b, flip_indices, shift_heatmap=False)) / 2
                for a, b in zip(heatmaps, flipped, strict=True)
            ]
            flipped_tags = flip_heatmaps(flipped_tags, flip_indices, shift_heatmap=False)
            tags = torch.cat((tags, flipped_tags), dim=1)
        return [heatmap.float() for heatmap in heatmaps], tags.float()


def _enlarge(maps: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(maps, size=(height, width), mode='bilinear', align_corners=False)


def _mean(maps: list[Tensor]) -> Tensor:
    """Average maps of one size as the stock aggregate_heatmaps does, which copies them more often.

    Full-size maps are so large that a copy of them costs as much as enlarging them.
    """
    if len(maps) == 1:
        return maps[0]
    return sum(maps[1:], start=maps[0]).div_(len(maps))


def _deconv_module(in_channels: int, out_channels: int, num_blocks: int) -> nn.Sequential:
    """Twice the resolution: section 3.3."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        *(BasicBlock(out_channels, out_channels) for _ in range(num_blocks)),
    )


def _keypoints_of(decoder: Mapping | None) -> int:
    order = (decoder or {}).get('decode_keypoint_order')
    if not order:
        raise ValueError(
            'the number of keypoints is told by nothing: give decoder.decode_keypoint_order, the '
            'keypoints in the order in which they are grouped, or num_keypoints'
        )
    return len(order)


def _required(element: Any, name: str) -> Any:
    if name not in element:
        raise ValueError(f'the data samples hold no {name}; {MAKERS[name]} makes them')
    return getattr(element, name)


def _levels(batch_data_samples: list, name: str) -> list[Tensor]:
    """A field of all samples, (B, …), for each resolution."""
    fields = [_required(sample.gt_fields, name) for sample in batch_data_samples]
    levels = [field if isinstance(field, list) else [field] for field in fields]
    return [torch.stack(level) for level in zip(*levels, strict=True)]


def _covered(views: list) -> tuple[int, int]:
    """(height, width) in pixels of the input that the features of the first scale cover."""
    height, width = views[0][0][-1].shape[-2:]
    return STRIDE * height, STRIDE * width


def _input_sizes(batch_data_samples: list, covered: tuple[int, int]) -> list[tuple[int, int]]:
    """(width, height) of each image as it went into the network, without the batch's padding."""
    sizes = [tuple(sample.metainfo['input_size']) for sample in batch_data_samples]
    height, width = covered
    for size in sizes:
        if size[0] > width or size[1] > height:
            raise ValueError(
                f'input_size={size} is larger than the {(width, height)} pixels that the maps '
                f'cover: the features must be at 1/{STRIDE} of the input'
            )
    return sizes


def _check_scales(sizes: list[tuple[int, int]]) -> None:
    height, width = sizes[0]
    for size in sizes:
        if size[0] * width != size[1] * height:
            raise ValueError(
                f'multiscale_test: feature maps of (height, width) {tuple(size)} and '
                f'{(height, width)} differ in aspect ratio, so one scale is padded otherwise than '
                'the other and the heat maps would not lie on each other'
            )


def _check_test_cfg(test_cfg: Mapping) -> None:
    for name, value in FIXED.items():
        if test_cfg.get(name, value) != value:
            raise ValueError(f'test_cfg: {name} must be {value}, got {test_cfg[name]}')
