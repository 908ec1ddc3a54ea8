from hsjp_mm.datasets.bottomup_transforms import BottomupGetHeatmapMask, BottomupRandomAffine
from hsjp_mm.datasets.image_pyramid import BottomupResize, PackImagePyramid
from hsjp_mm.datasets.person_crops import PersonCropDataset
from hsjp_mm.datasets.transforms import ColourAugmentation, PatchAugmentation, set_patches

__all__ = [
    'BottomupGetHeatmapMask',
    'BottomupRandomAffine',
    'BottomupResize',
    'ColourAugmentation',
    'PackImagePyramid',
    'PatchAugmentation',
    'PersonCropDataset',
    'set_patches',
]
