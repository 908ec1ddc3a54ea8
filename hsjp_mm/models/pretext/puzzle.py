"""What the pretext models that cut images into a grid of patches have in common."""

from collections.abc import Mapping

import torch

from hsjp_mm.models.pretext.base import PretextModel, Value


class PuzzleModel(PretextModel):
    """A pretext task about the N×N patches of an image.

    Args:
        grid: N, patches along a side; a part of the identity.
        input_size: (width, height) in pixels of an image that is cut.
        seed: of the evaluation puzzles.
        identity: further values that make the puzzle another one.
        estimator: as in :class:`PretextModel`.

    Raises:
        ValueError: ``grid`` is no whole number from 2 to the shorter side of the input.
    """

    def __init__(
        self,
        grid: int,
        input_size: tuple[int, int],
        seed: int,
        identity: Mapping[str, Value] | None = None,
        **estimator,
    ):
        if not (isinstance(grid, int) and 2 <= grid <= min(input_size)):
            raise ValueError(f'grid={grid!r} must be a whole number from 2 to {min(input_size)}')
        super().__init__(identity={'grid': grid, **(identity or {})}, **estimator)
        self.grid = grid
        self.seed = seed

    def _load_state_dict_pre_hook(self, state_dict, prefix, local_meta, *args, **kwargs):
        """Read the identity of version 0.1, one buffer ``puzzle`` of grid and unshuffled."""
        stored = state_dict.pop(f'{prefix}puzzle', None)
        if stored is not None:
            for name, value in zip(('grid', 'unshuffled'), stored.tolist(), strict=True):
                if name in self.identity.types:
                    state_dict[f'{prefix}identity.{name}'] = torch.tensor(value)
                elif value:
                    self._refuse(f'{name}={bool(value)}', f'no such puzzle ({type(self).__name__})')
        super()._load_state_dict_pre_hook(state_dict, prefix, local_meta, *args, **kwargs)
