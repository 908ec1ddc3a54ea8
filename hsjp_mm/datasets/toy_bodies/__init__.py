"""Rendered people with every label: data for the demo and the tests, made on the spot.

The free body in a posture (`postures`), dressed (`clothing`), stands somewhere before a camera
(`scenes`) and a background (`backgrounds`), is drawn (`rendering`), labelled (`labels`, `charts`)
and written (`files`).
"""

from hsjp_mm.datasets.toy import FIRST_IMAGE_ID, KEYPOINT_NAMES, SKELETON, contact_sheet
from hsjp_mm.datasets.toy_bodies.files import render

__all__ = ['FIRST_IMAGE_ID', 'KEYPOINT_NAMES', 'SKELETON', 'contact_sheet', 'render']
