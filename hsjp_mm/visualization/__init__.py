from hsjp_mm.visualization.puzzle_visualizer import puzzle_boards

__all__ = ['puzzle_boards']
