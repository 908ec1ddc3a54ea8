"""Sets of keypoints whose numbers, and not whose places in a dictionary, say which is which."""

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

from hsjp_mm.utils.after_import import after_import

ParseMetainfo = Callable[[Mapping[str, Any]], dict]
STOCK = 'mmpose.datasets.datasets.utils'
"""MMPose's module with ``parse_pose_metainfo``."""


def by_number(parse: ParseMetainfo) -> ParseMetainfo:
    """Let a ``parse_pose_metainfo`` of MMPose's go by the numbers in ``keypoint_info``.

    The stock one lists ``flip_indices`` and ``keypoint_colors`` as the dictionary is ordered.
    MMEngine writes configs with their keys sorted as text, 0, 1, 10, 11, 2, so that a set of more
    than ten keypoints that stands in a config, read again from a work folder, would flip a left
    knee to a right shoulder.

    Args:
        parse: of a set, the dictionary that data sets hand on.
    """

    @functools.wraps(parse)
    def parse_in_order(metainfo: Mapping[str, Any]) -> dict:
        found = parse(metainfo)
        names: dict = found['keypoint_id2name']
        places = sorted(range(len(names)), key=list(names).__getitem__)
        if places == list(range(len(names))):
            return found
        ids = sorted(names)
        return {
            **found,
            'keypoint_id2name': {number: names[number] for number in ids},
            'keypoint_name2id': {names[number]: number for number in ids},
            'flip_indices': [found['flip_indices'][place] for place in places],
            'keypoint_colors': found['keypoint_colors'][places],
            'upper_body_ids': sorted(found['upper_body_ids']),
            'lower_body_ids': sorted(found['lower_body_ids']),
        }

    return parse_in_order


def have_mmpose_go_by_number() -> None:
    """Have MMPose's data sets, metrics and pictures read sets of keypoints by their numbers.

    For the process of a command of ours. To import hsjp_mm alone leaves MMPose as it is.
    """
    after_import(STOCK, _mend)


def _mend() -> None:
    stock = sys.modules[STOCK].parse_pose_metainfo  # type: ignore[attr-defined]
    if hasattr(stock, '__wrapped__'):  # another command in this process was here before
        return
    mended = by_number(stock)
    for module in list(sys.modules.values()):  # where others hold it already
        names = getattr(module, '__dict__', {})
        if names.get('parse_pose_metainfo') is stock:
            names['parse_pose_metainfo'] = mended
