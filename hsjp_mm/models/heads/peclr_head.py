"""The head of PeCLR: embeddings that turn and move with the view, undone before they are compared.

Letters: B images of this process, C channels of a vector, D = 2·P of an embedding, P points of it.
Points are (x, y).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hsjp_mm.models.heads.simclr_head import SimCLRHead
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class PeCLRHead(SimCLRHead):
    """Contrast embeddings after undoing each view's rotation and translation in them.

    Section 3 of `PeCLR <https://arxiv.org/abs/2106.05953>`_: an embedding is read as P points of a
    plane; what a view did to the image is undone on them, and the loss is that of SimCLR. Colors
    and scale are not undone.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        hidden_channels: of the projector.
        points: P.
        temperature: τ.
        init_cfg: as in MMEngine's BaseModule.

    Examples:
        >>> head = dict(type='hsjp_mm.PeCLRHead', in_channels=2048)
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 512,
        points: int = 64,
        temperature: float = 0.5,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(
            in_channels,
            hidden_channels=hidden_channels,
            out_channels=2 * points,
            last_norm=False,
            temperature=temperature,
            init_cfg=init_cfg,
        )

    def embed_view(self, vectors: Tensor, angles: Tensor, shifts: Tensor) -> Tensor:
        """Project vectors and undo what their views did; (B, D) of length 1.

        Args:
            vectors: (B, C).
            angles: (B,) by how much the content of each view was turned, in radians, from x to y.
            shifts: (B, 2) by how much it was moved, in shares of the view's sides.
        """
        points = self.embed(vectors).unflatten(1, (-1, 2))
        return F.normalize(undo(points, angles, shifts).flatten(1), dim=1)


def undo(points: Tensor, angles: Tensor, shifts: Tensor) -> Tensor:
    """Undo a translation and then a rotation on points.

    The unit of a translation is the extent of the points, as the view's side is that of the image;
    the rotation is about their mean. Through extent and mean goes no gradient.

    Args:
        points: (B, P, 2).
        angles: (B,), in radians.
        shifts: (B, 2), in shares of the extent.

    Returns:
        (B, P, 2).
    """
    extent = (points.amax(dim=1, keepdim=True) - points.amin(dim=1, keepdim=True)).detach()
    points = points - shifts[:, None].to(points) * extent
    cos, sin = torch.cos(angles).to(points), torch.sin(angles).to(points)
    # rows times this matrix: turned by −angle
    back = torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)
    mean = points.mean(dim=1, keepdim=True).detach()
    with torch.autocast(points.device.type, enabled=False):  # it would round them
        return (points - mean) @ back + mean
