from hsjp_mm.datasets.bottomup_transforms import BottomupGetHeatmapMask, BottomupRandomAffine
from hsjp_mm.datasets.image_pyramid import BottomupResize, PackImagePyramid, TopdownPyramid
from hsjp_mm.datasets.label_subset import LabelSubset
from hsjp_mm.datasets.lsp import LSPDataset
from hsjp_mm.datasets.person_crops import PersonCropDataset
from hsjp_mm.datasets.sampler import FixedLengthSampler
from hsjp_mm.datasets.topdown_transforms import TopdownShearAffine
from hsjp_mm.datasets.transforms import ColourAugmentation, PatchAugmentation, set_patches

__all__ = [
    'BottomupGetHeatmapMask',
    'BottomupRandomAffine',
    'BottomupResize',
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
