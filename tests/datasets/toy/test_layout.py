import json

import pytest

from hsjp_mm.datasets.toy.layout import coco_data, require_writable
from hsjp_mm.ops.keypoint_orders import joint_names

GOOD = dict(image_size=(64, 64), seed=0, workers=1)


def test_numbers_at_their_least_and_a_new_folder_pass(tmp_path):
    require_writable(tmp_path / 'new', **GOOD)
    require_writable(tmp_path, **GOOD)


@pytest.mark.parametrize(
    'wrong, message',
    [
        (dict(seed=-1), 'seed must be at least 0, got -1'),
        (dict(workers=0), 'workers must be at least 1, got 0'),
        (dict(image_size=(100, 63)), r'min\(image_size\) must be at least 64, got 63'),
    ],
)
def test_a_number_that_is_too_small_is_named_before_the_folder_is_touched(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        require_writable(tmp_path / 'new', **{**GOOD, **wrong})
    assert not (tmp_path / 'new').exists()


def test_the_person_category_has_cocos_keypoints_and_what_is_added():
    data = coco_data('people', [dict(id=1)], [], parts=['head'])
    [category] = json.loads(json.dumps(data))['categories']
    assert category['keypoints'] == list(joint_names('coco_17'))
    assert category['parts'] == ['head']
    assert data['images'] == [dict(id=1)]
    assert data['info']['description'] == 'people'
