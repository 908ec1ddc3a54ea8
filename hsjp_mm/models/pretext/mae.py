"""Masked autoencoders on crops, for the plain vision transformers of ViTPose.

Letters: B batch, H and W height and width of a crop, L tokens of a crop, of which V are visible
and M are masked, P = 3·h·w pixel values of a token's window, C channels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.model import initialize
from mmengine.structures import InstanceData
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor, nn

from hsjp_mm.models.heads.mae_head import MAEHead, position_embedding
from hsjp_mm.models.pretext.base import Measure, PretextModel, instance_ids, pretext_head
from hsjp_mm.ops.seeds import instance_random_state
from hsjp_mm.ops.windows import Windows
from hsjp_mm.registry import MODELS
from hsjp_mm.utils.configs import checkpoint_in
from hsjp_mm.utils.optional import import_optional


@MODELS.register_module()
class MAE(PretextModel):
    """Pretrain a ViT by painting the parts of a crop that it is not shown.

    `Masked Autoencoders Are Scalable Vision Learners <https://arxiv.org/abs/2111.06377>`_. The
    encoder, which goes on to ViTPose, gets a random quarter of the tokens; a small decoder, which
    is thrown away, gets its vectors and paints the other windows.

    The backbone is the one of a stock ViTPose config, word for word, so that ViTPose takes each of
    its tensors: without a class token, which the paper finds to be no need (appendix A.1), and
    with ViTPose's ``patch_cfg=dict(padding=2)``, which moves the tokens' windows by two pixels. A
    token's target is the window that this token would see, so nothing of a masked window can be
    seen. Its position embedding is the paper's, of sines and cosines, and is trained only in
    fine-tuning. MMPretrain's MAEViT is not used: it wants a class token and square images.

    In evaluation the mask of an instance is always the same.

    Args:
        backbone: ``mmpretrain.VisionTransformer`` as in a stock ViTPose config.
        head: ``dict(type='hsjp_mm.MAEHead')`` and the size of the decoder.
        mask_ratio: the share of tokens that is masked, in (0, 1).
        seed: of the evaluation masks.
        data_preprocessor, init_cfg, train_cfg, test_cfg: as in a stock config.

    Raises:
        ImportError: MMPretrain is not installed.
        ValueError: an argument outside its range, another backbone or head, crops of another size
            than the backbone's ``img_size``, weights for other windows.

    Examples:
        >>> model = dict(
        ...     type='hsjp_mm.MAE',
        ...     backbone=dict(
        ...         type='mmpretrain.VisionTransformer',
        ...         arch='base',
        ...         img_size=(256, 192),
        ...         patch_size=16,
        ...         with_cls_token=False,
        ...         out_type='featmap',
        ...         patch_cfg=dict(padding=2),
        ...     ),
        ...     head=dict(type='hsjp_mm.MAEHead'),
        ... )
    """

    measures = (Measure('mae/explained', 'variance of masked patches explained', share=True),)
    health = Measure('variation', 'how far the painted differs between images (targets: 1)')
    save_best = 'mae/explained'
    board = 'hsjp_mm.visualization.mae.draw_mae'

    def __init__(
        self,
        backbone: dict,
        head: dict,
        mask_ratio: float = 0.75,
        seed: int = 0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        import_optional('mmpretrain', 'hsjp_mm.MAE')
        with torch.device('meta'):  # without memory and random numbers, to ask it
            plan = MMPOSE_MODELS.build(backbone)
        windows = _windows(plan)
        num_visible = round((1 - mask_ratio) * windows.number)
        if not 0 < num_visible < windows.number:
            raise ValueError(
                f'mask_ratio={mask_ratio} leaves {num_visible} of {windows.number} patches '
                'visible; it must leave at least one, and mask one'
            )
        super().__init__(
            identity=_identity(windows),
            backbone=backbone,
            head=pretext_head(head, MAEHead, windows=windows, in_channels=plan.embed_dims),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
        )
        self.windows = windows
        self.num_visible = num_visible
        self.seed = seed
        self.backbone.pos_embed.requires_grad = False

    def init_weights(self) -> None:
        """Initialise as the paper does; a backbone that was loaded stays as it is."""
        super().init_weights()
        vit = self.backbone
        if isinstance(vit.init_cfg, list) and checkpoint_in(vit.init_cfg):
            # the stock transformer draws its position embedding after the last of a list
            initialize(vit, [cfg for cfg in vit.init_cfg if 'checkpoint' in cfg])
        if checkpoint_in(self.init_cfg) or checkpoint_in(vit.init_cfg):
            return
        vit.pos_embed.data.copy_(position_embedding(self.windows.grid, vit.embed_dims))
        nn.init.xavier_uniform_(vit.patch_embed.projection.weight.flatten(1))

    def draw_order(self, crops: Tensor, ids: Sequence[int | str] | None = None) -> Tensor:
        """Draw which tokens are visible: at random, or, given instance ids, as in evaluation.

        Args:
            crops: (B, 3, H, W).
            ids: B instance ids.

        Returns:
            (B, L) the places of all tokens, row by row: first the visible ones in rising order,
            then the masked ones in rising order.
        """
        number = self.windows.number
        if ids is None:
            # MMEngine starts all processes from one seed: each draws for all of them
            rank, processes = get_dist_info()
            draws = torch.rand(len(crops) * processes, number, device=crops.device)
            order = draws[rank::processes].argsort(dim=1)
        else:
            states = [instance_random_state(self.seed, instance) for instance in ids]
            order = torch.from_numpy(np.stack([state.permutation(number) for state in states]))
            order = order.long().to(crops.device)
        parts = order.split([self.num_visible, number - self.num_visible], dim=1)
        return torch.cat([part.sort(dim=1).values for part in parts], dim=1)

    def encode(self, crops: Tensor, visible: Tensor) -> Tensor:
        """Run the backbone on some of the tokens.

        Args:
            crops: (B, 3, H, W).
            visible: (B, V) the places of the tokens, row by row.

        Returns:
            (B, V, C).
        """
        if tuple(crops.shape[-2:]) != self.windows.image:
            raise ValueError(
                f'the crops are {crops.shape[-1]}×{crops.shape[-2]} pixels, but the backbone has '
                f'img_size={self.windows.image}, (height, width); TopdownAffine must make that size'
            )
        vit = self.backbone
        tokens = vit.drop_after_pos(vit.patch_embed(crops)[0] + vit.pos_embed)
        tokens = vit.pre_norm(torch.take_along_dim(tokens, visible[..., None], dim=1))
        for layer in vit.layers:
            tokens = layer(tokens)
        return vit.ln1(tokens) if vit.final_norm else tokens

    def loss(self, inputs: Tensor, data_samples=None) -> dict[str, Tensor]:
        """Mask crops (B, 3, H, W) at random; the head's loss and measures."""
        order = self.draw_order(inputs)
        return self.head.loss(self.encode(inputs, order[:, : self.num_visible]), order, inputs)

    def paint(self, crops: Tensor, order: Tensor) -> Tensor:
        """Predict the masked windows of crops (B, 3, H, W); (B, M, P) normalised pixels."""
        return self.head(self.encode(crops, order[:, : self.num_visible]), order).float()

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Paint the masked windows of crops (B, 3, H, W) under the evaluation masks.

        Adds to each data sample, one instance each: ``gt_instances.mask`` (1, L), which tokens are
        masked, row by row; and in the same order ``gt_instances.patches`` and
        ``pred_instances.patches`` (1, M, P), the masked ones' normalised pixels.
        """
        order = self.draw_order(inputs, instance_ids(data_samples))
        masked = order[:, self.num_visible :]
        mask = torch.zeros_like(order, dtype=torch.bool).scatter_(1, masked, True)
        parts = mask, self.head.targets(inputs, masked), self.paint(inputs, order)
        for sample, *rows in zip(data_samples, *(part.cpu() for part in parts), strict=True):
            mask_row, targets, found = (row[None] for row in rows)
            sample.gt_instances = InstanceData(mask=mask_row, patches=targets)
            sample.pred_instances = InstanceData(patches=found)
        return data_samples


def _windows(vit: nn.Module) -> Windows:
    """Tell what the tokens of a backbone look at.

    Raises:
        ValueError: it is no plain VisionTransformer, or its windows are not as ViTPose's.
    """
    stock = import_optional('mmpretrain.models', 'hsjp_mm.MAE').VisionTransformer
    if not isinstance(vit, stock):
        raise ValueError(
            f"backbone.type={type(vit).__name__!r} must be 'mmpretrain.VisionTransformer'"
        )
    if vit.num_extra_tokens or vit.out_type != 'featmap':
        raise ValueError(
            f'backbone.with_cls_token={vit.with_cls_token} and out_type={vit.out_type!r} must be '
            "False and 'featmap', as in ViTPose, which has no use for a class token"
        )
    embedding = vit.patch_embed
    convolution = embedding.projection
    windows = Windows(tuple(vit.img_size), convolution.kernel_size, convolution.padding)
    if convolution.stride != convolution.kernel_size or windows.grid != embedding.init_out_size:
        raise ValueError(
            f'backbone.patch_size={convolution.kernel_size} with stride={convolution.stride} and '
            f'padding={convolution.padding} on img_size={vit.img_size}: patches must touch without '
            'overlap, and a whole number of them must fit'
        )
    return windows


def _identity(windows: Windows) -> dict[str, int]:
    """What a head's weights belong to: the windows in pixels."""
    named = (('image', windows.image), ('patch', windows.size), ('padding', windows.padding))
    return {f'{name}_{side}': pair[i] for name, pair in named
            for i, side in enumerate(('height', 'width'))}  # fmt: skip
