"""Heatmap-Style Jigsaw Puzzles: the puzzle, its warp, and the network that solves it.

Letters: B batch, H and W height and width of the input, N patches along a side, K = N².
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor

from hsjp_mm.datasets.transforms import set_input_size
from hsjp_mm.models.backbones import PartBranchHourglass
from hsjp_mm.models.heads.hsjp_head import HSJPHead
from hsjp_mm.models.pretext.base import (
    Measure,
    instance_ids,
    pretext_head,
    require_whole_cells,
)
from hsjp_mm.models.pretext.puzzle import PuzzleModel
from hsjp_mm.ops import patches
from hsjp_mm.ops.seeds import instance_random_state
from hsjp_mm.registry import MODELS


@dataclass
class Puzzle:
    """A batch of puzzles.

    Attributes:
        inputs: (B, 3, H, W) what the network sees; (B, 6, H, W) with the unshuffled crops.
        centers: (B, K, 2) where the original patches now lie, (x, y) in input pixels.
        shuffled: (B, 3, N·p, N·p) the shuffled image before the spatial augmentation.
        slots: (B, K) the place to which each original patch went.
        matrices: (B, 2, 3) affine maps from ``shuffled`` to ``inputs``, in pixels.
    """

    inputs: Tensor
    centers: Tensor
    shuffled: Tensor
    slots: Tensor
    matrices: Tensor


def seeded_slots(ids: Sequence[int | str], grid: int, seed: int) -> Tensor:
    """Draw the permutation that belongs to (seed, instance id), on any machine and batch size.

    RandomState's shuffle is Knuth and Durstenfeld's.

    Returns:
        (B, K) long.
    """
    orders = [instance_random_state(seed, instance).permutation(grid**2) for instance in ids]
    return torch.from_numpy(np.stack(orders)).long()


@MODELS.register_module()
class HSJP(PuzzleModel):
    """Pretrain a pose network by finding where the patches of a shuffled person crop went.

    Section 3 of `Learning Heatmap-Style Jigsaw Puzzles Provides Good Pretraining for 2D Human
    Pose Estimation <https://arxiv.org/abs/2012.07101>`_. The crop is cut into N×N patches, which
    are shuffled; the shuffled image is scaled, rotated and moved; and channel i of the network
    marks where original patch i now lies. In evaluation nothing is augmented, and the puzzle of an
    instance is always the same.

    Args:
        backbone: as in a stock top-down config; or ``hsjp_mm.PartBranchHourglass``, which gets
            the puzzle's maps in place of its branches.
        head: as in a stock top-down config, with ``type='hsjp_mm.HSJPHead'``. Its number of
            channels follows from ``grid``; a stock ``out_channels`` and ``decoder`` are replaced.
            ``dict(type='hsjp_mm.HSJPStackHead')`` for PartBranchHourglass.
        neck: as in a stock top-down config.
        grid: N, patches along a side.
        sigma: standard deviation of the targets in heat-map cells; see :class:`HSJPHead`.
        unshuffled: whether the network also sees the crop itself, as channels 3 to 5
            (section 5.3 of the paper).
        input_size: (width, height) of crops and network input in pixels. The stock HourglassNet
            works only with sides that 128 divides, such as (256, 256).
        scale_factor: the shuffled image is scaled by 1 ± this.
        rotate_factor: and rotated by ± this many degrees.
        shift_factor: and moved by ± this share of the side, along x and along y.
        seed: of the evaluation puzzles.
        data_preprocessor, init_cfg, train_cfg, test_cfg: as in a stock config.

    Attributes:
        spatial_strength: share of the three factors that a training puzzle gets; set by
            ``hsjp_mm.SpatialWarmupHook``.

    Raises:
        ValueError: an argument outside its range, a head of another type, a backbone that cannot
            take six channels or states a number of maps, a crop of another size than
            ``input_size``, weights that were trained on another puzzle.

    Examples:
        A stock top-down config becomes a puzzle by its model alone:

        >>> model = dict(
        ...     type='hsjp_mm.HSJP',
        ...     grid=6,
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.HSJPHead', in_channels=2048),
        ... )
    """

    measures = (
        Measure('hsjp/placed', 'patches placed right', share=True),
        Measure('hsjp/precision', 'puzzles solved', share=True),
        Measure('hsjp/error', 'mean error of a patch, pixels', digits=1),
    )
    health = Measure('peak', 'mean height of the peaks (targets: 1)')
    # not by precision, which stays 0 for long: the first of equals would be kept
    save_best = 'hsjp/placed'
    board = 'hsjp_mm.visualization.hsjp.draw_hsjp'

    def __init__(
        self,
        backbone: dict,
        head: dict,
        neck: dict | None = None,
        grid: int = 6,
        sigma: float | None = None,
        unshuffled: bool = False,
        input_size: tuple[int, int] = (224, 224),
        scale_factor: float = 0.35,
        rotate_factor: float = 45.0,
        shift_factor: float = 0.1,
        seed: int = 0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        if not 0 <= scale_factor < 1:
            raise ValueError(f'scale_factor={scale_factor} must be in [0, 1)')
        if rotate_factor < 0 or shift_factor < 0:
            raise ValueError(
                f'rotate_factor={rotate_factor} and shift_factor={shift_factor} must be at least 0'
            )
        super().__init__(
            grid=grid,
            input_size=input_size,
            seed=seed,
            identity={'unshuffled': unshuffled},
            backbone=_puzzle_backbone(backbone, grid, unshuffled),
            neck=neck,
            head=pretext_head(
                head,
                HSJPHead,
                drop=('out_channels', 'decoder'),
                grid=grid,
                sigma=sigma,
                input_size=input_size,
            ),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
        )
        self.unshuffled = unshuffled
        self.size = (input_size[1], input_size[0])
        self.scale_factor = scale_factor
        self.rotate_factor = rotate_factor
        self.shift_factor = shift_factor
        self.spatial_strength = 1.0
        require_whole_cells(self.backbone, [input_size], f'input_size={input_size}')

    def prepare(self, dataset) -> None:
        """Tell the data set's InputAffine the size of the crops.

        Raises:
            ValueError: its pipeline states another size.
        """
        set_input_size(dataset, self.size[::-1])

    def make_puzzle(self, crops: Tensor, ids: Sequence[int | str] | None = None) -> Puzzle:
        """Shuffle crops: at random and augmented, or, given instance ids, as in evaluation.

        Args:
            crops: (B, 3, H, W), preprocessed.
            ids: B instance ids.
        """
        if crops.shape[-2:] != self.size:
            raise ValueError(
                f'the crops are {crops.shape[-1]}×{crops.shape[-2]} pixels, but the model has '
                f'input_size={self.size[::-1]}; hsjp_mm.InputAffine makes that size'
            )
        # autocast would compute places in half precision, which is pixels off
        with torch.autocast(crops.device.type, enabled=False):
            canvas = patches.resize_to_grid(crops, self.grid)
            if ids is None:
                slots = _own_part(patches.random_slots, len(crops), self.grid, crops.device)
                draws = _own_part(torch.rand, len(crops), 4, device=crops.device) * 2 - 1
                draws = draws * self.spatial_strength
            else:
                slots = seeded_slots(ids, self.grid, self.seed).to(crops.device)
                draws = torch.zeros(len(crops), 4, device=crops.device)
            matrices = self._matrices(canvas, *draws.unbind(dim=1))
            shuffled = patches.join(
                patches.shuffle(patches.split(canvas, self.grid), slots), self.grid
            )
            inputs = patches.warp_images(shuffled, matrices, self.size)
            height, width = canvas.shape[-2:]
            places = patches.grid_centers(self.grid, height, width, crops.device)
            centers = patches.warp_points(places[slots], matrices)
        if self.unshuffled:
            inputs = torch.cat([inputs, crops], dim=1)
        return Puzzle(inputs, centers, shuffled, slots, matrices)

    def _matrices(self, canvas: Tensor, scale, rotate, shift_x, shift_y) -> Tensor:
        """Turn numbers from −1 to 1, (B,) each, into affine maps from the canvas to the input."""
        shift = torch.stack([shift_x * self.size[1], shift_y * self.size[0]], dim=1)
        height, width = canvas.shape[-2:]
        return patches.affine(
            source=(height, width),
            target=self.size,
            scale=1 + self.scale_factor * scale,
            angle=math.radians(self.rotate_factor) * rotate,
            shift=self.shift_factor * shift,
        )

    def loss(self, inputs: Tensor, data_samples=None) -> dict[str, Tensor]:
        """Make puzzles of the crops (B, 3, H, W) and compute the head's loss and measures."""
        puzzle = self.make_puzzle(inputs)
        feats = self.extract_feat(puzzle.inputs)
        return self.head.loss(feats, puzzle.centers)

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Solve the evaluation puzzles of the crops (B, 3, H, W).

        Adds to each data sample, one instance each, (x, y) in input pixels:
        ``gt_instances.patch_centers`` and ``pred_instances.patch_centers`` (1, K, 2) and
        ``pred_instances.patch_scores`` (1, K).
        """
        puzzle = self.make_puzzle(inputs, instance_ids(data_samples))
        points, scores, _ = self.head.predict(self.extract_feat(puzzle.inputs))
        truth, found, heights = (x.cpu().numpy() for x in (puzzle.centers, points, scores))
        for i, sample in enumerate(data_samples):
            sample.gt_instances.patch_centers = truth[i : i + 1]
            sample.pred_instances = InstanceData(
                patch_centers=found[i : i + 1], patch_scores=heights[i : i + 1]
            )
        return data_samples


def _own_part(draw: Callable[..., Tensor], batch: int, *size, **device) -> Tensor:
    """Draw for the batches of all processes, and keep those of this one.

    MMEngine starts all processes from one seed: each would draw the same puzzles.
    """
    rank, processes = get_dist_info()
    return draw(batch * processes, *size, **device)[rank::processes]


def _puzzle_backbone(backbone: dict, grid: int, unshuffled: bool) -> dict:
    """Have the backbone take both crops, and predict the puzzle's maps if it predicts any."""
    if unshuffled:
        backbone = _with_channels(backbone, 6)
    if MMPOSE_MODELS.get(backbone['type']) is not PartBranchHourglass:
        return backbone
    if 'num_keypoints' in backbone:
        raise ValueError(
            f'backbone.num_keypoints={backbone["num_keypoints"]}: the puzzle has {grid**2} maps '
            'by the grid of the model alone'
        )
    if backbone.get('part_groups') is not None:
        print_log(f'HSJP: backbone.part_groups make way for {grid**2} patches', 'current')
    return dict(backbone, part_groups=None, num_keypoints=grid**2)


def _with_channels(backbone: dict, channels: int) -> dict:
    """Have the backbone take a number of input channels.

    Raises:
        ValueError: its class has no ``in_channels``.
    """
    cls = MMPOSE_MODELS.get(backbone['type'])
    if 'in_channels' not in inspect.signature(cls.__init__).parameters:
        raise ValueError(
            f'unshuffled=True needs {channels} input channels, but backbone {backbone["type"]!r} '
            'has no in_channels argument'
        )
    return dict(backbone, in_channels=channels)
