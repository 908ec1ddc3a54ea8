"""Convert HigherHRNet and associative-embedding weights of other code to models of this package.

Read are the names of the authors' releases (``stage2.0…``, ``final_layers.0.weight``) and of
MMPose 0.x with an HRNet (``backbone.…``, ``keypoint_head.…``; ``AEHigherResolutionHead`` and
``AESimpleHead`` without deconvolutions). The tensors themselves stay as they are: all of these
networks see RGB normalised by ImageNet's mean and deviation.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from mmpose.registry import MODELS
from torch import Tensor

from hsjp_mm.checkpoint import read_checkpoint
from hsjp_mm.checkpoint.coverage import CheckpointError, Tensors, compare, networks_of, shorten
from hsjp_mm.utils.files import is_same_file, written_whole

# A module is a Sequential of deconvolution, norm, ReLU and blocks here; there the first three
# stand in a Sequential of their own, and so does each block.
HEAD_NAMES = (
    (r'final_layer\.(\w+)', lambda m: f'final_layer.{m[1]}'),
    (r'final_layers\.0\.(\w+)', lambda m: f'final_layer.{m[1]}'),
    (r'final_layers\.(\d+)\.(\w+)', lambda m: f'deconv_final_layers.{int(m[1]) - 1}.{m[2]}'),
    (r'deconv_layers\.(\d+)\.0\.(\d)\.(\w+)', lambda m: f'deconv_modules.{m[1]}.{m[2]}.{m[3]}'),
    (
        r'deconv_layers\.(\d+)\.(\d+)\.0\.(\w+\.\w+)',
        lambda m: f'deconv_modules.{m[1]}.{int(m[2]) + 2}.{m[3]}',
    ),
)


def convert(tensors: Tensors) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Rename the tensors, and prove that they are a whole model.

    The model that they are of is read from their names and shapes; then its own names and shapes
    must be theirs, none left over and none missing.

    Args:
        tensors: By the names of the releases or of MMPose 0.x.

    Returns:
        The tensors by the names of a ``BottomupPoseEstimator``, and that model's config: ``type``,
        ``backbone``, ``head``.

    Raises:
        CheckpointError: Some names are unknown, missing or left over, or shapes differ; the
            message names them.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        new = _new_name(name)
        if new in renamed:
            raise CheckpointError(f'two tensors would become {new}; one is {name}')
        renamed[new] = tensor
    config = dict(
        type='BottomupPoseEstimator', backbone=_backbone_config(renamed), head=_head_config(renamed)
    )
    with torch.device('meta'):
        model = MODELS.build(dict(config, _scope_='mmpose'))
    coverage = compare(renamed, model.state_dict(keep_vars=True))
    if not coverage.ok or coverage.unexpected:
        raise CheckpointError(
            f'the file is no whole {describe(config)}, which its names and shapes suggest.\n'
            f'{coverage.report()}'
        )
    return renamed, config


def convert_checkpoint(
    checkpoint: str | Path, out: str | Path, trust: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Convert a file; MMEngine's ``load_from`` and ``--checkpoint`` read the result.

    Args:
        checkpoint: A release of the authors or of MMPose 0.x, path or http(s) address.
        out: The file to write, ``name.pth``.
        trust: See :func:`hsjp_mm.checkpoint.read_checkpoint`.

    Returns:
        The path of the file and the config of the model, see :func:`convert`.

    Raises:
        ValueError: Another suffix, or the checkpoint itself.
        CheckpointError: Unreadable, or see :func:`convert`.
    """
    out = Path(out).expanduser()
    if out.suffix != '.pth':
        raise ValueError(f'out={str(out)!r} must end in .pth')
    if is_same_file(out, checkpoint):
        raise ValueError(f'out={str(out)!r} must be another file than the checkpoint')
    state = read_checkpoint(checkpoint, trust)
    try:
        tensors, config = convert(networks_of(state).get('', {}))
    except CheckpointError as error:
        raise CheckpointError(f'{checkpoint}: {error}') from None
    with written_whole(out) as new:
        torch.save({'state_dict': tensors, 'meta': {'model': config}}, new)
    return out, config


