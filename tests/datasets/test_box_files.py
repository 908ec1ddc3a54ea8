import copy
import json
import os
import random
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, pseudo_collate
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from hsjp_mm.datasets import PersonCropDataset, box_files
from hsjp_mm.datasets.coco_files import read_coco, read_results
from hsjp_mm.ops.subsets import subset_order
from hsjp_mm.utils import json_lists

NAMES = ['person', 'dog', 'person']
TRIANGLE = [[1.5, 2, 3, 4, 5, 6]]


def made_up(number: int = 60, texts: bool = False) -> dict:
    """Boxes of every kind: beyond their images, crowds, without outlines, repeated."""
    rng = random.Random(0)
    images = [
        {'id': i, 'file_name': f'deep/{i}.png', 'width': 90 + i, 'height': 70, 'other': [i]}
        for i in range(12)
    ]
    categories = [{'id': 10 * i, 'name': name} for i, name in enumerate(NAMES, start=1)]
    boxes = [
        {
            'id': 3 * i, 'image_id': rng.randrange(14), 'category_id': rng.choice([10, 20, 30]),
            'bbox': [rng.uniform(-20, 80), rng.randrange(60), rng.uniform(1, 60), 30.5],
            'iscrowd': int(rng.random() < 0.1), 'score': rng.random(),
            'segmentation': rng.choice([TRIANGLE, [], None, {'counts': '},', 'size': [1]}]),
        }
        for i in range(number)
    ]  # fmt: skip
    images.insert(3, copy.deepcopy(images[1]))
    boxes += [copy.deepcopy(boxes[0]), {**boxes[5], 'id': float(boxes[5]['id'])}]
    content = {'info': {}, 'annotations': boxes, 'images': images, 'categories': categories}
    if texts:
        for row in boxes + images:
            row.update({key: f'n{row[key]}' for key in ('id', 'image_id') if key in row})
        boxes[1]['id'] = 5
    return content


@pytest.fixture
def save(tmp_path, monkeypatch):
    """A function that writes a file, of which seven entries are read at a time."""
    monkeypatch.setattr(json_lists, 'CHUNK', 7)
    (tmp_path / 'images/deep').mkdir(parents=True)
    for i in range(12):
        (tmp_path / f'images/deep/{i}.png').touch()

    def write(content, name: str = 'boxes.json', **options) -> dict:
        (tmp_path / name).write_text(json.dumps(content))
        return dict(
            ann_file=str(tmp_path / 'boxes.json'), pipeline=[],
            data_prefix={'img': str(tmp_path / 'images')}, **options,
        )  # fmt: skip

    return write


def reference(
    ann_file, data_prefix, bbox_file='', category_names=('person',), annotation_keys=(),
    score_thr=0.0, min_size=1.0, held_out=None, part='train', fraction=None, num_samples=None,
    seed=0, **_,
) -> list[dict]:  # fmt: skip
    """What PersonCropDataset holds, one box after another as version 0.1 read them."""
    coco = read_coco(
        ann_file, lists=['images', 'categories', *(() if bbox_file else ['annotations'])]
    )
    wanted = coco.category_ids(category_names)
    boxes = read_results(bbox_file) if bbox_file else coco.annotations
    images = {image['id']: (i, image) for i, image in enumerate(coco.images)}
    found = []
    for place, row in enumerate(boxes):
        score = row.get('score', 1.0)
        if (
            row['image_id'] not in images or row['category_id'] not in wanted or row.get('iscrowd')
            or score < score_thr or not all(row.get(key) for key in annotation_keys)
        ):  # fmt: skip
            continue
        number, image = images[row['image_id']]
        left, top, width, height = row['bbox']
        box = [
            max(left, 0), max(top, 0), min(left + width, image['width']),
            min(top + height, image['height']),
        ]  # fmt: skip
        if min(box[2] - box[0], box[3] - box[1]) < min_size:
            continue
        sample = {
            'id': place if bbox_file else row['id'],
            'img_id': image['id'],
            'img_path': os.path.join(data_prefix['img'], image['file_name']),
            'category_id': row['category_id'],
            'bbox': np.array([box], np.float32),
            'bbox_score': np.array([score], np.float32),
            'img_index': number,
        }
        if annotation_keys:
            sample['raw_ann_info'] = {key: row[key] for key in ('bbox', *annotation_keys)}
        found.append(sample)
    if held_out:
        names = [image['file_name'] for _, image in images.values()]
        count = min(max(1, round(held_out * len(names))), len(names) - 1)
        chosen = set(subset_order(names, 0)[:count])
        found = [one for one in found if (one['img_index'] in chosen) == (part == 'val')]
    number = num_samples or (round(fraction * len(found)) if fraction else len(found))
    order = sorted(range(len(found)), key=subset_order([one['id'] for one in found], seed).index)
    return [found[i] for i in sorted(order[:number])]


