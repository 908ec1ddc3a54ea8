"""Load a backbone from a checkpoint, or stop.

MMEngine loads with ``strict=False`` and only logs what did not fit, so a run can start from random
weights unnoticed. Here every backbone goes through :func:`audit`, and what does not fit stops.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from hsjp_mm.checkpoint.coverage import (
    CheckpointError,
    Coverage,
    State,
    Tensors,
    compare,
    find_backbones,
    fold_stem,
    identity_of,
    is_swapped,
    networks_of,
    shorten,
    six_channel_convs,
    under,
)
from hsjp_mm.checkpoint.reading import open_checkpoint, read_checkpoint, require_checkpoint
from hsjp_mm.registry import WEIGHT_INITIALIZERS


def load_model(model: nn.Module, path: str | Path) -> None:
    """Load a whole model, as a training leaves it.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: a tensor is missing, left over or of another shape; see also
            :func:`~hsjp_mm.checkpoint.read_checkpoint`.
    """
    state = read_checkpoint(path)
    try:
        model.load_state_dict(state.get('state_dict', state))
    except RuntimeError as error:  # torch's has a line for each kind of difference, or each shape
        lines = [textwrap.shorten(line, 160) for line in str(error).splitlines()[:4]]
        raise CheckpointError(
            f'{path} is no checkpoint of this model: {" ".join(lines)}'
        ) from error


def _pretrained_part(module: nn.Module) -> tuple[str, dict[str, Tensor], list[str]]:
    """What of a backbone comes from a checkpoint: all, or the submodule that its class names.

    Returns:
        The part's name, its tensors by the backbone's names, and the backbone's other names.
    """
    state = module.state_dict(keep_vars=True)
    part = getattr(module, 'pretrained_part', None)
    if part is None:
        return 'backbone', state, []
    expected = {name: value for name, value in state.items() if name.startswith(f'{part}.')}
    return part, expected, [name for name in state if name not in expected]


def audit(
    module: nn.Module,
    checkpoint: str | Path,
    prefix: str | None = None,
    allow_missing: Sequence[str] = (),
    trust: bool = False,
) -> tuple[Coverage, dict[str, Tensor]]:
    """Read, find and compare, without loading. Arguments as in :func:`load_backbone`.

    Returns:
        The coverage, and the tensors of the file by the model's names.
    """
    file = open_checkpoint(checkpoint, trust)
    part, expected, beside = _pretrained_part(module)
    try:
        candidates = find_backbones(file.state, expected, prefix)
        start = next(iter(candidates))
        tensors, folded = _fold_if_needed(candidates.pop(start), file.state, expected)
    except CheckpointError as error:
        raise CheckpointError(f'{file.path}: {error}') from None

    def fits(other: dict[str, Tensor]) -> bool:
        try:
            other, _ = _fold_if_needed(other, file.state, expected)
        except CheckpointError:
            return False
        return compare(other, expected, allow_missing).ok

    others = [other for other, found in candidates.items() if fits(found)]
    coverage = replace(
        compare(tensors, expected, allow_missing),
        source=str(checkpoint),
        prefix=start,
        sha256=file.sha256,
        folded=folded,
        swapped=is_swapped(file.state) and not start.startswith('ema_state_dict.'),
        behind=left_behind(file.state, start, others),
        others=others,
        part=part,
        beside=beside,
    )
    return coverage, tensors


def _fold_if_needed(
    tensors: dict[str, Tensor], state: State, expected: Tensors
) -> tuple[dict[str, Tensor], bool]:
    """Fold the stem of an HSJP run with ``unshuffled=True`` if the model's takes one image."""
    fold = bool(identity_of(state).get('unshuffled')) and not six_channel_convs(expected)
    return (fold_stem(tensors) if fold else tensors), fold


def load_backbone(
    module: nn.Module,
    checkpoint: str | Path,
    prefix: str | None = None,
    allow_missing: Sequence[str] = (),
    trust: bool = False,
) -> Coverage:
    """Load a pretrained backbone, or stop if it does not fit; one line goes to the log.

    Args:
        module: The backbone. If its class has ``pretrained_part``, the name of a submodule, that
            alone is loaded: the rest of PartBranchHourglass is about keypoints.
        checkpoint: Path or http(s) address of an MMEngine checkpoint, a bare state dict or a
            safetensors file.
        prefix: What stands before the backbone's names in the file, e.g. ``'teacher.backbone.'``.
            By default it is found, and the trained network taken before any average of it; the
            line says what of the network is left behind, and ends with what else would have fitted.
        allow_missing: fnmatch patterns of names of the model that the file may lack; these
            tensors stay as they are. ``num_batches_tracked`` may always be missing.
        trust: See :func:`hsjp_mm.checkpoint.read_checkpoint`.

    Raises:
        CheckpointError: Unreadable or damaged; or missing, differing or non-finite tensors,
            variances below zero, quantised weights, or a deeper network than the module.
    """
    coverage, tensors = audit(module, checkpoint, prefix, allow_missing, trust)
    if not coverage.ok:
        name = type(module).__name__
        raise CheckpointError(
            f'{checkpoint} does not fit {name}.\n{coverage.line()}\n{coverage.report()}'
        )
    # Strict, with the model's own values where the file may lack some.
    wanted = {name: tensors[name] for name in coverage.matched}
    module.load_state_dict({**module.state_dict(), **wanted}, strict=True)
    loaded = module.state_dict()
    changed = [
        n for n, t in wanted.items() if not torch.equal(loaded[n].cpu(), t.to(loaded[n].dtype))
    ]
    if changed:
        raise CheckpointError(f'{checkpoint}: altered while loading: {shorten(changed)}')
    print_log(coverage.line(), logger='current')
    return coverage


