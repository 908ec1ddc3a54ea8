import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from hsjp_mm.datasets.image_files import UnreadableImageError
from hsjp_mm.datasets.store import Cut, Options, Reach, UnknownReachError, check_store, writing
from hsjp_mm.datasets.store.files import read_crops, unreadable
from hsjp_mm.datasets.store.writing import stored_region
from tests.datasets.store.photographs import LAST, open_crops, store_crops, write_photographs
from tests.helpers import damage_middle


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return write_photographs(tmp_path_factory.mktemp('photos'))


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_regions_by_hand():
    """A box of 40×40 about (120, 80) in a crop of its own shape; two pixels and blocks around."""
    box, reach = np.array([100, 60, 140, 100]), Reach((Cut((20, 20)),))
    assert stored_region(box, (300, 200), reach, Options()) == ((96, 48, 48, 64), 1)
    assert stored_region(box, (130, 90), reach, Options()) == ((96, 48, 34, 42), 1)
    shrunk = stored_region(box, (300, 200), reach, Options(shrink=True))
    assert shrunk == ((96, 48, 64, 64), 2)  # 40 pixels are 20; 140 and four more are beyond 144
    assert stored_region(box, (300, 200), None, Options(margin=3)) == ((48, 16, 144, 128), 1)


@pytest.mark.parametrize(
    ('option', 'value', 'allowed'),
    [
        ('format', 'png', 'one of jpg, webp'),
        ('quality', 0, 'from 1 to 100'),
        ('margin', 0.5, 'a factor of at least 1'),
        ('shard_size', 0, 'at least 1'),
    ],
)
def test_options_outside_their_range(option, value, allowed):
    with pytest.raises(ValueError, match=f'{option}={value!r} must be {allowed}'):
        Options(**{option: value})


def test_all_crops_are_written_once_image_by_image(photos, tmp_path):
    manifest = store_crops(photos, tmp_path / 'store')
    crops, counts, missing = read_crops(tmp_path / 'store', 4)
    assert counts.tolist() == [5, 5, 5, 1] and len(missing) == 0
    assert sorted(crops.ids.tolist(), key=int) == [
        str(10 * i + j) for i in range(4) for j in range(4)
    ]
    assert (np.diff(np.unique(crops.names, return_inverse=True)[1]) != 0).sum() == 3
    assert manifest['crops'] == manifest['instances'] == 16 and manifest['unreadable'] == 0
    assert manifest['dataset']['ann_file'].endswith('boxes.json')
    assert check_store(tmp_path / 'store') == []


def test_what_was_interrupted_ends_with_the_same_bytes(photos, tmp_path, monkeypatch):
    store_crops(photos, tmp_path / 'whole')
    encode, calls = writing._encode, []

    def stop(*args):
        calls.append(args)
        if len(calls) == 8:  # in the second shard
            raise KeyboardInterrupt
        return encode(*args)

    monkeypatch.setattr(writing, '_encode', stop)
    with pytest.raises(KeyboardInterrupt):
        store_crops(photos, tmp_path / 'resumed')
    assert sorted(content(tmp_path / 'resumed')) == [
        'manifest.json', 'shard-00000.lmdb', 'shard-00000.npz',
    ]  # fmt: skip
    with pytest.raises(ValueError, match='is not whole'):
        check_store(tmp_path / 'resumed')
    store_crops(photos, tmp_path / 'resumed')
    assert content(tmp_path / 'resumed') == content(tmp_path / 'whole')
    assert len(calls) == 8 + 11
    store_crops(photos, tmp_path / 'resumed')
    assert len(calls) == 8 + 11  # all is there


def test_a_shard_that_cannot_be_written_is_told(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, 'MAP_SIZE', 4096 * 4)  # a full disk fails in the same way
    with pytest.raises(OSError, match=r'shard-00000\.lmdb cannot be written: .*is the disk full'):
        store_crops(photos, tmp_path / 'store')
    assert not [*(tmp_path / 'store').glob('*.lmdb'), *(tmp_path / 'store').glob('.shard*')]


def test_two_processes_write_the_same_bytes(photos, tmp_path):
    for workers in (1, 2):
        store_crops(photos, tmp_path / str(workers), workers=workers)
    assert content(tmp_path / '1') == content(tmp_path / '2')


def test_other_options_or_boxes_need_another_folder(photos, tmp_path):
    store_crops(photos, tmp_path)
    with pytest.raises(ValueError, match='begun otherwise: quality was 95; now quality=90'):
        store_crops(photos, tmp_path, quality=90)
    with pytest.raises(ValueError, match=r'begun otherwise: instances was 16; .+ now instances=6'):
        store_crops(photos, tmp_path, open_crops(photos, num_samples=6))