def same(dataset, expected: list[dict]) -> None:
    assert len(dataset) == len(expected) > 0
    for i, sample in enumerate(expected):
        info = dataset.get_data_info(i)
        for key in ('bbox', 'bbox_score'):
            assert info[key].dtype == np.float32 and info[key].shape == sample[key].shape
        assert plain(info) == plain({**sample, 'sample_idx': i})
        assert {type(info[key]) for key in ('id', 'img_id', 'category_id')} <= {int, str}


def plain(sample: dict) -> dict:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in sample.items()}


OPTIONS = [
    {},
    dict(category_names=['dog', 'person'], min_size=25),
    dict(score_thr=0.5, annotation_keys=['segmentation', 'score']),
    dict(num_samples=7, seed=3),
    dict(held_out=0.3, fraction=0.5),
    dict(held_out=0.3, part='val', annotation_keys=['segmentation']),
]


@pytest.mark.parametrize('options', OPTIONS)
@pytest.mark.parametrize('texts', [False, True])
def test_samples_are_those_of_a_list_of_dictionaries(save, options, texts):
    given = save(made_up(texts=texts), **options)
    same(PersonCropDataset(**given), reference(**given))
    assert not isinstance(PersonCropDataset(**given).data_list, list)


@pytest.mark.parametrize('around', [False, True])
def test_boxes_of_a_detector_are_those_of_a_list_of_dictionaries(save, around, tmp_path):
    content = made_up()
    rows = [{k: row[k] for k in ('image_id', 'category_id', 'bbox', 'score')}
            for row in content['annotations']]  # fmt: skip
    save({'found': rows} if around else rows, 'found.json')
    given = save(content, bbox_file=str(tmp_path / 'found.json'), score_thr=0.2, fraction=0.4)
    same(PersonCropDataset(**given), reference(**given))


def test_a_file_that_only_python_reads_is_the_same(save, tmp_path):
    content = made_up()
    content['annotations'][3]['area'] = float('nan')
    given = save(content)
    expected = reference(**given)
    same(PersonCropDataset(**given), expected)
    (tmp_path / 'boxes.json').write_text(json.dumps(content), encoding='utf-16')
    same(PersonCropDataset(**given), expected)


def test_repeated_entries_are_counted_as_before(save, log_file):
    dataset = PersonCropDataset(**save(made_up()))
    assert 'annotations: 2 of 62 entries repeat another one word for word' in log_file.read_text()
    assert 'images: 1 of 13 entries repeat another one' in log_file.read_text()
    assert len(dataset) + sum(dataset.left_out.values()) == 60


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c['annotations'].append({**c['annotations'][2], 'score': 7}),
         r"annotations, id 6: two different entries have this id, with score 0\.\d+ and 7: "),
        (lambda c: c['images'][9].update(id=0), 'images, id 0: two different entries'),
        (lambda c: c['annotations'][40].pop('bbox'), "annotations, id 120: has no 'bbox'"),
        (lambda c: c['annotations'][40].pop('id'), r"annotations\[40\]: has no 'id'"),
        (lambda c: c['annotations'].append(3), r'annotations\[62\] must be a dictionary, not int'),
        (lambda c: c['annotations'][40].update(score=float('inf')), 'id 120: score=inf must be'),
        (lambda c: c.update(images={}), 'images must be a list, not an empty dictionary'),
        (lambda c: c['images'].append({'id': 99}), "images, id 99: has no 'file_name'"),
        (lambda c: c['categories'].append(None), r'categories\[3\] must be a dictionary, not null'),
    ],
)  # fmt: skip
def test_errors_in_a_later_part_name_the_entry(save, change, message):
    content = made_up()
    for row in content['annotations']:
        row.update(image_id=0, iscrowd=0, category_id=10)
    change(content)
    with pytest.raises(ValueError, match=message):
        PersonCropDataset(**save(content))


