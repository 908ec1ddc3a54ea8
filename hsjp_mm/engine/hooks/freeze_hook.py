"""Train a part of the network alone, and make sure that the rest stays as it is."""

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.model import MMSeparateDistributedDataParallel, is_model_wrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DataParallel, DistributedDataParallel

from hsjp_mm.engine.unwrapping import unwrapped
from hsjp_mm.registry import HOOKS

BUFFER_TOLERANCE = 1e-5
"""By this share of its value a frozen buffer may move: SyncBuffersHook averages equal values over
the processes, and that rounds."""


@HOOKS.register_module()
class FreezeHook(Hook):
    """Freeze layers of the backbone, or any modules, to see how well their features transfer.

    The experiment of section 4.4 and figure 5 of the `HSJP paper
    <https://arxiv.org/abs/2012.07101>`_. The stock ``frozen_stages`` do the same for HRNet and
    ResNet, but not for other modules, and check nothing.

    What belongs to a layer, for layers 1 and up with what leads on to the next one, as in the
    stock ``frozen_stages``; subclasses and MMDetection's networks of these names are meant too:

    ============ ============================ ==================================================
    network      layer 0                      layer k
    ============ ============================ ==================================================
    HRNet        both convolutions of the     stage k (``layer1`` is the first) and
                 stem, with their norms       ``transition{k}``; layer 4 is stage 4 with its
                                              fusions
    ResNet       the stem                     ``layer{k}``
    HourglassNet the stem                     hourglass k, its output convolution, and the
                                              convolutions before hourglass k + 1
    ============ ============================ ==================================================

    Weights are frozen by ``requires_grad=False``, so that no weight decay or momentum reaches
    them, before the checkpoint is loaded; a distributed wrapper is built anew, for it expects
    gradients of what was trainable when it was built. ``find_unused_parameters`` is not needed.
    Norms are put into evaluation mode before every iteration, for loops and hooks call
    ``model.train()``.

    Frozen weights and buffers are compared with what they were before the first step, after steps
    1, 2, 4, 8, … and at the end, and the run stops if one moved. Weights have to be equal, buffers
    up to rounding.

    Args:
        layers: numbers of the backbone's layers, such as [0, 1, 2].
        patterns: names of modules or parameters of the model, with ``*`` and ``?`` as in the
            shell: ``'backbone.stem'``, ``'head.deconv*'``. All inside a module is frozen with it.
        norm_eval: whether norms inside use their running statistics, which then stay. If not,
            they use those of the batch, and the running ones move.

    Raises:
        ValueError: neither layers nor patterns; a layer that the backbone has not; a name that
            matches nothing, with those that are near; nothing left to train; an unknown wrapper.
        RuntimeError: a frozen weight or buffer moved.

    Examples:
        >>> custom_hooks = [dict(type='hsjp_mm.FreezeHook', layers=[0, 1])]
    """

    priority = 'LOWEST'  # to see what the other hooks did

    def __init__(
        self, layers: Sequence[int] = (), patterns: Sequence[str] = (), norm_eval: bool = True
    ):
        if isinstance(layers, int) or isinstance(patterns, str):
            raise ValueError(f'layers={layers!r} and patterns={patterns!r} must be lists')
        if not layers and not patterns:
            raise ValueError('give layers, patterns or both: there is nothing to freeze')
        self.layers = tuple(layers)
        self.patterns = tuple(patterns)
        self.norm_eval = norm_eval
        self.norms: list[nn.Module] = []
        self.before: dict[str, Tensor] = {}
        self.steps = 0

    def before_run(self, runner) -> None:
        """Freeze the weights, before anything is loaded into them."""
        model = _unwrap(runner.model)
        inside = self._members(model)
        frozen = [p for name, p in model.named_parameters() if p.requires_grad and inside(name)]
        for parameter in frozen:
            parameter.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ValueError(f'{self._what()} freeze all of the model: nothing is left to train')
        if frozen and isinstance(runner.model, DistributedDataParallel):
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)

    def before_train(self, runner) -> None:
        """Note what must not move, and print how many parameters train."""
        model = _unwrap(runner.model)
        inside = self._members(model)
        self.norms = [
            module
            for name, module in model.named_modules()
            if self.norm_eval and isinstance(module, _NormBase) and inside(name)
        ]
        self.before = {
            name: tensor.detach().to('cpu', copy=True)
            for name, tensor in _tensors(model)
            if inside(name) and self._must_stay(model, name)
        }
        self.steps = 0
        runner.logger.info(self._report(model))

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Keep the norms in evaluation mode."""
        for norm in self.norms:
            norm.eval()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Check after steps 1, 2, 4, 8, …"""
        self.steps += 1
        if self.steps & (self.steps - 1) == 0:
            self._check(_unwrap(runner.model))

    def after_train(self, runner) -> None:
        """Check what training ends with."""
        self._check(_unwrap(runner.model))

    def _members(self, model: nn.Module) -> Callable[[str], bool]:
        """A function that tells whether a name is one of those to freeze, or inside one."""
        modules = [name for name, _ in model.named_modules() if name]
        names = modules + [name for name, _ in model.named_parameters()]
        chosen = {name for name in self._layer_names(model) if name in names}
        for pattern in self.patterns:
            matching = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
            if not matching:
                raise ValueError(_no_match(pattern, names))
            chosen.update(matching)
        return lambda name: any(outer in chosen for outer in _outer_names(name))

    def _layer_names(self, model: nn.Module) -> list[str]:
        if not self.layers:
            return []
        backbone = getattr(model, 'backbone', None)
        layers = _layers(backbone)
        unknown = [layer for layer in self.layers if layer not in range(len(layers))]
        if not layers or unknown:
            has = f'it has 0 to {len(layers) - 1}' if layers else f'known are {", ".join(LAYERS)}'
            raise ValueError(
                f'layers={list(self.layers)}: the backbone, {type(backbone).__name__}, has no '
                f'layers {unknown}; {has}; others can be named in patterns'
            )
        return [f'backbone.{name}' for layer in self.layers for name in layers[layer]]

    def _must_stay(self, model: nn.Module, name: str) -> bool:
        """All but the statistics of norms that go on training."""
        owner = model.get_submodule(name.rpartition('.')[0])
        statistics = isinstance(owner, _NormBase) and name.rpartition('.')[2] in owner._buffers
        return self.norm_eval or not statistics

    def _what(self) -> str:
        given = {'layers': list(self.layers), 'patterns': list(self.patterns)}
        return ' and '.join(f'{name}={value}' for name, value in given.items() if value)

    def _report(self, model: nn.Module) -> str:
        parameters = list(model.parameters())
        total = sum(parameter.numel() for parameter in parameters)
        trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        norms = 'norms in evaluation mode' if self.norm_eval else 'statistics of norms move'
        return (
            f'FreezeHook: {trained:,} of {total:,} parameters train ({trained / total:.1%}); '
            f'frozen are {self._what()}, {len(self.before)} tensors; {norms}'
        )

    def _check(self, model: nn.Module) -> None:
        now = dict(_tensors(model))
        weights = {name for name, _ in model.named_parameters()}
        moved = [
            name
            for name, then in self.before.items()
            if not _same(now[name], then, 0.0 if name in weights else BUFFER_TOLERANCE)
        ]
        if moved:
            kinds = [f'{"weight" if name in weights else "buffer"} {name}' for name in moved]
            raise RuntimeError(
                f'after {self.steps} steps {len(moved)} of {len(self.before)} frozen tensors have '
                f'moved: {", ".join(kinds[:10])}{" …" if len(moved) > 10 else ""}. Another hook or '
                'the model itself writes into them'
            )


