"""What the pretext models have in common."""

from collections.abc import Mapping

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import Tensor


class PretextModel(BasePoseEstimator):
    """A backbone, perhaps a neck, and a head that solves puzzles.

    Args:
        puzzle: names and values of what makes the puzzle another one; kept in the buffer ``puzzle``
            for whoever reads the checkpoint. The first is the grid, the second whether the network
            has six input channels.
        estimator: arguments of MMPose's BasePoseEstimator.

    Raises:
        ValueError: when weights of another puzzle are loaded.
    """

    def __init__(self, puzzle: dict[str, int | bool], **estimator):
        super().__init__(**estimator)
        self.puzzle_types = {name: type(value) for name, value in puzzle.items()}
        self.register_buffer('puzzle', torch.tensor(list(puzzle.values()), dtype=torch.long))

    def _load_state_dict_pre_hook(self, state_dict, prefix, local_meta, *args, **kwargs):
        """Refuse the weights of another puzzle: MMEngine would log the head and go on without."""
        super()._load_state_dict_pre_hook(state_dict, prefix, local_meta, *args, **kwargs)
        stored = state_dict.get(f'{prefix}puzzle', self.puzzle)
        if not torch.equal(stored.cpu(), self.puzzle.cpu()):
            self._refuse(self._described(stored), self._described(self.puzzle))
        head = f'{prefix}head.'
        theirs = {k.removeprefix(head): v for k, v in state_dict.items() if k.startswith(head)}
        if theirs and _shapes(theirs) != _shapes(self.head.state_dict()):
            self._refuse(
                f'another head ({_shapes(theirs)})',
                f'a {type(self.head).__name__} ({_shapes(self.head.state_dict())})',
            )

    def _described(self, puzzle: Tensor) -> str:
        values = zip(self.puzzle_types.items(), puzzle.tolist(), strict=True)
        return ' and '.join(f'{name}={cls(value)}' for (name, cls), value in values)

    def _refuse(self, theirs: str, ours: str):
        raise ValueError(
            f'the checkpoint has {theirs}, the model {ours}; to start from its backbone alone '
            "give the backbone init_cfg=dict(type='hsjp_mm.PretextInit', checkpoint=...)"
        )


def _shapes(tensors: Mapping[str, Tensor]) -> str:
    return ', '.join(sorted(f'{name} {tuple(tensor.shape)}' for name, tensor in tensors.items()))


def pretext_head(head: dict, cls: type, **given) -> dict:
    """Complete the head's config by what stands on the model.

    Raises:
        ValueError: the head is of another class, or states again what the model gives it.
    """
    found = MMPOSE_MODELS.get(str(head.get('type')))
    if found is None or not issubclass(found, cls):
        raise ValueError(f"head.type={head.get('type')!r} must be 'hsjp_mm.{cls.__name__}'")
    for name in given:
        if name in head:
            raise ValueError(f'head.{name}={head[name]!r}: give {name} to the model alone')
    return dict(head, **given)


def require_grid(grid: int, input_size: tuple[int, int]) -> None:
    """Refuse a grid that is no whole number from 2 to the shorter side of the input."""
    if not (isinstance(grid, int) and 2 <= grid <= min(input_size)):
        raise ValueError(f'grid={grid!r} must be a whole number from 2 to {min(input_size)}')


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