def _initialisable(modules: Iterable[nn.Module]) -> list[Any]:
    return [module for module in modules if hasattr(module, 'init_weights')]


class _Loaded(dict):
    """MMEngine's note on a loaded parameter, which it rewrites when the parameter has changed."""

    def __setitem__(self, key: str, value: Any) -> None:
        raise CheckpointError(f'{self["init_info"]}, was overwritten after loading: {value}')


@WEIGHT_INITIALIZERS.register_module()
class PretextInit:
    """Initialise a backbone from a checkpoint; stops where stock ``Pretrained`` only logs.

    MMEngine treats only the type ``'Pretrained'`` as the last word: after any other initialiser
    it initialises the children, and backbones go on (ResNet and HRNet zero their last norms,
    VisionTransformer draws its position embedding). Therefore the children are initialised
    here first, and then the module is marked as done and as ``Pretrained``. A backbone that
    draws weights all the same (MMPose's Swin with ``use_abs_pos_embed``) is an error. Out of
    reach are those that never ask for an initialiser: MMDetection's Swin and PVT load the
    ``checkpoint`` of their ``init_cfg`` themselves, MMPose's TCN drops its ``init_cfg``.

    Args:
        checkpoint: Path or http(s) address of an MMEngine checkpoint, a bare state dict or a
            safetensors file.
        prefix: What stands before the backbone's names in the file, e.g. ``'teacher.backbone.'``.
            By default it is found, and the log names it.
        allow_missing: fnmatch patterns of names of the backbone that the file may lack. What draws
            these tensors instead stands before this initialiser, in a list.
        trust: Whether to run the code that a pickled file of others may hold; see
            :func:`hsjp_mm.checkpoint.read_checkpoint`.

    Raises:
        ValueError: No checkpoint is given, or another initialiser would run after this one.
        CheckpointError: The file does not fit, or the loaded weights do not stay.

    Examples:
        >>> model = dict(
        ...     backbone=dict(
        ...         type='ResNet',
        ...         depth=50,
        ...         init_cfg=dict(
        ...             type='hsjp_mm.PretextInit', checkpoint='work_dirs/backbone.safetensors'
        ...         ),
        ...     )
        ... )
    """

    def __init__(
        self,
        checkpoint: str | None,
        prefix: str | None = None,
        allow_missing: Sequence[str] = (),
        trust: bool = False,
    ) -> None:
        self.checkpoint = require_checkpoint(checkpoint)
        self.prefix = prefix
        self.allow_missing = allow_missing
        self.trust = trust

    def __call__(self, module: BaseModule) -> None:
        self._require_last(module.init_cfg)
        info = getattr(module, '_params_init_info', None)  # there during init_weights only
        if info is not None:
            for child in _initialisable(module.children()):
                if not getattr(child, 'is_init', False):
                    child.init_weights()
        coverage = load_backbone(
            module, self.checkpoint, self.prefix, self.allow_missing, self.trust
        )
        for submodule in _initialisable(module.modules()):
            submodule.is_init = True
        module.init_cfg = dict(type='Pretrained', checkpoint=self.checkpoint)
        if coverage.prefix:
            module.init_cfg['prefix'] = coverage.prefix
        if info is not None:
            self._record(module, coverage, info)

    @staticmethod
    def _require_last(init_cfg: Any) -> None:
        types = [str(cfg['type']) for cfg in init_cfg] if isinstance(init_cfg, list) else []
        if types and ('PretextInit' not in types[-1] or any('Pretrained' in t for t in types)):
            raise ValueError(
                'init_cfg: PretextInit must be the last of a list and have no Pretrained beside '
                f'it, for these would overwrite what it loads; got {types}'
            )

    def _record(self, module: nn.Module, coverage: Coverage, info: dict) -> None:
        """Note in MMEngine's log where each parameter comes from; changing it now is an error."""
        loaded = set(coverage.matched)
        for name, parameter in module.named_parameters():
            if name in loaded:
                info[parameter] = _Loaded(
                    init_info=f'PretextInit: {name} of {self.checkpoint}',
                    tmp_mean_value=parameter.data.mean().cpu(),
                )


def left_behind(state: State, prefix: str, others: Sequence[str] = ()) -> list[str]:
    """What else the network has whose part a prefix is, such as ``'head (12 tensors)'``.

    Args:
        state: A checkpoint.
        prefix: Of :func:`find_backbones`.
        others: Prefixes that are named elsewhere.
    """
    for path, tensors in networks_of(state).items():
        start = prefix.removeprefix(path)
        if prefix.startswith(path) and under(tensors, start):
            taken = [start, *(other.removeprefix(path) for other in others)]
            rest = [name for name in tensors if not name.startswith(tuple(taken))]
            counts = Counter(_first_difference(name, start) for name in rest)
            return [f'{path}{part} ({_tensors(number)})' for part, number in counts.items()]
    return []


def _first_difference(name: str, start: str) -> str:
    """The beginning of a name, as far as it is no longer that of a prefix."""
    parts = name.split('.')
    same = 0
    for part, other in zip(parts, start.split('.'), strict=False):
        if part != other:
            break
        same += 1
    return '.'.join(parts[: same + 1])


def _tensors(number: int) -> str:
    return f'{number} tensor' + 's' * (number != 1)
