from hsjp_mm.datasets.label_subset import LabelSubset
from hsjp_mm.datasets.lsp import LSPDataset
from hsjp_mm.datasets.person_crops import PersonCropDataset
from hsjp_mm.datasets.samplers import FixedLengthSampler
from hsjp_mm.datasets.transforms import (
    BottomupGetHeatmapMask,
    BottomupRandomAffine,
    BottomupResize,
    ColorAugmentation,
    ColourAugmentation,
    PackImagePyramid,
    PatchAugmentation,
    TopdownPyramid,
    TopdownShearAffine,
    set_patches,
)

__all__ = [
    'BottomupGetHeatmapMask',
    'BottomupRandomAffine',
    'BottomupResize',
    'ColorAugmentation',
    'ColourAugmentation',
    'FixedLengthSampler',
    'LSPDataset',
    'LabelSubset',
    'PackImagePyramid',
    'PatchAugmentation',
    'PersonCropDataset',
    'TopdownPyramid',
    'TopdownShearAffine',
    'set_patches',
]
