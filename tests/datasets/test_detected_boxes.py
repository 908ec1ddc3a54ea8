import json

import pytest

from hsjp_mm.datasets.detected_boxes import images_file, read_boxes


@pytest.fixture
def written(tmp_path):
    path = tmp_path / 'boxes.json'
    images = [{'id': 7, 'file_name': 'a/b.jpg'}, {'id': 3, 'file_name': 'c.jpg'}]
    boxes = [
        {'image_id': 3, 'category_id': 1, 'bbox': [1, 2, 30, 40], 'score': 0.9},
        {'image_id': 7, 'category_id': 1, 'bbox': [5, 6, 7, 8], 'score': 0.4},
        {'image_id': 3, 'category_id': 1, 'bbox': [0, 0, 2, 2], 'score': 0.6},
    ]
    path.write_text(json.dumps(boxes))
    content = {'images': images, 'categories': [], 'annotations': []}
    images_file(path).write_text(json.dumps(content))
    return path


def test_boxes_go_with_their_pictures(written):
    assert images_file(written).name == 'boxes_images.json'
    found = read_boxes(written, ['c.jpg', 'a/b.jpg'], score_thr=0.5)
    assert found['c.jpg'].tolist() == [[1, 2, 31, 42], [0, 0, 2, 2]]
    assert found['a/b.jpg'].shape == (0, 4)


def test_no_boxes_at_all(written):
    written.write_text('[]')
    assert read_boxes(written, ['c.jpg'])['c.jpg'].shape == (0, 4)


def test_a_picture_that_no_detector_has_seen_is_refused(written):
    with pytest.raises(ValueError, match=r'has not seen d.jpg \(1 of 2 pictures\)'):
        read_boxes(written, ['c.jpg', 'd.jpg'])


def test_a_box_without_a_score_is_sure_and_one_that_is_none_is_refused(written):
    """As everywhere else that results are read."""
    boxes = json.loads(written.read_text())
    del boxes[1]['score']
    written.write_text(json.dumps(boxes))
    assert len(read_boxes(written, ['a/b.jpg'], score_thr=0.7)['a/b.jpg']) == 1
    for score in (None, 'high'):
        boxes[1]['score'] = score
        written.write_text(json.dumps(boxes))
        with pytest.raises(ValueError, match=r'\[1\]: score=.+ must be a finite number'):
            read_boxes(written, ['c.jpg'])
