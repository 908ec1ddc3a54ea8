import numpy as np
import pytest

from hsjp_mm.datasets import DropOccluded


def sample(visible: list, **annotation) -> dict:
    return {'keypoints_visible': np.array([visible], np.float32), 'raw_ann_info': annotation}


def coco(*flags: int) -> dict:
    """A sample as CocoDataset makes it of these v."""
    keypoints = [number for v in flags for number in (v and 5, v and 6, v)]
    return sample([min(1, v) for v in flags], keypoints=keypoints)


def test_coco_says_it_by_v():
    given = coco(2, 1, 0, 2)
    assert DropOccluded().transform(given)['keypoints_visible'].tolist() == [[1, 0, 0, 1]]
    assert given['keypoints_visible'].tolist() == [[1, 1, 0, 1]]  # the data set's own stays


def test_lsp_says_it_by_name():
    given = sample([1, 1, 1], occluded=[False, True, False])
    assert DropOccluded().transform(given)['keypoints_visible'].tolist() == [[1, 0, 1]]


def test_weights_beside_the_flags_are_dropped_as_well():
    given = coco(2, 1)
    given['keypoints_visible'] = np.ones((1, 2, 2), np.float32)
    found = DropOccluded().transform(given)['keypoints_visible']
    assert found.tolist() == [[[1, 1], [0, 0]]]


def test_switched_off_it_asks_for_nothing():
    given = {'keypoints_visible': np.ones((1, 3))}
    assert DropOccluded(drop=False).transform(given) is given


@pytest.mark.parametrize(
    ('given', 'told'),
    [
        ({'keypoints_visible': np.ones((1, 16))}, 'nothing, the sample has 16'),  # as in MPII
        (sample([1] * 16, keypoints=[1] * 51), '17 keypoints, the sample has 16'),
    ],
)
def test_a_data_set_that_does_not_tell_is_refused(given, told):
    with pytest.raises(ValueError, match=f'the annotation tells of {told}'):
        DropOccluded().transform(given)


def test_a_flipped_sample_is_refused():
    """Its keypoints have changed sides, the annotation has not."""
    flip = {'flip': True, 'flip_direction': 'horizontal'}
    results = {**flip, 'keypoints_visible': np.ones((1, 2)), 'raw_ann_info': {'occluded': [0, 1]}}
    with pytest.raises(ValueError, match='DropOccluded stands after RandomFlip'):
        DropOccluded()(results)
