"""Boxes on the contact sheet lie where the file says, in the color of what takes them."""

import cv2
import numpy as np
import pytest

from hsjp_mm.analysis.data_check import DataCheck
from hsjp_mm.visualization.data_check import COLUMNS, GAP, LEGEND, LINE, SIDE, YELLOW, contact_sheet


def test_boxes_and_keypoints(tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.full((60, 120, 3), 99, np.uint8))  # enlarged twice
    found = DataCheck(paths={1: path})
    points = np.array([[30.0, 20, 2], [60, 40, 0]])
    found.boxes[1] = [([10, 5, 50, 40], points, 'pose'), ([70, 5, 40, 40], points[:0], 'nothing')]
    sheet = contact_sheet(found)
    top, left = LINE * len(found.uses) + GAP + LINE, GAP
    picture = sheet[top : top + 120, left : left + SIDE]
    assert (
        tuple(picture[50, 20]) == LEGEND['pose'][0] and tuple(picture[10, 60]) == LEGEND['pose'][0]
    )
    assert tuple(picture[50, 140]) == LEGEND['nothing'][0]
    assert tuple(picture[40, 60]) == YELLOW
    assert tuple(picture[80, 60]) == (99, 99, 99)  # not labelled


def test_annotated_images_go_first_and_no_image_is_an_error(tmp_path):
    found = DataCheck()
    with pytest.raises(ValueError, match='no image can be read'):
        contact_sheet(found)
    for i in range(40):
        found.paths[i] = tmp_path / f'{i}.png'
        cv2.imwrite(str(found.paths[i]), np.full((24, 24, 3), 10 * (i % 2), np.uint8))
        if i % 2:
            found.boxes[i] = [([1, 1, 3, 3], np.zeros((0, 3)), 'crops')]
    sheet = contact_sheet(found, 12)
    assert sheet.shape[1] == COLUMNS * (SIDE + GAP) + GAP
    assert sheet.shape[0] == LINE * len(found.uses) + 2 * (SIDE + GAP + LINE) + GAP
    top = LINE * len(found.uses) + GAP + LINE
    for i in range(COLUMNS):
        assert tuple(sheet[top + 200, GAP + i * (SIDE + GAP) + 200]) == (10, 10, 10)
