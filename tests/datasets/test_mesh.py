import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS

from hsjp_mm.datasets import LabelSubset
from hsjp_mm.datasets.mesh import MeshDataset
from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices
from hsjp_mm.ops.subsets import subset_order
from tests.datasets.mesh_labels import made_up_labels, place, write_made_up

PIPELINE = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale', padding=1.25)]


@pytest.fixture
def labels(tmp_path):
    return write_made_up(tmp_path)


def test_points_come_into_the_set_by_name(labels):
    sample = MeshDataset(str(labels), data_root=str(labels.parent)).get_data_info(3)
    names = joint_names('mesh_22')
    assert sample['keypoints'].shape == (1, 22, 2)
    for name, point, confidence in zip(
        names, sample['keypoints'][0], sample['keypoints_visible'][0], strict=True
    ):
        if name in joint_names('coco_17'):
            assert point.tolist() == [10 + place('coco_17', name), 23]
            assert confidence == 1
        else:
            assert point.tolist() == [0, 0]
            assert confidence == 0
    for name, point, weight in zip(names, sample['joints'], sample['joints_weight'], strict=True):
        known = name in joint_names('h36m_17')
        expected = [place('h36m_17', name) / 10, 0.03, 2] if known else [0, 0, 0]
        np.testing.assert_allclose(point, expected, atol=1e-6)
        assert weight == known


def test_a_sample(labels):
    dataset = MeshDataset(str(labels), data_root=str(labels.parent), pipeline=PIPELINE)
    sample = dataset[3]
    assert (sample['id'], sample['img_id'], sample['frame']) == (103, 'a/1.png', 3)
    assert sample['img'].shape == (64, 48, 3)
    assert sample['bbox'].tolist() == [[4, 6, 30, 36]]
    assert sample['bbox_center'].tolist() == [[17, 21]]
    np.testing.assert_allclose(sample['rotations'][0], np.diag([1, -1, -1]), atol=1e-6)
    c, s = np.cos(0.3), np.sin(0.3)
    np.testing.assert_allclose(
        sample['rotations'][4], [[c, -s, 0], [s, c, 0], [0, 0, 1]], atol=1e-6
    )
    assert sample['shape'].tolist() == list(range(10))
    assert sample['translation'].tolist() == [0, 0, 3]
    assert sample['camera'].tolist() == [500, 500, 32, 24]
    assert (sample['gender'], sample['sequence']) == ('male', 'a')
    assert (sample['dataset_name'], sample['joint_set']) == ('labels', 'mesh_22')
    assert sample['flip_indices'] == mirror_indices(joint_names('mesh_22'))
    assert sample['part_map_path'] == ''


def test_what_a_sample_lacks_is_nothing_of_the_same_shape(tmp_path):
    bare = ('keypoints', 'joints', 'pose', 'has_pose', 'shape', 'has_shape', 'translation')
    path = write_made_up(
        tmp_path, keypoint_set='', joint_set='', has_translation=None, **dict.fromkeys(bare)
    )
    whole = MeshDataset(str(write_made_up(tmp_path / 'w')), data_root=str(tmp_path / 'w'))
    sample = MeshDataset(str(path), data_root=str(tmp_path)).get_data_info(0)
    full = whole.get_data_info(0)
    assert sample.keys() == full.keys()
    for key, value in full.items():
        assert np.shape(sample[key]) == np.shape(value), key
        assert np.asarray(sample[key]).dtype.kind == np.asarray(value).dtype.kind, key
    assert not sample['keypoints_visible'].any()
    assert not sample['joints_weight'].any()
    assert (sample['rotations'] == np.eye(3)).all()
    assert sample['has_pose'] == sample['has_shape'] == sample['has_translation'] == 0
    part = [whole.get_data_info(index) for index in range(3)]
    assert [s['has_shape'] for s in part] == [1, 0, 1]
    assert not part[1]['shape'].any()
    assert [s['has_translation'] for s in part] == [1, 1, 0]
    assert not part[2]['translation'].any()


