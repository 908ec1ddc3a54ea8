"""What the pretext models that compare views of a crop have in common.

Letters: B images of this process, V views, C channels of the map that is pooled, D of an embedding.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor, nn

from hsjp_mm.datasets.transforms.views import expand, set_views
from hsjp_mm.models.pretext.base import (
    Measure,
    PretextModel,
    Value,
    pretext_head,
    require_whole_cells,
)
from hsjp_mm.ops import regrouping


class ViewsModel(PretextModel):
    """A pretext task about several views of a crop.

    The views are made by the data workers, by :class:`~hsjp_mm.datasets.MakeViews`, to which
    ``hsjp_mm.PrepareDataHook`` tells what stands here: ``views`` and ``input_size``.

    A view's vector is the mean over the last map that the neck or else the backbone gives: the
    last stage of a ResNet or Swin, the map of tokens of a ViT (``out_type='featmap'``), the last
    stack of an Hourglass. For HRNet let it be all four resolutions
    (``extra.stage4.multiscale_output=True`` and the stock neck FeatureMapProcessor with
    ``concat=True``), for the highest alone has few channels.

    Subclasses set ``recipe`` and ``head_class`` and write ``loss``.

    Args:
        backbone, neck: as in a stock config.
        head: of the class ``head_class``.
        views: what replaces the method's ``recipe``: dictionaries of
            :class:`~hsjp_mm.datasets.transforms.views.View`, ``size`` being ``input_size`` where it
            is not given.
        input_size: (width, height) in pixels of a view. The stock HRNet works only with sides that
            32 divides, of all views.
        head_options: what the model tells its head.
        identity: what makes the task another one.
        data_preprocessor, init_cfg, train_cfg, test_cfg: as in a stock config; the first one is a
            ``hsjp_mm.ViewsDataPreprocessor``.

    Attributes:
        recipe: the views of the method's paper, as in ``views``. A ``size`` in it is a share of
            ``input_size``, rounded to a multiple of 32.
        head_class: of the head.
        num_views: how many views the method compares, at least and at most.

    Raises:
        ValueError: a view with an argument outside its range, another number of views than the
            method compares, a head of another class, fewer than two images in a batch.
    """

    measures: ClassVar[tuple[Measure, ...]] = (
        Measure('views/retrieval', 'views whose nearest one is of the same crop', share=True),
        Measure('views/feature_std', 'spread of the embeddings (collapsed: 0)'),
    )
    health = Measure('feature_std', 'spread of the embeddings (collapsed: 0)')
    save_best = 'views/retrieval'
    min_batch = 2
    board = 'hsjp_mm.visualization.views.draw_views'
    recipe: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    head_class: ClassVar[type[nn.Module]]
    num_views: ClassVar[tuple[int, float]] = (2, math.inf)

    def __init__(
        self,
        backbone: dict,
        head: dict,
        neck: dict | None = None,
        views: Sequence[Mapping] | None = None,
        input_size: tuple[int, int] = (224, 224),
        head_options: Mapping[str, Any] | None = None,
        identity: Mapping[str, Value] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        sized = self._sized(views, input_size)
        self._require_number(len(expand(sized)))  # now rather than in a worker
        super().__init__(
            identity=identity,
            backbone=backbone,
            neck=neck,
            head=pretext_head(head, self.head_class, **(head_options or {})),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
        )
        self.views = sized
        self.input_size = input_size
        sizes = [view['size'] for view in self.views]
        require_whole_cells(self.backbone, sizes, f'input_size={input_size}')

    @classmethod
    def _require_number(cls, number: int) -> None:
        least, most = cls.num_views
        if not least <= number <= most:
            wanted = f'{least}' if least == most else f'{least} or more'
            raise ValueError(
                f'views: {cls.__name__} compares {wanted} views of an image, not {number}; '
                'num=2 makes two of one kind'
            )

    @classmethod
    def _sized(cls, views: Sequence[Mapping] | None, size: tuple[int, int]) -> list[dict]:
        """Give each view its size in pixels, which the method's recipe names as a share."""
        if views is not None:
            return [{'size': size, **view} for view in views]
        return [
            {**view, 'size': _share_of(size, view['size']) if 'size' in view else size}
            for view in cls.recipe
        ]

    def prepare(self, dataset) -> None:
        """Tell the data set's MakeViews what views to make.

        Raises:
            ValueError: there is none in its pipeline, or it states views of its own.
        """
        if not set_views(dataset, self.views):
            raise ValueError(
                'no hsjp_mm.MakeViews stands in the pipeline, which '
                f'{type(self).__name__} needs for its views'
            )

    def vectors(self, images: Tensor) -> Tensor:
        """Pool the last map of the network, (B, 3, h, w) → (B, C)."""
        return self.extract_feat(images)[-1].mean(dim=(2, 3))

    def embed(self, images: Tensor, data_samples: list | None = None, view: int = 0) -> Tensor:
        """Embed the views of one place as the loss compares them, (B, D) of length 1.

        Args:
            images: (B, 3, h, w).
            data_samples: B, for methods that need to know how the views were made.
            view: which place it is.
        """
        return self.head.embed(self.vectors(images))

    def require_views(self, inputs: tuple[Tensor, ...]) -> None:
        """Refuse inputs that are no views, and batches too small for the task.

        Raises:
            ValueError: another number of views than the model makes, or too few images.
        """
        number = sum(view.get('num', 1) for view in self.views)
        if not isinstance(inputs, tuple) or len(inputs) != number:
            got = f'{len(inputs)} views' if isinstance(inputs, tuple) else 'single images'
            raise ValueError(
                f'the data pipeline gives {got}, but {type(self).__name__} compares {number} '
                'views: the pipeline needs hsjp_mm.MakeViews and hsjp_mm.PackViews, and the model '
                "data_preprocessor.type='hsjp_mm.ViewsDataPreprocessor'"
            )
        if len(inputs[0]) < self.min_batch:
            raise ValueError(
                f'a batch of {len(inputs[0])}: {type(self).__name__} needs {self.min_batch} images '
                'or more in each process; train_dataloader.drop_last=True leaves out a last batch '
                'that is too small'
            )

    def predict(self, inputs: tuple[Tensor, ...], data_samples: list) -> list:
        """Embed the views of each image.

        Adds to each data sample, one instance each, ``pred_instances.view_embeddings`` (1, 2, D)
        of length 1: of the first two views.
        """
        views = torch.stack(
            [self.embed(inputs[view], data_samples, view) for view in range(2)], dim=1
        )
        for sample, embeddings in zip(data_samples, views.detach().float().cpu(), strict=True):
            sample.pred_instances = InstanceData(view_embeddings=embeddings[None])
        return data_samples


