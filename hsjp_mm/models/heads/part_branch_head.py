"""The branches of the Part-based Branching Network as a head."""

from typing import Any

from mmpose.models.heads import HeatmapHead

from hsjp_mm.models.utils.part_branches import PartBranches
from hsjp_mm.models.utils.part_groups import read_part_groups
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class PartBranchHead(HeatmapHead):
    """The stock head of top-down models with a branch for each group of related body parts.

    Section 3.2 of `Does Learning Specific Features for Related Parts Help Human Pose Estimation?
    <https://openaccess.thecvf.com/content_CVPR_2019/html/Tang_Does_Learning_Specific_Features_for_Related_Parts_Help_Human_Pose_CVPR_2019_paper.html>`_
    The branches are in the place of the last convolution, behind the deconvolutions if there are
    any. In a stock config it takes two lines: ``type='hsjp_mm.PartBranchHead'`` and the groups.

    Args:
        in_channels: channels of the features that it reads.
        out_channels: K, the number of keypoints.
        part_groups: ``dict(keypoints=[...], groups=[[...], ...])`` with the names of all K
            keypoints in their order and of those in each group, or the path of a JSON file that
            holds this; those in ``configs/pbn/part_groups`` are found from any folder. A keypoint
            may be in several groups.
        width: W, channels of a branch.
        depth: D, residual blocks of a branch.
        layers: further arguments of the stock head (deconvolutions, loss, decoder, ...).

    Raises:
        ValueError: The groups are not of K keypoints or do not cover them; ``width`` or ``depth``
            is outside its range; or a ``final_layer`` is given.
        FileNotFoundError: ``part_groups`` is no file.

    Examples:
        >>> upper, lower = ['head', 'wrist'], ['hip', 'ankle']
        >>> head = dict(
        ...     type='hsjp_mm.PartBranchHead',
        ...     in_channels=2048,
        ...     out_channels=4,
        ...     part_groups=dict(keypoints=upper + lower, groups=[upper, lower]),
        ... )
    """

    final_layer: Any  # the stock convolution, until the branches take its place

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        part_groups: dict | str,
        width: int = 64,
        depth: int = 1,
        **layers,
    ):
        if 'final_layer' in layers:
            raise ValueError(
                f'final_layer={layers["final_layer"]!r}: the branches are in its place'
            )
        groups = read_part_groups(part_groups)
        if len(groups.keypoints) != out_channels:
            raise ValueError(
                f'out_channels={out_channels}, but part_groups are of {len(groups.keypoints)} '
                f'keypoints: {", ".join(groups.keypoints)}'
            )
        super().__init__(in_channels, out_channels, **layers)
        channels = self.final_layer.in_channels
        self.final_layer = PartBranches(channels, groups.indices, width, depth)
