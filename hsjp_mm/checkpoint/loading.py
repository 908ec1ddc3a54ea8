"""Checkpoints: read them safely, load a backbone or stop, export it.

MMEngine loads with ``strict=False`` and only logs what did not fit, so a run can start from random
weights unnoticed. Here every backbone goes through :func:`audit`, and what does not fit stops.
"""

import hashlib
import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from hsjp_mm.checkpoint.coverage import (
    CheckpointError,
    Coverage,
    State,
    compare,
    dotted,
    find_backbone,
    fold_stem,
    networks_of,
    puzzle_of,
    shorten,
    six_channel_convs,
    under,
)
from hsjp_mm.registry import WEIGHT_INITIALIZERS
from hsjp_mm.utils.files import file_sha256

# Of each pretext the measure of how well it is solved, by its key in MMEngine's message hub.
MEASURES = {'precision': 'val/hsjp/precision', 'retrieval': 'val/jigclu/retrieval'}


def _history_buffer_method(owner: Any, name: str) -> Any:
    """What ``builtins.getattr`` means in a checkpoint: one of HistoryBuffer's four statistics."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError(f'GLOBAL builtins.getattr called with {owner!r}, {name!r}')
    return getattr(owner, name)


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read what MMEngine 0.10 saves, and nothing more.

    With torch >= 2.6 stock MMEngine cannot load its own checkpoints, because their message hub
    holds ``HistoryBuffer`` objects with numpy arrays and bound-by-name statistics functions.
    """
    # The two functions that rebuild arrays and numbers, under their names in numpy 1 and 2.
    functions: list[Any] = [
        (value.__reduce__()[0], f'numpy.{core}.multiarray.{name}')
        for value, name in ((np.empty(0), '_reconstruct'), (np.float64(0), 'scalar'))
        for core in ('core', '_core')
    ]
    dtypes = [type(np.dtype(name)) for name in ('float64', 'float32', 'int64', 'uint8')]
    guarded = (_history_buffer_method, 'builtins.getattr')
    torch.serialization.add_safe_globals(
        [HistoryBuffer, np.ndarray, np.dtype, *dtypes, *functions, guarded]
    )


def _require_checkpoint(checkpoint: str | Path | None) -> str:
    if not checkpoint:
        raise ValueError(
            f'checkpoint is {checkpoint!r}: it must name the pretrained weights, e.g. '
            '--cfg-options model.backbone.init_cfg.checkpoint=backbone.safetensors; '
            'tools/extract_backbone.py makes such a file from a pretraining checkpoint'
        )
    return os.fspath(checkpoint)


def _local_file(checkpoint: str | Path | None) -> Path:
    """The file itself; http(s) addresses are downloaded once into torch's hub cache."""
    name = _require_checkpoint(checkpoint)
    if name.startswith(('http://', 'https://')):
        # The address is part of the name: many servers call every file model.pth.
        short = hashlib.sha256(name.encode()).hexdigest()[:8]
        path = Path(torch.hub.get_dir(), 'checkpoints', f'{short}-{Path(urlparse(name).path).name}')
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.hub.download_url_to_file(name, str(path), progress=False)
            except OSError as error:
                raise CheckpointError(f'{name} cannot be downloaded: {error}') from error
        return path
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'checkpoint {name!r} is not a file; allowed are a path and an http(s) address '
            "(other schemes, torchvision:// for one, work with init_cfg type='Pretrained')"
        )
    return path


def read_checkpoint(path: str | Path, trust: bool = False) -> dict:
    """Read a checkpoint on the CPU without running code that it may hold.

    Args:
        path: A file that ``torch.save`` or safetensors wrote, or its http(s) address.
        trust: Unpickle arbitrary objects, which can run any code: only for files whose maker you
            trust. Nothing here ever does so by itself.

    Raises:
        FileNotFoundError: No such file.
        ValueError: ``path`` is empty or None.
        CheckpointError: The file is damaged, needs ``trust``, or holds no dictionary.
    """
    path = _local_file(path)
    try:
        if path.suffix == '.safetensors':
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location='cpu', weights_only=not trust)
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise CheckpointError(_why_unreadable(path, error)) from error
    if not isinstance(state, dict):
        raise CheckpointError(
            f'{path} holds a {type(state).__name__}, not a dictionary of tensors: '
            'save model.state_dict() instead'
        )
    return state


