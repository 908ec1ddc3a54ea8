from hsjp_mm.engine.hooks import (
    BottomupVisualizationHook,
    EpochSeedHook,
    FreezeHook,
    PatchHook,
    PoseProbeHook,
    PrepareDataHook,
    PuzzleVisualizationHook,
    SeedHook,
    SkippedImagesHook,
    SteadyLogHook,
)

__all__ = [
    'BottomupVisualizationHook',
    'EpochSeedHook',
    'FreezeHook',
    'PatchHook',
    'PoseProbeHook',
    'PrepareDataHook',
    'PuzzleVisualizationHook',
    'SeedHook',
    'SkippedImagesHook',
    'SteadyLogHook',
]
