from hsjp_mm.engine.hooks import EpochSeedHook, PuzzleVisualizationHook, SkippedImagesHook

__all__ = ['EpochSeedHook', 'PuzzleVisualizationHook', 'SkippedImagesHook']