def test_number_of_shapes_and_shapes_of_another_body(labels):
    root = dict(data_root=str(labels.parent))
    assert MeshDataset(str(labels), num_shape=3, **root).get_data_info(0)['shape'].tolist() == [
        0, 1, 2,
    ]  # fmt: skip
    more = MeshDataset(str(labels), num_shape=12, **root).get_data_info(0)['shape']
    assert more.tolist() == [*range(10), 0, 0]
    assert MeshDataset(str(labels), body='smpl', **root).get_data_info(0)['has_shape'] == 1
    other = MeshDataset(str(labels), body='free', **root).get_data_info(0)
    assert (other['has_shape'], other['has_pose'], other['has_translation']) == (0, 1, 0)
    assert not other['shape'].any()
    assert not other['translation'].any()


def test_in_training_shapes_of_another_gender_are_not_used(tmp_path):
    genders = np.array(['male', 'neutral', 'female'] * 2)
    has = np.ones(6, bool)
    path = write_made_up(tmp_path, gender=genders, has_shape=has, has_translation=has)

    def known(test_mode: bool, gender: str | None) -> list[int]:
        dataset = MeshDataset(str(path), data_root=str(tmp_path), test_mode=test_mode)
        dataset.follow('mesh_22', 10, 'smpl', gender)
        samples = [dataset.get_data_info(index) for index in range(6)]
        assert all(sample['has_pose'] for sample in samples)
        assert all(sample['has_shape'] == sample['has_translation'] for sample in samples)
        return [int(sample['has_shape']) for sample in samples]

    assert known(False, 'neutral') == [0, 1, 0] * 2
    assert known(False, 'female') == [0, 0, 1] * 2
    assert known(False, None) == known(True, 'neutral') == [1] * 6


def test_samples_are_arrays_and_nobody_changes_them(labels):
    dataset = MeshDataset(str(labels), data_root=str(labels.parent))
    before = copy.deepcopy(dict(dataset.data_list.labels.arrays))
    for index in range(len(dataset)):
        for value in dataset.get_data_info(index).values():
            if isinstance(value, np.ndarray):
                value[...] = 7
    for key, array in before.items():
        np.testing.assert_array_equal(dataset.data_list.labels[key], array)
    assert not isinstance(dataset.data_list, list)
    some = dataset.get_subset([4, 2])
    assert [some.get_data_info(i)['id'] for i in range(2)] == [104, 102]
    assert some.data_list.labels is dataset.data_list.labels
    cut = MeshDataset(str(labels), data_root=str(labels.parent), indices=2)
    assert [cut.get_data_info(i)['id'] for i in range(len(cut))] == [100, 101]
    assert dataset.get_data_info(-1)['id'] == 105


