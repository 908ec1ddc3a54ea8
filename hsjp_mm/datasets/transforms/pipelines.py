"""Finding the transforms of a data set, to tell them what stands on a model."""

from collections.abc import Iterator
from typing import TypeVar

Transform = TypeVar('Transform')


def find_transforms(dataset, cls: type[Transform]) -> Iterator[Transform]:
    """Find the transforms of a class in the pipeline of a data set, and of those that it wraps.

    Args:
        dataset: with a ``pipeline``, a ``dataset`` or ``datasets``, as MMEngine's and MMPose's.
        cls: of the transforms.
    """
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    yield from (step for step in steps if isinstance(step, cls))
    for inner in getattr(dataset, 'datasets', ()):
        yield from find_transforms(inner, cls)
    if hasattr(dataset, 'dataset'):
        yield from find_transforms(dataset.dataset, cls)
