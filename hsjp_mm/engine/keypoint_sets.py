"""Whether data sets and model have the same keypoints, told before anything is built.

Otherwise the first mistake of who brings own keypoints ends in tensors whose shapes do not fit.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hsjp_mm.datasets.metainfo import parse_metainfo
from hsjp_mm.models.utils.part_groups import read_part_groups

if TYPE_CHECKING:
    from mmengine.config import Config

KNOWN = ('hsjp_mm', 'mmcv', 'mmdet', 'mmengine', 'mmpose', 'mmpretrain')
"""Packages whose transforms and data sets give the keypoints that the metainfo tells."""
ONE_MAP_EACH = ('MSRAHeatmap', 'UDPHeatmap', 'hsjp_mm.HighestCell')
"""Codecs of one heat map a keypoint, the second unless its ``heatmap_type`` is ``'combined'``."""


@dataclass(frozen=True)
class KeypointSet:
    """How many keypoints something has, and perhaps which.

    Attributes:
        key: where the config says so.
        number: K.
        names: in their order; empty if not known.
        sure: whether what comes out of the pipeline is known to have them.
    """

    key: str
    number: int
    names: tuple[str, ...] = ()
    sure: bool = True

    def __str__(self) -> str:
        named = f' ({", ".join(self.names)})' if self.names else ''
        return f'{self.key} has {self.number} keypoints{named}'


def check_keypoints(config: 'Config', splits: Sequence[str]) -> None:
    """Compare the keypoints of the data sets with those of the model.

    What a model has it tells by ``part_groups``, by the number or the order of the keypoints of a
    bottom-up head, or by the channels of HeatmapHead. Of other models, and of data sets that tell
    no keypoints, nothing is known, and nothing checked; nor is a validation whose metric converts
    keypoints. Where classes from elsewhere may change the keypoints, a difference is a warning, as
    it is where only names differ.

    Args:
        config: of a run.
        splits: the loaders to look at, of 'train', 'val' and 'test'.

    Raises:
        ValueError: another number of keypoints, or the same names in another order; ``part_groups``
            or a ``metainfo`` that cannot be read.
        FileNotFoundError: one of these is no file.
    """
    from mmengine.logging import print_log

    stated = list(_of_model(config.get('model') or {}))
    if not stated or config.get('default_scope', 'mmpose') != 'mmpose':
        return
    for split in splits:
        for theirs in _of_split(config, split):
            for ours in _expected(config, split) or stated:
                problem = _difference(theirs, ours)
                if problem and theirs.sure and _is_error(theirs, ours):
                    raise ValueError(problem)
                if problem:
                    print_log(problem, 'current', logging.WARNING)


def _difference(theirs: KeypointSet, ours: KeypointSet) -> str:
    if theirs.number != ours.number:
        return (
            f'the keypoints of data set and model differ: {theirs}, but {ours}; if the first is '
            f'right, change {ours.key}, else the metainfo of the data set'
        )
    if theirs.names and ours.names and theirs.names != ours.names:
        return f'the keypoints of data set and model differ in names or order: {theirs}, but {ours}'
    return ''


def _is_error(theirs: KeypointSet, ours: KeypointSet) -> bool:
    """Other names may be other words; the same names in another order are not."""
    return theirs.number != ours.number or sorted(theirs.names) == sorted(ours.names)


# --- the model ----------------------------------------------------------------------------------


def _of_model(model: Mapping[str, Any]) -> Iterator[KeypointSet]:
    parts = {name: model.get(name) for name in ('backbone', 'head')}
    for name, part in parts.items():
        if isinstance(part, Mapping) and part.get('part_groups') is not None:
            keypoints = read_part_groups(part['part_groups']).keypoints
            yield KeypointSet(f'model.{name}.part_groups', len(keypoints), keypoints)
    head, backbone = parts['head'], parts['backbone']
    if isinstance(backbone, Mapping) and isinstance(head, Mapping):
        yield from _of_head(head)
        linear = backbone.get('type') == 'hsjp_mm.PartBranchHourglass'
        if linear and head.get('type') == 'CPMHead' and backbone.get('num_keypoints'):
            yield KeypointSet('model.backbone.num_keypoints', backbone['num_keypoints'])


def _of_head(head: Mapping[str, Any]) -> Iterator[KeypointSet]:
    kind, decoder = head.get('type'), head.get('decoder') or {}
    if kind in ('hsjp_mm.HigherHRNetHead', 'AssociativeEmbeddingHead'):
        order = decoder.get('decode_keypoint_order')
        if head.get('num_keypoints'):
            yield KeypointSet('model.head.num_keypoints', head['num_keypoints'])
        elif order:
            yield KeypointSet('model.head.decoder.decode_keypoint_order', len(order))
    plain = decoder.get('type') in ONE_MAP_EACH and decoder.get('heatmap_type') != 'combined'
    if kind == 'HeatmapHead' and plain and head.get('out_channels'):
        yield KeypointSet('model.head.out_channels', head['out_channels'])


def _expected(config: 'Config', split: str) -> list[KeypointSet]:
    """What an evaluation is left with, if the model hands out only some of its keypoints."""
    chosen = (config.model.get('test_cfg') or {}).get('output_keypoint_indices')
    if split == 'train' or not chosen:
        return []
    return [KeypointSet('model.test_cfg.output_keypoint_indices', len(chosen))]


# --- the data sets ------------------------------------------------------------------------------


def _of_split(config: 'Config', split: str) -> Iterator[KeypointSet]:
    loader = config.get(f'{split}_dataloader')
    evaluators = config.get(f'{split}_evaluator') or []
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if evaluator.get('pred_converter') or evaluator.get('gt_converter'):
            return
    if loader:
        yield from _of_dataset(loader['dataset'], f'{split}_dataloader.dataset')


def _of_dataset(dataset: Mapping[str, Any], key: str) -> Iterator[KeypointSet]:
    """Of a data set, or of those inside if it is made of others and tells no keypoints itself."""
    from mmpose.registry import DATASETS, TRANSFORMS

    cls = DATASETS.get(str(dataset.get('type')))
    metainfo = dataset.get('metainfo') or getattr(cls, 'METAINFO', {})
    if not {'from_file', 'keypoint_info'} & set(metainfo):
        for name in ('dataset', 'datasets'):
            inside = dataset.get(name) or []
            for inner in [inside] if isinstance(inside, Mapping) else inside:
                yield from _of_dataset(inner, f'{key}.{name}')
        return
    read = parse_metainfo(metainfo)
    steps = dataset.get('pipeline') or []
    found = KeypointSet(
        f'{key}.metainfo',
        read['num_keypoints'],
        tuple(name for _, name in sorted(read['keypoint_id2name'].items())),
        all(map(_is_known, [cls, *(TRANSFORMS.get(str(step.get('type'))) for step in steps)])),
    )
    converters = [step for step in steps if step.get('type') == 'KeypointConverter']
    if converters:
        found = KeypointSet(f'{key}.pipeline', converters[-1]['num_keypoints'], (), found.sure)
    yield found


def _is_known(cls: Any) -> bool:
    return getattr(cls, '__module__', '').partition('.')[0] in KNOWN
