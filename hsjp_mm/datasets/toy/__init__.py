"""Rendered people with COCO keypoints."""

from hsjp_mm.datasets.toy.rendering import contact_sheet, render

__all__ = ['contact_sheet', 'render']
