"""The layers of which the Part-based Branching Network is made.

Letters: B batch, K keypoints, C channels, W width of a branch, D its depth; h and w height and
width of a feature map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """The residual bottleneck of the stacked hourglass: 1×1, 3×3, 1×1, at half the width inside.

    Batch norm and ReLU go before each convolution, and convolutions have biases, as in the
    hourglass that the paper builds upon; the paper's counts of parameters need the biases. MMPose's
    Bottleneck has neither, and mmcv's ConvModule warns of a bias beside a norm.

    Args:
        in_channels: C of the input.
        out_channels: C of the output, even. If it differs, a 1×1 convolution is on the other path.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        middle = out_channels // 2
        self.layers = nn.Sequential(
            *_normalised_conv(in_channels, middle, 1),
            *_normalised_conv(middle, middle, 3),
            *_normalised_conv(middle, out_channels, 1),
        )
        self.skip: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.skip = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same with the output's channels."""
        return self.skip(x) + self.layers(x)


def _normalised_conv(in_channels: int, out_channels: int, kernel: int) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2),
    ]


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int, **conv) -> nn.Sequential:
    """Convolution with bias, batch norm, ReLU; of the input's size but for a ``stride``."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, **conv),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class PartBranches(nn.Module):
    """One branch for each group of related parts (figure 3 of the paper).

    A branch is a 1×1 convolution to W channels with batch norm and ReLU, D residual blocks, which
    give the group's specific features, and a 1×1 convolution to one map for each of its parts.
    A part of several groups has the average of their maps.

    Args:
        in_channels: C of the shared features.
        groups: indices of each group's keypoints; together 0 to K − 1.
        width: W, even.
        depth: D.

    Raises:
        ValueError: ``width`` is odd or below 2, or ``depth`` is negative.
    """

    keypoints: Tensor
    shares: Tensor

    def __init__(
        self, in_channels: int, groups: Sequence[Sequence[int]], width: int = 64, depth: int = 1
    ):
        if width < 2 or width % 2:
            raise ValueError(f'width={width} must be an even number, 2 or more')
        require_depth(depth)
        super().__init__()
        self.specific = nn.ModuleList(
            nn.Sequential(
                conv_norm_relu(in_channels, width, 1),
                *(Residual(width, width) for _ in range(depth)),
            )
            for _ in groups
        )
        self.linear = nn.ModuleList(nn.Conv2d(width, len(group), 1) for group in groups)
        keypoints = [keypoint for group in groups for keypoint in group]
        self.register_buffer('keypoints', torch.tensor(keypoints), persistent=False)
        shares = torch.tensor([1 / keypoints.count(k) for k in sorted(set(keypoints))])
        self.register_buffer('shares', shares[:, None, None], persistent=False)

    def specific_features(self, shared: Tensor) -> list[Tensor]:
        """From (B, C, h, w), of each group (B, W, h, w)."""
        return [branch(shared) for branch in self.specific]

    def heatmaps(self, specific: Sequence[Tensor]) -> Tensor:
        """From each group's specific features, (B, K, h, w)."""
        maps = [linear(x) for linear, x in zip(self.linear, specific, strict=True)]
        predicted = torch.cat(maps, dim=1)
        batch, _, *size = predicted.shape
        zeros = predicted.new_zeros(batch, len(self.shares), *size)
        total = zeros.index_add(1, self.keypoints, predicted)
        return total * self.shares.to(total.dtype)

    def forward(self, shared: Tensor) -> Tensor:
        """From (B, C, h, w), (B, K, h, w)."""
        return self.heatmaps(self.specific_features(shared))


def require_depth(depth: int) -> None:
    """Refuse a negative number of residual blocks."""
    if depth < 0:
        raise ValueError(f'depth={depth} must be 0 or more')
