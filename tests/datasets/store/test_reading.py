"""Samples of a store are those of the photographs, but for what encoding loses."""

import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from hsjp_mm.datasets.image_files import UnreadableImageError
from hsjp_mm.datasets.store import CropStore, check_store
from hsjp_mm.ops.seeds import seed_generators
from tests.datasets.store.photographs import (
    BOXES,
    LAST,
    SIZE,
    STEPS,
    open_crops,
    store_crops,
    write_photographs,
)
from tests.helpers import ROOT

VIEWS = (
    dict(type='hsjp_mm.MakeViews', views=[dict(size=(32, 32), num=2, area=(0.2, 1), rotate=20)]),
    dict(type='hsjp_mm.PackViews'),
)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpose')


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return write_photographs(tmp_path_factory.mktemp('photos') / 'photos')


@pytest.fixture(scope='module')
def store(photos):
    init_default_scope('mmpose')
    store_crops(photos, photos.parent / 'store')
    return photos.parent / 'store'


@pytest.fixture
def own_store(store, tmp_path):
    """A copy to damage."""
    shutil.copytree(store, tmp_path / 'store')
    return tmp_path / 'store'


def sample(dataset, index: int) -> dict:
    seed_generators('a test', index)
    return dataset[index % len(dataset)]


def pictures(data: dict) -> np.ndarray:
    inputs = data['inputs']
    return (torch.stack(inputs) if isinstance(inputs, list) else inputs).numpy().astype(float)


def assert_same(mine: dict, stock: dict, mean: float, most: float) -> None:
    """All but the pixels is equal, and these within levels."""
    ours, theirs = mine['data_samples'], stock['data_samples']
    assert ours.metainfo.keys() == theirs.metainfo.keys()
    for key, value in theirs.metainfo.items():
        np.testing.assert_array_equal(ours.metainfo[key], value)
    for key, value in theirs.gt_instances.items():
        np.testing.assert_array_equal(np.asarray(ours.gt_instances[key]), np.asarray(value))
    error = np.abs(pictures(mine) - pictures(stock))
    assert error.mean() <= mean and error.max() <= most


@pytest.mark.parametrize('last', [LAST, VIEWS], ids=['crop', 'views'])
@pytest.mark.parametrize(
    ('options', 'mean', 'most'),
    [({}, 0.6, 6), ({'format': 'webp', 'quality': 95}, 3, 25)],
    ids=['jpg', 'webp'],
)
def test_samples_are_those_of_the_photographs(photos, tmp_path, last, options, mean, most):
    steps = STEPS if last is LAST else ()
    plain = open_crops(photos, steps, last)
    store_crops(photos, tmp_path / 'store', plain, **options)
    stored = open_crops(photos, steps, last, store=str(tmp_path / 'store'))
    for index in range(32):
        assert_same(sample(stored, index), sample(plain, index), mean, most)


