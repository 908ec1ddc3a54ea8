"""Read checkpoints: never run code that a file holds, and refuse a file that is damaged."""

import hashlib
import logging
import os
import pickle
import re
import tarfile
import zipfile
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import safetensors.torch
import torch
from mmengine.logging import print_log

from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.checkpoint.unpickling import restricted_pickle
from hsjp_mm.utils.files import checkpoint_file, file_sha256, is_address
from hsjp_mm.utils.mmengine_globals import mmengine_globals, torch_can_be_told

# Ours, torch hub's (resnet50-0676ba61.pth) and OpenMMLab's (…-c78dce93_20200708.pth), but no date.
HASH = re.compile(r'-(?!(?:19|20)\d{6}\.)([0-9a-f]{8})(_\d{8})?\.(safetensors|pth|pth\.tar|pt)$')
# How lines of torch's errors start that tell users to unpickle anything.
TORCH_ADVICE = ('Weights only load failed', 'Check the documentation')
# A key of the metadata that export_backbone writes.
EXPORT_MARK = b'source_sha256'


def _encode(text: str, encoding: str) -> bytes:
    """What ``_codecs.encode`` means in a checkpoint: the bytes of an array."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'GLOBAL _codecs.encode called with {encoding!r}')
    return text.encode('latin1')


def _load_torch_file(path: Path, trust: bool) -> Any:
    """``torch.load``, with the same allow-list in all versions of torch."""
    if trust or torch_can_be_told():
        return torch.load(path, map_location='cpu', weights_only=not trust)
    # Old versions check weights_only too little (CVE-2025-32434), and it cannot be added to.
    if is_zip(path):
        with zipfile.ZipFile(path) as file:
            if any(name.rpartition('/')[2] == 'constants.pkl' for name in file.namelist()):
                raise pickle.UnpicklingError('GLOBAL torch.jit.load is needed, for TorchScript')
    elif tarfile.is_tarfile(path):
        raise pickle.UnpicklingError('GLOBAL tarfile is needed, for a file of torch 0.1')
    pickles = restricted_pickle({**_torch_globals(), **mmengine_globals()})
    return torch.load(path, map_location='cpu', pickle_module=pickles, weights_only=False)


def _torch_globals() -> dict[str, Any]:
    """What newer versions of torch allow a file to name, where there is none to ask."""
    rebuild = ('parameter_with_state', 'qtensor', 'tensor_v3', 'device_tensor_from_numpy')
    names = [
        name for name in (f'_rebuild_{what}' for what in rebuild) if hasattr(torch._utils, name)
    ]
    return {
        **torch._weights_only_unpickler._get_allowed_globals(),
        **{f'torch._utils.{name}': getattr(torch._utils, name) for name in names},
        **{str(v): v for v in vars(torch).values() if isinstance(v, (torch.dtype, torch.qscheme))},
        '_codecs.encode': _encode,
        'builtins.bytearray': bytearray,
        'builtins.complex': complex,
        'builtins.set': set,
        'collections.Counter': Counter,
        'torch.device': torch.device,
    }


@dataclass
class CheckpointFile:
    """A checkpoint on this machine, read and hashed when that is asked for, and once.

    Args:
        path: The file.
        trust: See :func:`read_checkpoint`.
    """

    path: Path
    trust: bool = False

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes, in hexadecimal digits."""
        return file_sha256(self.path)

    @cached_property
    def state(self) -> dict:
        """What the file holds.

        Raises:
            CheckpointError: It cannot be read, or is no dictionary.
        """
        try:
            if self.path.suffix == '.safetensors':
                state = safetensors.torch.load_file(self.path)
            else:
                state = _load_torch_file(self.path, self.trust)
        except Exception as error:  # damaged bytes make the readers raise almost anything
            raise CheckpointError(_why_unreadable(self.path, error)) from error
        if not isinstance(state, dict):
            raise CheckpointError(
                f'{self.path} holds a {type(state).__name__}, not a dictionary of tensors: '
                'save model.state_dict() instead'
            )
        return state

    def require_intact(self, name: str) -> None:
        """Refuse a file whose bytes are not those of its hash or of its checksums.

        A zip of torch has a checksum for each of its records, at which torch's reader does not
        look. A name can end in 8 hexadecimal digits that are no hash of the file, but of a commit
        or a run: if the checksums of such a file hold, and it is no export of ours, only the log
        says so.

        Args:
            name: As the user gave it; that of a downloaded file may be another.

        Raises:
            CheckpointError: It is damaged.
        """
        promised = HASH.search(name)
        if promised and self.sha256.startswith(promised[1]):
            return
        zipped = is_zip(self.path)
        if zipped and (damaged := _damaged_record(self.path)):
            raise CheckpointError(
                f'{self.path} ({self.path.stat().st_size:,} bytes) is truncated or damaged: its '
                f'{damaged} is not as it was written. Get the file anew'
            )
        if promised is None:
            return
        told = f'its name promises sha256 {promised[1]}…, it is {self.sha256[:8]}…'
        if zipped and not _is_export(self.path):
            print_log(f'{self.path}: {told}; its own checksums hold', 'current', logging.WARNING)
            return
        raise CheckpointError(
            f'{self.path} is damaged or was changed: {told}. Get the file anew; if the ending of '
            'its name is no hash, or you changed the file yourself, give it another name'
        )


