from hsjp_mm.datasets.person_crops import PersonCropDataset
from hsjp_mm.datasets.transforms import ColourAugmentation, PatchAugmentation, set_patches

__all__ = ['ColourAugmentation', 'PatchAugmentation', 'PersonCropDataset', 'set_patches']
