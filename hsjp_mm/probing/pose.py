"""Is a backbone any good for pose yet? Two probes of its frozen features, beside random weights.

Letters: N labelled crops, M crops to find keypoints in, C channels, h×w cells of a map, K
keypoints, D features of a crop. Places in a crop are shares of its sides, see `crops.py`.
"""

import contextlib
import copy
import io
import random
import tempfile
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.fileio import dump
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed
from mmpose.models.heads import HeatmapHead
from torch import Tensor, nn

from hsjp_mm.datasets.coco_files import read_coco
from hsjp_mm.probing.crops import Crops, load_crops, require_topdown
from hsjp_mm.probing.features import build_backbone, draw_weights, last_map
from hsjp_mm.utils.devices import require_device
from hsjp_mm.utils.progress import track

PERSONS, ITERATIONS = 500, 300
"""Defaults of :class:`PoseProbe`."""
BATCH, LEARNING_RATE = 32, 1e-3
"""Of the training of the linear head; maps are computed in such batches too."""
NEIGHBORS = 5
"""From how many labelled crops a keypoint is copied."""
CELLS = (8, 6)
"""Rows and columns to which maps are averaged before crops are compared."""


class PoseProbe:
    """Measure what checkpoints are worth for pose, on the labels of a stock top-down config.

    The config is the one to fine-tune with: it gives the backbone, the crops, the codec and the
    measure. The checkpoints may be of any pretraining of that backbone. The backbone stays frozen,
    in eval mode, and sees each crop once, cut as in validation and with the annotated box, not
    flipped. Two probes read its last map, each channel brought to mean 0 and deviation 1 over the
    labelled crops, so that networks of any scale are treated alike:

    - A linear head, that is a stock HeatmapHead of one 1×1 convolution, is trained on the
      labelled crops, see :func:`train_head`.
    - Without training, each keypoint is the mean of where the nearest labelled crops have it, see
      :func:`copied_keypoints`; maps are averaged to 8×6 cells first, which keeps place.

    Both are repeated with random weights of the same network, the same seed and the same data:
    the floor. Images are chosen at random, with all their persons, until there are enough;
    of two numbers and one seed the smaller choice lies in the larger. In AP, too, only the chosen
    images count. What an instance measures does not depend on what it measured before, and the
    caller's random numbers are left as they were.

    Crops, maps and targets are held in memory, with HRNet-W32 or ResNet-50 at 192×256 about 1 MB
    a person.

    Args:
        config: A top-down config with a heat-map codec and labels for training and validation.
            The measure is its ``save_best``, else the evaluator's first.
        persons: At least so many of the training and of the validation set, or all there are.
        iterations: Steps of the linear head.
        seed: Of the choice of images, the random weights, the head and its batches.
        device: As in torch; data are held on the CPU.

    Attributes:
        metric: The evaluator's name of the measure, such as 'coco/AP'; None until it is known.
        train, val: The chosen :class:`Crops`.

    Raises:
        ValueError: An argument outside its range, or a config that is not of this form.
        FileNotFoundError: No such image or evaluator's file.
    """

    def __init__(
        self,
        config: Config,
        persons: int = PERSONS,
        iterations: int = ITERATIONS,
        seed: int = 0,
        device: str | torch.device = 'cpu',
    ) -> None:
        for name, number in (('persons', persons), ('iterations', iterations)):
            if number < 1:
                raise ValueError(f'{name}={number} must be at least 1')
        require_device(str(device))
        require_topdown(config)
        self.config = config
        self.iterations = iterations
        self.seed = seed
        self.device = device
        self.codec = config.model.head.decoder
        with self._apart():
            self.train = load_crops(config, 'train', persons, seed)
            self.val = load_crops(config, 'val', persons, seed)
            self.evaluator = _build_evaluator(config, self.val)
            self.preprocessor = MODELS.build(config.model.data_preprocessor).to(device)
        hooks = config.get('default_hooks') or {}
        saved = (hooks.get('checkpoint') or {}).get('save_best')
        self.metric = saved if isinstance(saved, str) and saved != 'auto' else None

    @contextlib.contextmanager
    def _apart(self) -> Iterator[None]:
        """Work with random numbers and a default scope of its own."""
        MMLogger.get_current_instance()  # made below, it would write to the redirected stdout
        states = random.getstate(), np.random.get_state()  # noqa: NPY002
        scope = self.config.get('default_scope', 'mmpose')
        devices = range(torch.cuda.device_count())
        try:
            with (
                torch.random.fork_rng(devices),
                DefaultScope.overwrite_default_scope(scope),
                contextlib.redirect_stdout(io.StringIO()),  # the COCO tools talk
            ):
                set_random_seed(self.seed)
                yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002

    @cached_property
    def floor(self) -> dict[str, Any]:
        """What :meth:`measure` gives for random weights."""
        return self._measure(None)

    def measure(self, checkpoint: str | Path) -> dict[str, Any]:
        """Probe a checkpoint.

        Args:
            checkpoint: As in :func:`hsjp_mm.checkpoint.load_backbone`.

        Returns:
            ``figures``: of the linear head the measure, under its name without a prefix such as
            'AP', and the mean 'OKS'; and 'copied_OKS'. ``scores``: all that the evaluator says of
            the head. The line of ``coverage``, and ``seconds``.

        Raises:
            CheckpointError: It does not fit the backbone.
            ValueError: Features that are not finite or no map; a ``save_best`` that the evaluator
                does not know.
        """
        return self._measure(str(checkpoint))

    def _measure(self, checkpoint: str | None) -> dict[str, Any]:
        start = time.perf_counter()
        with self._apart():
            backbone, coverage = build_backbone(self.config, checkpoint)
            backbone.to(self.device).eval()
            maps, queries = (self._extract(backbone, crops) for crops in (self.train, self.val))
            standardize(maps, queries)
            places, scores = self._linear(maps, queries)
            found = self._evaluate(places, scores)
            copied = copied_keypoints(
                _compact(queries),
                _compact(maps),
                torch.from_numpy(self.train.places),
                torch.from_numpy(self.train.labelled),
                self._other_images(),
            )
        if self.metric is None:
            self.metric = next(iter(found))
        if self.metric not in found:
            raise ValueError(
                f'default_hooks.checkpoint.save_best={self.metric!r} of the config must be one of '
                f"the evaluator's measures: {', '.join(found)}"
            )
        return {
            'figures': {
                self.metric.split('/')[-1]: found[self.metric],
                'OKS': self.val.mean_oks(places),
                'copied_OKS': self.val.mean_oks(copied.numpy()),
            },
            'scores': found,
            'coverage': coverage,
            'seconds': round(time.perf_counter() - start, 1),
        }

    @torch.no_grad()
    def _extract(self, backbone: nn.Module, crops: Crops) -> Tensor:
        """Maps (N, C, h, w) on the CPU."""
        maps = []
        for i in track(range(0, len(crops.images), BATCH), 'batches of crops'):
            data = {'inputs': crops.images[i : i + BATCH], 'data_samples': []}
            maps.append(last_map(backbone, self.preprocessor(data)['inputs']).float().cpu())
        return torch.cat(maps)

    def _linear(self, maps: Tensor, queries: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Places (M, K, 2) and scores (M, K) by the linear head."""
        set_random_seed(self.seed)  # as many numbers were drawn as the backbone wanted
        head = LinearHead(maps.shape[1], self.train.places.shape[1], self.codec).to(self.device)
        train_head(head, maps, self.train.samples, self.iterations)
        with torch.no_grad():
            found = [
                instances
                for batch in queries.split(BATCH)
                for instances in head.decode(head((batch.to(self.device),)))
            ]
        places = np.concatenate([instances.keypoints for instances in found])
        scores = np.concatenate([instances.keypoint_scores for instances in found])
        return places / self.codec['input_size'], scores

    def _evaluate(self, places: np.ndarray, scores: np.ndarray) -> dict[str, float]:
        """Let the config's metrics judge places (M, K, 2), without other processes."""
        points = self.val.to_image(places)
        for sample, keypoints, heights in zip(self.val.samples, points, scores, strict=True):
            truth = sample.gt_instances
            predicted = {
                'keypoints': keypoints[None],
                'keypoint_scores': heights[None],
                'bboxes': truth.bboxes,
                'bbox_scores': truth.bbox_scores,
            }
            self.evaluator.process([{**sample.to_dict(), 'pred_instances': predicted}])
        found: dict[str, float] = {}
        for metric in self.evaluator.metrics:
            # not metric.evaluate, which waits for the results of all processes
            values = metric.compute_metrics(list(metric.results))
            metric.results.clear()
            prefix = f'{metric.prefix}/' if metric.prefix else ''
            found |= {f'{prefix}{name}': float(value) for name, value in values.items()}
        return found

    def _other_images(self) -> Tensor:
        """Whether a crop (M, N) is of another image: nobody may copy from themselves."""
        train, val = (
            np.array([sample.img_path for sample in crops.samples])
            for crops in (self.train, self.val)
        )
        return torch.from_numpy(val[:, None] != train)


class LinearHead(HeatmapHead):
    """A stock HeatmapHead of one 1×1 convolution, for maps of any resolution.

    Heat maps are brought to the codec's size after the convolution, which for bilinear
    interpolation is the same as before it, and cheaper.
    """

    def __init__(self, in_channels: int, out_channels: int, codec: dict) -> None:
        super().__init__(in_channels, out_channels, deconv_out_channels=None, decoder=codec)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Heat maps (B, K, h, w) of the codec's size."""
        maps = super().forward(feats)
        size = tuple(self.decoder.heatmap_size[::-1])
        return maps if maps.shape[2:] == size else F.interpolate(maps, size, mode='bilinear')


def standardize(maps: Tensor, *others: Tensor) -> None:
    """Bring each channel of maps to mean 0 and deviation 1, and others by the same amounts.

    A channel that never changes becomes 0. In place.

    Args:
        maps: (N, C, h, w).
        others: (M, C, h, w) each.
    """
    std, mean = torch.std_mean(maps, (0, 2, 3), keepdim=True)
    std[std <= 1e-6 * mean.abs()] = torch.inf
    for tensor in (maps, *others):
        tensor.sub_(mean).div_(std)


def train_head(head: HeatmapHead, maps: Tensor, samples: list, iterations: int) -> None:
    """Train a head by its own loss, with Adam, batches of 32 and a cosine schedule.

    With standardized maps a learning rate of 0.001 suits 16 channels as well as 2048: 300 steps
    come within 0.1 % of the least loss that any linear head could have on 16 of them.

    Args:
        head: On the device to train on; its weights are drawn anew.
        maps: (N, C, h, w), standardized.
        samples: N data samples with targets.
        iterations: Number of steps.
    """
    device = next(head.parameters()).device
    targets = [sample.to(device) for sample in samples]
    draw_weights(head)
    optimizer = torch.optim.Adam(head.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    with torch.enable_grad():  # validation, in which the hook runs, is without
        for _ in track(range(iterations), 'iterations'):
            chosen = torch.randint(len(maps), (BATCH,))
            inputs = maps[chosen].to(device)
            losses = head.loss((inputs,), [targets[i] for i in chosen], {'compute_acc': False})
            optimizer.zero_grad()
            losses['loss_kpt'].backward()
            optimizer.step()
            schedule.step()


def copied_keypoints(
    queries: Tensor,
    bank: Tensor,
    places: Tensor,
    labelled: Tensor,
    allowed: Tensor,
    neighbors: int = NEIGHBORS,
) -> Tensor:
    """Put each keypoint where the nearest crops have it.

    Nearest by cosine similarity, of those crops in which that keypoint is labelled; the mean of
    their places.

    Args:
        queries: (M, D).
        bank: (N, D).
        places: (N, K, 2).
        labelled: (N, K).
        allowed: (M, N), which crops may be copied from.
        neighbors: How many, or all there are.

    Returns:
        (M, K, 2); the middle of the crop where there is nothing to copy.
    """
    alike = F.normalize(queries) @ F.normalize(bank).T
    copied = torch.full((len(queries), *places.shape[1:]), 0.5, dtype=places.dtype)
    for k in range(places.shape[1]):
        candidates = alike.masked_fill(~(allowed & labelled[:, k]), -torch.inf)
        values, nearest = candidates.topk(min(neighbors, len(bank)))
        real = (values > -torch.inf)[..., None]
        some = real.any(dim=1).flatten()
        mean = (places[nearest, k] * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
        copied[some, k] = mean[some]
    return copied


def _build_evaluator(config: Config, val: Crops) -> Evaluator:
    """The config's metrics, with the annotations of the chosen images only."""
    settings = copy.deepcopy(config.val_evaluator)
    chosen = {sample.img_id for sample in val.samples}
    with tempfile.TemporaryDirectory() as folder:
        for i, metric in enumerate([settings] if isinstance(settings, dict) else settings):
            if metric.get('ann_file'):
                lists = ('images', 'annotations')
                coco = read_coco(metric['ann_file'], 'val_evaluator.ann_file', lists).content
                for key, name in zip(lists, ('id', 'image_id'), strict=True):
                    coco[key] = [row for row in coco[key] if row[name] in chosen]
                metric['ann_file'] = f'{folder}/{i}.json'
                dump(coco, metric['ann_file'])
        evaluator = Evaluator(settings)
    evaluator.dataset_meta = val.metainfo
    return evaluator


def _compact(maps: Tensor) -> Tensor:
    """Features (N, D) that keep place."""
    return F.adaptive_avg_pool2d(maps, CELLS).flatten(1)
