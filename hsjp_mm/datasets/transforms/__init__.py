from hsjp_mm.datasets.transforms.bottomup import BottomupGetHeatmapMask, BottomupRandomAffine
from hsjp_mm.datasets.transforms.color import ColorAugmentation, ColourAugmentation
from hsjp_mm.datasets.transforms.dense import TopdownDenseAffine
from hsjp_mm.datasets.transforms.hsv import HSVAugmentation
from hsjp_mm.datasets.transforms.loading import LoadScaledImage
from hsjp_mm.datasets.transforms.mesh import (
    ChannelNoise,
    MeshAffine,
    MeshOccluders,
    PackMeshInputs,
    RandomMeshAffine,
)
from hsjp_mm.datasets.transforms.occlusion import DropOccluded
from hsjp_mm.datasets.transforms.part_maps import RenderPartMap
from hsjp_mm.datasets.transforms.patches import PatchAugmentation, set_patches
from hsjp_mm.datasets.transforms.pyramid import (
    BottomupResize,
    PackImagePyramid,
    TopdownPyramid,
)
from hsjp_mm.datasets.transforms.segments import SegmentCrop, set_segments
from hsjp_mm.datasets.transforms.topdown import InputAffine, TopdownShearAffine, set_input_size
from hsjp_mm.datasets.transforms.views import MakeViews, PackViews, set_views

__all__ = [
    'BottomupGetHeatmapMask',
    'BottomupRandomAffine',
    'BottomupResize',
    'ChannelNoise',
    'ColorAugmentation',
    'ColourAugmentation',
    'DropOccluded',
    'HSVAugmentation',
    'InputAffine',
    'LoadScaledImage',
    'MakeViews',
    'MeshAffine',
    'MeshOccluders',
    'PackImagePyramid',
    'PackMeshInputs',
    'PackViews',
    'PatchAugmentation',
    'RandomMeshAffine',
    'RenderPartMap',
    'SegmentCrop',
    'TopdownDenseAffine',
    'TopdownPyramid',
    'TopdownShearAffine',
    'set_input_size',
    'set_patches',
    'set_segments',
    'set_views',
]