def is_zip(path: Path) -> bool:
    """Whether torch would take a file for a zip, as it writes them since version 1.6."""
    with path.open('rb') as file:
        return file.read(4) == b'PK\3\4' and path.suffix != '.safetensors'


def _damaged_record(path: Path) -> str | None:
    """The first record of a zip that its checksum does not fit."""
    try:
        with zipfile.ZipFile(path) as file:
            # torch.serialization.set_crc32_options(False) leaves all of them out
            if not any(record.CRC for record in file.infolist()):
                return None
            name = file.testzip()
            return None if name is None else f'record {name}'
    except Exception as error:  # damaged bytes make zipfile raise almost anything
        return f'table of contents ({error})'


def _is_export(path: Path) -> bool:
    """Whether a sound zip of torch has the metadata that export_backbone writes."""
    with zipfile.ZipFile(path) as file:
        pickles = [name for name in file.namelist() if name.endswith('/data.pkl')]
        return any(EXPORT_MARK in file.read(name) for name in pickles)


def require_checkpoint(checkpoint: str | Path | None) -> str:
    """The name of a checkpoint.

    Raises:
        ValueError: It is empty or None.
    """
    if not checkpoint:
        raise ValueError(
            f'checkpoint is {checkpoint!r}: it must name the pretrained weights, e.g. '
            '--cfg-options model.backbone.init_cfg.checkpoint=backbone.safetensors; '
            'tools/extract_backbone.py makes such a file from a pretraining checkpoint'
        )
    return os.fspath(checkpoint)


def _local_file(name: str) -> Path:
    """The file itself; http(s) addresses are downloaded once into torch's hub cache."""
    if is_address(name):
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
    return checkpoint_file(name)


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
    return open_checkpoint(path, trust).state


def open_checkpoint(checkpoint: str | Path | None, trust: bool = False) -> CheckpointFile:
    """:func:`read_checkpoint`, with the file's path and hash."""
    name = require_checkpoint(checkpoint)
    file = CheckpointFile(_local_file(name), trust)
    file.require_intact(Path(urlparse(name).path if is_address(name) else name).name)
    file.state  # noqa: B018 (read it now)
    return file


def _why_unreadable(path: Path, error: Exception) -> str:
    unpickling = isinstance(error, pickle.UnpicklingError)
    lines = str(error).split('WeightsUnpickler error:')[-1].splitlines()
    said = (line.strip() for line in lines if line.strip())
    reason = next((line for line in said if not line.startswith(TORCH_ADVICE)), repr(error))
    forbidden = _forbidden_globals(path, reason) if unpickling else []
    if forbidden or (unpickling and is_zip(path)):
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
