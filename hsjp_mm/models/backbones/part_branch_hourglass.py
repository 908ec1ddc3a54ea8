"""The Part-based Branching Network.

Letters: B batch, S stacks, K keypoints, W width and D depth of a branch; H and V height and width
of the input in pixels, h = H/4 and v = V/4 of a map in cells.
"""

from typing import Any

import torch
from mmpose.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from hsjp_mm.models.utils.part_branches import PartBranches, Residual, conv_norm_relu, require_depth
from hsjp_mm.models.utils.part_groups import PartGroups, read_part_groups
from hsjp_mm.registry import MODELS

CHANNELS = 256
"""How many channels the shared features have."""
POOLINGS = 4
"""So often an hourglass halves its maps: from 64×64 to 4×4."""
DIVISOR = 4 * 2**POOLINGS
"""The sides of the input must be multiples of this."""
FUSES = ('shared', 'specific')
"""Which features of a stack can go on to the next."""


@MODELS.register_module()
class PartBranchHourglass(BaseBackbone):
    """Stacked hourglasses, each followed by branches for groups of related body parts.

    Sections 3.2 and 3.3 of `Does Learning Specific Features for Related Parts Help Human Pose
    Estimation? <https://openaccess.thecvf.com/content_CVPR_2019/html/Tang_Does_Learning_Specific_Features_for_Related_Parts_Help_Human_Pose_CVPR_2019_paper.html>`_
    It is a backbone because the maps of a stack go into the next. The stock ``CPMHead`` with
    ``final_layer=None``, which then has no parameters, supervises all stacks and predicts by the
    last; by the highest cell with the codec ``hsjp_mm.HighestCell``.

    What the text leaves open is as in the stacked hourglass of Newell et al., upon which it
    builds; with 16 keypoints, 8 stacks and 5 groups this gives the paper's 26.69 M parameters, and
    27.22 M for its deep baseline. Residual blocks are pre-activated and half as wide inside; all
    convolutions have biases. After the hourglass come a residual block, which the text names, and
    a 1×1 convolution with batch norm and ReLU: the shared features. A plain 1×1 convolution brings
    them to the addition before the next stack. The reducing convolution of a branch has batch
    norm and ReLU too. Weights start as torch draws them. The stock ``HourglassNet`` cannot be
    configured to be this: it has basic blocks, strides in place of poolings, and predicts in the
    head only.

    Without groups the branches are replaced by D residual blocks of 256 channels and a linear
    layer for all keypoints: the paper's baseline with ``depth=0``, its deep baseline with 1.

    ``hsjp_mm.PretextInit`` fills ``trunk``: stem, hourglasses and the convolutions of the shared
    features between stacks. What predicts keypoints or reads predictions is beside it.

    Args:
        part_groups: ``dict(keypoints=[...], groups=[[...], ...])`` with the names of all K
            keypoints in their order and of those in each group, or the path of a JSON file that
            holds this; those in ``configs/pbn/part_groups`` are found from any folder. A keypoint
            may be in several groups.
            None: no branches.
        num_stacks: S, how many hourglasses follow each other.
        width: W, channels of a branch; of no meaning without groups.
        depth: D, residual blocks of a branch.
        fuse: the features that go on to the next stack: ``'shared'``, or ``'specific'``, those of
            all branches, which a 1×1 convolution brings to 256 channels.
        num_keypoints: K, if there are no groups to tell it.
        in_channels: channels of the input.
        init_cfg: as in a stock backbone.

    Raises:
        ValueError: An argument outside its range; not exactly one of ``part_groups`` and
            ``num_keypoints``; ``fuse='specific'`` without groups; or groups that do not cover
            the keypoints.
        FileNotFoundError: ``part_groups`` is no file.

    Examples:
        >>> upper, lower = ['head', 'wrist'], ['hip', 'ankle']
        >>> model = dict(
        ...     type='TopdownPoseEstimator',
        ...     backbone=dict(
        ...         type='hsjp_mm.PartBranchHourglass',
        ...         part_groups=dict(keypoints=upper + lower, groups=[upper, lower]),
        ...         num_stacks=2,
        ...     ),
        ...     head=dict(
        ...         type='CPMHead', in_channels=4, out_channels=4, num_stages=2, final_layer=None
        ...     ),
        ... )
    """

    pretrained_part = 'trunk'

    def __init__(
        self,
        part_groups: dict | str | None = None,
        num_stacks: int = 8,
        width: int = 64,
        depth: int = 1,
        fuse: str = 'shared',
        num_keypoints: int | None = None,
        in_channels: int = 3,
        init_cfg: dict | list | None = None,
    ):
        if num_stacks < 1:
            raise ValueError(f'num_stacks={num_stacks} must be 1 or more')
        if fuse not in FUSES:
            raise ValueError(f'fuse={fuse!r} must be one of {FUSES}')
        if part_groups is None and fuse == 'specific':
            raise ValueError("fuse='specific' needs part_groups: without there are no branches")
        keypoints, groups = _keypoints_and_groups(part_groups, num_keypoints)
        super().__init__(init_cfg)
        self.fuse = fuse
        self.trunk = Trunk(in_channels, num_stacks, joined=fuse == 'shared')
        self.predictors = nn.ModuleList(
            _linear_predictor(keypoints, depth)
            if groups is None
            else PartBranches(CHANNELS, groups.indices, width, depth)
            for _ in range(num_stacks)
        )
        self.remaps = _joins(keypoints, num_stacks)
        if groups is not None and fuse == 'specific':
            self.specific_joins = _joins(len(groups.groups) * width, num_stacks)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Predict.

        Args:
            x: (B, 3, H, V), sides that 64 divides.

        Returns:
            The heat maps of the S stacks, (B, K, h, v) each.

        Raises:
            ValueError: 64 does not divide the sides.
        """
        if any(side % DIVISOR for side in x.shape[-2:]):
            raise ValueError(
                f'the input has {x.shape[-1]}×{x.shape[-2]} pixels; PartBranchHourglass halves '
                f'its sides {POOLINGS + 2} times, so {DIVISOR} must divide them'
            )
        joins = self.trunk.joins if self.fuse == 'shared' else self.specific_joins
        fused = self.trunk.stem(x)
        stacks = []
        for i, hourglass in enumerate(self.trunk.hourglasses):
            passed = hourglass(fused)
            predictor: Any = self.predictors[i]
            if self.fuse == 'shared':
                stacks.append(predictor(passed))
            else:
                specific = predictor.specific_features(passed)
                stacks.append(predictor.heatmaps(specific))
                passed = torch.cat(specific, dim=1)
            if i < len(joins):
                fused = fused + self.remaps[i](stacks[i]) + joins[i](passed)
        return tuple(stacks)


class Trunk(nn.Module):
    """What all keypoints share, and PretextInit fills.

    Args:
        in_channels: of the input.
        num_stacks: S.
        joined: whether the shared features go on to the next stack.
    """

    def __init__(self, in_channels: int, num_stacks: int, joined: bool):
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm_relu(in_channels, 64, 3),
            nn.MaxPool2d(2),
            conv_norm_relu(64, 64, 3),
            conv_norm_relu(64, 64, 3),
            Residual(64, 128),
            nn.MaxPool2d(2),
            Residual(128, 128),
            Residual(128, CHANNELS),
        )
        self.hourglasses = nn.ModuleList(
            nn.Sequential(
                Hourglass(POOLINGS),
                Residual(CHANNELS, CHANNELS),
                conv_norm_relu(CHANNELS, CHANNELS, 1),
            )
            for _ in range(num_stacks)
        )
        if joined:
            self.joins = _joins(CHANNELS, num_stacks)


class Hourglass(nn.Module):
    """Residual blocks at a resolution and, between a pooling and its reverse, at the lower ones.

    MMPose's HourglassModule has basic blocks and strides.

    Args:
        poolings: how many resolutions are below.
    """

    def __init__(self, poolings: int):
        super().__init__()
        self.skip = Residual(CHANNELS, CHANNELS)
        self.lower = nn.Sequential(
            nn.MaxPool2d(2),
            Residual(CHANNELS, CHANNELS),
            Hourglass(poolings - 1) if poolings > 1 else Residual(CHANNELS, CHANNELS),
            Residual(CHANNELS, CHANNELS),
            nn.Upsample(scale_factor=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 256, h, v) to the same shape."""
        return self.skip(x) + self.lower(x)


def _keypoints_and_groups(
    part_groups: dict | str | None, num_keypoints: int | None
) -> tuple[int, PartGroups | None]:
    """The number of keypoints, from the one argument that tells it, and the groups."""
    if part_groups is not None and num_keypoints is None:
        groups = read_part_groups(part_groups)
        return len(groups.keypoints), groups
    if part_groups is None and num_keypoints is not None:
        return num_keypoints, None
    raise ValueError(
        f'part_groups={part_groups!r} and num_keypoints={num_keypoints!r}: give one of them, for '
        'groups tell the number of keypoints'
    )


def _joins(channels: int, num_stacks: int) -> nn.ModuleList:
    """The convolutions before the additions between stacks."""
    return nn.ModuleList(nn.Conv2d(channels, CHANNELS, 1) for _ in range(num_stacks - 1))


def _linear_predictor(num_keypoints: int, depth: int) -> nn.Sequential:
    """The paper's baseline (depth 0) and deep baseline (1), in place of the branches."""
    require_depth(depth)
    blocks = (Residual(CHANNELS, CHANNELS) for _ in range(depth))
    return nn.Sequential(*blocks, nn.Conv2d(CHANNELS, num_keypoints, 1))