def slope(seed: int) -> np.ndarray:
    """Gray, a pixel to the right is 0.6 levels and one downwards 0.4; for odd seeds negative."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    level = (0.6 * x + 0.4 * y).round().astype(np.uint8)
    return np.repeat((255 - level if seed % 2 else level)[..., None], 3, axis=2)


@pytest.mark.parametrize('shrink', [False, True])
@pytest.mark.parametrize('loader', ['LoadImage', 'hsjp_mm.LoadScaledImage'])
@pytest.mark.parametrize('orientation', [1, 3, 6])
@pytest.mark.slow
def test_pixels_stay_in_their_places(tmp_path, shrink, loader, orientation):
    """A displaced crop is brighter on a slope and darker on its negative; 0.6 is a pixel."""
    photos = write_photographs(tmp_path / 'photos', 2, orientation, slope)
    last = [dict(LAST[0], input_size=(12, 16)), LAST[1]]
    inside = [
        STEPS[0],
        dict(type='RandomBBoxTransform', scale_factor=(0.4, 0.9), shift_prob=1.0, rotate_prob=1.0),
    ]
    plain = open_crops(photos, inside, last)
    store_crops(photos, tmp_path / 'store', plain, shrink=shrink)
    stored = open_crops(photos, inside, last, loader, store=str(tmp_path / 'store'))
    errors = []
    for seed in range(20):
        for image, sign in ((0, 0.5), (1, -0.5)):
            mine, stock = (
                [seed_generators('slope', seed), pictures(dataset[len(BOXES) * image])][1]
                for dataset in (stored, plain)
            )
            errors.append(sign * (mine - stock).mean())
    assert abs(2 * np.mean(errors)) < 0.05


def test_boxes_of_a_turned_photograph_are_turned(tmp_path):
    photos = write_photographs(tmp_path / 'photos', 2, orientation=6)
    plain = open_crops(photos)
    store_crops(photos, tmp_path / 'store', plain)
    stored = open_crops(photos, store=str(tmp_path / 'store'))
    for index in range(8):
        mine, stock = sample(stored, index), sample(plain, index)
        assert_same(mine, stock, 0.6, 6)
        assert mine['data_samples'].ori_shape == SIZE  # (height, width) of the turned one


def test_photographs_need_not_be_there(photos, store, tmp_path):
    (tmp_path / 'moved').mkdir()
    shutil.copy(photos / 'boxes.json', tmp_path / 'moved')
    coco = json.loads((photos / 'boxes.json').read_text())
    for image in coco['images']:
        del image['width'], image['height']
    (tmp_path / 'moved/boxes.json').write_text(json.dumps(coco))
    there, moved = open_crops(photos), open_crops(tmp_path / 'moved', store=str(store))
    for index in range(4):
        seed_generators(index)
        mine = pictures(moved[index])
        seed_generators(index)
        assert np.abs(mine - pictures(there[index])).mean() < 1


def test_sizes_of_images_by_their_names(store, own_store):
    crops = CropStore(str(store))
    names = crops.crops.names.tolist()
    assert np.array_equal(crops.sizes_of(names), crops.crops.sizes)
    assert crops.sizes_of([]).shape == (0, 2)
    with pytest.raises(ValueError, match=r'has no size of 1 images, such as other\.jpg'):
        crops.sizes_of([*names, 'other.jpg'])
    (own_store / 'sizes.npz').unlink()
    assert check_store(str(own_store)) == [f'{own_store}/sizes.npz is not here']
    with pytest.raises(FileNotFoundError, match=r'lacks sizes\.npz'):
        CropStore(str(own_store)).sizes_of(names)


def without_sizes(photos, folder):
    """The photographs with boxes.json that gives no size of any; the second cannot be read."""
    shutil.copytree(photos, folder)
    coco = json.loads((folder / 'boxes.json').read_text())
    for image in coco['images']:
        del image['width'], image['height']
    (folder / 'boxes.json').write_text(json.dumps(coco))
    (folder / '1.jpg').write_bytes(b'none')
    return folder


@pytest.mark.parametrize('choice', [dict(fraction=0.5), dict(num_samples=4), dict(held_out=0.3)])
def test_a_part_is_chosen_once_where_the_file_gives_no_sizes(photos, tmp_path, choice):
    """Images that are not in the part have no crop, but the store has their sizes."""
    folder = without_sizes(photos, tmp_path / 'photos')
    chosen = open_crops(folder, **choice)
    store_crops(folder, tmp_path / 'store', open_crops(folder, **choice))
    stored = open_crops(folder, store=str(tmp_path / 'store'), **choice)
    assert list(stored.data_list.ids()) == list(chosen.data_list.ids())
    assert stored.left_out == chosen.left_out
    assert stored.left_out['of images without a size that cannot be read'] == len(BOXES)
    with pytest.raises(UnreadableImageError, match=r'1\.jpg could not be read when store='):
        open_crops(folder, store=str(tmp_path / 'store'), test_mode=True, **choice)


def test_boxes_that_are_kept_with_a_store_are_not_those_without(photos, tmp_path):
    folder = without_sizes(photos, tmp_path / 'photos')
    store_crops(folder, tmp_path / 'store')
    kept = dict(cache=str(tmp_path / 'kept'))
    stored = open_crops(folder, store=str(tmp_path / 'store'), **kept)
    shutil.copy(photos / '1.jpg', folder)  # mended since
    assert len(open_crops(folder, **kept)) == len(stored) + len(BOXES)


def test_names_do_not_depend_on_the_working_folder(photos, tmp_path, monkeypatch):
    (tmp_path / 'list.txt').write_text(f'{photos}/2.jpg\n{photos}/0.jpg\n')
    options = dict(ann_file='', image_list=str(tmp_path / 'list.txt'), data_root='')
    store_crops(photos, tmp_path / 'store', open_crops(photos, **options))
    monkeypatch.chdir(tmp_path)
    assert len(open_crops(photos, store=str(tmp_path / 'store'), **options)) == 2


def test_a_list_of_images_is_stored_whole(photos, tmp_path):
    (tmp_path / 'list.txt').write_text('2.jpg\n0.jpg\n')
    options = dict(ann_file='', image_list=str(tmp_path / 'list.txt'))
    plain = open_crops(photos, **options)
    manifest = store_crops(photos, tmp_path / 'store', plain)
    stored = open_crops(photos, store=str(tmp_path / 'store'), **options)
    assert manifest['crops'] == len(stored) == 2
    for index in range(4):
        assert_same(sample(stored, index), sample(plain, index), 0.6, 6)


def test_subsets_take_what_they_need(photos, store):
    for options in (dict(num_samples=3), dict(held_out=0.25), dict(held_out=0.25, part='val')):
        plain, stored = (
            open_crops(photos, **options, **more) for more in ({}, {'store': str(store)})
        )
        ids = [[d.get_data_info(i)['id'] for i in range(len(d))] for d in (plain, stored)]
        assert ids[0] == ids[1]
    assert len(open_crops(photos, store=str(store), indices=2)) == 2


def changed(photos, tmp_path, change) -> str:
    coco = json.loads((photos / 'boxes.json').read_text())
    change(coco)
    (tmp_path / 'changed.json').write_text(json.dumps(coco))
    return str(tmp_path / 'changed.json')


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (
            lambda coco: coco['annotations'][0]['bbox'].__setitem__(2, 43),
            'with another box: 1, such',
        ),
        (lambda coco: coco['annotations'][0].update(id=99), 'not in it: 1, such as 99'),
        (
            lambda coco: coco['images'][1].update(file_name='b.jpg'),
            r'of another image: 4, such as 10 \(1.jpg in the store, b.jpg here\)',
        ),
    ],
)
def test_a_store_of_something_else(photos, store, tmp_path, change, told):
    dataset = open_crops(
        photos, ann_file=changed(photos, tmp_path, change), store=str(store), lazy_init=True
    )
    with pytest.raises(ValueError, match=f'does not fit the data set; of 16 instances are {told}'):
        dataset.full_init()


def test_a_box_that_was_written_shorter_fits(photos, store, tmp_path):
    def change(coco):
        coco['annotations'][0]['bbox'][0] += 0.05

    assert (
        len(open_crops(photos, ann_file=changed(photos, tmp_path, change), store=str(store))) == 16
    )


def test_augmentation_beyond_the_store_is_found_at_once(photos, store):
    wider = [dict(type='RandomBBoxTransform', scale_factor=(0.5, 2.5))]
    dataset = open_crops(photos, wider, store=str(store))
    with pytest.raises(ValueError, match=r'of 16 crops \d+ reach beyond what is stored, by the'):
        dataset[0]
    larger = [dict(LAST[0], input_size=(96, 128)), LAST[1]]
    assert open_crops(photos, last=larger, store=str(store))[0]['inputs'].shape == (3, 128, 96)


def test_larger_crops_than_a_shrunk_store_has(photos, tmp_path):
    small, large = ([dict(LAST[0], input_size=size), LAST[1]] for size in ((12, 16), (96, 128)))
    store_crops(photos, tmp_path / 'store', open_crops(photos, (), small), shrink=True)
    with pytest.raises(ValueError, match=r'need more pixels than are stored.+ or without shrink'):
        open_crops(photos, (), large, store=str(tmp_path / 'store'))[0]


def test_a_margin_serves_pipelines_of_unknown_reach(photos, tmp_path):
    class Far:
        """Moves the box."""

        def __init__(self, pixels):
            self.pixels = pixels

        def __call__(self, results):
            results['bbox_center'] = results['bbox_center'] + self.pixels
            return results

    for pixels in (4, 60):
        dataset = open_crops(photos, ())
        dataset.pipeline.transforms.insert(2, Far(pixels))
        store_crops(photos, tmp_path / 'store', dataset, margin=2.0)
        stored = open_crops(photos, (), store=str(tmp_path / 'store'))
        stored.pipeline.transforms.insert(2, Far(pixels))
        if pixels == 4:
            assert_same(sample(stored, 0), sample(dataset, 0), 0.6, 6)
        else:
            with pytest.raises(ValueError, match=r'the crop shows x \d+ .+ of the image only x'):
                stored[0]


def overwrite_crop(store, place: int) -> None:
    """Damage a crop in its file, where LMDB does not notice."""
    crops = CropStore(str(store))
    content = crops.encoded(place)
    path = store / f'shard-{int(crops.shards[place]):05d}.lmdb'
    data = bytearray(path.read_bytes())
    middle = data.index(content) + len(content) // 2
    data[middle] ^= 0xFF
    path.write_bytes(data)


def test_a_damaged_crop_is_found_when_it_is_read(photos, own_store):
    overwrite_crop(own_store, 7)
    dataset = open_crops(photos, store=str(own_store), test_mode=True)
    place = [dataset.get_data_info(i)['stored'] for i in range(16)].index(7)
    with pytest.raises(UnreadableImageError, match=r'shard-00001\.lmdb is damaged there'):
        dataset[place]
    training = open_crops(photos, store=str(own_store))
    assert training[place]['data_samples'].metainfo['skipped']
    [found] = check_store(own_store)
    assert 'shard-00001.lmdb is damaged: its SHA-256' in found


def test_files_that_are_cut_or_missing(photos, own_store):
    path = own_store / 'shard-00000.lmdb'
    path.write_bytes(path.read_bytes()[:-4096])
    dataset = open_crops(photos, store=str(own_store))
    shards = [dataset.get_data_info(i)['shard'] for i in range(16)]
    with pytest.raises(ValueError, match=r'shard-00000\.lmdb has \d+ bytes, and should have'):
        dataset[shards.index(0)]
    (own_store / 'shard-00002.lmdb').unlink()
    with pytest.raises(FileNotFoundError, match=r'shard-00002\.lmdb is not here.+PartSampler'):
        dataset[shards.index(2)]
    assert dataset[shards.index(1)]
    assert len(check_store(own_store)) == 2


def test_nothing_is_written_where_it_is_read(photos, own_store):
    for path in (*own_store.iterdir(), own_store):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path.name: path.stat().st_mtime_ns for path in own_store.iterdir()}
    dataset = open_crops(photos, store=str(own_store))
    assert all(dataset[i] for i in range(16))
    assert {path.name: path.stat().st_mtime_ns for path in own_store.iterdir()} == before
    own_store.chmod(0o755)


@pytest.mark.slow
def test_workers_that_are_forked_after_it_was_opened(photos, store):
    dataset = open_crops(photos, store=str(store))
    first = sample(dataset, 0)
    expected = [dataset.get_data_info(i)['id'] for i in range(16)]
    for _ in range(2):
        loader = DataLoader(
            dataset, 4, num_workers=2, collate_fn=pseudo_collate, multiprocessing_context='fork'
        )
        ids = [s.id for batch in loader for s in batch['data_samples']]
        assert ids == expected
    assert_same(sample(dataset, 0), first, 0, 0)


def test_it_is_sent_to_other_processes_without_open_files(photos, store):
    dataset = open_crops(photos, store=str(store))
    first = sample(dataset, 3)
    copy = pickle.loads(pickle.dumps(dataset))
    assert_same(sample(copy, 3), first, 0, 0)


def test_the_stock_crop_is_refused_with_the_reason(photos, store):
    last = [dict(type='TopdownAffine', input_size=(48, 64)), LAST[1]]
    with pytest.raises(TypeError, match=r'TopdownAffine cannot take the image of .+ or of a store'):
        open_crops(photos, last=last, store=str(store))[0]


def test_without_lmdb(photos, store, monkeypatch):
    monkeypatch.setitem(sys.modules, 'lmdb', None)
    with pytest.raises(ImportError, match='a store of crops needs lmdb: run `pip install lmdb`'):
        CropStore(str(store))


def test_crops_can_be_read_with_opencv(photos, store):
    crops = CropStore(str(store))
    told = crops.describe(4)
    picture = cv2.imdecode(np.frombuffer(crops.encoded(4), np.uint8), cv2.IMREAD_COLOR)
    left, top, width, height = told['region']
    assert picture.shape[1::-1] == tuple(told['picture']) == (width, height)
    whole = cv2.imread(str(photos / told['name']))
    part = whole[top : top + height, left : left + width]
    assert np.abs(part.astype(float) - picture).mean() < 0.6


TWO_PROCESSES = """
import json, os, sys
import torch.distributed as dist
from mmengine.registry import init_default_scope
from recipe import build_loader, write_tars
from hsjp_mm.datasets import PartSampler
from tests.datasets.store.photographs import LAST, open_crops
from tests.helpers import leave_group