def test_detections_of_which_some_name_a_category_are_refused(save, tmp_path):
    content = made_up()
    rows = [{k: row[k] for k in ('image_id', 'bbox', 'score')} for row in content['annotations']]
    rows[-1]['category_id'] = 10
    save(rows, 'found.json')
    given = save(content, bbox_file=str(tmp_path / 'found.json'))
    with pytest.raises(ValueError, match=r'have a category_id, and others have none|has no'):
        PersonCropDataset(**given)


# ------------------------------------------------------------------------------ as MMEngine's


def test_parts_of_the_data_set(save):
    given = save(made_up())
    whole = PersonCropDataset(**given)
    expected = reference(**given)
    same(whole.get_subset([5, 2, -1]), [expected[i] for i in (5, 2, -1)])
    same(whole.get_subset(4), expected[:4])
    same(PersonCropDataset(**given, indices=[3, 1]), [expected[3], expected[1]])
    same(PersonCropDataset(**given, indices=-2), expected[-2:])
    same(PersonCropDataset(**given, lazy_init=True), expected)
    whole.get_subset_(range(3))
    same(whole, expected[:3])
    both = ConcatDataset([whole, PersonCropDataset(**given)])
    assert both.get_data_info(4)['id'] == expected[1]['id']


@pytest.mark.slow
@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_give_the_same(save, method):
    given = save(made_up())
    dataset = PersonCropDataset(**given)
    loader = DataLoader(
        dataset, batch_size=4, num_workers=2, collate_fn=pseudo_collate,
        multiprocessing_context=method,
    )  # fmt: skip
    ids = [key for batch in loader for key in batch['id']]
    assert ids == [sample['id'] for sample in reference(**given)]


@pytest.mark.parametrize('part', [1, 2, 3, 100])
def test_an_image_that_is_missing_is_left_out_in_whichever_part_its_boxes_come(
    tmp_path, monkeypatch, part
):
    monkeypatch.setattr(json_lists, 'CHUNK', part)
    asked = []
    size = box_files.stored_size
    monkeypatch.setattr(box_files, 'stored_size', lambda path: asked.append(path) or size(path))
    for number in (0, 2):
        cv2.imwrite(str(tmp_path / f'{number}.jpg'), np.zeros((40, 60, 3), np.uint8))
    rows = [dict(id=i, image_id=i % 3, category_id=1, bbox=[5, 5, 20, 20]) for i in range(6)]
    coco = dict(
        images=[dict(id=i, file_name=f'{i}.jpg') for i in range(3)],
        annotations=rows,
        categories=[dict(id=1, name='person')],
    )
    (tmp_path / 'boxes.json').write_text(json.dumps(coco))
    dataset = PersonCropDataset('boxes.json', data_root=str(tmp_path), pipeline=[])
    assert list(dataset.data_list.ids()) == [0, 2, 3, 5]
    assert dataset.left_out['of images without a size that cannot be read'] == 2
    assert len(asked) == 3  # once each


# ------------------------------------------------------------------------------------ kept boxes


@pytest.fixture
def cached(save, tmp_path, log_file):
    """A function that opens the data set with a cache, and tells what of it was logged."""

    def open_it(content=None, **options) -> tuple[PersonCropDataset, str]:
        if content is not None:
            save(content)
        given = dict(
            ann_file='boxes.json', data_root=str(tmp_path), data_prefix={'img': 'images'},
            pipeline=[], cache='kept', **options,
        )  # fmt: skip
        before = len(log_file.read_text())
        dataset = PersonCropDataset(**given)
        log = log_file.read_text()[before:]
        whole = {**given, 'ann_file': str(tmp_path / 'boxes.json')}
        same(dataset, reference(**{**whole, 'data_prefix': {'img': str(tmp_path / 'images')}}))
        return dataset, log

    return open_it


@pytest.mark.parametrize('texts', [False, True])
def test_a_second_start_does_not_read_the_file(cached, texts, monkeypatch, tmp_path):
    first, log = cached(made_up(texts=texts))
    assert 'cache of boxes: kept in ' in log
    monkeypatch.delattr('hsjp_mm.datasets.box_files.use_json')
    second, log = cached()
    assert 'cache of boxes' not in log and f'{len(first)} of {60 + texts} boxes of ' in log
    assert second.left_out == first.left_out and second.num_images == first.num_images
    cached(held_out=0.3, part='val', test_mode=True)
    assert len(list((tmp_path / 'kept').glob('*.safetensors'))) == 1


