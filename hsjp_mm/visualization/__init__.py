from hsjp_mm.visualization.boards import draw_boards
from hsjp_mm.visualization.jigclu_visualizer import jigclu_board
from hsjp_mm.visualization.puzzle_visualizer import puzzle_boards

__all__ = ['draw_boards', 'jigclu_board', 'puzzle_boards']
