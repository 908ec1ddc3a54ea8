from hsjp_mm.engine.bottomup_hook import BottomupVisualizationHook
from hsjp_mm.engine.freeze_hook import FreezeHook
from hsjp_mm.engine.hooks import (
    EpochSeedHook,
    PatchHook,
    PuzzleVisualizationHook,
    SkippedImagesHook,
)

__all__ = [
    'BottomupVisualizationHook',
    'EpochSeedHook',
    'FreezeHook',
    'PatchHook',
    'PuzzleVisualizationHook',
    'SkippedImagesHook',
]