def test_unreadable_images_are_named_and_counted(photos, tmp_path, log_file):
    shutil.copytree(photos, tmp_path / 'photos')
    damage_middle(tmp_path / 'photos/2.jpg')
    (tmp_path / 'photos/3.jpg').unlink()
    manifest = store_crops(tmp_path / 'photos', tmp_path / 'store')
    assert (manifest['crops'], manifest['unreadable']) == (8, 8)
    named = dict(unreadable(tmp_path / 'store'))
    assert sorted(named) == ['20', '21', '22', '23', '30', '31', '32', '33']
    assert '2.jpg' in named['20'] and '3.jpg' in named['33']
    crops = open_crops(tmp_path / 'photos', store=str(tmp_path / 'store'))
    assert len(crops) == 8
    assert crops.left_out['without a readable image in the store'] == 8
    assert '8 of 16 instances left out' in log_file.read_text()
    with pytest.raises(ValueError, match='images of 8 of 16 instances could not be read'):
        len(open_crops(tmp_path / 'photos', store=str(tmp_path / 'store'), test_mode=True))
    with pytest.raises(UnreadableImageError, match=r'[23]\.jpg'):
        crops = open_crops(tmp_path / 'photos', test_mode=True)
        store_crops(tmp_path / 'photos', tmp_path / 'test', crops)


def test_what_cannot_be_stored(photos, tmp_path):
    half_body = [dict(type='RandomHalfBody')]
    with pytest.raises(UnknownReachError, match='RandomHalfBody'):
        store_crops(photos, tmp_path, open_crops(photos, half_body))
    with pytest.raises(ValueError, match=r'margin=2\.0 does not go with shrink=True'):
        store_crops(photos, tmp_path, open_crops(photos, half_body), margin=2.0, shrink=True)
    gray = open_crops(photos)
    gray.pipeline.transforms[0].color_type = 'grayscale'
    with pytest.raises(ValueError, match="color_type='grayscale' cannot be stored"):
        store_crops(photos, tmp_path, gray)
    with pytest.raises(ValueError, match='workers=0 must be at least 1'):
        store_crops(photos, tmp_path, workers=0)
    assert list(tmp_path.iterdir()) == []


def test_a_shrunk_store_is_smaller(photos, tmp_path):
    """The crops are 48×64, and without augmentation the boxes at most 60 wide: 1.25·60 = 75."""
    last = [dict(LAST[0], input_size=(12, 16)), LAST[1]]
    crops = open_crops(photos, (), last)
    whole = store_crops(photos, tmp_path / 'whole', crops)
    shrunk = store_crops(photos, tmp_path / 'shrunk', crops, shrink=True)
    stored, _, _ = read_crops(tmp_path / 'shrunk', len(shrunk['shards']))
    factors = stored.regions[:, 2] / stored.pictures[:, 0]
    assert factors.max() > 4 and factors.min() == 1
    assert sum(len(p.read_bytes()) for p in (tmp_path / 'shrunk').iterdir()) < sum(
        len(p.read_bytes()) for p in (tmp_path / 'whole').iterdir()
    )
    assert json.loads((tmp_path / 'shrunk/manifest.json').read_text())['shrink'] is True
    assert whole['crops'] == shrunk['crops']


@pytest.mark.parametrize('damage', ['cut off', 'gone', 'index cut off'])
@pytest.mark.parametrize('whole', [False, True])
def test_a_shard_that_is_not_whole_is_written_anew(damage, whole, photos, tmp_path):
    store_crops(photos, tmp_path)
    written = content(tmp_path)
    shard = tmp_path / ('shard-00001.npz' if damage.startswith('index') else 'shard-00001.lmdb')
    if damage == 'gone':
        shard.unlink()
    else:
        shard.write_bytes(written[shard.name][:1000])
    if not whole:  # as of a store that was interrupted
        manifest = json.loads((tmp_path / 'manifest.json').read_text())
        (tmp_path / 'manifest.json').write_text(json.dumps({**manifest, 'shards': None}))
    store_crops(photos, tmp_path)
    assert {name: written[name] for name in written if 'shard' in name} == {
        name: found for name, found in content(tmp_path).items() if 'shard' in name
    }
    assert check_store(tmp_path) == []


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(photos, tmp_path):
    dead = subprocess.run([sys.executable, '-c', 'import os; print(os.getpid())'],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    here = f'.shard-00001.lmdb.{socket.gethostname()}'
    left = f'{here}.{dead}'
    others = [f'{here}.{os.getppid()}', f'.shard-00001.lmdb.elsewhere.{dead}']
    for name in (left, *others):
        (tmp_path / name).touch()
    store_crops(photos, tmp_path)
    assert sorted(name for name in content(tmp_path) if name.startswith('.')) == sorted(others)
