"""PeCLR: contrasted views, whose rotation and translation the embedding has to follow.

Letters: B images of this process.
"""

import torch
from torch import Tensor

from hsjp_mm.models.heads.peclr_head import PeCLRHead
from hsjp_mm.models.pretext.views import ViewsModel, view_measures
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class PeCLR(ViewsModel):
    """Pretrain a backbone by contrasting views, equivariantly to how they lie.

    `PeCLR: Self-Supervised 3D Hand Pose Estimation from monocular RGB via Equivariant Contrastive
    Learning <https://arxiv.org/abs/2106.05953>`_, on person crops. The rotation and translation
    that are undone come from the very matrix that made the view, so they cannot disagree with it.
    The authors start from a backbone that classifies ImageNet; give it an ``init_cfg`` for that.

    Args:
        backbone, neck, views, input_size, ...: as in
            :class:`~hsjp_mm.models.pretext.views.ViewsModel`. Views must not be flipped, and their
            window has the shape of the view.
        head: with ``type='hsjp_mm.PeCLRHead'``.

    Raises:
        ValueError: views that are flipped or stretched.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.PeCLR',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.PeCLRHead', in_channels=2048),
        ... )
    """

    head_class = PeCLRHead
    # the authors' margins are those of a tight box; ours has a padding of 1.25 already, and their
    # shift is up to 15 of 128 pixels
    recipe = (
        dict(
            num=2,
            side=(0.72, 1.2),
            shift=15 / 128,
            rotate=45.0,
            colors=dict(type='hsjp_mm.HSVAugmentation'),
        ),
    )

    def __init__(self, **arguments):
        super().__init__(**arguments)
        for view in self.views:
            if view.get('flip_prob') or view.get('area') is not None:
                raise ValueError(
                    f'views: {view} is flipped or stretched, which PeCLR cannot undo: use side, '
                    'shift and rotate'
                )

    def embed(self, images: Tensor, data_samples: list | None = None, view: int = 0) -> Tensor:
        """Embed the views (B, 3, h, w) of one place and undo how they lie, (B, D) of length 1.

        Raises:
            ValueError: no data samples.
        """
        if data_samples is None:
            raise ValueError('PeCLR needs data_samples, which hold the matrix of each view')
        made = [sample.gt_instances for sample in data_samples]
        matrices = torch.cat([one.view_matrices[:, view] for one in made])
        centers = torch.cat([one.bbox_centers for one in made])
        height, width = images.shape[-2:]
        poses = lying(matrices, centers, (width, height))
        return self.head.embed_view(self.vectors(images), *poses)

    def loss(self, inputs: tuple[Tensor, ...], data_samples: list) -> dict[str, Tensor]:
        """Compare the views, V of (B, 3, h, w), of all processes."""
        self.require_views(inputs)
        embeddings = [self.embed(view, data_samples, i) for i, view in enumerate(inputs)]
        return {'loss_contrastive': self.head.loss(embeddings), **view_measures(embeddings)}


def lying(matrices: Tensor, centers: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Read from matrices how crops lie in their views.

    Args:
        matrices: (B, 2, 3), from the image to the view; similarities.
        centers: (B, 2) of the crops, in pixels of the image.
        size: (width, height) of the views.

    Returns:
        (B,) angles of the content in radians, from x to y; (B, 2) where the crops' centers lie
        from the views' ones, in shares of the size.
    """
    linear, moved = matrices[..., :2], matrices[..., 2]
    sides = torch.tensor(size, dtype=matrices.dtype, device=matrices.device)
    # no matrix product: autocast would round the pixels
    places = (linear * centers[:, None]).sum(dim=2) + moved
    return torch.atan2(linear[:, 1, 0], linear[:, 0, 0]), places / sides - 0.5
