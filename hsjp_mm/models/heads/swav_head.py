"""The head of SwAV: a projector, prototypes, and their balanced assignment.

Letters: B images of this process, N of all, V views, L rows of the queue, D channels of an
embedding, P prototypes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsjp_mm.models.heads.projection_head import ProjectionHead, require_finite
from hsjp_mm.ops import distributed
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class SwAVHead(ProjectionHead):
    """Predict the assignment of one view to prototypes from the others.

    Section 3 of `Unsupervised Learning of Visual Features by Contrasting Cluster Assignments
    <https://arxiv.org/abs/2006.09882>`_. mmpretrain's SwAVLoss is not used: it sums over processes
    only in the branch for empty prototypes, so that each process balances its own images; its
    queue differs by process and lies in a file beside the checkpoint. Here the embeddings of all
    processes are gathered and balanced together, which gives what one process would get, and the
    queue is common to all and part of the checkpoint.

    Args:
        in_channels: of the map that the neck or else the backbone gives last.
        hidden_channels, out_channels: of the projector.
        prototypes: P.
        epsilon: ε of the balanced assignment: the smaller, the harder. Where batches are small,
            assignments may all be alike with 0.05, and nothing is learnt from them.
        iterations: of the Sinkhorn-Knopp algorithm.
        temperature: τ of the predictions.
        frozen_steps: the prototypes do not move in the first so many steps.
        queue_length: L, rows of earlier batches that are balanced along, for batches that are small
            beside the prototypes; 0 for none.
        queue_start: the queue is used from this step on.
        init_cfg: as in MMEngine's BaseModule.

    Raises:
        ValueError: an argument outside its range.

    Examples:
        >>> head = dict(type='hsjp_mm.SwAVHead', in_channels=2048, queue_length=3840)
    """

    queue: Tensor
    filled: Tensor
    steps: Tensor

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 2048,
        out_channels: int = 128,
        prototypes: int = 3000,
        epsilon: float = 0.05,
        iterations: int = 3,
        temperature: float = 0.1,
        frozen_steps: int = 313,
        queue_length: int = 0,
        queue_start: int = 0,
        init_cfg: dict | list | None = None,
    ):
        if not (epsilon > 0 and temperature > 0):
            raise ValueError(f'epsilon={epsilon} and temperature={temperature} must be positive')
        if prototypes < 2 or iterations < 1 or min(frozen_steps, queue_length, queue_start) < 0:
            raise ValueError(
                f'prototypes={prototypes} must be at least 2, iterations={iterations} at least 1, '
                f'and frozen_steps={frozen_steps}, queue_length={queue_length}, '
                f'queue_start={queue_start} at least 0'
            )
        layers = dict(
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            with_bias=True,
            with_last_bn=False,
            with_last_bias=True,
        )
        super().__init__(in_channels, layers, init_cfg)
        self.prototypes = nn.Linear(out_channels, prototypes, bias=False)
        self.epsilon = epsilon
        self.iterations = iterations
        self.temperature = temperature
        self.frozen_steps = frozen_steps
        self.queue_start = queue_start
        self.register_buffer('queue', torch.zeros(2, queue_length, out_channels))
        self.register_buffer('filled', torch.zeros((), dtype=torch.long))
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def normalize_prototypes(self) -> None:
        """Bring the prototypes to length 1, which each step moves them away from."""
        self.prototypes.weight.copy_(F.normalize(self.prototypes.weight, dim=1))

    def loss(self, embeddings: Sequence[Tensor]) -> dict[str, Tensor]:
        """Compute the loss of the whole batch; all processes return the same.

        Args:
            embeddings: V of (B, D), of length 1; the first two views are assigned.

        Returns:
            ``loss_swapped``, the mean over the two assigned views and all others of the cross
            entropy; ``prototypes_used``, how many prototypes are the first choice of a view that is
            assigned, as a share of the most that could be; ``floor``, the mean entropy of the
            assignments, below which the loss cannot get.

        Raises:
            ValueError: the embeddings are not finite.
        """
        self.steps += 1
        self.normalize_prototypes()
        # autocast would take the similarities in half precision
        with torch.autocast(embeddings[0].device.type, enabled=False):
            require_finite(embeddings[0])
            scores = [F.linear(one, self._weights()) for one in embeddings]
            sizes = distributed.sizes_of(len(scores[0]), scores[0].device)
            codes = self._codes(embeddings[:2], sizes)
            terms = [
                -(code * F.log_softmax(scores[v] / self.temperature, dim=1)).sum()
                for c, code in enumerate(codes)
                for v in range(len(scores))
                if v != c
            ]
            loss = distributed.total(torch.stack(terms).sum()) / (len(terms) * sum(sizes))
            entropy = -torch.cat([torch.special.xlogy(code, code) for code in codes]).sum(dim=1)
            first = torch.cat([code.argmax(dim=1) for code in codes])
            used = torch.zeros_like(codes[0][0]).index_fill(0, first, 1.0).sum()
        return {
            'loss_swapped': loss,
            'prototypes_used': used / min(self.prototypes.out_features, len(entropy)),
            'floor': entropy.mean(),
        }

    def _weights(self) -> Tensor:
        """The prototypes; in the first steps their gradient is 0, for DDP would wait for none."""
        weights = self.prototypes.weight
        return weights if self.steps > self.frozen_steps else weights.detach() + 0 * weights

    @torch.no_grad()
    def _codes(self, embeddings: Sequence[Tensor], sizes: list[int]) -> list[Tensor]:
        """Assign views to prototypes, (B, P) each, balanced over all processes and the queue."""
        everyone = [distributed.gather(one.detach(), sizes) for one in embeddings]
        first = sum(sizes[: distributed.get_rank()])
        number = sum(sizes)
        old = int(self.filled) if self.steps > self.queue_start else 0
        codes = []
        for view, rows in enumerate(everyone):
            together = torch.cat([rows, self.queue[view, :old].to(rows.dtype)])
            balanced = sinkhorn(self.prototypes(together), self.epsilon, self.iterations)
            codes.append(balanced[:number][first : first + sizes[distributed.get_rank()]])
        self._enqueue(everyone)
        return codes

    def _enqueue(self, everyone: Sequence[Tensor]) -> None:
        """Put the rows of all processes, (N, D) a view, in front of the queue."""
        length = self.queue.shape[1]
        for view, rows in enumerate(everyone):
            self.queue[view] = torch.cat([rows.to(self.queue.dtype), self.queue[view]])[:length]
        self.filled.copy_((self.filled + len(everyone[0])).clamp(max=length))


def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Assign rows to prototypes so that each prototype gets the same share, by Sinkhorn-Knopp.

    Equation (3) of the SwAV paper, in logarithms, for exp(score / ε) overflows in single precision
    where scores are large.

    Args:
        scores: (N, P), cosines of rows and prototypes.
        epsilon: ε.
        iterations: rounds of making first the prototypes' shares equal, then the rows'.

    Returns:
        (N, P), each row sums up to 1.
    """
    logits = scores.double() / epsilon
    for _ in range(iterations):
        logits = logits - logits.logsumexp(dim=0, keepdim=True)
        logits = logits - logits.logsumexp(dim=1, keepdim=True)
    return logits.exp().to(scores.dtype)
