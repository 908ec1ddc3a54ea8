import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.datasets import CocoDataset
from mmpose.evaluation import CocoMetric
from pycocotools import mask as coco_mask

from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.datasets.toy_bodies import KEYPOINT_NAMES, SKELETON, contact_sheet, render
from hsjp_mm.registry import DATASETS

pytestmark = pytest.mark.slow  # its images are rendered first


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy') / 'people'
    render(folder, num_train=30, num_val=6, seed=3)
    return folder


@pytest.fixture(scope='module')
def people(folder):
    return load(folder, 'train')['annotations']


def load(folder, split):
    return json.loads((folder / f'annotations/person_keypoints_{split}.json').read_text())


def points(person):
    """Keypoints by name, each (x, y, v)."""
    return dict(zip(KEYPOINT_NAMES, np.array(person['keypoints']).reshape(-1, 3), strict=True))


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def outline_mask(person, width, height):
    """The figure's pixels as pycocotools draws them from the outlines."""
    runs = coco_mask.frPyObjects(person['segmentation'], height, width)
    return coco_mask.decode(coco_mask.merge(runs)).astype(bool)


def test_same_seed_gives_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (('a', 5), ('b', 5), ('c', 6)):
        render(tmp_path / name, 3, 2, seed=seed, image_size=(160, 120))
    first, again, other = (contents(tmp_path / name) for name in 'abc')
    assert first == again
    first.pop('annotations/UV_symmetry_transforms.mat')  # is the body's
    drawn = [name for name in first if not name.startswith('parts')]  # one for each person
    assert all(first[name] != other[name] for name in drawn)


def test_an_image_does_not_depend_on_how_many_there_are(tmp_path):
    render(tmp_path / 'few', 1, 1, image_size=(160, 120))
    render(tmp_path / 'many', 3, 2, image_size=(160, 120))
    few, many = contents(tmp_path / 'few'), contents(tmp_path / 'many')
    images = [name for name in few if name.endswith('.jpg')]
    assert len(images) == 2
    assert all(few[name] == many[name] for name in images)


@pytest.mark.slow
def test_splits_share_no_image(folder):
    hashes = [p.read_bytes() for p in folder.rglob('*.jpg')]
    assert len(set(hashes)) == len(hashes) == 36


def test_keypoints_and_boxes_lie_in_the_image(folder):
    for split in ('train', 'val'):
        data = load(folder, split)
        records = {record['id']: record for record in data['images']}
        assert {person['image_id'] for person in data['annotations']} == set(records)
        for person in data['annotations']:
            record = records[person['image_id']]
            image = cv2.imread(str(folder / split / record['file_name']))
            height, width = image.shape[:2]
            assert (record['width'], record['height']) == (width, height) == (320, 240)
            x, y, w, h = person['bbox']
            assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
            for px, py, v in points(person).values():
                assert v in (0, 1, 2)
                assert 0 <= px < width and 0 <= py < height
                assert v > 0 or px == py == 0
                assert v < 2 or (x <= px < x + w and y <= py < y + h)


def test_keypoint_count_is_that_of_labelled_points(people):
    assert {sum(p[2] > 0 for p in points(a).values()) == a['num_keypoints'] for a in people} == {1}


def test_some_keypoints_are_hidden_and_some_outside(people):
    share = np.bincount([p[2] for a in people for p in points(a).values()], minlength=3)
    share = share / share.sum()
    assert 0 < share[0] < 0.1
    assert 0.1 < share[1] < 0.4  # seen from a side, half of a body hides the other


def test_box_and_area_agree_with_the_outline(people):
    for person in people:
        mask = outline_mask(person, 320, 240)
        assert mask.sum() == pytest.approx(person['area'], rel=0.15)
        x, y, w, h = person['bbox']
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        drawn = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        # outlines of fingers one pixel wide have no area
        np.testing.assert_allclose(drawn, [x, y, x + w, y + h], atol=4)


def test_sides_follow_from_where_the_body_faces(people):
    """Shoulders and face may be turned against each other, so not in every single one."""
    facing, behind = [], []
    for person in people:
        p = points(person)
        left, right = p['left_shoulder'], p['right_shoulder']
        upright = abs(left[1] - right[1]) < abs(left[0] - right[0])
        if left[2] and right[2] and upright:
            if p['left_eye'][2] == p['right_eye'][2] == 2:
                facing.append(left[0] > right[0])
            elif {p[name][2] for name in ('nose', 'left_eye', 'right_eye')} == {1}:
                behind.append(left[0] < right[0])
    assert np.mean(facing) > 0.9 and len(facing) > 15
    assert np.mean(behind) > 0.7 and len(behind) > 2


def test_mesh_file_and_part_maps_go_with_the_annotations(folder, people):
    labels = read_mesh_file(folder / 'mesh/train.npz')
    assert (labels.body, labels.joint_set, labels.keypoint_set) == ('free', 'mesh_22', 'mesh_22')
    assert labels['id'].tolist() == [person['id'] for person in people]
    for i, person in enumerate(people):
        x, y, w, h = person['bbox']
        assert labels['box'][i].tolist() == [x, y, x + w, y + h]
        assert labels['image_path'][i] == f'{person["image_id"]:012d}.jpg'
        # mesh_22 ends in COCO's face, of which COCO has the nose first
        nose, seen = labels['keypoints'][i, 17, :2], person['keypoints'][:3]
        if seen[2]:
            np.testing.assert_allclose(nose, seen[:2], atol=0.01)
        path = folder / 'parts/train' / labels['part_map_path'][i]
        parts = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert parts.shape == (240, 320)
        assert (parts[:, :x] == 0).all() or person['segmentation']
        assert abs(int((parts > 0).sum()) - person['area']) < 0.02 * person['area'] + 20


