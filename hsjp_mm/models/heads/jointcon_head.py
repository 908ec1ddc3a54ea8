"""The head of JointCon: one projector for all joints, and the loss over all of them.

Letters: Q joints of this process, P those of all, C channels of a vector, D of an embedding. A
*label* (3,) of a joint is its image, the view of that image, and which joint it is.
"""

import torch
from torch import Tensor

from hsjp_mm.models.heads.projection_head import ProjectionHead, require_finite
from hsjp_mm.models.losses import SupervisedContrastiveLoss
from hsjp_mm.ops import distributed
from hsjp_mm.ops.joint_retrieval import retrieval_shares, retrieval_sums
from hsjp_mm.ops.regrouping import feature_std
from hsjp_mm.registry import MODELS

SAME = {'image': (True, False), 'joint': (False, True), 'image_and_joint': (True, True)}
"""For each definition of the positives whether they are of the same image, of the same joint."""


@MODELS.register_module()
class JointConHead(ProjectionHead):
    """Pull together the vectors of joints that are positives of one another, and push away others.

    Section 4.3 of `Rethinking Self-Supervised Visual Representation Learning in Pre-training for 3D
    Human Pose and Shape Estimation <https://arxiv.org/abs/2303.05370>`_. Which joints are positives
    is the model's. The paper gives neither the projector nor the loss nor its temperature: here
    each vector goes through Linear, BatchNorm, ReLU and Linear, the same for all joints, and the
    loss is L_out of `Supervised Contrastive Learning <https://arxiv.org/abs/2004.11362>`_ over the
    joints of both views and of all processes.

    Args:
        in_channels: of the map that the joints are sampled from.
        positives: given by :class:`~hsjp_mm.models.JointCon`.
        hidden_channels, out_channels: of the projector; ours.
        temperature: τ; ours.
        init_cfg: as in MMEngine's BaseModule.

    Raises:
        ValueError: ``positives`` is none of the three.

    Examples:
        >>> head = dict(type='hsjp_mm.JointConHead', in_channels=2048)
        >>> model = dict(
        ...     type='hsjp_mm.JointCon', backbone=dict(type='ResNet', depth=50), head=head
        ... )
    """

    def __init__(
        self,
        in_channels: int,
        positives: str,
        hidden_channels: int = 2048,
        out_channels: int = 128,
        temperature: float = 0.1,
        init_cfg: dict | list | None = None,
    ):
        projector = dict(
            hidden_channels=hidden_channels, out_channels=out_channels, with_last_bn=False
        )
        super().__init__(in_channels, projector, init_cfg)
        if positives not in SAME:
            raise ValueError(f'positives={positives!r} must be one of {", ".join(SAME)}')
        self.positives = positives
        self.contrastive_loss = SupervisedContrastiveLoss(temperature)

    def loss(self, vectors: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Compute the loss of the joints of all processes; all processes return the same.

        Args:
            vectors: (Q, C) of labelled joints.
            labels: (Q, 3) long; the images are numbered over all processes.

        Returns:
            ``loss_contrastive``, the mean over the joints that have a positive. ``floor``, below
            which it cannot get, see :func:`floor_of`. On the batch, the measures of
            :class:`~hsjp_mm.evaluation.JointRetrieval`.

        Raises:
            ValueError: a process has fewer than two joints, or the embeddings are not finite.
        """
        sizes = distributed.sizes_of(len(vectors), vectors.device)
        if min(sizes) < 2:
            raise ValueError(
                f'a batch with {sizes} labelled joints by process: JointCon needs two or more in '
                'each; train_dataloader.batch_size must be larger, or the views show more of the '
                'crop'
            )
        own = self.embed(vectors)
        # autocast would take the similarities in half precision
        with torch.autocast(own.device.type, enabled=False):
            everyone = distributed.gather(own, sizes)
            require_finite(everyone)
            all_labels = distributed.gather(labels, sizes)
            classes = classes_of(all_labels, self.positives)
            first = sum(sizes[: distributed.get_rank()])
            rows = self.contrastive_loss(own, everyone, classes, first)
            anchors = (positives_of(classes) > 0).sum().clamp(min=1)
            return {
                'loss_contrastive': distributed.total(rows.sum()) / anchors,
                'floor': floor_of(classes).to(own.dtype),
                **_measures(own.detach(), everyone.detach(), labels, all_labels),
            }


def classes_of(labels: Tensor, positives: str) -> Tensor:
    """Number the joints (P, 3) so that positives of one another have the same number, (P,)."""
    image, joint = SAME[positives]
    wanted = torch.stack([labels[:, 0] * image, labels[:, 2] * joint], dim=1)
    return wanted.unique(dim=0, return_inverse=True)[1]


def positives_of(classes: Tensor) -> Tensor:
    """Count the positives of each joint, (P,) → (P,)."""
    return classes.bincount()[classes] - 1


def floor_of(classes: Tensor) -> Tensor:
    """Compute what the loss of a batch cannot get below, from the numbers (P,) of its classes.

    The row of a joint with positives p and others n is −mean s_p + log(Σ exp s_p + Σ exp s_n), with
    s the cosines by τ. Its second part is at least log |P| + mean s_p, so the row at least log |P|:
    a joint divides its probability among its positives. It comes near where these are all equally
    near and the others far: with 17 joints, 2,176 rows and τ = 0.1 to within 0.0004 (the vectors
    of the joints then point to the corners of a simplex). Where there are more classes than
    dimensions of the sphere (``'image_and_joint'``), it stays further away.

    Returns:
        The mean of log |P| over the joints that have positives; 0 if none has.
    """
    positives = positives_of(classes)
    return positives.clamp(min=1).log().sum() / (positives > 0).sum().clamp(min=1)


@torch.no_grad()
def _measures(own, everyone, labels, all_labels) -> dict[str, Tensor]:
    sums = distributed.total(retrieval_sums(own, everyone, labels, all_labels))
    return {
        **{name: share.to(own.dtype) for name, share in retrieval_shares(sums).items()},
        'feature_std': feature_std(everyone),
    }
