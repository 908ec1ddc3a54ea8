"""Files of labelling tools, made ready for the data sets of MMPose."""

import json

import pytest

from hsjp_mm.analysis.persons import read_poses


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
