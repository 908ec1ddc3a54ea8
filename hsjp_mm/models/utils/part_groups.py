"""Groups of related body parts, as a config or a JSON file gives them to a model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsjp_mm.utils.files import PACKAGE


@dataclass(frozen=True)
class PartGroups:
    """Groups that cover the keypoints.

    Attributes:
        keypoints: names, in the data set's order.
        groups: names of each group's keypoints; a keypoint may be in several.
    """

    keypoints: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]

    @property
    def indices(self) -> list[list[int]]:
        """Of each group's keypoints in the data set's order."""
        return [[self.keypoints.index(name) for name in group] for group in self.groups]


def read_part_groups(part_groups: Mapping[str, Any] | str | Path) -> PartGroups:
    """Read and check part groups.

    Args:
        part_groups: ``{'keypoints': [name, ...], 'groups': [[name, ...], ...]}``, or the path of
            such a JSON file, which ``tools/part_groups.py`` writes. Other entries say where they
            come from. ``'configs/pbn/part_groups/NAME.json'`` are found in the package if they are
            not below the working directory, as MMPose finds its metainfo files.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not of that form; a name twice among the keypoints or in a group, an empty
            group, an unknown keypoint, or a keypoint in no group.
    """
    content, source = part_groups, 'part_groups'
    if isinstance(part_groups, str | Path):
        content, source = _content_of(Path(part_groups)), f'part_groups={str(part_groups)!r}'
    if not isinstance(content, Mapping) or not {'keypoints', 'groups'} <= content.keys():
        raise ValueError(f"{source} must have the keys 'keypoints' and 'groups', got {content!r}")
    keypoints = _names(content['keypoints'], f'{source}: keypoints')
    if not isinstance(content['groups'], list | tuple):
        raise ValueError(f'{source}: groups must be a list of lists, got {content["groups"]!r}')
    groups = tuple(
        _names(group, f'{source}: group {i}') for i, group in enumerate(content['groups'])
    )
    for i, group in enumerate(groups):
        for name in group:
            if name not in keypoints:
                raise ValueError(
                    f'{source}: group {i} names the unknown keypoint {name!r}; '
                    f'known are {", ".join(keypoints)}'
                )
    grouped = {name for group in groups for name in group}
    if left_out := [name for name in keypoints if name not in grouped]:
        raise ValueError(f'{source}: in no group: {", ".join(left_out)}')
    return PartGroups(keypoints, groups)


def _content_of(path: Path) -> Any:
    shipped = PACKAGE / path
    if not path.is_file() and not shipped.is_file():
        raise FileNotFoundError(f'part_groups={str(path)!r} is not a file')
    try:
        return json.loads((path if path.is_file() else shipped).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'part_groups={str(path)!r} is no JSON: {error}') from error


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not (isinstance(value, list | tuple) and value and all(isinstance(n, str) for n in value)):
        raise ValueError(f'{where} must be a list of one or more names, got {value!r}')
    for name in value:
        if value.count(name) > 1:
            raise ValueError(f'{where} names {name!r} more than once')
    return tuple(value)
