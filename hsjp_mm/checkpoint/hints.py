"""What is likely wrong with a checkpoint that does not cover a model, and what to do."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hsjp_mm.checkpoint.tensors import Tensors, shorten

if TYPE_CHECKING:
    from hsjp_mm.checkpoint.coverage import Coverage

# MMPose's HRNet leaves these out unless stage4.multiscale_output=True; MMDetection's has them.
HRNET_LAST_FUSE = re.compile(r'stage4\.\d+\.fuse_layers\.[1-9]\.')
# Depth by (bottleneck blocks?, blocks of layer1 to layer4).
RESNETS: dict[tuple[bool, tuple[int, ...]], int] = {
    (False, (2, 2, 2, 2)): 18,
    (False, (3, 4, 6, 3)): 34,
    (True, (3, 4, 6, 3)): 50,
    (True, (3, 4, 23, 3)): 101,
    (True, (3, 8, 36, 3)): 152,
}


def _blocks(names: Iterable[str]) -> list[str]:
    """The numbered blocks of a network's lists (``layer3.5``, ``trunk.layers.11``), each once."""
    found = (re.match(r'(\w+\.)*?\w+\.\d+(?=\.)', name) for name in names)
    return list(dict.fromkeys(match[0] for match in found if match))


def further_blocks(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """Blocks that others lack, of lists that others have: the mark of a deeper network."""
    known = _blocks(others)
    lists = {block.rpartition('.')[0] for block in known}
    return [b for b in _blocks(names) if b not in known and b.rpartition('.')[0] in lists]


def _resnet(names: Tensors) -> int | None:
    """The depth of a ResNet by its tensors' names."""
    per_stage = Counter(b.split('.')[0] for b in _blocks(names) if b.startswith('layer'))
    counts = tuple(per_stage[f'layer{i}'] for i in range(1, 5))
    return RESNETS.get(('layer1.0.conv3.weight' in names, counts))


def hints(coverage: 'Coverage', tensors: Tensors, expected: Tensors) -> Iterable[str]:
    """Likely causes of what :func:`hsjp_mm.checkpoint.coverage.compare` found."""
    if coverage.non_finite:
        yield 'NaN or infinity: the run that wrote the file had diverged; take an earlier one'
    if coverage.negative:
        yield 'a variance below zero comes of no training: the file is damaged; take another one'
    if coverage.kinds:
        yield (
            'weights of another kind, such as quantised ones, mean nothing as plain numbers: save '
            'them in a floating precision of 16 bits or more'
        )
    if coverage.missing and all(HRNET_LAST_FUSE.match(name) for name in coverage.missing):
        yield (
            "MMDetection's HRNet has the last fuse layers to the lower resolutions, MMPose's has "
            'them only with backbone.extra.stage4.multiscale_output=True. Either pretrain with '
            "that and with neck=dict(type='FeatureMapProcessor', concat=True), so that they "
            'exist and are trained (the head then takes the sum of the four widths), or let them '
            "start afresh: allow_missing=['stage4.*.fuse_layers.[123].*']"
        )
    yield from _depth_hints(coverage, tensors, expected)
    for name, file, model in coverage.differing:
        if len(file) == len(model) == 4 and {file[1], model[1]} == {3, 6}:
            yield (
                f'{name} takes {file[1]} channels in the file, {model[1]} in the model. Two images '
                'go in with unshuffled=True of HSJP; the halves are summed into a 3-channel stem '
                "only if the checkpoint says so in its tensor 'identity.unshuffled'"
            )
        elif name.endswith('pos_embed'):
            yield (
                f'{name} is for another input size or token count (a class token is one token). '
                'Nothing is interpolated here: build the backbone with the img_size and '
                "with_cls_token of the file, or use init_cfg type='Pretrained' (not checked), with "
                "which MMPretrain's VisionTransformer resizes embeddings of square inputs"
            )


def _depth_hints(coverage: 'Coverage', tensors: Tensors, expected: Tensors) -> Iterable[str]:
    shared = len(coverage.matched) + len(coverage.differing)
    file, model = _resnet(tensors), _resnet(expected)
    if file and model and file != model:
        yield f'another depth: the file looks like ResNet-{file}, the model like ResNet-{model}'
    elif 2 * shared < len(expected):
        yield (
            f'another architecture, or other names for it: the file holds {shared} of the '
            f"model's {len(expected)} names"
        )
    elif coverage.deeper:
        yield f'another depth: the file goes on with {shorten(coverage.deeper, 4)}'
    elif further := further_blocks(expected, tensors):
        yield f'another depth: the file lacks the whole of {shorten(further, 4)}'
