"""The head of masked autoencoders: the decoder, its targets and its loss.

Letters: B batch, H and W height and width of a crop, L tokens of a crop, of which V are visible
and M are masked, P = 3·h·w pixel values of a token's window, C channels.
"""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from hsjp_mm.ops.windows import Windows, squares_around_means, standardise
from hsjp_mm.registry import MODELS
from hsjp_mm.utils.configs import checkpoint_in
from hsjp_mm.utils.optional import import_optional

XAVIER = [
    dict(type='Xavier', layer='Linear', distribution='uniform'),
    dict(type='Constant', layer='LayerNorm', val=1.0),
]
EPS = 1e-6
"""Of the layer norms, as in MMPretrain's ViT."""


def position_embedding(grid: tuple[int, int], channels: int) -> Tensor:
    """Make the sine-cosine embedding of the positions of a grid, rows first.

    MMPretrain's function counts down the columns, though tokens go along the rows. On square grids
    that only renames the axes; on others it would give tokens the position of others. So it is
    told columns by rows.

    Args:
        grid: rows and columns.
        channels: C, which 4 divides.

    Returns:
        (1, L, C), not to be trained.
    """
    utils = import_optional('mmpretrain.models.utils', 'hsjp_mm.MAE')
    return utils.build_2d_sincos_position_embedding(grid[::-1], channels).detach()


@MODELS.register_module()
class MAEHead(BaseModule):
    """Paint the masked windows of a crop, given the vectors of the visible ones.

    The decoder of `Masked Autoencoders Are Scalable Vision Learners
    <https://arxiv.org/abs/2111.06377>`_, section 3: the encoder's vectors and, for each masked
    window, one learnt token go through a few transformer layers, and a linear layer predicts the
    pixels. The loss is the mean squared error over the masked windows alone, of pixels that are
    normalised in each window ("reconstruction target").

    MMPretrain's MAEPretrainDecoder and MAEPretrainHead cannot be used: both want square images,
    and the decoder a class token, which ViTPose's backbone has not. Their layers are.

    Args:
        in_channels: C of the encoder; given by :class:`~hsjp_mm.models.MAE`.
        windows: what the encoder's tokens look at; given by MAE.
        channels: C of the decoder.
        depth: its layers.
        num_heads: of their attention. These three are the paper's by default.
        init_cfg: by default the paper's, Xavier's for all linear layers.

    Examples:
        A smaller decoder; the encoder's numbers are the model's:

        >>> model = dict(
        ...     type='hsjp_mm.MAE',
        ...     backbone=dict(
        ...         type='mmpretrain.VisionTransformer',
        ...         arch='deit-tiny',
        ...         img_size=(64, 48),
        ...         with_cls_token=False,
        ...         out_type='featmap',
        ...     ),
        ...     head=dict(type='hsjp_mm.MAEHead', channels=64, depth=2, num_heads=4),
        ... )
    """

    def __init__(
        self,
        in_channels: int,
        windows: Windows,
        channels: int = 512,
        depth: int = 8,
        num_heads: int = 16,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg=XAVIER if init_cfg is None else init_cfg)
        layers = import_optional('mmpretrain.models.backbones.vision_transformer', 'hsjp_mm.MAE')
        self.windows = windows
        self.embed = nn.Linear(in_channels, channels)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.layers = nn.ModuleList(
            layers.TransformerEncoderLayer(
                channels, num_heads, 4 * channels, norm_cfg=dict(type='LN', eps=EPS)
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pixels = nn.Linear(channels, 3 * windows.size[0] * windows.size[1])
        positions = position_embedding(windows.grid, channels)[0]
        self.register_buffer('positions', positions, persistent=False)

    def init_weights(self) -> None:
        """Initialise the layers, and draw the mask's token; what was loaded stays as it is."""
        super().init_weights()
        if checkpoint_in(self.init_cfg):
            return
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, latents: Tensor, order: Tensor) -> Tensor:
        """Predict the masked windows.

        Args:
            latents: (B, V, C) the encoder's vectors of the visible windows.
            order: (B, L) the places of all windows, the V visible ones first, in the order of
                ``latents``.

        Returns:
            (B, M, P) normalised pixels, in the order of ``order``.
        """
        batch, visible = latents.shape[:2]
        masked = self.mask_token.expand(batch, order.shape[1] - visible, -1)
        tokens = torch.cat([self.embed(latents), masked], dim=1) + self.positions[order]
        for layer in self.layers:
            tokens = layer(tokens)
        return self.pixels(self.norm(tokens[:, visible:]))

    def targets(self, crops: Tensor, masked: Tensor) -> Tensor:
        """Cut out the masked windows of crops and normalise their pixels.

        Args:
            crops: (B, 3, H, W).
            masked: (B, M) places.

        Returns:
            (B, M, P).
        """
        windows = self.windows.split(crops.float())
        return standardise(torch.take_along_dim(windows, masked[..., None], dim=1))[0]

    def loss(self, latents: Tensor, order: Tensor, crops: Tensor) -> dict[str, Tensor]:
        """Compute the loss, and two numbers that tell whether anything is learnt.

        Args:
            latents, order: as in :meth:`forward`.
            crops: (B, 3, H, W).

        Returns:
            ``loss_pixels``; ``explained``, the share of the targets' squares that is explained
            (0: no better than the mean color of each masked window); ``variation``, the standard
            deviation of what is painted at one place of the crop in different images of the batch,
            in shares of that of the targets. It is 0 for a network that does not look at the
            visible windows, and for a batch of one.
        """
        masked = order[:, latents.shape[1] :]
        found = self.forward(latents, order).float()
        targets = self.targets(crops, masked)
        loss = F.mse_loss(found, targets)
        spread, wanted = (
            squares_around_means(x.detach().flatten(0, 1), masked.flatten(), order.shape[1])
            for x in (found, targets)
        )
        return {
            'loss_pixels': loss,
            'explained': 1 - loss.detach() / targets.square().mean().clamp(min=1e-6),
            'variation': (spread / wanted.clamp(min=1e-6)).sqrt(),
        }
