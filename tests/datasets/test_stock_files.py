"""Files of labelling tools, made ready for the data sets of MMPose."""

import json

import pytest

from hsjp_mm.analysis.persons import read_poses
from hsjp_mm.datasets.coco_files import check_coco, fill_empty_keypoints


@pytest.mark.parametrize('empty', [[], None])
def test_persons_without_keypoints_are_unlabelled(empty, tmp_path):
    """As tracks of CVAT are where the person is out of the image; stock loading fails at them."""
    image = dict(id=1, file_name='a.jpg', width=60, height=50)
    person = dict(image_id=1, category_id=1, area=400.0, iscrowd=0)
    points = [10, 20, 2] * 17
    annotations = [
        dict(person, id=1, bbox=[0.0, 0.0, 0.0, 0.0], keypoints=empty, num_keypoints=0),
        dict(person, id=2, bbox=[5, 5, 20, 20], keypoints=points, num_keypoints=17),
    ]
    categories = [dict(id=1, name='person')]
    content = dict(images=[image], annotations=annotations, categories=categories)
    (tmp_path / 'a.json').write_text(json.dumps(content))
    poses = read_poses(tmp_path / 'a.json', 'CocoDataset')
    assert poses.keypoints.tolist() == [[[10, 20]] * 17]
    assert json.loads((tmp_path / 'a.json').read_text()) == content


def test_zeros_are_as_many_as_others_have():
    rows = [dict(id=1, keypoints=[]), dict(id=2, keypoints=[1, 2, 2]), dict(id=3), dict(id=4)]
    rows = [dict(row, image_id=1, category_id=1) for row in rows]
    coco = check_coco(dict(annotations=rows), 'ann_file', ['annotations'])
    assert fill_empty_keypoints(coco)
    assert [row.get('keypoints') for row in coco.annotations] == [[0, 0, 0], [1, 2, 2], None, None]
    assert not fill_empty_keypoints(coco)
