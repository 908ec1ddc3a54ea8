import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from scipy.io import savemat

from hsjp_mm.analysis import (
    keypoint_errors,
    keypoint_priors,
    measure_priors,
    part_groups,
    persons,
    read_persons,
)
from hsjp_mm.analysis.persons import Persons, read_poses


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


# --- CSV, LSP and data sets of MMPose -----------------------------------------------------------


def test_csv_with_missing_keypoints(tmp_path):
    rows = ['x.jpg,' + ','.join(map(str, range(32))), 'y.jpg,' + ','.join(['1.5'] * 32)]
    rows[1] = rows[1].replace('1.5', '', 1).replace('1.5,1.5,1.5', '1.5,nan,1.5', 1)
    (tmp_path / 'poses.csv').write_text('\n'.join(rows) + '\n\n')  # a blank line at the end
    poses = read_poses(tmp_path / 'poses.csv')
    np.testing.assert_array_equal(poses.points[0], np.arange(32).reshape(16, 2))
    # neither of a keypoint whose x or whose y is missing
    assert np.isnan(poses.points[1]).all(axis=1).tolist() == [True, True] + [False] * 14
    assert poses.names[:2] == ('right_ankle', 'right_knee') and (0, 1) in poses.links


@pytest.mark.parametrize(
    'text, message',
    [
        ('', 'has no poses'),
        ('name,x0,y0', "line 1: could not convert string to float: 'x0'"),
        ('a,1,2\nb,1', 'line 2: .* got 2 cells'),
        ('a,1,2,3,4\nb,1,2', 'line 2: .* got 3 cells'),
        ('a,1,2', "has 1 keypoints, but dataset='MpiiDataset' has 16"),
    ],
)
def test_csv_that_does_not_fit(tmp_path, text, message):
    (tmp_path / 'poses.csv').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_poses(tmp_path / 'poses.csv')


def test_both_layouts_of_lsp(tmp_path):
    joints = np.random.default_rng(0).uniform(1, 99, (5, 14, 3))
    joints[..., 2] = np.arange(14) % 2
    savemat(tmp_path / 'lsp.mat', {'joints': joints.transpose(2, 1, 0)})
    savemat(tmp_path / 'lspet.mat', {'joints': joints.transpose(1, 2, 0)})
    lsp, lspet = (read_poses(tmp_path / f'{name}.mat') for name in ('lsp', 'lspet'))
    np.testing.assert_array_equal(lsp.keypoints, joints[..., :2])  # 1 is occluded, all are labelled
    np.testing.assert_array_equal(lspet.points[:, 1::2], joints[:, 1::2, :2])  # 1 is labelled
    assert np.isnan(lspet.points[:, ::2]).all()
    assert lsp.names == lspet.names and lsp.names[-2:] == ('neck', 'head_top')


@pytest.fixture
def coco_file(tmp_path) -> Path:
    """Two persons of one image: the first without its last keypoint, the second with three."""
    rng = np.random.default_rng(0)
    annotations = []
    for key, labelled in ((1, 16), (2, 3)):
        keypoints = np.column_stack([rng.integers(10, 60, (17, 2)), np.full(17, 1 + key % 2)])
        keypoints[labelled:] = 0
        annotations.append(
            {
                'id': key, 'image_id': 1, 'category_id': 1, 'iscrowd': 0, 'area': 1500,
                'bbox': [10, 5, 30, 50 + key], 'num_keypoints': labelled,
                'keypoints': keypoints.ravel().tolist(),
            }
        )  # fmt: skip
    coco = {
        'images': [{'id': 1, 'file_name': 'x.jpg', 'width': 100, 'height': 80}],
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'person'}],
    }
    path = tmp_path / 'persons.json'
    path.write_text(json.dumps(coco))
    return path


@pytest.mark.parametrize('kind', ['json', 'topdown', 'bottomup'])
def test_annotations_and_configs(coco_file, kind):
    path = coco_file
    if kind != 'json':
        path = coco_file.with_suffix('.py')
        path.write_text(
            "train_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=[], "
            f'data_mode={kind!r}, ann_file={str(coco_file)!r}))'
        )
    poses = read_poses(path, 'CocoDataset')
    assert poses.names[0] == 'nose' and len(poses.names) == 17
    assert poses.boxes.tolist() == [[10, 5, 30, 51], [10, 5, 30, 52]]
    labelled = ~np.isnan(poses.points).any(axis=2)
    assert labelled.sum(axis=1).tolist() == [16, 3]  # occluded ones are labelled
    annotated = np.array(json.loads(coco_file.read_text())['annotations'][1]['keypoints'])
    np.testing.assert_array_equal(poses.points[1, :3], annotated.reshape(17, 3)[:3, :2])


def test_files_that_cannot_be_read(tmp_path, coco_file):
    with pytest.raises(FileNotFoundError, match=r'none\.csv'):
        read_poses(tmp_path / 'none.csv')
    coco_file.with_suffix('.txt').touch()
    with pytest.raises(ValueError, match=r'must end in .py, .json, .csv or .mat'):
        read_poses(coco_file.with_suffix('.txt'))
    (tmp_path / 'poses.csv').write_text('a,1,2')
    with pytest.raises(ValueError, match="dataset='PersonData' is not the registered name"):
        read_poses(tmp_path / 'poses.csv', 'PersonData')
    for dataset, message in (
        ('Coco', "dataset='Coco' is not the registered name"),
        ('MpiiDataset', "path='.*' is not what dataset='MpiiDataset' reads .*take dataset=Coco"),
    ):
        with pytest.raises(ValueError, match=message):
            read_poses(coco_file, dataset)


