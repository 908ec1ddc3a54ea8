"""What a backbone is worth for image classification: linear, kNN and fine-tuning protocols.

The protocols of sections 4.1 to 4.3 of the JigClu paper, with the settings of its public code where
the paper gives none. Letters: B images of a batch, N training images, Q images to classify, C
channels of the features, K neighbors.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import set_random_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from hsjp_mm.probing.features import build_backbone, extract, pooled
from hsjp_mm.probing.images import (
    center_crop,
    label_subset,
    load_images,
    normalization,
    random_crop,
)
from hsjp_mm.utils.devices import require_device

PROTOCOLS = ('linear', 'knn', 'finetune')
MIN_SIZE = 32
"""Least side of a crop in pixels: of a smaller one, nothing is left of a map of stride 32."""
UNUSED = {'linear': ('lr_last_layer',), 'knn': ('epochs', 'lr', 'lr_last_layer')}
"""What a protocol has no use for."""
NEIGHBORS, TEMPERATURE = 20, 0.07
"""Of the votes of :func:`knn_scores`."""


@dataclass(frozen=True)
class Recipe:
    """How a protocol trains: SGD with momentum 0.9, no weight decay, 100 epochs.

    Args:
        lr: Learning rate at a batch of 256, of the linear layer (linear) or the backbone
            (finetune).
        lr_last_layer: That of the linear layer in finetune.
        drops: Percentages of the epochs after which the learning rates are divided by 10.
    """

    lr: float
    lr_last_layer: float | None
    drops: tuple[int, ...]


def default_recipe(protocol: str, labels: float) -> Recipe | None:
    """Settings of the JigClu authors' published commands; None for knn, which trains nothing.

    Their command for fine-tuning names a learning rate of the last layer, but their code then
    overwrites it with that of the backbone. Here it holds; ``lr_last_layer=lr`` gives what the
    code does. The paper states no settings for fine-tuning on all labels: those of 10 % are taken.
    """
    if protocol == 'linear':
        return Recipe(10.0, None, (60, 80))
    if protocol == 'finetune':
        return Recipe(*((0.02, 5.0) if labels <= 0.01 else (0.01, 0.2)), (30, 60, 90))
    return None


@dataclass(frozen=True)
class Settings:
    """How a backbone is measured.

    Args:
        protocol: 'linear', 'knn' or 'finetune'.
        labels: Share of the training images to use, see :func:`label_subset`.
        seed: Of random weights, the choice of labels, the order of images and the augmentation.
        epochs: Default 100.
        batch_size: At most this many images; no more than there are for training.
        lr: Of the linear layer (linear) or the backbone (finetune); the default is that of
            :func:`default_recipe` times batch size / 256.
        lr_last_layer: Of the linear layer in finetune; default as for lr.
        size: Side of the crops in pixels.
        workers: Processes that load images.
        device: As in torch.
    """

    protocol: str
    labels: float = 1.0
    seed: int = 0
    epochs: int | None = None
    batch_size: int = 256
    lr: float | None = None
    lr_last_layer: float | None = None
    size: int = 224
    workers: int = 2
    device: str = 'cpu'

    def check(self) -> None:
        """Refuse what the protocol cannot use.

        Raises:
            ValueError: A setting outside its range, or without use in the protocol.
        """
        if self.protocol not in PROTOCOLS:
            raise ValueError(f'protocol={self.protocol!r} must be one of {", ".join(PROTOCOLS)}')
        for name in UNUSED.get(self.protocol, ()):
            if getattr(self, name) is not None:
                raise ValueError(
                    f'{name}={getattr(self, name)} has no use in protocol {self.protocol!r}'
                )
        if not 0 < self.labels <= 1:
            raise ValueError(
                f'labels={self.labels} must be in (0, 1]: a share of the training images'
            )
        smallest_batch = 2 if self.protocol == 'finetune' else 1
        least = dict(epochs=1, batch_size=smallest_batch, size=MIN_SIZE, workers=0)
        for name, number in least.items():
            given = getattr(self, name)
            if given is not None and given < number:
                raise ValueError(
                    f'{name}={given} must be at least {number} in protocol {self.protocol!r}'
                )
        for name in ('lr', 'lr_last_layer'):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate < float('inf'):
                raise ValueError(f'{name}={rate} must be positive')
        require_device(self.device)

    def completed(self, images: int) -> 'Settings':
        """With the defaults that depend on the number of training images."""
        batch_size = min(self.batch_size, images)
        recipe = default_recipe(self.protocol, self.labels)
        if recipe is None:
            return replace(self, batch_size=batch_size)
        last = self.lr_last_layer
        if recipe.lr_last_layer:
            last = last or recipe.lr_last_layer * batch_size / 256
        return replace(
            self,
            batch_size=batch_size,
            epochs=self.epochs or 100,
            lr=self.lr or recipe.lr * batch_size / 256,
            lr_last_layer=last,
        )


def probe(
    config: Config, checkpoint: str | None, data: str, protocol: str, **settings: Any
) -> dict[str, Any]:
    """Measure a backbone by one protocol.

    linear trains a linear layer on the frozen backbone in eval mode, finetune all of it, both on
    random resized crops and flips that are drawn anew each epoch; what the last epoch leaves is
    evaluated once. knn lets the nearest training images vote, see :func:`knn_scores`. Evaluation
    is on center crops. Seeds the global generators: on the CPU, the same call with as many workers
    gives the same result.

    Args:
        config: Any config with ``model.backbone``; nothing else of the model is built.
        checkpoint: See :func:`build_backbone`.
        data: See :func:`load_images`.
        protocol, settings: See :class:`Settings`.

    Returns:
        The settings used, the numbers of images, ``top1`` and ``top5`` in [0, 1] (``top5`` is None
        with five classes or fewer), ``chance`` of top-1, the coverage line of the checkpoint, and
        seconds.

    Raises:
        ValueError: A setting outside its range, classes that differ between train and val,
            features or scores that are not finite.
        UnreadableImageError: An image that cannot be read, or is damaged.
        FileNotFoundError: No such data or checkpoint, or a class without images.
        CheckpointError: The checkpoint does not fit.
    """
    start = time.perf_counter()
    given = Settings(protocol, **settings)
    given.check()
    set_random_seed(given.seed)
    backbone, coverage = build_backbone(config, checkpoint)
    backbone.to(given.device).eval()
    train, val, classes = _load(config, data, given)
    used = given.completed(len(train))
    images = _loader(train, used)
    with torch.no_grad():
        channels = pooled(backbone, val[0][0][None].to(used.device)).shape[1]
    head = _train_head(backbone, channels, classes, images, used)
    scores, answers = _score(backbone, head, images, val, classes, used)
    return {
        'config': config.filename,
        'checkpoint': checkpoint,
        'coverage': coverage,
        'data': data,
        'protocol': protocol,
        'labels': used.labels,
        'seed': used.seed,
        'epochs': used.epochs,
        'batch_size': used.batch_size,
        'lr': used.lr,
        'lr_last_layer': used.lr_last_layer,
        'size': used.size,
        'channels': channels,
        'train_images': len(train),
        'val_images': len(val),
        'classes': classes,
        'chance': 1 / classes,
        'top1': top_k(scores, answers, 1),
        'top5': top_k(scores, answers, 5) if classes > 5 else None,
        'seconds': round(time.perf_counter() - start, 1),
    }


def _load(config: Config, data: str, settings: Settings) -> tuple[Subset, Any, int]:
    """The images to train on, those to classify, and the number of classes."""
    normalise, size = normalization(config), settings.size
    steps = center_crop(size) if settings.protocol == 'knn' else random_crop(size)
    train, val = load_images(data, steps + normalise, center_crop(size) + normalise)
    chosen = label_subset(train.targets, settings.labels, settings.seed)
    return Subset(train, chosen), val, len(train.classes)


def _loader(train: Subset, settings: Settings) -> DataLoader:
    return DataLoader(
        train,
        settings.batch_size,
        shuffle=settings.protocol != 'knn',
        num_workers=settings.workers,
        # as the public code: a batch norm wants two images
        drop_last=settings.protocol == 'finetune',
        generator=torch.Generator().manual_seed(settings.seed),
        persistent_workers=settings.workers > 0,
    )


def _train_head(
    backbone: nn.Module, channels: int, classes: int, images: DataLoader, settings: Settings
) -> nn.Linear | None:
    """Train the classifier, and the backbone in finetune; None for knn, which has none."""
    recipe = default_recipe(settings.protocol, settings.labels)
    if recipe is None:
        return None
    epochs, lr = settings.epochs, settings.lr
    assert epochs is not None and lr is not None  # Settings.completed has put them there
    head = linear_layer(channels, classes).to(settings.device)
    drops = [-(-percent * epochs // 100) for percent in recipe.drops]  # rounded up: never 0
    train_classifier(backbone, head, images, epochs, lr, settings.lr_last_layer, drops)
    return head


def _score(
    backbone: nn.Module,
    head: nn.Linear | None,
    images: DataLoader,
    val: Any,
    classes: int,
    settings: Settings,
) -> tuple[Tensor, Tensor]:
    """The scores of the images to classify (Q, classes), and their classes (Q,)."""
    loader = DataLoader(val, settings.batch_size, num_workers=settings.workers)
    queries, answers = extract(backbone, loader)
    if head is None:
        return knn_scores(queries, *extract(backbone, images), classes), answers
    with torch.no_grad():
        return head.cpu()(queries), answers


def linear_layer(channels: int, classes: int) -> nn.Linear:
    """The classifier, initialised as in the public code: normal of std 0.01, bias 0."""
    layer = nn.Linear(channels, classes)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer


def train_classifier(
    backbone: nn.Module,
    head: nn.Linear,
    images: Iterable[tuple[Tensor, Tensor]],
    epochs: int,
    lr: float,
    lr_last_layer: float | None,
    drops: Sequence[int],
) -> None:
    """Train the linear layer, and the backbone too if ``lr_last_layer`` is given.

    Without it the backbone stays in eval mode and gets no gradient, so that neither weights nor
    batch-norm statistics move. With it all layers are trained, also those that the config freezes.
    A line an epoch goes to the log. Leaves the backbone in eval mode.

    Args:
        backbone: On the device to train on.
        head: On the same device.
        images: Batches of images (B, 3, H, W) and classes (B,).
        epochs: Number of passes.
        lr: Of the backbone if it is trained, of the head if not.
        lr_last_layer: Of the head if the backbone is trained.
        drops: Epochs after which the learning rates are divided by 10.

    Raises:
        ValueError: Loss or features are no longer finite.
    """
    groups: list[dict[str, Any]] = [{'params': head.parameters(), 'lr': lr_last_layer or lr}]
    if lr_last_layer:
        _unfreeze(backbone)
        groups.append({'params': backbone.parameters(), 'lr': lr})
    backbone.train(lr_last_layer is not None)
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, drops)
    for epoch in range(1, epochs + 1):
        losses = []
        for inputs, targets in images:
            with torch.set_grad_enabled(lr_last_layer is not None):
                features = pooled(backbone, inputs.to(head.weight.device))
            loss = F.cross_entropy(head(features), targets.to(head.weight.device))
            if not loss.isfinite():
                raise ValueError(f'loss is {loss.item()} in epoch {epoch}: lower lr={lr}')
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print_log(
            f'epoch {epoch}/{epochs}: loss {np.mean(losses):.4f}, '
            f'learning rate of the last layer {optimizer.param_groups[0]["lr"]:.3g}',
            logger='current',
        )
        schedule.step()
    backbone.eval()


def _unfreeze(backbone: nn.Module) -> None:
    # OpenMMLab's backbones freeze in train(), by these two attributes; MMDetection's by default.
    for name, value in (('frozen_stages', -1), ('norm_eval', False)):
        if hasattr(backbone, name):
            setattr(backbone, name, value)
    backbone.requires_grad_(True)


def knn_scores(
    queries: Tensor,
    bank: Tensor,
    targets: Tensor,
    classes: int,
    neighbors: int = NEIGHBORS,
    temperature: float = TEMPERATURE,
    chunk: int = 128,
) -> Tensor:
    """Let the nearest training images vote with the weight exp(cosine similarity / temperature).

    The weighted kNN classifier of Wu et al., "Unsupervised Feature Learning via Non-Parametric
    Instance Discrimination", CVPR 2018, section 3.4. Similarities of ``chunk`` queries are held
    at a time.

    Args:
        queries: (Q, C).
        bank: (N, C).
        targets: (N,) classes of the bank.
        classes: Number of classes.
        neighbors: K; all N if there are fewer.

    Returns:
        (Q, classes) sums of the votes.
    """
    bank = F.normalize(bank).T
    scores = torch.zeros(len(queries), classes, dtype=queries.dtype)
    pairs = zip(F.normalize(queries).split(chunk), scores.split(chunk), strict=True)
    for part, votes in pairs:
        similarity, nearest = (part @ bank).topk(min(neighbors, bank.shape[1]))
        votes.scatter_add_(1, targets[nearest], (similarity / temperature).exp())
    return scores


def top_k(scores: Tensor, targets: Tensor, k: int) -> float:
    """Share of images whose class is among the k with the highest scores.

    Equal scores share the places they take: constant scores give chance, k / classes.

    Args:
        scores: (Q, classes).
        targets: (Q,).
        k: How many guesses count.

    Raises:
        ValueError: Scores that are not finite.
    """
    if not scores.isfinite().all():
        raise ValueError('scores hold NaN or infinity: lower lr')
    own = scores.gather(1, targets[:, None])
    above, equal = (scores > own).sum(1), (scores == own).sum(1)
    return ((k - above).double() / equal).clamp(0, 1).mean().item()
