"""Whether the annotation files that a config names are there, told before the long imports."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hsjp_mm.utils.files import existing_file, is_address

if TYPE_CHECKING:
    from mmengine.config import Config


def require_annotations(config: 'Config', splits: Sequence[str]) -> None:
    """Look for the annotation files of the data sets of a run, and of those that they wrap.

    Stock data sets end in an AssertionError without the file, after all imports and the model.
    Addresses and files of other backends than the disk are not looked up.

    Args:
        config: of a run.
        splits: the loaders to look at, of 'train', 'val' and 'test'.

    Raises:
        FileNotFoundError: no such file, with the key that names it.
    """
    for split in splits:
        loader = config.get(f'{split}_dataloader')
        if loader:
            for key, dataset in _datasets(loader.get('dataset'), f'{split}_dataloader.dataset'):
                _require(dataset, key)


def _datasets(dataset: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A data set and those inside, each with its place in the config."""
    if not isinstance(dataset, Mapping):
        return
    yield key, dataset
    yield from _datasets(dataset.get('dataset'), f'{key}.dataset')
    for i, inner in enumerate(dataset.get('datasets') or ()):
        yield from _datasets(inner, f'{key}.datasets.{i}')


def _require(dataset: Mapping[str, Any], key: str) -> None:
    name = dataset.get('ann_file')
    backend = (dataset.get('backend_args') or {}).get('backend', 'local')
    if isinstance(name, str) and name and backend in ('local', 'disk'):
        path = os.path.join(dataset.get('data_root') or '', name)
        if not is_address(path) and '://' not in path:
            existing_file(path, f'{key}.ann_file')
