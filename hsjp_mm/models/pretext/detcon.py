"""DetCon: the segments of a crop in one view against those of all crops.

Letters: B images of this process, M segments drawn of each view, P cells of the last map, C
channels of it, D of an embedding.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hsjp_mm.datasets.transforms.segments import read_segmentation, set_segments
from hsjp_mm.datasets.transforms.views import expand
from hsjp_mm.models.heads.detcon_head import DetConBHead, DetConSHead
from hsjp_mm.models.heads.projection_head import run_mlp
from hsjp_mm.models.pretext.byol import BYOL
from hsjp_mm.models.pretext.momentum import MomentumModel
from hsjp_mm.models.pretext.simclr import SimCLR
from hsjp_mm.models.pretext.views import ViewsModel, view_measures
from hsjp_mm.ops import distributed
from hsjp_mm.ops.segments import draw, pool, to_cells
from hsjp_mm.registry import MODELS


class SegmentsModel(ViewsModel):
    """A model that compares the segments of two views.

    The crops are divided by the data workers, by :class:`~hsjp_mm.datasets.SegmentCrop`, to which
    ``hsjp_mm.PrepareDataHook`` tells what stands here. A cell of the last map is in the segment
    that most of its pixels are of. Of each view M of the segments that hold a cell are drawn, with
    replacement, and the map is averaged over each. The random numbers are of torch on the CPU, one
    draw for all processes.

    A view as a whole, for the measures of :class:`ViewsModel`, is in training the mean of its drawn
    segments' projections, and in evaluation the projection of the mean over its map.

    Args:
        segments: how a crop is divided, the attributes of
            :class:`~hsjp_mm.datasets.transforms.segments.Segmentation`; where they are not given
            ``method`` is 'felzenszwalb' and ``size`` is ``input_size``.
        num_draws: M.
        arguments: as in :class:`ViewsModel`.

    Raises:
        ValueError: an argument outside its range; other than two views, or of several sizes.
    """

    board = 'hsjp_mm.visualization.detcon.draw_segments'
    num_views = (2, 2)

    def __init__(
        self,
        *,
        segments: Mapping[str, Any] | None = None,
        num_draws: int = 16,
        **arguments,
    ):
        super().__init__(**arguments)
        if num_draws < 1:
            raise ValueError(f'num_draws={num_draws} must be at least 1')
        sizes = [view.size for view in expand(self.views)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f'views: {type(self).__name__} compares the segments of views of one size, '
                f'not of {" and ".join(f"{w}×{h}" for w, h in sizes)}'
            )
        self.segments = {'method': 'felzenszwalb', 'size': self.input_size, **(segments or {})}
        self.num_draws = num_draws
        read_segmentation(self.segments)  # refuses a wrong one now rather than in a worker

    def prepare(self, dataset) -> None:
        """Tell the data set's SegmentCrop and MakeViews what to make.

        Raises:
            ValueError: one of them is not in its pipeline, or states it of its own.
        """
        super().prepare(dataset)
        if not set_segments(dataset, self.segments):
            raise ValueError(
                'no hsjp_mm.SegmentCrop stands in the pipeline, before hsjp_mm.MakeViews, which '
                f'{type(self).__name__} needs for its segments'
            )

    def cells(self, data_samples: list, view: int, maps: Tensor) -> Tensor:
        """Read in which segment of the views of one place each cell of the maps is, (B, P) or −1.

        Raises:
            ValueError: the data samples hold no segments.
        """
        fields = [sample.get('gt_fields') for sample in data_samples or []]
        if not fields or any('view_segments' not in (one or ()) for one in fields):
            raise ValueError(
                f'{type(self).__name__} needs data samples with gt_fields.view_segments: the '
                'pipeline needs hsjp_mm.SegmentCrop before hsjp_mm.MakeViews'
            )
        segments = torch.stack([one.view_segments[view] for one in fields]).to(maps.device)
        height, width = maps.shape[-2:]
        return to_cells(segments, (height, width))

    def draw(self, cells: Sequence[Tensor]) -> Tensor:
        """Draw segments of the views in which the cells are, two of (B, P); (B, 2, M)."""
        sizes = distributed.sizes_of(len(cells[0]), cells[0].device)
        # one draw for all processes, which would draw alike from one seed
        picks = distributed.shared(torch.rand(sum(sizes), 2, self.num_draws))
        own = picks.split(sizes)[distributed.get_rank()]
        return torch.stack([draw(one, own[:, view]) for view, one in enumerate(cells)], dim=1)

    def project_views(
        self, inputs: tuple[Tensor, ...], data_samples: list
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Draw segments of two views and project them.

        Args:
            inputs: two of (B, 3, h, w).
            data_samples: B.

        Returns:
            For each view (B, P) the segment of each cell, and (B, M, D) projections of any length;
            (B, 2, M) the segments that were drawn.
        """
        maps = [self.extract_feat(view)[-1] for view in inputs]
        cells = [self.cells(data_samples, view, one) for view, one in enumerate(maps)]
        drawn = self.draw(cells)
        vectors = [pool(maps[view], cells[view], drawn[:, view]) for view in range(2)]
        return cells, [self.head.project_segments(one) for one in vectors], drawn

    @torch.no_grad()
    def embed_segments(
        self, images: Tensor, data_samples: list, view: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Embed each segment of the views of one place that holds a cell.

        Args:
            images: (B, 3, h, w).
            data_samples: B.
            view: which place it is.

        Returns:
            (R, D) of length 1, image by image; and for each image the numbers of its segments.
        """
        maps = self.extract_feat(images)[-1]
        cells = self.cells(data_samples, view, maps)
        numbers = [one[one >= 0].unique() for one in cells]
        vectors = [
            pool(maps[i : i + 1], cells[i : i + 1], one[None])[0] for i, one in enumerate(numbers)
        ]
        return self.head.embed(torch.cat(vectors)), numbers


@MODELS.register_module()
class DetConS(SegmentsModel):
    """Pretrain a backbone by finding a crop's segments again in its other view, with one network.

    DetCon-S of `Efficient Visual Pretraining with Contrastive Detection
    <https://arxiv.org/abs/2103.10957>`_, on person crops, with the views and the network of
    SimCLR. The authors segment whole photographs, this a crop.

    Args:
        backbone, neck, views, input_size, ...: as in
            :class:`~hsjp_mm.models.pretext.views.ViewsModel`.
        segments, num_draws: as in :class:`~hsjp_mm.models.pretext.detcon.SegmentsModel`.
        head: with ``type='hsjp_mm.DetConSHead'``.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.DetConS',
        ...     segments=dict(method='grid'),
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.DetConSHead', in_channels=2048),
        ... )
    """

    head_class = DetConSHead
    recipe = SimCLR.recipe

    def loss(self, inputs: tuple[Tensor, ...], data_samples: list) -> dict[str, Tensor]:
        """Compare the segments of both views, (B, 3, h, w) each, of all processes."""
        self.require_views(inputs)
        _, projections, drawn = self.project_views(inputs, data_samples)
        rows = torch.stack(projections, dim=1)
        return {**self.head.loss(rows, rows, drawn), **_view_measures(projections)}


@MODELS.register_module()
class DetConB(SegmentsModel, MomentumModel):
    """Pretrain a backbone by finding a crop's segments in what a moving average makes of views.

    DetCon-B of `Efficient Visual Pretraining with Contrastive Detection
    <https://arxiv.org/abs/2103.10957>`_, on person crops, with the views and the networks of BYOL.
    The authors segment whole photographs, this a crop.

    Args:
        backbone, neck, views, input_size, ...: as in
            :class:`~hsjp_mm.models.pretext.views.ViewsModel`.
        segments, num_draws: as in :class:`~hsjp_mm.models.pretext.detcon.SegmentsModel`.
        head: with ``type='hsjp_mm.DetConBHead'``.
        momentum: the share of the network in the average at the first step, falling to 0 by a
            cosine; one minus the paper's τ.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.DetConB',
        ...     segments=dict(method='grid'),
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.DetConBHead', in_channels=2048),
        ... )
    """

    head_class = DetConBHead
    recipe = BYOL.recipe

    def __init__(self, *, momentum: float = 0.004, **arguments):
        super().__init__(momentum=momentum, anneal=True, **arguments)

    def loss(self, inputs: tuple[Tensor, ...], data_samples: list) -> dict[str, Tensor]:
        """Compare the predicted segments of both views, (B, 3, h, w) each, with the targets."""
        self.require_views(inputs)
        self.update_target()
        cells, projections, drawn = self.project_views(inputs, data_samples)
        targets = [
            self._target_segments(inputs[view], cells[view], drawn[:, view]) for view in range(2)
        ]
        predicted = torch.stack([self.head.predict(one) for one in projections], dim=1)
        losses = self.head.loss(predicted, torch.stack(targets, dim=1), drawn)
        return {**losses, **_view_measures(projections)}

    @torch.no_grad()
    def _target_segments(self, images: Tensor, cells: Tensor, drawn: Tensor) -> Tensor:
        """Project segments (B, M) of views (B, 3, h, w) by the average, (B, M, D)."""
        vectors = pool(self.target_maps(images)[-1], cells, drawn)
        rows = run_mlp(self.target.module['projector'], vectors.flatten(0, 1))
        return rows.unflatten(0, drawn.shape)


def _view_measures(projections: list[Tensor]) -> dict[str, Tensor]:
    """Measure views by the means of their segments, two of (B, M, D)."""
    return view_measures([F.normalize(one.detach(), dim=2).mean(dim=1) for one in projections])
