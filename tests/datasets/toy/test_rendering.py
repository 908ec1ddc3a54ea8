"""Drawn people: the pixels that version 0.1 drew, and whom each pixel shows."""

import cv2
import numpy as np

from hsjp_mm.datasets.toy.coco_files import annotate
from hsjp_mm.datasets.toy.figures import PARTS
from hsjp_mm.datasets.toy.rendering import render_image


def test_an_image_stays_what_it_was():
    """Recorded with version 0.1; seeds of data sets in use must go on meaning the same people."""
    rendered = render_image(np.random.default_rng([3, 1]), 160, 120, 3)
    [person] = annotate(rendered)
    assert person['bbox'] == [55, 12, 84, 103]
    assert person['area'] == 3300
    assert person['keypoints'] == [
        91, 26, 2, 94, 23, 2, 88, 23, 2, 95, 24, 1, 80, 25, 2, 100, 39, 2, 74, 40, 2, 118, 43, 2,
        59, 54, 2, 131, 56, 2, 71, 67, 2, 94, 72, 2, 77, 73, 2, 116, 69, 2, 76, 80, 2, 118, 93, 2,
        67, 104, 2,
    ]  # fmt: skip
    # Means of 3 x 4 blocks: single pixels may round differently in another build of OpenCV.
    blocks = cv2.resize(rendered.image.astype(np.float32), (4, 3), interpolation=cv2.INTER_AREA)
    recorded = [
        [[99, 94, 63], [96, 96, 72], [76, 85, 80], [90, 79, 67]],
        [[111, 57, 71], [107, 107, 95], [85, 160, 109], [142, 85, 77]],
        [[223, 62, 81], [181, 66, 77], [205, 68, 81], [189, 63, 88]],
    ]
    np.testing.assert_allclose(blocks, recorded, atol=0.6)


def test_a_person_owns_pixels_within_its_window_only():
    several = 0
    for seed in range(12):
        rendered = render_image(np.random.default_rng(seed), 160, 120, 3)
        several += len(rendered.people) > 1
        assert rendered.owner.max() == len(rendered.people)
        for number, placed in enumerate(rendered.people, start=1):
            x1, y1, x2, y2 = placed.window(160, 120)
            outside = rendered.owner == number
            outside[y1:y2, x1:x2] = False
            assert not outside.any()
            part_map = rendered.part_maps[number - 1]
            assert part_map.shape == (2 * (y2 - y1), 2 * (x2 - x1))
            assert part_map.max() <= len(PARTS)
    assert several > 2


def test_who_is_nearer_is_drawn_over_who_is_farther():
    for seed in range(12):
        people = render_image(np.random.default_rng(seed), 160, 120, 3).people
        assert [p.scale for p in people] == sorted(p.scale for p in people)