def test_fractions_are_nested_and_of_whole_images_or_sequences(tmp_path):
    number = 60
    labels = {
        **made_up_labels(number),
        'image_path': np.array([f'{i // 2}.png' for i in range(number)]),
        'sequence': np.array([f's{i // 10}' for i in range(number)]),
        'image_size': np.zeros((number, 2), int),
    }
    path = write_made_up(tmp_path, **labels)
    for index in range(number // 2):
        cv2.imwrite(str(tmp_path / f'{index}.png'), np.zeros((8, 8, 3), np.uint8))

    def chosen(**options):
        dataset = MeshDataset(str(path), data_root=str(tmp_path), **options)
        return [dataset.get_data_info(i)['id'] - 100 for i in range(len(dataset))]

    tenth, third = chosen(fraction=0.1), chosen(fraction=0.3)
    order = subset_order(sorted(f'{i}.png' for i in range(30)), 0)
    names = sorted(f'{i}.png' for i in range(30))
    wanted = {names[i] for i in order[:3]}
    assert tenth == [i for i in range(number) if f'{i // 2}.png' in wanted]
    assert set(tenth) < set(third)
    assert len(third) == 18
    assert chosen(fraction=0.1, seed=1) != tenth
    assert chosen(fraction=1.0) == list(range(number))
    half = chosen(fraction=0.5, by='sequences')
    assert len(half) == 30
    assert len({i // 10 for i in half}) == 3


def test_an_image_of_another_size_or_none_is_replaced_in_training(tmp_path, monkeypatch):
    class Pack:
        def __call__(self, results):
            from mmpose.structures import PoseDataSample

            return {'data_samples': PoseDataSample(metainfo={'id': results['id']})}

    path = write_made_up(tmp_path)
    (tmp_path / 'a/1.png').unlink()
    cv2.imwrite(str(tmp_path / 'b/2.png'), np.zeros((40, 41, 3), np.uint8))
    options = dict(data_root=str(tmp_path), pipeline=[dict(type='LoadImage'), Pack()])
    dataset = MeshDataset(str(path), **options)
    monkeypatch.setattr(dataset, '_rand_another', lambda: 1)
    taken = [dataset[index]['data_samples'] for index in range(6)]
    assert {sample.id for sample in taken} == {100, 101}
    skipped = {name for sample in taken for name in sample.metainfo.get('skipped', ())}
    assert skipped == {str(tmp_path / 'a/1.png'), str(tmp_path / 'b/2.png')}
    assert 'skipped' not in taken[0].metainfo
    strict = MeshDataset(str(path), **options, test_mode=True)
    with pytest.raises(RuntimeError, match='is 41×40 pixels, but 40×40 in ann_file'):
        strict[5]
    with pytest.raises(RuntimeError, match=r'1.png \(instance 102\) cannot be read'):
        strict[2]
    (tmp_path / 'a/0.png').unlink()
    with pytest.raises(FileNotFoundError, match='the first image'):
        MeshDataset(str(path), **options)


def test_works_in_forked_workers_by_its_name(labels):
    config = dict(
        type='hsjp_mm.MeshDataset', ann_file=labels.name, data_root=str(labels.parent),
        pipeline=PIPELINE,
    )  # fmt: skip
    dataset = DATASETS.build(config)
    loader = torch.utils.data.DataLoader(dataset, num_workers=2, collate_fn=list, batch_size=2)
    assert [sample['id'] for batch in loader for sample in batch] == list(range(100, 106))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(body='none'), "body='none' must be one of free, smpl"),
        (dict(fraction=0), r'fraction=0 must be in \(0, 1\]'),
        (dict(by='frames'), "by='frames' must be one of images, sequences"),
        (dict(joint_set='coco'), "joint_set='coco' must be one of"),
        (dict(data_prefix=dict(image='a')), 'data_prefix: image must be of img, parts'),
        (dict(num_shape=-1), 'num_shape=-1 must be a whole number of at least 0'),
    ],
)
def test_mistakes(labels, options, message):
    with pytest.raises(ValueError, match=message):
        MeshDataset(str(labels), data_root=str(labels.parent), **options)


def test_sequences_that_are_not_there(tmp_path):
    path = write_made_up(tmp_path, sequence=None)
    with pytest.raises(ValueError, match=r'are of no sequence; choose .images'):
        MeshDataset(str(path), data_root=str(tmp_path), fraction=0.5, by='sequences')


def test_samples_of_no_sequence_among_others_are_not_taken_for_one(tmp_path):
    write_made_up(tmp_path / 'all')
    number = len(np.load(tmp_path / 'all/labels.npz')['id'])
    names = np.array(['' if i % 2 else 'a' for i in range(number)])
    path = write_made_up(tmp_path, sequence=names)
    message = f'{number // 2} of {number} samples of .* are of no sequence'
    with pytest.raises(ValueError, match=message):
        MeshDataset(str(path), data_root=str(tmp_path), fraction=0.5, by='sequences')


def test_a_label_subset_chooses_the_same_images(tmp_path):
    number = 40
    labels = {
        **made_up_labels(number),
        'image_path': np.array([f'{i // 2}.png' for i in range(number)]),
        'image_size': np.zeros((number, 2), int),
    }
    path = write_made_up(tmp_path, **labels)
    for index in range(number // 2):
        cv2.imwrite(str(tmp_path / f'{index}.png'), np.zeros((8, 8, 3), np.uint8))
    config = dict(type='hsjp_mm.MeshDataset', ann_file=str(path), data_root=str(tmp_path))
    own = MeshDataset(str(path), data_root=str(tmp_path), fraction=0.3)
    subset = LabelSubset(config, fraction=0.3)
    assert len(own) == len(subset) == 12
    assert [own.get_data_info(i)['id'] for i in range(12)] == [
        subset.get_data_info(i)['id'] for i in range(12)
    ]
