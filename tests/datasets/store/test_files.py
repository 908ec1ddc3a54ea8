import json

import numpy as np
import pytest

from hsjp_mm.datasets.instances import Texts
from hsjp_mm.datasets.store.files import (
    KINDS,
    Crops,
    begin_manifest,
    crop_arrays,
    image_name,
    index_path,
    plain,
    read_crops,
    read_manifest,
    read_sizes,
    write_sizes,
)
from hsjp_mm.utils.files import write_arrays
from tests.helpers import cuts


def test_every_attribute_of_crops_has_its_kind():
    assert tuple(KINDS) == tuple(Crops.__dataclass_fields__)


def test_arrays_of_no_crop_keep_their_shapes():
    arrays = crop_arrays([])
    assert arrays['regions'].shape == (0, 4) and arrays['ids'].shape == (0,)
    assert arrays['sums'].dtype == np.uint32


def test_a_store_that_was_begun_otherwise_is_left_alone(tmp_path):
    begin_manifest(tmp_path, {'quality': 95, 'reach': (1, 2)}, {'ann_file': 'a.json'})
    begin_manifest(tmp_path, {'quality': 95, 'reach': [1, 2]}, {'ann_file': 'moved/a.json'})
    with pytest.raises(ValueError, match=r'begun otherwise: quality was 95; now quality=90\. Give'):
        begin_manifest(tmp_path, {'quality': 90, 'reach': [1, 2]}, {})
    assert json.loads((tmp_path / 'manifest.json').read_text())['quality'] == 95


def test_what_is_no_whole_store(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'is no store of crops: it has no manifest\.json'):
        read_manifest(tmp_path)
    begin_manifest(tmp_path, {}, {})
    with pytest.raises(ValueError, match='is not whole: the command that writes it, given once'):
        read_manifest(tmp_path)
    (tmp_path / 'manifest.json').write_text('{"version": 7, "shards": []}')
    with pytest.raises(ValueError, match='has the version 7, this hsjp_mm reads 1'):
        read_manifest(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'lacks shard-00000\.npz'):
        read_crops(tmp_path, 1)


def test_a_file_that_is_cut_off_is_named(tmp_path):
    sizes = np.ones((2, 2))
    write_sizes(tmp_path, Texts.of(['a.jpg', 'b.jpg']), sizes)
    write_arrays(index_path(tmp_path, 0), {**crop_arrays([]), 'unreadable': np.array(['7'])})
    for _ in cuts(tmp_path / 'sizes.npz'):
        with pytest.raises(ValueError, match=r'sizes\.npz is damaged; copy the store anew'):
            read_sizes(tmp_path)
    for _ in cuts(index_path(tmp_path, 0)):
        with pytest.raises(ValueError, match=r'shard-00000\.npz is damaged; copy the store anew'):
            read_crops(tmp_path, 1)
    assert read_sizes(tmp_path)[1].tolist() == sizes.tolist()
    assert read_crops(tmp_path, 1)[2].tolist() == ['7']


def test_names_are_below_the_folder():
    assert image_name('data/train/a/1.jpg', 'data/train') == 'a/1.jpg'
    assert image_name('1.jpg', '') == '1.jpg'


def test_plain_values():
    assert plain({'a': (1, None), 2: np.int64}) == {'a': [1, None], '2': repr(np.int64)}
