"""Jigsaw Clustering: montages of the patches of a whole batch, and the network that sorts them.

Letters: n images (B of this process), m patches along a side, K = m², h and w height and width of
a patch, C channels.
"""

import math

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from hsjp_mm.datasets.transforms.patches import set_patches
from hsjp_mm.datasets.transforms.topdown import set_input_size
from hsjp_mm.models.heads.jigclu_head import JigCluHead, decouple
from hsjp_mm.models.pretext.base import (
    Measure,
    instance_ids,
    pretext_head,
    require_whole_cells,
)
from hsjp_mm.models.pretext.puzzle import PuzzleModel
from hsjp_mm.ops import distributed, patches
from hsjp_mm.ops.seeds import instance_random_state
from hsjp_mm.registry import MODELS

FORMATS = ('montage', 'small_patches', 'scaled_patches')


@MODELS.register_module()
class JigClu(PuzzleModel):
    """Pretrain a backbone by sorting the patches of a batch of images, from one forward pass.

    `Jigsaw Clustering for Unsupervised Visual Representation Learning
    <https://arxiv.org/abs/2104.00323>`_. The patches of all images of the batch, over all
    processes, are shuffled together and stitched into as many montages. For each patch in a
    montage the network tells which others come from the same image, and from where in it.

    The images are cut and augmented by :class:`~hsjp_mm.datasets.PatchAugmentation`, to which
    ``hsjp_mm.PrepareDataHook`` tells what stands here: ``grid``, the size of a patch, ``overlap``
    and ``position``. A patch's vector is taken from
    the last map that the neck or else the backbone gives: the last stage of a ResNet, the last
    stack of an Hourglass. For HRNet let it be all four resolutions
    (``extra.stage4.multiscale_output=True`` and the stock neck FeatureMapProcessor with
    ``concat=True``), for the highest alone has few channels.

    Processes: the permutation is common to all, each forwards as many montages as it has images,
    and the loss is that of the whole batch, the same as in one process (with the same batch norm
    statistics: ``sync_bn='torch'`` in the config). A batch that is only gathered over steps, by
    ``accumulative_counts``, is several small ones to this loss: a patch meets only those of its
    own step.

    Evaluation draws the montages from ``seed`` and the instances in the batch of this process, so
    the batch size belongs to the result.

    Args:
        backbone, neck: as in a stock config.
        head: with ``type='hsjp_mm.JigCluHead'``; ``grid`` is given to it.
        grid: m, patches along a side.
        input_size: (width, height) in pixels of a montage; a patch has that divided by m, rounded
            up. The stock HRNet works only with montages whose sides 32 divides, such as (288, 288)
            for m = 3, and the stock HourglassNet with 128.
        input_format: what goes into the network (the paper's table 6): ``'montage'``s;
            ``'small_patches'``, each by itself; ``'scaled_patches'``, each by itself and as large
            as ``input_size``.
        overlap: share of the image's side that neighboring patches have in common, in [0, 1).
            Default: 0.3, as in the paper. The authors' code lengthens both halves by 0.3 of the
            side instead: that is 0.6 here, for m = 2.
        position: where the augmentation stands (the paper's table 7): ``'after_split'``, the
            default, on each patch; ``'crop_before_split'``, one crop of the image is split, and the
            rest is drawn for each patch; ``'before_split'``, one augmented image is split.
        seed: of the evaluation montages.
        data_preprocessor, init_cfg, train_cfg, test_cfg: as in a stock config.

    Raises:
        ValueError: an argument outside its range, a head of another type, patches of another
            number or size, fewer than two images in a batch, a process without images, weights of
            another puzzle.

    Examples:
        An ablation is a line:

        >>> model = dict(
        ...     type='hsjp_mm.JigClu',
        ...     overlap=0.1,
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.JigCluHead', in_channels=2048),
        ... )
    """

    measures = (
        Measure('jigclu/location', 'patches located right', share=True),
        Measure('jigclu/retrieval', 'patches whose nearest one is of the same image', share=True),
        Measure('jigclu/restored', 'images put together again', share=True),
        Measure('jigclu/feature_std', 'spread of the vectors (collapsed: 0)'),
    )
    health = Measure('feature_std', 'spread of the vectors (collapsed: 0)')
    save_best = 'jigclu/retrieval'
    min_batch = 2
    board = 'hsjp_mm.visualization.jigclu.draw_jigclu'

    def __init__(
        self,
        backbone: dict,
        head: dict,
        neck: dict | None = None,
        grid: int = 2,
        input_size: tuple[int, int] = (224, 224),
        input_format: str = 'montage',
        overlap: float | None = None,
        position: str | None = None,
        seed: int = 0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        if input_format not in FORMATS:
            raise ValueError(f'input_format={input_format!r} must be one of {", ".join(FORMATS)}')
        super().__init__(
            grid=grid,
            input_size=input_size,
            seed=seed,
            backbone=backbone,
            neck=neck,
            head=pretext_head(head, JigCluHead, grid=grid),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
        )
        self.input_size = (input_size[0], input_size[1])
        self.montage = input_format == 'montage'
        shrink = 1 if input_format == 'scaled_patches' else grid
        self.patch_size = (math.ceil(input_size[0] / shrink), math.ceil(input_size[1] / shrink))
        self.overlap = overlap
        self.position = position
        times = self.grid if self.montage else 1
        width, height = (times * side for side in self.patch_size)
        require_whole_cells(
            self.backbone, [(width, height)], f'input_size={input_size} with grid={grid}'
        )

    def prepare(self, dataset) -> None:
        """Tell the data set's PatchAugmentation what patches to make, and InputAffine of what crop.

        An InputAffine that states a size keeps it: patches of any crop are brought to their size.

        Raises:
            ValueError: there is none in its pipeline, or it states another overlap or position.
        """
        set_input_size(dataset, self.input_size, alone=False)
        if not set_patches(
            dataset, self.grid, self.patch_size, overlap=self.overlap, position=self.position
        ):
            raise ValueError(
                'no hsjp_mm.PatchAugmentation stands in the pipeline, which JigClu needs for its '
                f'{self.grid}×{self.grid} patches'
            )

    def cut(self, inputs: Tensor) -> Tensor:
        """Take the columns of patches (B, 3, K·h, w) apart: (B·K, 3, h, w)."""
        (width, height), patches_each = self.patch_size, self.grid**2
        if inputs.shape[-2:] != (patches_each * height, width):
            raise ValueError(
                f'the data pipeline gives {inputs.shape[-1]}×{inputs.shape[-2]} pixels an image, '
                f'but grid={self.grid} wants {patches_each} patches of {width}×{height} in a '
                f'column, {width}×{patches_each * height}; hsjp_mm.PrepareDataHook in custom_hooks '
                'tells hsjp_mm.PatchAugmentation the numbers'
            )
        return inputs.unflatten(2, (patches_each, height)).transpose(1, 2).flatten(0, 1)

    def stitch(self, pieces: Tensor) -> Tensor:
        """Make montages (B, 3, m·h, m·w) of patches (B·K, 3, h, w)."""
        return patches.join(pieces.unflatten(0, (-1, self.grid**2)), self.grid)

    def patch_vectors(self, pieces: Tensor) -> Tensor:
        """Forward patches (B·K, 3, h, w), in montages or each by itself; (B·K, C)."""
        return self._vectors(self.stitch(pieces) if self.montage else pieces)

    def _vectors(self, images: Tensor) -> Tensor:
        """Of the patches in montages (B, 3, m·h, m·w), or of patches (B·K, 3, h, w); (B·K, C)."""
        maps = self.extract_feat(images)[-1]
        return decouple(maps, self.grid if self.montage else 1).flatten(0, 1)

    def _forward(self, inputs: Tensor, data_samples=None) -> tuple[Tensor, ...]:
        """Run the network alone, for mode 'tensor' and export.

        Args:
            inputs: what goes into the backbone, as ``input_format`` says: montages
                (B, 3, m·h, m·w), or B·K patches each by itself; preprocessed.
            data_samples: not used.

        Returns:
            (B·K, dim) embeddings of length 1, patch i = row·m + column of a montage, and with a
            location branch (B·K, K) logits of the locations.
        """
        return tuple(part for part in self.head(self._vectors(inputs)) if part is not None)

    def loss(self, inputs: Tensor, data_samples=None) -> dict[str, Tensor]:
        """Shuffle the patches (B, 3, K·h, w) of all processes; the head's losses and measures."""
        pieces = self.cut(inputs)
        images = distributed.sizes_of(len(inputs), inputs.device)
        if min(images) == 0 or sum(images) < self.min_batch:
            raise ValueError(
                f'a batch of {sum(images)} images over {len(images)} processes ({images}): JigClu '
                'needs two images or more, and one or more in each process; '
                'train_dataloader.drop_last=True leaves out a last batch that is too small'
            )
        sizes = [number * self.grid**2 for number in images]
        order = distributed.shared_order(sum(sizes))
        own = distributed.exchange(pieces, order, sizes)
        return self.head.loss(self.patch_vectors(own), order, sizes)

    def solve(self, inputs: Tensor, ids: list) -> tuple[Tensor, Tensor, Tensor | None]:
        """Solve the evaluation montages of the patches (B, 3, K·h, w) of this process.

        Returns:
            (B·K,) the source of each patch in the montages, image·K + location; in the order of
            the sources, (B·K, C) vectors of length 1 and (B·K, K) logits of the locations or None.
        """
        pieces = self.cut(inputs)
        random = instance_random_state(self.seed, '/'.join(map(str, ids)))
        order = torch.from_numpy(random.permutation(len(pieces))).to(pieces.device)
        vectors, logits = self.head(self.patch_vectors(pieces[order]))
        back = order.argsort()
        return order, vectors[back], None if logits is None else logits[back]

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Solve the evaluation montages.

        Adds to each data sample, one instance each, in the order of the true locations:
        ``pred_instances.patch_embeddings`` (1, K, C) of length 1, and with a location branch
        ``pred_instances.patch_logits`` (1, K, K).
        """
        _, vectors, logits = self.solve(inputs, instance_ids(data_samples))
        found = {'patch_embeddings': vectors}
        if logits is not None:
            found['patch_logits'] = logits
        parts = {
            k: v.unflatten(0, (-1, self.grid**2)).detach().float().cpu() for k, v in found.items()
        }
        for i, sample in enumerate(data_samples):
            sample.pred_instances = InstanceData(**{k: v[i : i + 1] for k, v in parts.items()})
        return data_samples
