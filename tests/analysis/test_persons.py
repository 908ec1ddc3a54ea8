import json
from pathlib import Path

import numpy as np
import pytest

from hsjp_mm.analysis import keypoint_errors, keypoint_priors, measure_priors, read_persons
from hsjp_mm.analysis.persons import Persons


def test_old_import_paths():
    assert keypoint_priors.read_persons is read_persons
    assert keypoint_priors.Persons is keypoint_errors.Persons is Persons
    assert (keypoint_priors.MPII_PIXELS, keypoint_priors.MPII_SHIFT) == (200, 15)


def coco(path: Path, names=('nose', 'left_knee')) -> Path:
    annotation = dict(image_id=1, category_id=1, bbox=[0, 0, 30, 30], iscrowd=0)
    content = dict(
        categories=[dict(id=1, name='person', keypoints=list(names)), dict(id=2, name='dog')],
        annotations=[
            {**annotation, 'id': 1, 'keypoints': [15, 2, 2, 4, 29, 1]},
            {**annotation, 'id': 2, 'keypoints': [0, 0, 0, 0, 0, 0]},
            {**annotation, 'id': 3, 'bbox': [3, 4, 0, 9], 'keypoints': [3, 5, 1, 0, 0, 0]},
            {**annotation, 'id': 4, 'iscrowd': 1, 'keypoints': [0] * 6},
            {'id': 5, 'image_id': 1, 'category_id': 2, 'bbox': [0, 0, 9, 9]},
        ],
    )
    path.write_text(json.dumps(content))
    return path


def test_coco_files(tmp_path):
    first, second = (coco(tmp_path / f'{n}.json') for n in (1, 2))
    priors = measure_priors(read_persons(first))
    assert (priors.persons, priors.unlabelled, priors.without_area, priors.crowds) == (1, 1, 1, 1)
    assert priors.names == ('nose', 'left_knee')
    assert priors.shares[0, 0, 1] == priors.shares[1, 2, 0] == 1
    both = measure_priors(read_persons(first, second))
    assert (both.persons, both.crowds, both.labelled.tolist()) == (2, 2, [2, 2])


def test_mpii_files(tmp_path):
    joints = [[-1, -1]] * 16
    joints[9] = [100, 16]  # head top
    person = dict(
        image='1.jpg', center=[100, 100], scale=1.0, joints=joints,
        joints_vis=[int(k == 9) for k in range(16)],
    )  # fmt: skip
    nowhere = {**person, 'center': [-1, -1], 'scale': -1.0}
    path = tmp_path / 'mpii.json'
    path.write_text(json.dumps([person, nowhere]))
    priors = measure_priors(read_persons(path), 20)
    assert (priors.persons, priors.without_area) == (1, 1)
    head = priors.names.index('head_top')
    # 200 pixels from (0, 15): 1 pixel beneath the edge, in the eleventh patch of 10 pixels
    assert np.argwhere(priors.shares[head] == 1).tolist() == [[0, 10]]


def test_refused_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path='.*none\.json' does not exist"):
        read_persons(tmp_path / 'none.json')
    first, other = coco(tmp_path / '1.json'), coco(tmp_path / '2.json', names=('nose', 'tail'))
    with pytest.raises(ValueError, match=r'2\.json has other keypoints than .*1\.json: nose, tail'):
        read_persons(first, other)
    nameless = coco(tmp_path / '3.json', names=())
    with pytest.raises(ValueError, match=r'must name the keypoints, .* there are 0 lists'):
        read_persons(nameless)
    for content in ('{}', '[]', '[{"joints": []}]'):
        (tmp_path / '4.json').write_text(content)
        with pytest.raises(ValueError, match='neither of COCO format nor of the MPII format'):
            read_persons(tmp_path / '4.json')


@pytest.fixture
def change(tmp_path):
    """A function that writes the COCO file with changes in its first annotation."""

    def write(**changes) -> Path:
        path = coco(tmp_path / 'changed.json')
        content = json.loads(path.read_text())
        content['annotations'][0].update(changes)
        path.write_text(json.dumps(content))
        return path

    return write


def test_null_in_place_of_a_box_or_of_keypoints(change):
    people = read_persons(change(bbox=None))
    assert people.boxes[0].tolist() == [0, 0, 0, 0] and people.labelled[0].all()
    assert not read_persons(change(keypoints=None)).labelled[:2].any()
    assert read_persons(change(iscrowd=True)).crowds == 2


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(bbox=[0, 0, 30]), r'annotations, id 1: bbox=\[0, 0, 30\] must be left, top'),
        (dict(bbox=[np.nan] * 4), 'id 1: bbox=.* four finite numbers'),
        (dict(bbox=['0', '0', '9', '9']), 'id 1: bbox=.* four finite numbers'),
        (dict(keypoints=[1, 2]), r'id 1: keypoints=\[1, 2\] must be .* of shape \(6,\)'),
        (dict(keypoints=[np.inf] * 6), 'id 1: keypoints=.* finite numbers'),
        (dict(id=2), 'annotations, id 2: two different entries'),
        (dict(category_id=None), 'id 1: category_id=None must be the id of a category'),
        (dict(iscrowd='no'), "id 1: iscrowd='no' must be 0 or 1"),
    ],
)
def test_faults_of_coco_files(change, changes, message):
    with pytest.raises(ValueError, match=rf"path='.*changed\.json': .*{message}"):
        read_persons(change(**changes))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(scale=None), r'\[0\]: scale=None must be a finite number of 200 pixels'),
        (dict(center=[1]), r'\[0\]: center=\[1\] must be x and y'),
        (dict(joints=[[1, 2]] * 15), r'\[0\]: joints=.* of shape \(16, 2\)'),
        (dict(joints_vis=[np.nan] * 16), r'\[0\]: joints_vis=.* of shape \(16,\)'),
    ],
)
def test_faults_of_mpii_files(tmp_path, changes, message):
    person = dict(center=[5, 5], scale=1, joints=[[1, 2]] * 16, joints_vis=[1] * 16)
    path = tmp_path / 'mpii.json'
    path.write_text(json.dumps([{**person, **changes}]))
    with pytest.raises(ValueError, match=rf"path='.*mpii\.json'{message}"):
        read_persons(path)
    path.write_text(json.dumps([person]), encoding='utf-8-sig')
    assert read_persons(path).keypoints.shape == (1, 16, 2)
