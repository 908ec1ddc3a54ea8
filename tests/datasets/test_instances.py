import copy
import pickle

import numpy as np
import pytest

from hsjp_mm.datasets.instances import Instances, Texts, get_id, get_ids, id_column, join_columns

TEXTS = ['', 'a.png', 'Zoë/ü.png', 'bad-\udcff\ud800.png', '日本']


def test_texts_come_out_as_they_went_in():
    texts = Texts.of(TEXTS)
    assert list(texts) == TEXTS and len(texts) == 5
    assert list(texts.take(np.array([4, 0, 2, 2]))) == ['日本', '', 'Zoë/ü.png', 'Zoë/ü.png']
    assert list(Texts.join([texts, Texts.of([]), texts])) == 2 * TEXTS
    for index in (5, -1):
        with pytest.raises(IndexError):
            texts[index]


@pytest.mark.parametrize(
    'ids', [[], [3, 1, -2], ['a', '007', 7], [2**63 - 1], [2**63, 1], [2**70, 5], ['x']]
)
def test_ids_keep_their_type(ids):
    column = id_column(ids)
    found = [get_id(column, row) for row in range(len(ids))]
    assert found == ids == list(get_ids(column))
    assert [type(key) for key in found] == [type(key) for key in ids]


def test_ids_of_several_kinds_join():
    parts = [[1, 2], ['a', 3], [2**70], []]
    column = join_columns([id_column(part) for part in parts])
    assert list(get_ids(column)) == [1, 2, 'a', 3, 2**70]
    numbers = join_columns([id_column([1]), id_column([]), id_column([5])])
    assert numbers.dtype == np.int64 and numbers.tolist() == [1, 5]


@pytest.fixture
def instances() -> Instances:
    columns = {
        'id': id_column(['a', 2, 'c']),
        'image': np.array([1, 0, 1], np.int32),
        'category': np.array([0, 1, 0], np.int32),
        'bbox': np.arange(12, dtype=np.float32).reshape(3, 4),
        'score': np.array([0.5, 1, 0.25], np.float32),
        'image_id': id_column([7, 9]),
        'name': Texts.of(['x.png', 'y/z.png']),
        'size': np.ones((2, 2)),
    }
    return Instances(columns, (1, '18'), 'root')


def test_a_sample_is_a_dictionary_of_its_own(instances):
    sample = instances[1]
    sample['bbox'][:] = 0
    assert instances[1]['bbox'].tolist() == [[4, 5, 6, 7]]
    sample['bbox'] = instances[1]['bbox'].tolist()
    assert sample == {
        'id': 2, 'img_id': 7, 'img_path': 'root/x.png', 'img_index': 0, 'category_id': '18',
        'bbox': [[4, 5, 6, 7]], 'bbox_score': np.float32([1]),
    }  # fmt: skip
    assert [type(sample[key]) for key in ('id', 'img_id', 'img_index')] == [int] * 3


def test_parts_share_the_arrays(instances):
    def ids(some) -> list:
        assert [sample['id'] for sample in some] == list(some.ids())
        assert some.columns is instances.columns
        return list(some.ids())

    assert ids(instances) == ['a', 2, 'c']
    assert ids(instances.take([2, 0])) == ids(instances[::-2]) == ['c', 'a']
    assert ids(instances.take([2, 0]).take(np.array([1]))) == ['a']
    assert ids(instances.take(2)) == ['a', 2] and ids(instances.take(-2)) == [2, 'c']
    assert ids(instances[1:]) == [2, 'c'] and instances[-1]['id'] == 'c'
    assert ids(copy.deepcopy(instances)) == ['a', 2, 'c']
    assert instances.take([2, 1]).images.tolist() == [1, 0]
    with pytest.raises(IndexError):
        instances[3]


def test_they_can_be_pickled(instances):
    again = pickle.loads(pickle.dumps(instances.take([2])))
    assert list(again.ids()) == ['c'] and again[0]['img_path'] == 'root/y/z.png'
