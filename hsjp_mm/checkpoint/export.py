"""Write the backbone of a pretraining checkpoint alone, with where it comes from."""

import hashlib
import io
import json
from numbers import Integral
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from hsjp_mm.checkpoint.coverage import (
    REAL,
    WHOLE,
    CheckpointError,
    State,
    Tensors,
    dotted,
    fold_stem,
    has_negative_variance,
    identity_of,
    kind,
    networks_of,
    shorten,
    under,
)
from hsjp_mm.checkpoint.reading import open_checkpoint
from hsjp_mm.utils.files import written_whole


def export_backbone(
    checkpoint: str | Path, out: str | Path, prefix: str = 'backbone.', trust: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Write the backbone of a checkpoint alone, in float32, with where it comes from.

    The keys start with ``backbone.``, so that stock ``Pretrained`` with ``prefix='backbone.'``
    reads the .pth as well (it cannot read safetensors). The stem of an ``unshuffled=True`` run
    becomes a 3-channel one, see :func:`fold_stem`. The metadata are plain values; what the
    checkpoint does not record is left out:

    - ``epoch``, ``iter``, and ``config``, which is text to read and not to run;
    - what makes the pretext another one, by name: ``grid``, ``unshuffled``, …;
    - ``validation``: all measures of the validation of these weights by name, such as
      ``{'hsjp/placed': 0.93, …}``, as MMEngine's best checkpoint has them; or
      ``earlier_validation``, those of the last validation before them;
    - ``source`` and ``source_sha256``, the file's name and hash.

    They stand under ``meta`` in a .pth and as JSON under ``hsjp_mm`` in a safetensors file.

    Args:
        checkpoint: The pretraining checkpoint.
        out: ``name.safetensors`` or ``name.pth``; ``name-1a2b3c4d.safetensors`` is written, with
            the first 8 digits of its sha256.
        prefix: Of the backbone in the checkpoint.
        trust: See :func:`hsjp_mm.checkpoint.read_checkpoint`.

    Returns:
        The path of the file and its metadata.

    Raises:
        ValueError: Another suffix.
        CheckpointError: Unreadable or damaged, nothing under the prefix, or values that no
            network has (NaN, infinity, variances below zero, quantised weights).
    """
    out = Path(out).expanduser()
    if out.suffix not in ('.safetensors', '.pth'):
        raise ValueError(f'out={str(out)!r} must end in .safetensors or .pth')
    file = open_checkpoint(checkpoint, trust)
    try:
        tensors = _backbone_to_export(file.state, prefix)
        recorded = _recorded(file.state)
    except CheckpointError as error:
        raise CheckpointError(f'{file.path}: {error}') from None
    meta = {**recorded, 'source': file.path.name, 'source_sha256': file.sha256}
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
    if identity_of(state).get('unshuffled'):
        tensors = fold_stem(tensors)
    _require_sound(tensors)
    return {
        f'backbone.{name}': tensor.to(_exported_dtype(tensor))
        .detach()
        .clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _require_sound(tensors: Tensors) -> None:
    other = [f'{n} ({kind(t)})' for n, t in tensors.items() if kind(t) not in REAL | WHOLE]
    if other:
        raise CheckpointError(
            f'{shorten(other)}: only plain tensors of real or whole numbers can be exported, no '
            'quantised, complex, sparse or distributed ones'
        )
    bad = [n for n, t in tensors.items() if not t.to(_exported_dtype(t)).isfinite().all()]
    if bad:
        raise CheckpointError(
            f'NaN or infinity in {shorten(bad)}: the run had diverged; take an earlier checkpoint'
        )
    negative = [name for name, tensor in tensors.items() if has_negative_variance(name, tensor)]
    if negative:
        raise CheckpointError(
            f'a variance below zero in {shorten(negative)}: the file is damaged; take another one'
        )


def _exported_dtype(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.is_floating_point() else tensor.dtype


def _recorded(state: State) -> dict[str, Any]:
    """What a checkpoint says of its run, in plain values."""
    run = _dictionary(state, 'meta')
    meta: dict[str, Any] = {
        key: int(run[key]) for key in ('epoch', 'iter') if isinstance(run.get(key), Integral)
    }
    if isinstance(run.get('cfg'), str):
        meta['config'] = run['cfg']
    meta.update(identity_of(state))
    hub = _dictionary(state, 'message_hub')
    measures = {
        key.removeprefix('val/'): float(history.current())
        for key, history in _dictionary(hub, 'log_scalars').items()
        if _is_measure(key) and _has_values(history)
    }
    if measures:
        # MMEngine saves after training an epoch, and the best one again after validating it.
        validated = _dictionary(hub, 'runtime_info').get('loop_stage') == 'val'
        meta['validation' if validated else 'earlier_validation'] = measures
    return meta


def _dictionary(state: State, key: str) -> dict:
    """What stands under a key; an empty dictionary where another program keeps something else."""
    value = state.get(key)
    return value if isinstance(value, dict) else {}


def _has_values(history: Any) -> bool:
    return isinstance(history, HistoryBuffer) and len(getattr(history, '_log_history', ())) > 0


def _is_measure(key: Any) -> bool:
    """Whether a scalar of MMEngine is of validation, and not how long a step of it took."""
    return str(key).startswith('val/') and key not in ('val/time', 'val/data_time')


def _serialise(tensors: dict[str, Tensor], meta: dict[str, Any], suffix: str) -> bytes:
    """The bytes of the file; the same ones for the same content, so that the hash means it."""
    if suffix == '.safetensors':
        # One key, for safetensors writes several in random order.
        return safetensors.torch.save(tensors, {'hsjp_mm': json.dumps(meta)})
    buffer = io.BytesIO()
    torch.save({'state_dict': tensors, 'meta': meta}, buffer)
    return buffer.getvalue()


def _write(content: bytes, path: Path) -> Path:
    with written_whole(path) as new:
        new.write_bytes(content)
    return path
