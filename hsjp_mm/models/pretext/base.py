"""What all pretext models have in common: a backbone that learns from crops without labels.

A new pretext task is a subclass of :class:`PretextModel` in a file of its own, with its head and
its board. Whatever else deals with pretraining (hooks, boards, export, comparison, report) asks the
class for its ``measures``, ``health``, ``save_best``, ``min_batch`` and ``board``, and knows no
task by its name. The class may be registered outside of this package.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from mmengine.logging import print_log
from mmpose.models.backbones import HRNet
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor, nn

Value = int | bool | str


@dataclass(frozen=True)
class Measure:
    """A number that tells how well a pretext task is solved.

    Attributes:
        name: its key among the scalars of a validation, such as ``'hsjp/placed'``. In training it
            is logged by the part behind the slash, if at all. Its chance level, if it has one, is
            logged as ``name`` with ``_chance`` behind it.
        label: what it is, for readers of a report.
        digits: how many to print behind the point.
        share: whether it is a share, to be drawn from 0 to 1 beside its chance level.
    """

    name: str
    label: str
    digits: int = 3
    share: bool = False

    @property
    def in_training(self) -> str:
        """Its key among the scalars of training."""
        return self.name.rpartition('/')[2]


def require_whole_cells(
    backbone: nn.Module, sizes: Iterable[tuple[int, int]], argument: str
) -> None:
    """Refuse inputs that HRNet fails on, whose branches are added up at 1/4 to 1/32.

    Args:
        backbone: any; others than HRNet are left alone.
        sizes: (width, height) in pixels of what it sees.
        argument: which makes them so, and its value.

    Raises:
        ValueError: a side that 32 does not divide.
    """
    odd = [f'{width}×{height}' for width, height in sizes if width % 32 or height % 32]
    if odd and isinstance(backbone, HRNet):
        raise ValueError(
            f'{argument} makes inputs of {", ".join(odd)} pixels, but HRNet needs sides that 32 '
            'divides'
        )


class PretextModel(BasePoseEstimator):
    """A backbone, perhaps a neck, and a head that solves a task which needs no labels.

    Subclasses set the class attributes below and write ``loss`` and ``predict``, as for any
    estimator of MMPose.

    Args:
        identity: names and values (whole numbers, truth values or texts) of what makes the task
            another one, so that its head cannot be used for a task of other values. They are kept
            in buffers, ``identity.NAME``, for whoever reads a checkpoint.
        estimator: arguments of MMPose's BasePoseEstimator: backbone, neck, head, ….

    Attributes:
        measures: what a validation reports, in the order of a report.
        health: a scalar of training that is near 0 where nothing is learnt or all has collapsed.
        save_best: the key of the measure by which the best checkpoint is kept; higher is better.
        min_batch: the fewest instances that the task can be set with.
        accumulative_counts: batches that a step of the optimizer gathers, as
            ``hsjp_mm.PrepareDataHook`` tells it.
        board: the function that draws the task, or the dotted path of one:
            ``board(model, inputs, data_samples, fixed)`` with preprocessed inputs returns a list of
            captions and pictures, see :func:`hsjp_mm.visualization.draw_boards`.

    Raises:
        ValueError: when weights of another task are loaded.

    Examples:
        >>> @MODELS.register_module()
        ... class MyPretext(PretextModel):
        ...     measures = (Measure('mine/solved', 'tasks solved', share=True),)
        ...     save_best = 'mine/solved'
        ...     board = 'my_package.boards.draw'
    """

    measures: ClassVar[tuple[Measure, ...]] = ()
    health: ClassVar[Measure | None] = None
    save_best: ClassVar[str] = ''
    min_batch: ClassVar[int] = 1
    accumulative_counts = 1
    board: ClassVar[str | Callable] = ''

    def __init__(self, identity: Mapping[str, Value] | None = None, **estimator):
        super().__init__(**estimator)
        self.identity = Identity(identity or {})

    def prepare(self, dataset) -> None:
        """Tell a data set what its workers must know of the model, before it is read.

        ``hsjp_mm.PrepareDataHook`` calls this for every data set of a run, so that a number of the
        model need not stand in the pipelines again. By default there is nothing to tell.
        """

    def _load_state_dict_pre_hook(self, state_dict, prefix, local_meta, *args, **kwargs):
        """Refuse the weights of another task: MMEngine would log the head and go on without."""
        super()._load_state_dict_pre_hook(state_dict, prefix, local_meta, *args, **kwargs)
        theirs = {
            name: self.identity.read(name, state_dict[f'{prefix}identity.{name}'])
            for name in self.identity.types
            if f'{prefix}identity.{name}' in state_dict
        }
        ours = {name: self.identity.value(name) for name in theirs}
        if theirs != ours:
            self._refuse(_described(theirs), _described(ours))
        if theirs:  # a version that knew less of what makes the task another one
            for name in self.identity.types:
                buffer = self.identity.get_buffer(name)
                state_dict.setdefault(f'{prefix}identity.{name}', buffer)
        head = f'{prefix}head.'
        weights = {k.removeprefix(head): v for k, v in state_dict.items() if k.startswith(head)}
        if weights and _shapes(weights) != _shapes(self.head.state_dict()):
            self._refuse(
                f'another head ({_shapes(weights)})',
                f'a {type(self.head).__name__} ({_shapes(self.head.state_dict())})',
            )

    def _refuse(self, theirs: str, ours: str):
        raise ValueError(
            f'the checkpoint has {theirs}, the model {ours}; to start from its backbone alone '
            "give the backbone init_cfg=dict(type='hsjp_mm.PretextInit', checkpoint=...)"
        )


class Identity(nn.Module):
    """What makes a pretext task another one, as buffers of whole numbers, one for each name.

    A text is kept as the numbers of its letters.
    """

    def __init__(self, values: Mapping[str, Value]):
        super().__init__()
        self.types = {name: type(value) for name, value in values.items()}
        for name, value in values.items():
            numbers = [ord(letter) for letter in value] if isinstance(value, str) else int(value)
            self.register_buffer(name, torch.tensor(numbers))

    def value(self, name: str) -> Value:
        """Say a value of the model."""
        return self.read(name, self.get_buffer(name))

    def read(self, name: str, buffer: Tensor) -> Value:
        """Say the value that a buffer of this name holds."""
        if buffer.ndim:
            return ''.join(map(chr, buffer.tolist()))
        return self.types[name](int(buffer))


def _described(values: Mapping[str, Value]) -> str:
    return ' and '.join(f'{name}={value}' for name, value in values.items())


def _shapes(tensors: Mapping[str, Tensor]) -> str:
    return ', '.join(sorted(f'{name} {tuple(tensor.shape)}' for name, tensor in tensors.items()))


def pretext_head(head: dict, cls: type, drop: Sequence[str] = (), **given) -> dict:
    """Complete the head's config by what stands on the model.

    Args:
        head: of the user's config, such as that of a stock one with another type.
        cls: of which it must be.
        drop: arguments of a stock head that have no meaning here; leaving them out is logged.
        given: what stands on the model.

    Raises:
        ValueError: the head is of another class, or states again what the model gives it.
    """
    found = MMPOSE_MODELS.get(str(head.get('type')))
    if found is None or not issubclass(found, cls):
        raise ValueError(f"head.type={head.get('type')!r} must be 'hsjp_mm.{cls.__name__}'")
    for name in given:
        if name in head:
            raise ValueError(f'head.{name}={head[name]!r}: give {name} to the model alone')
    for name in sorted(head.keys() & set(drop)):
        print_log(f'head.{name} is dropped: {cls.__name__} has its own', 'current')
    return {**{name: value for name, value in head.items() if name not in drop}, **given}


def instance_ids(data_samples: list) -> list[int | str]:
    """Read the instance ids of data samples, from which evaluation puzzles are drawn.

    Raises:
        ValueError: a data sample has none.
    """
    if any('id' not in sample.metainfo for sample in data_samples):
        raise ValueError(
            "a data sample has no 'id', from which its puzzle is drawn; PersonCropDataset gives "
            "one, and PackPoseInputs hands it on if its meta_keys name 'id'"
        )
    return [sample.metainfo['id'] for sample in data_samples]