def _hrnet(backbone) -> list[tuple[str, ...]]:
    return [
        ('conv1', backbone.norm1_name, 'conv2', backbone.norm2_name),
        ('layer1', 'transition1'),
        ('stage2', 'transition2'),
        ('stage3', 'transition3'),
        ('stage4',),
    ]


def _resnet(backbone) -> list[tuple[str, ...]]:
    stem = ('stem',) if backbone.deep_stem else ('conv1', backbone.norm1_name)
    return [stem, *((name,) for name in backbone.res_layers)]


def _hourglass(backbone) -> list[tuple[str, ...]]:
    parts = ('hourglass_modules', 'out_convs', 'conv1x1s', 'remap_convs', 'inters')
    stacks = range(backbone.num_stacks)
    return [('stem',), *(tuple(f'{part}.{i}' for part in parts) for i in stacks)]


LAYERS = {'HRNet': _hrnet, 'ResNet': _resnet, 'HourglassNet': _hourglass}
"""What lists the modules of each layer of a backbone, by the name of its class: MMDetection has
others of the same names and parts."""


def _layers(backbone: nn.Module | None) -> list[tuple[str, ...]]:
    """The names of the modules of each layer, some of which a network may lack."""
    for cls in type(backbone).__mro__:
        if cls.__name__ in LAYERS:
            return LAYERS[cls.__name__](backbone)
    return []


def _unwrap(model: nn.Module) -> nn.Module:
    separate = isinstance(model, MMSeparateDistributedDataParallel)
    known = isinstance(model, DistributedDataParallel | DataParallel) and not separate
    if is_model_wrapper(model) and not known:
        raise ValueError(
            f'model_wrapper_cfg: FreezeHook cannot freeze in a {type(model).__name__}; use '
            'MMDistributedDataParallel'
        )
    return unwrapped(model)


def _outer_names(name: str) -> Iterable[str]:
    """The name, and those of the modules that it lies in."""
    parts = name.split('.')
    return ('.'.join(parts[:end]) for end in range(1, len(parts) + 1))


def _tensors(model: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _no_match(pattern: str, names: list[str]) -> str:
    near = difflib.get_close_matches(pattern, names, n=5, cutoff=0.5)
    near = near or sorted({name.split('.')[0] for name in names})
    return (
        f'patterns: {pattern!r} matches no module or parameter of the model; near are '
        f'{", ".join(near)}'
    )


def _same(now: Tensor, then: Tensor, tolerance: float) -> bool:
    exact = 0.0 if not then.is_floating_point() else tolerance
    return torch.allclose(now.detach().cpu(), then, rtol=exact, atol=0.0, equal_nan=True)