photos, folder = sys.argv[1:]
init_default_scope('mmpose')
dist.init_process_group('gloo')
rank = dist.get_rank()
for other in range(1 - rank, 4, 2):
    os.unlink(f'{folder}/{rank}/shard-{other:05d}.lmdb')  # a machine of its own
dataset = open_crops(photos, store=f'{folder}/{rank}')
sampler = PartSampler(dataset, seed=0)
ids = [dataset[index]['data_samples'].id for index in sampler]
if rank == 0:
    write_tars(f'{folder}/whole', f'{folder}/tars')
dist.barrier()
first = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
loader = build_loader(f'{folder}/tars', [*first, *LAST], 2, num_workers=2)
batches = [batch for _, batch in zip(range(16), loader)]
shapes = {tuple(one.shape) for batch in batches for one in batch['inputs']}
streamed = [int(one.id) for batch in batches for one in batch['data_samples']]
with open(f'{folder}/{rank}.json', 'w') as file:
    json.dump([ids, streamed, sorted(shapes)], file)
leave_group()
"""


@pytest.mark.slow
def test_two_processes_read_parts_of_a_store_and_of_tar_files(photos, store, tmp_path):
    """PartSampler, and the recipe of docs/store.md as it stands there."""
    for name in ('0', '1', 'whole'):
        shutil.copytree(store, tmp_path / name)
    (tmp_path / 'tars').mkdir()
    page = (ROOT / 'docs/store.md').read_text()
    [recipe] = [code for code in re.findall(r'```python\n(.*?)```', page, re.S) if 'Tar' in code]
    (tmp_path / 'recipe.py').write_text(recipe)
    (tmp_path / 'pair.py').write_text(TWO_PROCESSES)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [
            sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2',
            '--master_port', str(port), str(tmp_path / 'pair.py'), str(photos), str(tmp_path),
        ],
        env={**os.environ, 'PYTHONPATH': f'{ROOT}:{tmp_path}'},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    crops = CropStore(str(store))
    shards = dict(zip(map(int, crops.crops.ids), crops.shards.tolist(), strict=True))
    streams = []
    for rank in (0, 1):
        ids, streamed, shapes = json.loads((tmp_path / f'{rank}.json').read_text())
        mine = {key for key, shard in shards.items() if shard % 2 == rank}
        assert set(ids) <= mine and len(ids) == 8
        assert set(streamed) == mine  # 32 samples go round more than once
        assert shapes == [[3, 64, 48]]
        streams.append(set(streamed))
    assert streams[0] | streams[1] == set(shards)


def test_labels_of_a_turned_image_are_refused_from_the_store_too(tmp_path):
    photos = write_photographs(tmp_path / 'photos', orientation=6)
    store_crops(photos, tmp_path / 'store')
    keys = dict(annotation_keys=['category_id'], test_mode=True)
    for store in ('', str(tmp_path / 'store')):
        with pytest.raises(UnreadableImageError, match=r'annotation_keys=.* are not turned'):
            open_crops(photos, store=store, **keys)[0]
