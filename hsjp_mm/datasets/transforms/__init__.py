from hsjp_mm.datasets.transforms.bottomup import BottomupGetHeatmapMask, BottomupRandomAffine
from hsjp_mm.datasets.transforms.color import ColorAugmentation, ColourAugmentation
from hsjp_mm.datasets.transforms.patches import PatchAugmentation, set_patches
from hsjp_mm.datasets.transforms.pyramid import (
    BottomupResize,
    PackImagePyramid,
    TopdownPyramid,
)
from hsjp_mm.datasets.transforms.topdown import InputAffine, TopdownShearAffine, set_input_size

__all__ = [
    'BottomupGetHeatmapMask',
    'BottomupRandomAffine',
    'BottomupResize',
    'ColorAugmentation',
    'ColourAugmentation',
    'InputAffine',
    'PackImagePyramid',
    'PatchAugmentation',
    'TopdownPyramid',
    'TopdownShearAffine',
    'set_input_size',
    'set_patches',
]
