from hsjp_mm.engine.hooks.bottomup_visualization_hook import BottomupVisualizationHook
from hsjp_mm.engine.hooks.channels_last_hook import ChannelsLastHook
from hsjp_mm.engine.hooks.fixed_rate_hook import FixedRateHook
from hsjp_mm.engine.hooks.freeze_hook import FreezeHook
from hsjp_mm.engine.hooks.mesh_visualization_hook import MeshVisualizationHook
from hsjp_mm.engine.hooks.pose_probe_hook import PoseProbeHook
from hsjp_mm.engine.hooks.prepare_data_hook import PatchHook, PrepareDataHook
from hsjp_mm.engine.hooks.puzzle_visualization_hook import PuzzleVisualizationHook
from hsjp_mm.engine.hooks.seed_hook import EpochSeedHook, SeedHook
from hsjp_mm.engine.hooks.skipped_images_hook import SkippedImagesHook
from hsjp_mm.engine.hooks.spatial_warmup_hook import SpatialWarmupHook
from hsjp_mm.engine.hooks.steady_log_hook import SteadyLogHook

__all__ = [
    'BottomupVisualizationHook',
    'ChannelsLastHook',
    'EpochSeedHook',
    'FixedRateHook',
    'FreezeHook',
    'MeshVisualizationHook',
    'PatchHook',
    'PoseProbeHook',
    'PrepareDataHook',
    'PuzzleVisualizationHook',
    'SeedHook',
    'SkippedImagesHook',
    'SpatialWarmupHook',
    'SteadyLogHook',
]
