"""Rendered people with COCO keypoints: data for the demo and the tests, made on the spot.

A figure is a chain of 3D joints (`pose`), dressed (`figures`), placed before a background
(`scene`), drawn (`rendering`), labelled and written in COCO's layout (`coco_files`, `layout`).
"""

from hsjp_mm.datasets.toy.coco_files import contact_sheet, render
from hsjp_mm.datasets.toy.layout import FIRST_IMAGE_ID, SKELETON
from hsjp_mm.datasets.toy.pose import KEYPOINT_NAMES

__all__ = ['FIRST_IMAGE_ID', 'KEYPOINT_NAMES', 'SKELETON', 'contact_sheet', 'render']
