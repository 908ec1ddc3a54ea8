"""The head of Jigsaw Clustering: two branches, their losses and measures.

Letters: n images of the whole batch, m patches along a side, K = m², P = n·K patches of the whole
batch, Q those of this process, C channels.
"""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from hsjp_mm.models.losses import SupervisedContrastiveLoss
from hsjp_mm.ops import distributed, regrouping
from hsjp_mm.ops.patches import resize_to_grid
from hsjp_mm.registry import MODELS

REGROUPED = 64
"""Images of 2×2 patches of a training batch that are put together again to measure, or as many
patches of other images; the time grows as the third power of the patches."""


def decouple(maps: Tensor, grid: int) -> Tensor:
    """Make one vector of each patch of a montage (the decouple module, section 3.2).

    The map is enlarged until m divides its sides, and then averaged over each patch.

    Args:
        maps: (B, C, h, w), the backbone's last feature map.
        grid: m.

    Returns:
        (B, K, C).
    """
    maps = resize_to_grid(maps, grid)
    # not adaptive_avg_pool2d, whose gradient on a GPU is not deterministic
    pooled = F.avg_pool2d(maps, [side // grid for side in maps.shape[2:]])
    return pooled.flatten(2).transpose(1, 2)


@MODELS.register_module()
class JigCluHead(BaseModule):
    """Tell which image a patch comes from, and from where in it.

    Sections 3.2 and 3.3 of `Jigsaw Clustering for Unsupervised Visual Representation Learning
    <https://arxiv.org/abs/2104.00323>`_. Subclasses MMEngine's BaseModule, for MMPose's BaseHead
    is about keypoints and their codec.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        grid: m; given by :class:`~hsjp_mm.models.JigClu`.
        alpha: weight of the clustering loss; with 0 the branch is left out, and what is measured
            are the vectors that go into it.
        beta: weight of the location loss; with 0 the branch is left out.
        dim: channels of an embedding.
        temperature: τ. The paper does not give it; the default is that of the authors' command.
        init_cfg: as in BaseModule.

    Raises:
        ValueError: an argument outside its range.

    Examples:
        The clustering branch alone, as in the paper's table 5; the grid is the model's:

        >>> head = dict(type='hsjp_mm.JigCluHead', in_channels=2048, beta=0)
        >>> model = dict(type='hsjp_mm.JigClu', backbone=dict(type='ResNet', depth=50), head=head)
    """

    def __init__(
        self,
        in_channels: int,
        grid: int,
        alpha: float = 1.0,
        beta: float = 1.0,
        dim: int = 128,
        temperature: float = 0.3,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg)
        if not (alpha >= 0 and beta >= 0 and alpha + beta > 0):
            raise ValueError(f'alpha={alpha} and beta={beta} must be at least 0, and one above')
        self.grid = grid
        self.in_channels = in_channels
        self.alpha = alpha
        self.beta = beta
        self.clustering_loss = SupervisedContrastiveLoss(temperature)
        if alpha:
            self.clustering = nn.Sequential(
                nn.Linear(in_channels, in_channels), nn.ReLU(), nn.Linear(in_channels, dim)
            )
        if beta:
            self.location = nn.Linear(in_channels, grid**2)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor | None]:
        """Run the branches.

        Args:
            vectors: (Q, C), one of each patch.

        Returns:
            (Q, dim) embeddings of length 1, and (Q, K) logits of the locations or None.

        Raises:
            ValueError: another number of channels than ``in_channels``.
        """
        if vectors.shape[1] != self.in_channels:
            raise ValueError(
                f'in_channels={self.in_channels}, but the last feature map has {vectors.shape[1]}'
            )
        embeddings = self.clustering(vectors) if self.alpha else vectors
        # half precision would be too coarse for what follows
        embeddings = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
        return F.normalize(embeddings, dim=1), self.location(vectors) if self.beta else None

    def loss(self, vectors: Tensor, sources: Tensor, sizes: list[int]) -> dict[str, Tensor]:
        """Compute the losses of the whole batch, and numbers that tell whether anything is learnt.

        All processes return the same; see :mod:`hsjp_mm.ops.distributed` for the gradients.

        Args:
            vectors: (Q, C), one of each patch of this process's montages.
            sources: (P,) long, what each patch of the whole batch is, image·K + location.
            sizes: patches by process.

        Returns:
            ``loss_clustering`` α·(2), ``loss_location`` β·(3), and the measures of
            :class:`~hsjp_mm.evaluation.JigCluAccuracy` on the batch, ``restored`` on its first
            256 patches.

        Raises:
            ValueError: the embeddings are not finite.
        """
        own, logits = self(vectors)
        # autocast would take the similarities in half precision
        with torch.autocast(own.device.type, enabled=False):
            return self._losses(own, logits, sources, sizes)

    def _losses(self, own, logits, sources, sizes) -> dict[str, Tensor]:
        everyone = distributed.gather(own, sizes)
        if not everyone.isfinite().all():
            raise ValueError(
                'the embeddings of the patches hold NaN or infinity: the run has diverged (try a '
                'lower learning rate), or the input or the initial weights were not finite'
            )
        sources = sources.to(own.device)
        first = sum(sizes[: distributed.get_rank()])
        images, locations = sources // self.grid**2, sources % self.grid**2
        losses = {}
        if self.alpha:
            rows = self.clustering_loss(own, everyone, images, first)
            losses['loss_clustering'] = self.alpha * distributed.total(rows.sum()) / len(sources)
        if logits is not None:
            right = locations[first : first + len(own)]
            entropy = F.cross_entropy(logits.to(own.dtype), right, reduction='sum')
            losses['loss_location'] = self.beta * distributed.total(entropy) / len(sources)
        return losses | self._measures(own, everyone, logits, sources, sizes)

    @torch.compiler.disable  # numpy and SciPy, which torch.compile would try to trace
    @torch.no_grad()
    def _measures(self, own, everyone, logits, sources, sizes) -> dict[str, Tensor]:
        patches, number = self.grid**2, len(sources)
        first = sum(sizes[: distributed.get_rank()])
        found = regrouping.retrieved(own, everyone, sources // patches, first)
        measures = {
            'retrieval': distributed.total(found.sum()) / number,
            'retrieval_chance': regrouping.retrieval_chance(number // patches, patches),
            'feature_std': regrouping.feature_std(everyone),
        }
        if logits is not None:
            right = logits.argmax(dim=1) == (sources % patches)[first : first + len(own)]
            logits = distributed.gather(logits.float(), sizes)
            some = sources < 4 * REGROUPED // patches * patches
            images = regrouping.put_together(
                everyone[some].float().cpu().numpy(), logits[some].cpu().numpy()
            )
            whole = regrouping.restored(images, sources[some].cpu().numpy())
            measures |= {
                'location': distributed.total(right.sum()) / number,
                'location_chance': 1 / patches,
                'restored': whole.mean(),
                'restored_chance': regrouping.restored_chance(len(whole), patches),
            }
        return {key: torch.as_tensor(value) for key, value in measures.items()}