def test_labels_are_kept_too(cached):
    content = made_up()
    cached(content, annotation_keys=['segmentation'])
    _, log = cached(annotation_keys=['segmentation'])
    assert 'cache of boxes' not in log
    _, log = cached()  # without them it is another thing
    assert 'kept in' in log


def test_a_changed_file_is_read_anew(cached, tmp_path):
    cached(made_up())
    _, log = cached(made_up(50))
    assert 'is of another state of the files, and is made anew' in log and 'kept in' in log
    os.utime(tmp_path / 'boxes.json', ns=(1, 1))
    assert 'is made anew' in cached()[1]
    assert 'cache of boxes' not in cached()[1]


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    'harm', [cut, flip, lambda path: path.write_bytes(b''), lambda path: path.write_text('{}')]
)
def test_a_damaged_one_is_made_anew(cached, harm, tmp_path):
    cached(made_up())
    (path,) = (tmp_path / 'kept').glob('*.safetensors')
    harm(path)
    _, log = cached()
    assert 'is damaged, and is made anew' in log and 'kept in' in log
    assert 'cache of boxes' not in cached()[1]


def test_a_folder_that_cannot_be_written_to(cached, tmp_path):
    (tmp_path / 'kept').write_text('a file')
    _, log = cached(made_up())
    assert 'nothing is kept in' in log
    (tmp_path / 'kept').unlink()
    cached()
    (path,) = (tmp_path / 'kept').glob('*.safetensors')
    path.with_suffix('.lock').unlink()
    path.with_suffix('.lock').mkdir()  # as one that cannot be opened to write
    assert 'cache of boxes' not in cached()[1]


def test_images_that_could_not_be_read_once_are_tried_again(tmp_path, log_file):
    (tmp_path / 'images').mkdir()
    boxes = [{'id': i, 'image_id': i, 'category_id': 1, 'bbox': [2, 2, 20, 20]} for i in range(3)]
    images = [{'id': i, 'file_name': f'{i}.png'} for i in range(3)]
    content = dict(annotations=boxes, images=images, categories=[{'id': 1, 'name': 'person'}])
    (tmp_path / 'boxes.json').write_text(json.dumps(content))

    def number() -> int:
        data = dict(data_root=str(tmp_path), data_prefix={'img': 'images'}, pipeline=[])
        return len(PersonCropDataset('boxes.json', cache='kept', **data))

    for i in (0, 1):
        cv2.imwrite(str(tmp_path / f'images/{i}.png'), np.zeros((30, 40, 3), np.uint8))
    assert number() == 2
    log = log_file.read_text()
    assert 'nothing is kept in' in log and ': 1 boxes are left out of images without a size' in log
    cv2.imwrite(str(tmp_path / 'images/2.png'), np.zeros((30, 40, 3), np.uint8))
    assert number() == 3
    assert 'kept in' in log_file.read_text()[len(log) :]


def test_a_file_that_is_wrong_is_not_kept(cached, tmp_path):
    content = made_up()
    del content['annotations'][40]['id']
    with pytest.raises(ValueError, match="has no 'id'"):
        cached(content)
    assert not list((tmp_path / 'kept').glob('*.safetensors'))
    (tmp_path / 'boxes.json').unlink()
    with pytest.raises(FileNotFoundError, match=r"ann_file='.*boxes\.json' does not exist"):
        cached()


def test_the_cache_needs_boxes(tmp_path):
    with pytest.raises(ValueError, match="cache='kept' keeps the boxes of ann_file"):
        PersonCropDataset(cache='kept', data_prefix={'img': str(tmp_path)})


def _open(given: dict, barrier, queue) -> None:
    torch.set_num_threads(1)
    logger = MMLogger.get_instance(f'process{os.getpid()}')
    barrier.wait()
    dataset = PersonCropDataset(**given)
    queue.put((logger.name, list(dataset.data_list.ids())))


@pytest.mark.slow
def test_processes_that_come_at_once_make_it_once(save, tmp_path):
    given = save(made_up(2000), cache=str(tmp_path / 'kept'))
    expected = [sample['id'] for sample in reference(**given)]
    context = torch.multiprocessing.get_context('fork')
    barrier, queue = context.Barrier(3), context.Queue()
    workers = [context.Process(target=partial(_open, given, barrier, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [queue.get(timeout=120)[1] for _ in workers]
    for worker in workers:
        worker.join()
    assert found == [expected] * 3
    names = sorted(path.suffix for path in (tmp_path / 'kept').iterdir())
    assert names == ['.lock', '.safetensors']
