from hsjp_mm.engine.hooks import (
    EpochSeedHook,
    PatchHook,
    PuzzleVisualizationHook,
    SkippedImagesHook,
)

__all__ = ['EpochSeedHook', 'PatchHook', 'PuzzleVisualizationHook', 'SkippedImagesHook']
