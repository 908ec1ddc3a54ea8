"""Pictures of what models and data do."""

from typing import TYPE_CHECKING

from hsjp_mm.utils.lazy import lazy_imports

if TYPE_CHECKING:
    from hsjp_mm.visualization.boards import draw_boards
    from hsjp_mm.visualization.bottomup import bottomup_board, draw_bottomup
    from hsjp_mm.visualization.hsjp import puzzle_boards
    from hsjp_mm.visualization.jigclu import jigclu_board
    from hsjp_mm.visualization.keypoint_errors import plot_keypoint_errors
    from hsjp_mm.visualization.keypoint_priors import plot_keypoint_priors
    from hsjp_mm.visualization.mae import mae_boards
    from hsjp_mm.visualization.part_groups import affinity_picture, groups_picture

__all__ = [
    'affinity_picture', 'bottomup_board', 'draw_boards', 'draw_bottomup', 'groups_picture',
    'jigclu_board', 'mae_boards', 'plot_keypoint_errors', 'plot_keypoint_priors', 'puzzle_boards',
]  # fmt: skip

__getattr__ = lazy_imports(__name__, __file__)
