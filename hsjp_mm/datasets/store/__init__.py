"""Crops of a data set, cut once and kept in LMDB files; see docs/store.md."""

from typing import TYPE_CHECKING

from hsjp_mm.utils.lazy import lazy_imports

if TYPE_CHECKING:
    from hsjp_mm.datasets.store.files import Crops, read_manifest
    from hsjp_mm.datasets.store.reach import Cut, Reach, UnknownReachError, find_reach
    from hsjp_mm.datasets.store.reading import CropStore, check_store, stored_image
    from hsjp_mm.datasets.store.writing import Options, write_store

__all__ = [
    'CropStore',
    'Crops',
    'Cut',
    'Options',
    'Reach',
    'UnknownReachError',
    'check_store',
    'find_reach',
    'read_manifest',
    'stored_image',
    'write_store',
]

__getattr__ = lazy_imports(__name__, __file__)
