from hsjp_mm.engine.bottomup_hook import BottomupVisualizationHook
from hsjp_mm.engine.freeze_hook import FreezeHook
from hsjp_mm.engine.hooks import (
    EpochSeedHook,
    PatchHook,
    PuzzleVisualizationHook,
    SkippedImagesHook,
)
from hsjp_mm.engine.pose_probe_hook import PoseProbeHook

__all__ = [
    'BottomupVisualizationHook',
    'EpochSeedHook',
    'FreezeHook',
    'PatchHook',
    'PoseProbeHook',
    'PuzzleVisualizationHook',
    'SkippedImagesHook',
]