def test_csv_in_other_encodings(tmp_path):
    row = 'Zoë,' + ','.join(map(str, range(32)))
    for encoding in ('utf-8-sig', 'utf-16'):
        (tmp_path / 'poses.csv').write_text(row, encoding=encoding)
        assert read_poses(tmp_path / 'poses.csv').keypoints[0, 1].tolist() == [2, 3]
    (tmp_path / 'poses.csv').write_text(row, encoding='latin-1')
    with pytest.raises(ValueError, match=r"path='.*poses\.csv' must be text in UTF-8"):
        read_poses(tmp_path / 'poses.csv')


def test_faults_of_files_for_stock_data_sets(coco_file):
    content = json.loads(coco_file.read_text())
    content['annotations'][1].update(id='1')
    coco_file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'persons\.json.*annotations, id 1: two different'):
        read_poses(coco_file, 'CocoDataset')
    content['annotations'][1].update(id='2', image_id=1.0, category_id='1')
    coco_file.write_text(json.dumps(content))
    assert read_poses(coco_file, 'CocoDataset').boxes[:, 3].tolist() == [51, 52]


OWN = """
dataset_info = dict(
    dataset_name='own', paper_info=dict(),
    keypoint_info={
        i: dict(name=name, id=i, color=[0, 0, 0], type='upper', swap='')
        for i, name in enumerate(['tip', 'left', 'right', 'tail'])
    },
    skeleton_info={0: dict(link=('tip', 'tail'), id=0, color=[0, 0, 0])},
    joint_weights=[1.0] * 4, sigmas=[0.05] * 4,
)
"""


@pytest.mark.parametrize('suffix', ['.json', '.py', '.csv'])
def test_own_keypoints(coco_file, tmp_path, suffix):
    (tmp_path / 'own.py').write_text(OWN)
    content = json.loads(coco_file.read_text())
    for person in content['annotations']:
        del person['keypoints'][12:]
    coco_file.write_text(json.dumps(content))
    points = np.array(content['annotations'][0]['keypoints']).reshape(4, 3)[:, :2]
    path = coco_file.with_suffix(suffix)
    if suffix == '.py':
        path.write_text(
            "train_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=[], "
            f'ann_file={str(coco_file)!r}))'
        )
    if suffix == '.csv':
        path.write_text('a,' + ','.join(map(str, points.ravel())))
    poses = read_poses(path, 'CocoDataset', str(tmp_path / 'own.py'))
    assert poses.names == ('tip', 'left', 'right', 'tail') and poses.links == ((0, 3),)
    np.testing.assert_array_equal(poses.points[0], points)


def test_own_keypoints_of_the_data_set_in_a_label_subset(coco_file, tmp_path):
    (tmp_path / 'own.py').write_text(OWN)
    content = json.loads(coco_file.read_text())
    for person in content['annotations']:
        del person['keypoints'][12:]
    coco_file.write_text(json.dumps(content))
    inner = f"dict(type='CocoDataset', pipeline=[], ann_file={str(coco_file)!r})"
    (tmp_path / 'config.py').write_text(
        'train_dataloader = dict(dataset=dict(\n'
        f"    type='hsjp_mm.LabelSubset', number=1, dataset={inner}))"
    )
    poses = read_poses(tmp_path / 'config.py', metainfo=str(tmp_path / 'own.py'))
    assert poses.names == ('tip', 'left', 'right', 'tail')


def test_converted_keypoints_beside_others(coco_file, tmp_path):
    data = dict(type='CocoDataset', ann_file=str(coco_file))
    converter = dict(
        type='KeypointConverter', num_keypoints=17, mapping=[(i, i) for i in range(17)]
    )
    combined = dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[dict(data, pipeline=[]), dict(data, pipeline=[converter])],
    )
    Config(dict(train_dataloader=dict(dataset=combined))).dump(tmp_path / 'config.py')
    poses = read_poses(tmp_path / 'config.py')
    alone = read_poses(coco_file, 'CocoDataset')
    np.testing.assert_array_equal(poses.points, np.concatenate([alone.points] * 2))


def test_own_keypoints_that_do_not_fit(tmp_path):
    (tmp_path / 'own.py').write_text(OWN)
    (tmp_path / 'poses.csv').write_text('a,1,2')
    with pytest.raises(ValueError, match=r"has 1 keypoints, but metainfo='.*own\.py' has 4"):
        read_poses(tmp_path / 'poses.csv', metainfo=str(tmp_path / 'own.py'))
    (tmp_path / 'lsp.mat').touch()
    with pytest.raises(ValueError, match=r'own\.py.: the keypoints of a \.mat are those of LSP'):
        read_poses(tmp_path / 'lsp.mat', metainfo=str(tmp_path / 'own.py'))
    (tmp_path / 'own.py').write_text('x = 1')
    with pytest.raises(ValueError, match=r"metainfo='.*own\.py' is no file of a keypoint set"):
        read_poses(tmp_path / 'poses.csv', metainfo=str(tmp_path / 'own.py'))


def test_poses_of_version_0_1():
    points = np.array([[[1.0, 2], [np.nan, np.nan]]])
    with pytest.warns(FutureWarning, match='Poses is now'):
        from hsjp_mm.analysis.part_groups import Poses
    poses = Poses(points, ('a', 'b'), boxes=np.array([7.0]))
    assert poses.labelled.tolist() == [[True, False]]
    assert poses.boxes[0, 2:].tolist() == [7, 7]
    np.testing.assert_array_equal(poses.points, points)
    assert part_groups.read_poses is read_poses and part_groups.poses_of is persons.poses_of
