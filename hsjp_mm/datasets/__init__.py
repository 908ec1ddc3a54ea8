from hsjp_mm.datasets.person_crops import PersonCropDataset
from hsjp_mm.datasets.transforms import ColourAugmentation

__all__ = ['ColourAugmentation', 'PersonCropDataset']