def _share_of(size: tuple[int, int], share: float) -> tuple[int, int]:
    width, height = (max(32, 32 * round(side * share / 32)) for side in size)
    return width, height


@torch.no_grad()
def view_measures(embeddings: Sequence[Tensor]) -> dict[str, Tensor]:
    """Measure whether anything is learnt, on the views of the images of this process.

    Args:
        embeddings: V of (B, D), of any length.

    Returns:
        ``retrieval``, the share of the views whose nearest neighbor is of the same image; its
        ``retrieval_chance``; ``feature_std``, 0 where all have collapsed, near 1 where they spread
        evenly.
    """
    rows = F.normalize(torch.stack(list(embeddings), dim=1).flatten(0, 1).float(), dim=1)
    number, views = len(embeddings[0]), len(embeddings)
    images = torch.arange(number, device=rows.device).repeat_interleave(views)
    with torch.autocast(rows.device.type, enabled=False):  # it would make neighbors equal
        found = regrouping.retrieved(rows, rows, images)
    return {
        'retrieval': found.float().mean(),
        'retrieval_chance': torch.tensor(regrouping.retrieval_chance(number, views)),
        'feature_std': regrouping.feature_std(rows),
    }


@torch.no_grad()
def key_measures(queries: Tensor, keys: Tensor) -> dict[str, Tensor]:
    """Measure whether queries find their keys, which another network has made.

    Queries lie nearer to each other than to any key, so that they are searched among keys alone.

    Args:
        queries, keys: (B, D) each, of length 1.

    Returns:
        ``retrieval``, the share of the queries whose nearest key of this process is their own; its
        ``retrieval_chance``; ``feature_std`` of the queries.
    """
    with torch.autocast(queries.device.type, enabled=False):  # it would make neighbors equal
        nearest = (queries @ keys.T).argmax(dim=1)
    return {
        'retrieval': (nearest == torch.arange(len(queries), device=nearest.device)).float().mean(),
        'retrieval_chance': torch.tensor(1 / len(queries)),
        'feature_std': regrouping.feature_std(queries.float()),
    }
