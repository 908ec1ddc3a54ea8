"""The head of HMR 2.0: one query looks at the features of a vision transformer."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hsjp_mm.models.heads.mesh.mesh_head import MeshHead, MeshPrediction, small_linear
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class HMR2Head(MeshHead):
    """A transformer decoder with one query, for the map of a ViT.

    From `Humans in 4D <https://arxiv.org/abs/2305.20091>`_, section 3.2. The decoder is torch's
    own, of as many and as wide layers as theirs, normalized before each step; its attention heads
    are dim / num_heads wide, theirs 64. The query is a parameter, to which the box is added where
    ``box_info`` is set; the cells of the map are what it looks at, and carry the position that the
    ViT gave them.

    Args:
        in_channels: Of the last feature map.
        dim: Width of the decoder.
        num_layers, num_heads, feedforward_channels, dropout: of the decoder.
        num_joints, num_shape, num_keypoints, box_info, init_cfg: as of
            :class:`~hsjp_mm.models.MeshHead`.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.MeshEstimator',
        ...     backbone=dict(
        ...         type='mmpretrain.VisionTransformer', arch='deit-small', img_size=(256, 192),
        ...         patch_size=16, out_type='featmap', with_cls_token=False,
        ...     ),
        ...     head=dict(type='hsjp_mm.HMR2Head', in_channels=384),
        ... )
    """

    def __init__(
        self,
        in_channels: int,
        dim: int = 1024,
        num_layers: int = 6,
        num_heads: int = 8,
        feedforward_channels: int = 1024,
        dropout: float = 0.0,
        num_joints: int = 24,
        num_shape: int = 10,
        num_keypoints: int = 22,
        box_info: bool = False,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(num_joints, num_shape, num_keypoints, box_info, init_cfg)
        self.query = nn.Parameter(torch.zeros(1, 1, dim))
        nn.init.trunc_normal_(self.query, std=0.02)
        self.place = nn.Linear(self.num_extra, dim) if box_info else None
        self.context = nn.Linear(in_channels, dim)
        layer = nn.TransformerDecoderLayer(
            dim, num_heads, feedforward_channels, dropout, 'gelu', batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, num_layers, norm=nn.LayerNorm(dim))
        self.decoders = nn.ModuleList(small_linear(dim, size) for size in self.sizes)

    def forward(
        self,
        feats: Sequence[Tensor],
        box_info: Tensor | None = None,
        project: Callable[[MeshPrediction], Tensor] | None = None,
    ) -> MeshPrediction:
        """Predict, see :meth:`MeshHead.forward`."""
        cells = self.context(feats[-1].flatten(2).mT)
        query = self.query.expand(len(cells), -1, -1)
        if self.place is not None:
            query = query + self.place(self.extra(cells, box_info))[:, None]
        hidden = self.decoder(query, cells).squeeze(1)
        return self.prediction(
            *(
                mean + decoder(hidden)
                for mean, decoder in zip(self.means(len(hidden)), self.decoders, strict=True)
            )
        )
