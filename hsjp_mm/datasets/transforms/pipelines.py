"""Finding data sets and their transforms, to tell them what stands on a model."""

from collections.abc import Iterator
from typing import TypeVar

Transform = TypeVar('Transform')


def find_transforms(dataset, cls: type[Transform]) -> Iterator[Transform]:
    """Find the transforms of a class in the pipeline of a data set, and of those that it wraps.

    Args:
        dataset: with a ``pipeline``, a ``dataset`` or ``datasets``, as MMEngine's and MMPose's.
        cls: of the transforms.
    """
    for data in find_datasets(dataset):
        steps = getattr(getattr(data, 'pipeline', None), 'transforms', ())
        yield from (step for step in steps if isinstance(step, cls))


def find_datasets(dataset) -> Iterator:
    """Go through a data set and those that it wraps, from outside to inside."""
    yield dataset
    for inner in getattr(dataset, 'datasets', ()):
        yield from find_datasets(inner)
    if hasattr(dataset, 'dataset'):
        yield from find_datasets(dataset.dataset)