def describe(config: dict[str, Any]) -> str:
    """One line: which network a config of :func:`convert` is of."""
    head = config['head']
    if not head['num_deconvs']:
        network = 'associative embedding on HRNet'
    else:
        network = (
            f'HigherHRNet, num_deconvs={head["num_deconvs"]}, num_blocks={head["num_blocks"]}, '
            f'concat={head["concat"]}, on HRNet'
        )
    return f'{network}-W{head["in_channels"]} with {head["num_keypoints"]} keypoints'


def _new_name(name: str) -> str:
    part = name.removeprefix('keypoint_head.')
    if part == name and not part.startswith(('final_layers.', 'deconv_layers.')):
        return name if name.startswith('backbone.') else f'backbone.{name}'
    for pattern, new in HEAD_NAMES:
        if match := re.fullmatch(pattern, part):
            return f'head.{new(match)}'
    raise CheckpointError(f'{name} is no name of HigherHRNet or of a plain AE head')


def _numbers(names: Iterable[str], prefix: str) -> int:
    """How many modules stand under prefix: one more than the highest number after it."""
    found = (re.match(re.escape(prefix) + r'(\d+)\.', name) for name in names)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def _shape(tensors: Tensors, name: str) -> torch.Size:
    if name not in tensors:
        known = shorten(list(tensors), 4) or 'none'
        raise CheckpointError(
            f'no HigherHRNet or plain AE model on HRNet: {name} is missing (names as converted: '
            f'{known})'
        )
    return tensors[name].shape


def _backbone_config(tensors: Tensors) -> dict[str, Any]:
    """The HRNet whose names and widths these are."""
    first = 'backbone.layer1.'
    extra = dict(stage1=_stage_config(tensors, 1, [first]))
    for index in (2, 3, 4):
        stage = f'backbone.stage{index}.'
        branches = f'{stage}0.branches.'
        count = _numbers(tensors, branches)
        _shape(tensors, f'{branches}0.0.conv1.weight')
        extra[f'stage{index}'] = _stage_config(
            tensors, _numbers(tensors, stage), [f'{branches}{i}.' for i in range(count)]
        )
    return dict(type='HRNet', in_channels=3, extra=extra)


def _stage_config(tensors: Tensors, modules: int, branches: list[str]) -> dict[str, Any]:
    return dict(
        num_modules=modules,
        num_branches=len(branches),
        block='BOTTLENECK' if f'{branches[0]}0.conv3.weight' in tensors else 'BASIC',
        num_blocks=tuple(_numbers(tensors, branch) for branch in branches),
        num_channels=tuple(_shape(tensors, f'{branch}0.conv1.weight')[0] for branch in branches),
    )


def _head_config(tensors: Tensors) -> dict[str, Any]:
    outputs, channels = _shape(tensors, 'head.final_layer.weight')[:2]
    deconvs = _numbers(tensors, 'head.deconv_modules.')
    keypoints = outputs // 2
    if deconvs:
        keypoints = _shape(tensors, 'head.deconv_final_layers.0.weight')[0]
    if outputs != 2 * keypoints:
        raise CheckpointError(
            f'{outputs} maps at 1/4 and {keypoints} keypoints: only one tag for each keypoint, at '
            '1/4 alone, is supported'
        )
    config = dict(type='hsjp_mm.HigherHRNetHead', in_channels=channels, num_keypoints=keypoints)
    config['num_deconvs'] = deconvs
    if deconvs:
        config['num_blocks'] = max(0, _numbers(tensors, 'head.deconv_modules.0.') - 3)
        config['concat'] = _shape(tensors, 'head.deconv_modules.0.0.weight')[0] != channels
    return config
