"""Data sets, samplers and transforms; :mod:`hsjp_mm.registry` names the modules that register."""

from typing import TYPE_CHECKING

from hsjp_mm.utils.lazy import lazy_imports

if TYPE_CHECKING:
    from hsjp_mm.datasets.densepose import DensePoseDataset
    from hsjp_mm.datasets.label_subset import LabelSubset
    from hsjp_mm.datasets.lsp import LSPDataset
    from hsjp_mm.datasets.mesh import MeshDataset
    from hsjp_mm.datasets.part_masks import PartMaskDataset
    from hsjp_mm.datasets.person_crops import PersonCropDataset
    from hsjp_mm.datasets.samplers import (
        FixedLengthSampler,
        PartSampler,
        SameImageSampler,
        SharesSampler,
    )
    from hsjp_mm.datasets.transforms import (
        BottomupGetHeatmapMask,
        BottomupRandomAffine,
        BottomupResize,
        ChannelNoise,
        ColorAugmentation,
        ColourAugmentation,
        DropOccluded,
        HSVAugmentation,
        InputAffine,
        LoadScaledImage,
        MakeViews,
        MeshAffine,
        MeshOccluders,
        PackImagePyramid,
        PackMeshInputs,
        PackViews,
        PatchAugmentation,
        RandomMeshAffine,
        RenderPartMap,
        SegmentCrop,
        TopdownDenseAffine,
        TopdownPyramid,
        TopdownShearAffine,
        set_input_size,
        set_patches,
        set_segments,
        set_views,
    )

__all__ = [
    'BottomupGetHeatmapMask',
    'BottomupRandomAffine',
    'BottomupResize',
    'ChannelNoise',
    'ColorAugmentation',
    'ColourAugmentation',
    'DensePoseDataset',
    'DropOccluded',
    'FixedLengthSampler',
    'HSVAugmentation',
    'InputAffine',
    'LSPDataset',
    'LabelSubset',
    'LoadScaledImage',
    'MakeViews',
    'MeshAffine',
    'MeshDataset',
    'MeshOccluders',
    'PackImagePyramid',
    'PackMeshInputs',
    'PackViews',
    'PartMaskDataset',
    'PartSampler',
    'PatchAugmentation',
    'PersonCropDataset',
    'RandomMeshAffine',
    'RenderPartMap',
    'SameImageSampler',
    'SegmentCrop',
    'SharesSampler',
    'TopdownDenseAffine',
    'TopdownPyramid',
    'TopdownShearAffine',
    'set_input_size',
    'set_patches',
    'set_segments',
    'set_views',
]

__getattr__ = lazy_imports(__name__, __file__)
