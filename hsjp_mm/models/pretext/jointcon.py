"""JointCon: contrasted joints instead of contrasted images.

Letters: B images of this process, V views, K joints, C channels of a map, D of an embedding.
"""

import math

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from hsjp_mm.datasets.transforms.occlusion import DropOccluded
from hsjp_mm.datasets.transforms.pipelines import find_transforms
from hsjp_mm.datasets.transforms.views import expand
from hsjp_mm.models.heads.jointcon_head import SAME, JointConHead
from hsjp_mm.models.pretext.base import Measure
from hsjp_mm.models.pretext.simclr import SimCLR
from hsjp_mm.models.pretext.views import ViewsModel
from hsjp_mm.ops import distributed
from hsjp_mm.ops.coordinates import sample_at
from hsjp_mm.registry import MODELS


@MODELS.register_module()
class JointCon(ViewsModel):
    """Pretrain a backbone by contrasting its features at annotated joints.

    Section 4.3 of `Rethinking Self-Supervised Visual Representation Learning in Pre-training for 3D
    Human Pose and Shape Estimation <https://arxiv.org/abs/2303.05370>`_. The map is sampled
    bilinearly at the joints of two views of each crop, and each joint is told from all those that
    are no positives of it. It needs 2D joints: a keypoint data set of MMPose (CocoDataset,
    MpiiDataset, ``hsjp_mm.LSPDataset``, …) in place of PersonCropDataset. In a flipped view left
    and right joints change places. Joints that are not labelled or out of the view never count,
    and a joint without a positive is one for others only to be told from.

    Several processes give the loss and the gradients of one with the whole batch, apart from
    batch norm (``sync_bn='torch'`` in the config).

    The paper leaves open the views, the map, the projector, the temperature and whether occluded
    joints count; the defaults of these are ours.

    Args:
        positives: which joints are positives of a joint. ``'image'``, the paper's (I): all joints
            of the same image. ``'joint'``, its (J): the same joint in all images.
            ``'image_and_joint'``, its (I+J): the same joint of the same image, that is, in its
            other view.
        occluded: whether joints count that are labelled, but occluded (v = 1 in COCO). False needs
            a ``hsjp_mm.DropOccluded`` in the pipeline, and a data set that tells it.
        in_index: which of the maps that the neck or else the backbone gives. Layers that only go
            into other maps get no gradient, which DistributedDataParallel refuses: leave them
            out of the network, as the config with C4 does.
        backbone, neck, views, input_size, ...: as in
            :class:`~hsjp_mm.models.pretext.views.ViewsModel`.
        head: with ``type='hsjp_mm.JointConHead'``; ``positives`` is given to it.

    Raises:
        ValueError: ``positives`` is none of the three; a map that there is not; a data set without
            keypoints; ``occluded=False`` without DropOccluded in the pipeline.

    Examples:
        The paper's (I+J):

        >>> model = dict(
        ...     type='hsjp_mm.JointCon',
        ...     positives='image_and_joint',
        ...     backbone=dict(type='ResNet', depth=50),
        ...     head=dict(type='hsjp_mm.JointConHead', in_channels=2048),
        ... )
    """

    measures = (
        Measure(
            'joints/joint_retrieval',
            'joints whose nearest one in other images is the same joint',
            share=True,
        ),
        Measure(
            'joints/image_retrieval',
            'joints whose nearest other joint in another view is of the same image',
            share=True,
        ),
        Measure(
            'joints/pair_retrieval',
            'joints whose nearest one is the same joint of the same image',
            share=True,
        ),
        Measure('joints/feature_std', 'spread of the embeddings (collapsed: 0)'),
    )
    save_best = 'joints/joint_retrieval'
    board = 'hsjp_mm.visualization.jointcon.draw_joints'
    head_class = JointConHead
    num_views = (1, math.inf)
    recipe = (
        dict(
            num=2,
            side=(0.75, 1.25),
            rotate=45.0,
            flip_prob=0.5,
            colors=SimCLR.recipe[0]['colors'],
        ),
    )

    def __init__(
        self,
        *,
        positives: str = 'joint',
        occluded: bool = True,
        in_index: int = -1,
        **arguments,
    ):
        if positives not in SAME:
            raise ValueError(f'positives={positives!r} must be one of {", ".join(SAME)}')
        image, joint = SAME[positives]
        super().__init__(
            head_options=dict(positives=positives),
            identity=dict(same_image=image, same_joint=joint),
            **arguments,
        )
        if image and joint and len(expand(self.views)) < 2:
            raise ValueError(
                f'positives={positives!r} needs two views or more: with the one that views gives, '
                'no joint has another one to be like'
            )
        self.occluded = occluded
        self.in_index = in_index

    def prepare(self, dataset) -> None:
        """Tell the data set's transforms what views to make and whether occluded joints count.

        Raises:
            ValueError: there is no MakeViews in its pipeline, or no DropOccluded though occluded
                joints do not count.
        """
        super().prepare(dataset)
        steps = list(find_transforms(dataset, DropOccluded))
        if not self.occluded and not steps:
            raise ValueError(
                'occluded=False needs a hsjp_mm.DropOccluded in the pipeline, before '
                'hsjp_mm.MakeViews'
            )
        for step in steps:
            step.drop = not self.occluded

    def sample_joints(self, images: Tensor, data_samples: list, view: int) -> tuple[Tensor, Tensor]:
        """Sample the map of the views of one place at their joints.

        Args:
            images: (B, 3, h, w).
            data_samples: B, with the joints of all views.
            view: which place it is.

        Returns:
            (B, K, C) vectors, and (B, K) which joints are labelled and in the view.

        Raises:
            ValueError: samples without keypoints, or a map that there is not.
        """
        made = [sample.gt_instances for sample in data_samples]
        if not made or any('view_keypoints' not in one for one in made):
            raise ValueError(
                'the samples have no keypoints, which JointCon samples features at: the data set '
                'must be one with keypoints, such as CocoDataset, and not PersonCropDataset'
            )
        maps = self.extract_feat(images)
        if not -len(maps) <= self.in_index < len(maps):
            raise ValueError(f'in_index={self.in_index}, but the network gives {len(maps)} maps')
        points = torch.cat([one.view_keypoints[:, view] for one in made]).to(images.device)
        seen = torch.cat([one.view_keypoints_visible[:, view] for one in made]) > 0
        height, width = images.shape[-2:]
        return sample_at(maps[self.in_index], points, (width, height)), seen.to(images.device)

    def loss(self, inputs: tuple[Tensor, ...], data_samples: list) -> dict[str, Tensor]:
        """Compare the joints of the views, V of (B, 3, h, w), of all processes."""
        self.require_views(inputs)
        vectors, seen = self._sample_views(inputs, data_samples)
        labels = seen.nonzero()
        sizes = distributed.sizes_of(len(inputs[0]), seen.device)
        labels[:, 0] += sum(sizes[: distributed.get_rank()])
        return self.head.loss(vectors[seen], labels)

    def embed_joints(self, inputs: tuple[Tensor, ...], data_samples: list) -> tuple[Tensor, Tensor]:
        """Embed the joints of the views, V of (B, 3, h, w).

        Returns:
            (B, V, K, D) embeddings of length 1, and (B, V, K) which joints are labelled and in the
            view.
        """
        vectors, seen = self._sample_views(inputs, data_samples)
        return self.head.embed(vectors.flatten(0, 2)).unflatten(0, seen.shape), seen

    def _sample_views(
        self, inputs: tuple[Tensor, ...], data_samples: list
    ) -> tuple[Tensor, Tensor]:
        sampled = [self.sample_joints(images, data_samples, i) for i, images in enumerate(inputs)]
        vectors, seen = (torch.stack(parts, dim=1) for parts in zip(*sampled, strict=True))
        return vectors, seen

    def predict(self, inputs: tuple[Tensor, ...], data_samples: list) -> list:
        """Embed the joints of the views of each image.

        Adds to each data sample, one instance each, ``pred_instances.joint_embeddings``
        (1, V, K, D) of length 1 and ``pred_instances.joints_seen`` (1, V, K), which of them are
        labelled and in the view.
        """
        embeddings, seen = (part.detach().cpu() for part in self.embed_joints(inputs, data_samples))
        for i, sample in enumerate(data_samples):
            sample.pred_instances = InstanceData(
                joint_embeddings=embeddings[i : i + 1].float(), joints_seen=seen[i : i + 1]
            )
        return data_samples
