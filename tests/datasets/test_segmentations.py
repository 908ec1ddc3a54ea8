import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hsjp_mm.datasets.segmentations import decode, has_mask, polygons_of, says

SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]


@pytest.mark.parametrize('nothing', [None, [], [[]], [[1, 2]], [[1, 2, 3, 4]], ()])
def test_what_says_nothing_has_no_mask(nothing):
    assert not has_mask(nothing)
    assert not polygons_of(nothing)
    assert not decode(nothing, (5, 8)).any()


def test_what_an_annotation_says():
    assert says({'segmentation': [SQUARE]}, 'segmentation')
    assert not says({'segmentation': [[]]}, 'segmentation')
    assert says({'dp_masks': [[]]}, 'dp_masks')
    assert not says({'dp_masks': []}, 'dp_masks') and not says({}, 'dp_masks')


def test_polygons_without_an_area_are_left_out_of_others():
    assert has_mask([[], SQUARE])
    expected = np.zeros((5, 8), np.uint8)
    expected[1:4, 2:6] = 1
    for segmentation in ([SQUARE], [[], SQUARE, [1, 1, 3, 3]]):
        np.testing.assert_array_equal(decode(segmentation, (5, 8)), expected)


def test_run_lengths_of_every_kind_are_the_same():
    expected = np.zeros((5, 8), np.uint8)
    expected[1:4, 2:6] = 1
    packed = coco_mask.encode(np.asfortranarray(expected))
    plain = {'size': [5, 8], 'counts': [11, 3, 2, 3, 2, 3, 2, 3, 11]}
    for segmentation in (packed, {**packed, 'counts': packed['counts'].decode()}, plain):
        assert has_mask(segmentation)
        assert polygons_of(segmentation) == []
        np.testing.assert_array_equal(decode(segmentation, (5, 8)), expected)