@pytest.mark.parametrize(
    ('kind', 'name'),
    [
        ('PartMaskDataset', 'person_parts'),
        ('PartMaskDataset', 'densepose'),
        ('DensePoseDataset', 'densepose'),
    ],
)
def test_dense_labels_are_read_by_their_data_sets(folder, people, kind, name):
    options = {}
    if kind == 'DensePoseDataset':
        options['symmetry_file'] = 'annotations/UV_symmetry_transforms.mat'
    dataset = DATASETS.build(
        dict(
            type=f'hsjp_mm.{kind}',
            data_root=str(folder),
            ann_file=f'annotations/{name}_train.json',
            data_prefix=dict(img='train/'),
            pipeline=[],
            **options,
        )
    )
    assert len(dataset) == len(people)
    sample = dataset[0]
    assert len(sample['part_masks']) == (24 if name == 'person_parts' else 14)


@pytest.mark.slow
def test_more_processes_write_the_same_files(tmp_path):
    for name, workers in (('one', 1), ('two', 2)):
        render(tmp_path / name, 3, 1, image_size=(160, 120), workers=workers)
    assert contents(tmp_path / 'one') == contents(tmp_path / 'two')


def test_pictures_stand_behind_people(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((120, 160, 3), 128, np.uint8))
    render(tmp_path / 'toy', 1, 1, image_size=(160, 120), backgrounds=tmp_path)
    image = cv2.imread(str(next((tmp_path / 'toy/train').iterdir())))
    assert np.abs(np.median(image, axis=(0, 1)) - 128).max() < 25


def test_names_and_skeleton_are_those_of_stock_coco():
    meta = CocoDataset(lazy_init=True).metainfo
    assert list(KEYPOINT_NAMES) == [meta['keypoint_id2name'][k] for k in range(17)]
    assert [(a - 1, b - 1) for a, b in SKELETON] == [tuple(link) for link in meta['skeleton_links']]


@pytest.mark.parametrize(('split', 'test_mode'), [('train', False), ('val', True)])
def test_stock_dataset_loads_every_person(folder, split, test_mode):
    dataset = stock_dataset(folder, split, test_mode)
    people = load(folder, split)['annotations']
    assert [sample['id'] for sample in dataset] == [person['id'] for person in people]
    for sample, person in zip(dataset, people, strict=True):
        assert Path(sample['img_path']).is_file()
        expected = np.reshape(person['keypoints'], (17, 3))
        np.testing.assert_allclose(sample['keypoints'][0], expected[:, :2], rtol=1e-6)


def test_stock_metric_gives_the_truth_full_marks_and_swapped_sides_few(folder):
    dataset = stock_dataset(folder, 'val', True)
    swapped = dataset.metainfo['flip_indices']
    assert score(folder, dataset, list(range(17))) == pytest.approx(1.0)
    assert score(folder, dataset, swapped) < 0.3


def stock_dataset(folder, split, test_mode):
    init_default_scope('mmpose')
    return CocoDataset(
        data_root=str(folder),
        ann_file=f'annotations/person_keypoints_{split}.json',
        data_prefix=dict(img=f'{split}/'),
        pipeline=[],
        test_mode=test_mode,
    )


def score(folder, dataset, order):
    """AP of the labelled keypoints in another order."""
    metric = CocoMetric(ann_file=str(folder / 'annotations/person_keypoints_val.json'))
    metric.dataset_meta = dataset.metainfo
    for sample in dataset:
        instances = dict(
            keypoints=sample['keypoints'][:, order],
            keypoint_scores=np.ones((1, 17), np.float32),
            bbox_scores=np.ones(1, np.float32),
        )
        result = dict(
            id=sample['id'],
            img_id=sample['img_id'],
            category_id=1,
            pred_instances=instances,
            gt_instances=dict(bbox_scales=sample['bbox'][:, 2:] - sample['bbox'][:, :2]),
        )
        metric.process([], [result])
    return metric.evaluate(size=len(dataset))['coco/AP']


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        (dict(num_train=0), 'num_train must be at least 1, got 0'),
        (dict(max_persons=0), 'max_persons must be at least 1, got 0'),
        (dict(look='grey'), r"look='grey' must be one of \('varied', 'plain'\)"),
        (dict(image_size=(320, 20)), r'min\(image_size\) must be at least 64, got 20'),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, argument, message):
    with pytest.raises(ValueError, match=message):
        render(tmp_path / 'toy', **(dict(num_train=1, num_val=1) | argument))
    assert not (tmp_path / 'toy').exists()


def test_contact_sheet_marks_the_keypoints(folder):
    sheet = contact_sheet(folder, 'train', columns=2, rows=2)
    assert sheet.shape == (2 * 480, 2 * 640, 3)
    data = load(folder, 'train')
    second = [a for a in data['annotations'] if a['image_id'] == data['images'][1]['id']]
    x, y, v = points(second[-1])['left_wrist']
    assert v == 2
    row, column = round(2 * y + 0.5), 640 + round(2 * x + 0.5)
    np.testing.assert_array_equal(sheet[row, column], (0, 220, 0))


def test_a_full_folder_is_refused(folder):
    with pytest.raises(FileExistsError, match='must be new or empty'):
        render(folder, 1, 1)
