"""What a backbone is worth for image classification: linear, kNN and fine-tuning protocols.

The protocols of sections 4.1 to 4.3 of the JigClu paper, with the settings of its public code where
the paper gives none. Letters: B images of a batch, N training images, Q images to classify, C
channels of the features, K neighbours.
"""

import copy
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import set_random_seed
from mmengine.utils import track_iter_progress
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms
from torchvision.datasets import CIFAR10, CIFAR100, ImageFolder
from torchvision.datasets.folder import default_loader

from hsjp_mm.checkpoint import load_backbone
from hsjp_mm.ops.subsets import subset_order

PROTOCOLS = ('linear', 'knn', 'finetune')
CIFAR: dict[str, Any] = {'cifar10': CIFAR10, 'cifar100': CIFAR100}
MIN_SIZE = 32  # pixels: with fewer, a map of stride 32 is empty
NEIGHBOURS, TEMPERATURE = 20, 0.07
IMAGENET = {'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'bgr_to_rgb': True}

Steps = list[Callable]


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


def probe(
    config: Config,
    checkpoint: str | None,
    data: str,
    protocol: str,
    *,
    labels: float = 1.0,
    seed: int = 0,
    epochs: int | None = None,
    batch_size: int = 256,
    lr: float | None = None,
    lr_last_layer: float | None = None,
    size: int = 224,
    workers: int = 2,
    device: str = 'cpu',
) -> dict:
    """Measure a backbone by one protocol.

    linear trains a linear layer on the frozen backbone in eval mode, finetune all of it, both on
    random resized crops and flips that are drawn anew each epoch; what the last epoch leaves is
    evaluated once. knn lets the nearest training images vote, see :func:`knn_scores`. Evaluation
    is on centre crops. Seeds the global generators: on the CPU, the same call with as many workers
    gives the same result.

    Args:
        config: Any config with ``model.backbone``; nothing else of the model is built.
        checkpoint: See :func:`build_backbone`.
        data: See :func:`load_images`.
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

    Returns:
        The settings used, the numbers of images, ``top1`` and ``top5`` in [0, 1] (``top5`` is None
        with five classes or fewer), ``chance`` of top-1, the coverage line of the checkpoint, and
        seconds.

    Raises:
        ValueError: A setting outside its range, classes that differ between train and val, an
            image that cannot be decoded, features or scores that are not finite.
        FileNotFoundError: No such data or checkpoint, or a class without images.
        CheckpointError: The checkpoint does not fit.
    """
    start = time.perf_counter()
    _check(protocol, labels, epochs, batch_size, lr, lr_last_layer, size, workers, device)
    set_random_seed(seed)
    backbone, coverage = build_backbone(config, checkpoint)
    backbone.to(device)
    backbone.eval()
    normalise = normalisation(config)
    train_steps = centre_crop(size) if protocol == 'knn' else random_crop(size)
    train, val = load_images(data, train_steps + normalise, centre_crop(size) + normalise)
    classes = len(train.classes)
    chosen = label_subset(train.targets, labels, seed)
    batch_size = min(batch_size, len(chosen))
    images = DataLoader(
        Subset(train, chosen),
        batch_size,
        shuffle=protocol != 'knn',
        num_workers=workers,
        drop_last=protocol == 'finetune',  # as the public code: a batch norm wants two images
        generator=torch.Generator().manual_seed(seed),
        persistent_workers=workers > 0,
    )
    with torch.no_grad():
        channels = pooled(backbone, val[0][0][None].to(device)).shape[1]

    recipe = default_recipe(protocol, labels)
    if recipe is None:
        head = None
    else:
        epochs = epochs or 100
        lr = lr or recipe.lr * batch_size / 256
        if recipe.lr_last_layer:
            lr_last_layer = lr_last_layer or recipe.lr_last_layer * batch_size / 256
        head = linear_layer(channels, classes).to(device)
        drops = [-(-percent * epochs // 100) for percent in recipe.drops]  # rounded up: never 0
        train_classifier(backbone, head, images, epochs, lr, lr_last_layer, drops)

    queries, answers = extract(backbone, DataLoader(val, batch_size, num_workers=workers))
    if head is None:
        scores = knn_scores(queries, *extract(backbone, images), classes)
    else:
        with torch.no_grad():
            scores = head.cpu()(queries)
    return {
        'config': config.filename,
        'checkpoint': checkpoint,
        'coverage': coverage,
        'data': data,
        'protocol': protocol,
        'labels': labels,
        'seed': seed,
        'epochs': epochs,
        'batch_size': batch_size,
        'lr': lr,
        'lr_last_layer': lr_last_layer,
        'size': size,
        'channels': channels,
        'train_images': len(chosen),
        'val_images': len(val),
        'classes': classes,
        'chance': 1 / classes,
        'top1': top_k(scores, answers, 1),
        'top5': top_k(scores, answers, 5) if classes > 5 else None,
        'seconds': round(time.perf_counter() - start, 1),
    }


def _check(
    protocol: str,
    labels: float,
    epochs: int | None,
    batch_size: int,
    lr: float | None,
    lr_last_layer: float | None,
    size: int,
    workers: int,
    device: str,
) -> None:
    if protocol not in PROTOCOLS:
        raise ValueError(f'protocol={protocol!r} must be one of {", ".join(PROTOCOLS)}')
    unused = {'lr_last_layer': lr_last_layer} if protocol == 'linear' else {}
    if protocol == 'knn':
        unused = {'epochs': epochs, 'lr': lr, 'lr_last_layer': lr_last_layer}
    for name, value in unused.items():
        if value is not None:
            raise ValueError(f'{name}={value} has no use in protocol {protocol!r}')
    if not 0 < labels <= 1:
        raise ValueError(f'labels={labels} must be in (0, 1]: a share of the training images')
    for name, number, least in (
        ('epochs', 1 if epochs is None else epochs, 1),
        ('batch_size', batch_size, 2 if protocol == 'finetune' else 1),
        ('size', size, MIN_SIZE),
        ('workers', workers, 0),
    ):
        if number < least:
            raise ValueError(f'{name}={number} must be at least {least} in protocol {protocol!r}')
    for name, rate in (('lr', lr), ('lr_last_layer', lr_last_layer)):
        if rate is not None and not 0 < rate < float('inf'):
            raise ValueError(f'{name}={rate} must be positive')
    require_device(device)


def require_device(device: str) -> None:
    """Refuse a device that torch does not have."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f'device={device!r} cannot be used: {error}') from error


def build_backbone(config: Config, checkpoint: str | None) -> tuple[nn.Module, str]:
    """Build the backbone of a config and load it, or leave it random.

    Args:
        config: A config with ``model.backbone``, whose ``init_cfg`` is not used.
        checkpoint: As in :func:`hsjp_mm.checkpoint.load_backbone`; every tensor of the backbone
            must be in it, for all of them make the features. None for random weights, the floor.

    Returns:
        The backbone and the coverage line.
    """
    if 'backbone' not in config.get('model', {}):
        raise ValueError(f'config={config.filename!r} has no model.backbone')
    init_default_scope(config.get('default_scope', 'mmpose'))
    backbone_cfg = copy.deepcopy(config.model.backbone)
    backbone_cfg.pop('init_cfg', None)
    backbone = MODELS.build(backbone_cfg)
    if checkpoint is None:
        draw_weights(backbone)
        return backbone, 'backbone: random weights'
    return backbone, load_backbone(backbone, checkpoint).line()


def draw_weights(module: nn.Module) -> None:
    """Initialise a module without a report on each tensor."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # else three lines a tensor
    try:
        module.init_weights()  # type: ignore[operator]
    finally:
        logger.setLevel(level)


def last_map(backbone: nn.Module, images: Tensor) -> Tensor:
    """Compute the backbone's last map, that which heads read.

    The last of several maps is that of lowest resolution for ResNet stages and HRNet branches,
    and that of the last stack for Hourglass; an HRNet of pose configs has one, of highest
    resolution.

    Args:
        images: (B, 3, H, W), normalised.

    Returns:
        (B, C, h, w).

    Raises:
        ValueError: The last output is no map, or not finite.
    """
    outputs = backbone(images)
    last = outputs[-1] if isinstance(outputs, list | tuple) else outputs
    if not isinstance(last, Tensor) or last.ndim != 4:
        shape = tuple(last.shape) if isinstance(last, Tensor) else type(last).__name__
        raise ValueError(
            f'the last output of backbone {type(backbone).__name__} must be a map (B, C, H, W), '
            f'but is {shape}'
        )
    broken = int((~last.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise ValueError(
            f'backbone {type(backbone).__name__} gives NaN or infinity for {broken} of '
            f'{len(last)} images: its weights or, while fine-tuning, the learning rate'
        )
    return last


def pooled(backbone: nn.Module, images: Tensor) -> Tensor:
    """Average :func:`last_map` over all its cells, (B, C)."""
    return last_map(backbone, images).mean((2, 3))


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


@torch.no_grad()
def extract(backbone: nn.Module, images: DataLoader) -> tuple[Tensor, Tensor]:
    """Compute the features of a data set.

    Returns:
        Features (N, C) and classes (N,), on the CPU.
    """
    device = next(backbone.parameters()).device
    tasks = (images, len(images))
    batches = [
        (pooled(backbone, inputs.to(device)).cpu(), targets)
        for inputs, targets in track_iter_progress(tasks, file=sys.stderr)
    ]
    features, targets = zip(*batches, strict=True)
    return torch.cat(features), torch.cat(targets)


def knn_scores(
    queries: Tensor,
    bank: Tensor,
    targets: Tensor,
    classes: int,
    neighbours: int = NEIGHBOURS,
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
        neighbours: K; all N if there are fewer.

    Returns:
        (Q, classes) sums of the votes.
    """
    bank = F.normalize(bank).T
    scores = torch.zeros(len(queries), classes, dtype=queries.dtype)
    pairs = zip(F.normalize(queries).split(chunk), scores.split(chunk), strict=True)
    for part, votes in pairs:
        similarity, nearest = (part @ bank).topk(min(neighbours, bank.shape[1]))
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


def label_subset(targets: Sequence[int], fraction: float, seed: int) -> list[int]:
    """Choose the same share of the images of every class, at least one of each.

    Of one seed, the choice of a smaller fraction lies inside that of a larger one.

    Args:
        targets: (N) classes.
        fraction: In (0, 1]; n images of a class give max(1, round(fraction · n)).
        seed: Of the choice.

    Returns:
        Indices into ``targets``, ascending.
    """
    chosen: list[int] = []
    for target in sorted(set(targets)):
        members = np.flatnonzero(np.asarray(targets) == target)
        order = members[subset_order(members.tolist(), seed)]
        chosen += order[: max(1, round(fraction * len(members)))].tolist()
    return sorted(chosen)


def normalisation(config: Config) -> Steps:
    """Transforms from RGB images to what the config's backbone expects.

    The mean and std (0 to 255) and channel order of its ``data_preprocessor``; OpenMMLab's
    pipelines load BGR, so the backbone sees RGB only if the preprocessor swaps channels. A config
    without mean and std gets ImageNet's, RGB.
    """
    settings = config.model.get('data_preprocessor') or config.get('data_preprocessor') or {}
    if not (settings.get('mean') and settings.get('std')):
        settings = IMAGENET
    rgb = settings.get('bgr_to_rgb') or settings.get('rgb_to_bgr')
    mean, std = ([value / 255 for value in settings[name]] for name in ('mean', 'std'))
    return [
        transforms.ToTensor(),
        *([] if rgb else [transforms.Lambda(_swap_channels)]),
        transforms.Normalize(mean, std),
    ]


def _swap_channels(image: Tensor) -> Tensor:
    return image.flip(0)


def random_crop(size: int) -> Steps:
    """Augmentation while training: a random resized crop and flip."""
    return [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]


def centre_crop(size: int) -> Steps:
    """Crop for evaluation: the shorter side at 256/224 of ``size``, then the centre."""
    return [transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size)]


def read_image(path: str) -> Any:
    """Read an image as torchvision does, but name the file if that fails."""
    try:
        return default_loader(path)
    except Exception as error:  # damaged bytes make the decoders raise almost anything
        raise ValueError(f'{path} cannot be decoded: {error}') from error


def load_images(data: str, train_steps: Steps, val_steps: Steps) -> tuple[Any, Any]:
    """Open the images to train on and those to classify.

    Args:
        data: A folder with ``train/CLASS/*.jpg`` and ``val/CLASS/*.jpg``, or ``cifar10:PATH`` or
            ``cifar100:PATH``, where PATH holds what torchvision downloads; nothing is downloaded.
        train_steps: Transforms of the first.
        val_steps: Transforms of the second.

    Returns:
        Two torchvision data sets, with ``classes`` and ``targets``.
    """
    steps = transforms.Compose(train_steps), transforms.Compose(val_steps)
    name, colon, path = data.partition(':')
    if colon and name in CIFAR:
        return _load_cifar(CIFAR[name], path, *steps)
    train, val = (
        _load_folder(f'{data}/{part}', transform)
        for part, transform in zip(('train', 'val'), steps, strict=True)
    )
    if train.classes != val.classes:
        only = sorted(set(train.classes) ^ set(val.classes))
        raise ValueError(f'data={data!r}: train and val must hold the same classes, not {only}')
    if len(train.classes) < 2:
        raise ValueError(f'data={data!r} has one class, {train.classes}; at least 2 are needed')
    return train, val


def _load_folder(folder: str, transform: transforms.Compose) -> ImageFolder:
    try:
        return ImageFolder(folder, transform, loader=read_image)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{folder}: {error} Data are a folder with train/CLASS/*.jpg and val/CLASS/*.jpg, or '
            f'{" or ".join(f"{name}:PATH" for name in CIFAR)}'
        ) from error


def _load_cifar(
    kind: Any, path: str, train_transform: transforms.Compose, val_transform: transforms.Compose
) -> tuple[Dataset, Dataset]:
    try:
        return kind(path, True, train_transform), kind(path, False, val_transform)
    except RuntimeError as error:
        raise FileNotFoundError(
            f'{path!r} does not hold {kind.__name__} as torchvision unpacks it, in the folder '
            f'{kind.base_folder}, or its files are damaged; nothing is downloaded'
        ) from error