def _why_unreadable(path: Path, error: Exception) -> str:
    unpickling = isinstance(error, pickle.UnpicklingError)
    reason = str(error).split('WeightsUnpickler error: ')[-1].strip().split('\n')[0]
    forbidden = _forbidden_globals(path, reason) if unpickling else []
    if forbidden or (unpickling and zipfile.is_zipfile(path)):
        return (
            f'{path} is refused: reading it would unpickle what can run any code: '
            f'{", ".join(forbidden) or reason}. If you trust whoever made the file, say so: '
            'trust=True in init_cfg, --trust in the tools'
        )
    with path.open('rb') as file:
        start = file.read(24)
    return (
        f'{path} ({path.stat().st_size:,} bytes) cannot be read: {reason}. It is truncated, '
        f'damaged or no checkpoint; its first bytes are {start!r}'
    )


def _forbidden_globals(path: Path, reason: str) -> list[str]:
    """Names of the classes and functions in a torch file that are not allowed."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # a file from before torch 1.6 is no zip: then torch names the first only
        names = []
    return sorted(names) or re.findall(r'GLOBAL (\S+)', reason)


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
    path = _local_file(checkpoint)
    state = read_checkpoint(path, trust)
    part, expected, beside = _pretrained_part(module)
    try:
        tensors, found = find_backbone(state, expected, prefix)
        puzzle = puzzle_of(state)
        folded = puzzle is not None and puzzle[1] and not six_channel_convs(expected)
        if folded:
            tensors = fold_stem(tensors)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from None
    coverage = compare(tensors, expected, allow_missing)
    coverage = replace(
        coverage,
        source=str(checkpoint),
        prefix=found,
        sha256=file_sha256(path),
        folded=folded,
        part=part,
        beside=beside,
    )
    return coverage, tensors


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
        prefix: What stands before the backbone's names in the file; by default it is found.
        allow_missing: fnmatch patterns of names of the model that the file may lack; these
            tensors stay as they are. ``num_batches_tracked`` may always be missing.
        trust: See :func:`read_checkpoint`.

    Raises:
        CheckpointError: Unreadable, or missing, differing or non-finite tensors, or a deeper
            network than the module.
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
    """Initialise a backbone by :func:`load_backbone`; stops where stock ``Pretrained`` only logs.

    ``init_cfg=dict(type='hsjp_mm.PretextInit', checkpoint='backbone.safetensors')``. With
    ``allow_missing``, give the initialisers of the missing layers before it in a list.

    MMEngine treats only the type ``'Pretrained'`` as the last word: after any other initialiser
    it initialises the children, and backbones go on (ResNet and HRNet zero their last norms,
    VisionTransformer draws its position embedding). Therefore the children are initialised
    here first, and then the module is marked as done and as ``Pretrained``. A backbone that
    draws weights all the same (MMPose's Swin with ``use_abs_pos_embed``) is an error. Out of
    reach are those that never ask for an initialiser: MMDetection's Swin and PVT load the
    ``checkpoint`` of their ``init_cfg`` themselves, MMPose's TCN drops its ``init_cfg``.

    Args: See :func:`load_backbone`.

    Raises:
        ValueError: No checkpoint is given, or another initialiser would run after this one.
        CheckpointError: The file does not fit, or the loaded weights do not stay.
    """

    def __init__(
        self,
        checkpoint: str | None,
        prefix: str | None = None,
        allow_missing: Sequence[str] = (),
        trust: bool = False,
    ) -> None:
        self.checkpoint = _require_checkpoint(checkpoint)
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


def export_backbone(
    checkpoint: str | Path, out: str | Path, prefix: str = 'backbone.', trust: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Write the backbone of a checkpoint alone, in float32, with where it comes from.

    The keys start with ``backbone.``, so that stock ``Pretrained`` with ``prefix='backbone.'``
    reads the .pth as well (it cannot read safetensors). The stem of an ``unshuffled=True`` run
    becomes a 3-channel one, see :func:`fold_stem`. The metadata are plain values: ``config``
    (text, to read and not to run), ``grid``, ``unshuffled``, ``epoch``, ``iter``, ``source``,
    ``source_sha256``, and HSJP's ``precision`` or JigClu's ``retrieval`` (of these weights, as in
    MMEngine's best checkpoint) or ``earlier_precision``, ``earlier_retrieval`` (of the last
    validation before them); what the checkpoint does not record is left out. They stand under
    ``meta`` in a .pth and as JSON under ``hsjp_mm`` in a safetensors file.

    Args:
        checkpoint: The pretraining checkpoint.
        out: ``name.safetensors`` or ``name.pth``; ``name-1a2b3c4d.safetensors`` is written, with
            the first 8 digits of its sha256.
        prefix: Of the backbone in the checkpoint.
        trust: See :func:`read_checkpoint`.

    Returns:
        The path of the file and its metadata.

    Raises:
        ValueError: Another suffix.
        CheckpointError: Unreadable, nothing under the prefix, or not finite.
    """
    out = Path(out).expanduser()
    if out.suffix not in ('.safetensors', '.pth'):
        raise ValueError(f'out must end in .safetensors or .pth, got {str(out)!r}')
    path = _local_file(checkpoint)
    state = read_checkpoint(path, trust)
    try:
        tensors = _backbone_to_export(state, prefix)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from None
    meta = {**_recorded(state), 'source': path.name, 'source_sha256': file_sha256(path)}
    content = _serialise(tensors, meta, out.suffix)
    digest = hashlib.sha256(content).hexdigest()[:8]
    return _write(content, out.with_name(f'{out.stem}-{digest}{out.suffix}')), meta


def _backbone_to_export(state: State, prefix: str) -> dict[str, Tensor]:
    """Contiguous float32 tensors with names that start with ``backbone.``"""
    prefix = dotted(prefix)
    networks = {p: t for p, t in networks_of(state).items() if prefix.startswith(p)}
    groups = (under(tensors, prefix.removeprefix(path)) for path, tensors in networks.items())
    tensors = next((group for group in groups if group), {})
    if not tensors:
        starts = dict.fromkeys(n.split('.')[0] for group in networks.values() for n in group)
        raise CheckpointError(
            f'no tensor stands under prefix {prefix!r}; names start with {shorten(list(starts))}'
        )
    puzzle = puzzle_of(state)
    if puzzle is not None and puzzle[1]:
        tensors = fold_stem(tensors)
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise CheckpointError(
            f'NaN or infinity in {shorten(bad)}: the run had diverged; take an earlier checkpoint'
        )
    return {
        f'backbone.{name}': (tensor.float() if tensor.is_floating_point() else tensor)
        .detach()
        .clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _recorded(state: State) -> dict[str, Any]:
    """What a checkpoint says of its run, in plain values."""
    run = state.get('meta', {})
    meta: dict[str, Any] = {key: int(run[key]) for key in ('epoch', 'iter') if key in run}
    if 'cfg' in run:
        meta['config'] = str(run['cfg'])
    puzzle = puzzle_of(state)
    if puzzle is not None:
        meta['grid'], meta['unshuffled'] = puzzle
    hub = state.get('message_hub', {})
    for name, key in MEASURES.items():
        if key in hub.get('log_scalars', {}):
            # MMEngine saves after training an epoch, and the best one again after validating it.
            validated = hub['runtime_info'].get('loop_stage') == 'val'
            value = hub['log_scalars'][key].current()
            meta[name if validated else f'earlier_{name}'] = float(value)
    return meta


def _serialise(tensors: dict[str, Tensor], meta: dict[str, Any], suffix: str) -> bytes:
    """The bytes of the file; the same ones for the same content, so that the hash means it."""
    if suffix == '.safetensors':
        # One key, for safetensors writes several in random order.
        return safetensors.torch.save(tensors, {'hsjp_mm': json.dumps(meta)})
    buffer = io.BytesIO()
    torch.save({'state_dict': tensors, 'meta': meta}, buffer)
    return buffer.getvalue()


def _write(content: bytes, path: Path) -> Path:
    """Write so that no half-written file ever stands under the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
