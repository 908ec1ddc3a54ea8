"""Hooks, and running MMPose's own tools."""

from typing import TYPE_CHECKING

from hsjp_mm.utils.lazy import lazy_imports

if TYPE_CHECKING:
    from hsjp_mm.engine.bfloat16_optim_wrapper import BFloat16OptimWrapper
    from hsjp_mm.engine.hooks import (
        BottomupVisualizationHook,
        ChannelsLastHook,
        EpochSeedHook,
        FixedRateHook,
        FreezeHook,
        MeshVisualizationHook,
        PatchHook,
        PoseProbeHook,
        PrepareDataHook,
        PuzzleVisualizationHook,
        SeedHook,
        SkippedImagesHook,
        SpatialWarmupHook,
        SteadyLogHook,
    )
    from hsjp_mm.engine.lars_constructor import LARSConstructor
    from hsjp_mm.engine.overlap_loops import OverlapTestLoop, OverlapValLoop

__all__ = [
    'BFloat16OptimWrapper',
    'BottomupVisualizationHook',
    'ChannelsLastHook',
    'EpochSeedHook',
    'FixedRateHook',
    'FreezeHook',
    'LARSConstructor',
    'MeshVisualizationHook',
    'OverlapTestLoop',
    'OverlapValLoop',
    'PatchHook',
    'PoseProbeHook',
    'PrepareDataHook',
    'PuzzleVisualizationHook',
    'SeedHook',
    'SkippedImagesHook',
    'SpatialWarmupHook',
    'SteadyLogHook',
]

__getattr__ = lazy_imports(__name__, __file__)
