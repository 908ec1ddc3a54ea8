"""What the recipe of a run says of its files: their hashes, so that a changed one is noticed."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hsjp_mm.comparison.fine_tuning_config import (
    checkpoint_of,
    differences,
    evaluators_of,
    sha256_of,
    whole_checkpoint_of,
)
from hsjp_mm.datasets.image_files import IMAGE_SUFFIXES
from hsjp_mm.datasets.metainfo import metainfo_file
from hsjp_mm.utils.files import file_sha256

RECIPE_VERSION = 3
SOURCES = ('ann_file', 'bbox_file', 'image_list')
"""What names the files of a data set in its config, as seen from its ``data_root``."""


def changes(recorded: Any, now: dict[str, Any]) -> list[str]:
    """Name what differs between a recorded recipe and that of now: ``labels: 0.1, 0.5``.

    Version 0.1 gave recipes no number. It and version 2 hashed fewer files.
    """
    if isinstance(recorded, dict) and recorded.get('version', 1) < RECIPE_VERSION:
        known = recorded.get('data', {})
        data = {name: sha for name, sha in now['data'].items() if name in known}
        recorded = {**recorded, 'version': RECIPE_VERSION}
        now = {**now, 'data': data}
    return list(differences(recorded, now))


def require_same(folder: Path, recorded: Any, now: dict[str, Any]) -> None:
    """Refuse to go on in the folder of a run of another recipe.

    Args:
        folder: Of the run.
        recorded: The recipe that lies in it.
        now: What is asked for.

    Raises:
        ValueError: They differ.
    """
    changed = changes(recorded, now)
    if changed and isinstance(recorded, dict) and (places := moved_from(recorded, now)):
        raise ValueError(
            f'{folder} holds a run on data in {places[0]}, which was moved to {places[1]}: the '
            'recipe names its files, and nothing else of it changed. Move the folder back to go on '
            'there, or put the run aside and run anew (--rerun)'
        )
    if changed:
        raise ValueError(
            f'{folder} holds a run of another recipe (there, now): {"; ".join(changed[:8])}. Ask '
            'for what it was, take another work folder, or put it aside and run anew (--rerun)'
        )


def moved_from(recorded: Any, now: dict[str, Any]) -> tuple[Path, Path] | None:
    """From where to where the data of a recipe was moved, if nothing else changed."""
    there = {(sha, Path(name).name): name for name, sha in recorded.get('data', {}).items()}
    for name, sha in now['data'].items():
        before = there.get((sha, Path(name).name), name)
        if before != name:
            places = _without_common_end(Path(before), Path(name))
            return None if changes(_renamed(recorded, *places), now) else places
    return None


def _without_common_end(one: Path, other: Path) -> tuple[Path, Path]:
    while one.name and one.name == other.name:
        one, other = one.parent, other.parent
    return one, other


def _renamed(value: Any, old: Path, new: Path) -> Any:
    """Plain values whose paths below a folder, also as keys, are below another one instead."""
    if isinstance(value, dict):
        return {_renamed(k, old, new): _renamed(item, old, new) for k, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, old, new) for item in value]
    if isinstance(value, str) and value.startswith(f'{old}/'):
        return f'{new}{value.removeprefix(str(old))}'
    return value


def data_hashes(config: Config) -> dict[str, str]:
    """SHA-256 of what names the data of training and evaluation, by file or folder.

    Besides annotations, boxes and lists these are the files of keypoint sets and all others that
    the network, the data sets with their pipelines and the metrics name. Of a folder of images,
    which no file names, that of the sorted names and sizes.
    """
    files: dict[str, None] = {}
    folders: dict[str, None] = {}
    for part in ('train_dataloader', 'val_dataloader'):
        for dataset in _datasets((config.get(part) or {}).get('dataset')):
            named = [_joined(dataset, dataset[key]) for key in SOURCES if dataset.get(key)]
            files |= dict.fromkeys(named)
            if not named and (folder := _image_folder(dataset)):
                folders[folder] = None
    files |= dict.fromkeys(e['ann_file'] for e in evaluators_of(config) if e.get('ann_file'))
    for file in files:
        if not Path(file).is_file():
            raise FileNotFoundError(f'annotations {file!r} do not exist')
    for folder in folders:
        if not Path(folder).is_dir():
            raise FileNotFoundError(f'the folder of images {folder!r} does not exist')
    paths = {**dict(_other_files(config)), **dict(zip(files, files, strict=True))}
    hashes = {name: file_sha256(path) for name, path in sorted(paths.items())}
    return hashes | {folder: _folder_sha256(Path(folder)) for folder in sorted(folders)}


def _other_files(config: Config) -> Iterable[tuple[str, str]]:
    """Files that a config names as seen from the current folder: as it does, and the path."""
    for key in ('model', 'train_dataloader', 'val_dataloader', 'val_evaluator'):
        for name, value in _texts(config.get(key)):
            path = str(metainfo_file(value)) if name == 'from_file' else value
            if os.path.isfile(path):  # Path would fail on a text that is no name
                yield value, path


def _texts(part: Any, name: str = '') -> Iterable[tuple[str, str]]:
    """All texts in a part of a config, by the name that each has; not what the backbone loads."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key != 'init_cfg':
                yield from _texts(value, key)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _texts(value, name)
    elif isinstance(part, str) and part:
        yield name, part


def _datasets(part: Any) -> Iterable[dict]:
    """All configs of data sets in one, those inside wrappers too; only the innermost have data."""
    if isinstance(part, Mapping):
        inner = [part[key] for key in ('dataset', 'datasets') if part.get(key)]
        if inner:
            yield from _datasets(inner)
        else:
            yield dict(part)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _datasets(value)


def _joined(dataset: dict, name: str) -> str:
    """A file of a data set; MMPose joins ``ann_file`` with ``data_root``, but not all others."""
    joined = str(Path(dataset.get('data_root') or '', name))
    return joined if Path(joined).is_file() or not Path(name).is_file() else str(name)


def _image_folder(dataset: dict) -> str:
    prefix = dataset.get('data_prefix') or ''
    if isinstance(prefix, Mapping):
        prefix = prefix.get('img') or prefix.get('img_path') or ''
    root = dataset.get('data_root') or ''
    return str(Path(root, prefix)) if root or prefix else ''


def _folder_sha256(folder: Path) -> str:
    found = (path for path in folder.rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES)
    return sha256_of(sorted([str(p.relative_to(folder)), p.stat().st_size] for p in found))


def loaded_hashes(config: Config) -> dict[str, str]:
    """SHA-256 of the checkpoints that a pretraining itself starts from; addresses as they are."""
    names = dict.fromkeys([whole_checkpoint_of(config), checkpoint_of(config)])
    found = {}
    for name in filter(None, names):
        if '://' in name:
            found[name] = 'by its address'
        elif Path(name).is_file():
            found[name] = file_sha256(name)
        else:
            raise FileNotFoundError(f'checkpoint {name!r} does not exist')
    return found
