"""What each reader of ours makes of these faults is in the tests of that reader."""

import copy
import json

import numpy as np
import pytest

from hsjp_mm.datasets.coco_files import Entries, check_coco, read_coco, read_results

COCO = {
    'info': {'year': 2026},
    'images': [
        {'id': 1, 'file_name': 'a.jpg', 'width': 64, 'height': 48},
        {'id': 2, 'file_name': 'b.jpg', 'width': 30, 'height': 40},
    ],
    'categories': [{'id': 1, 'name': 'person'}, {'id': 18, 'name': 'dog'}],
    'annotations': [
        {'id': 7, 'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 3, 4]},
        {'id': 8, 'image_id': 2, 'category_id': 18, 'bbox': [1, 2, 3, 4.5]},
    ],
}


@pytest.fixture
def write(tmp_path):
    """A function that writes COCO with one entry changed, and gives the path."""

    def write_it(key: str = 'annotations', index: int = 1, **changes) -> str:
        coco = copy.deepcopy(COCO)
        entry = coco[key][index]
        entry.update(changes)
        for name in [name for name, value in changes.items() if value is ...]:
            del entry[name]
        (tmp_path / 'a.json').write_text(json.dumps(coco))
        return str(tmp_path / 'a.json')

    return write_it


def save(path, content) -> str:
    path.write_text(json.dumps(content))
    return str(path)


# ------------------------------------------------------------------------------------ annotations


def test_a_sound_file_is_read_as_it_stands(write):
    coco = read_coco(write())
    assert coco.content == COCO
    assert (coco.images.rows, coco.categories.rows) == (COCO['images'], COCO['categories'])
    assert coco.annotations.rows == COCO['annotations']
    assert coco.sizes().tolist() == [[64, 48], [30, 40]]
    assert coco.annotations.numbers('bbox', 4).tolist() == [[1, 2, 3, 4], [1, 2, 3, 4.5]]


def test_only_the_lists_that_are_asked_for_are_checked(tmp_path):
    path = save(tmp_path / 'a.json', {'images': COCO['images'], 'annotations': [{}]})
    coco = read_coco(path, lists=['images'])
    assert (len(coco.images), len(coco.annotations), len(coco.categories)) == (2, 0, 0)
    with pytest.raises(ValueError, match=r"annotations\[0\]: has no 'id'"):
        read_coco(path, lists=['images', 'annotations'])


@pytest.mark.parametrize('written', ['7', 7.0, '7.5', 'seven', '007', '-7', '0'])
def test_one_id_in_any_writing(written, write):
    meant = {'7': 7, 7.0: 7, '-7': -7, '0': 0}.get(written, written)
    coco = read_coco(write('annotations', 0, id=written))
    assert coco.annotations[0]['id'] == meant
    assert type(coco.annotations[0]['id']) is type(meant)


def test_ids_of_different_writing_meet(write):
    images = [{**image, 'id': str(image['id'])} for image in COCO['images']]
    coco = check_coco({**copy.deepcopy(COCO), 'images': images}, 'a file')
    assert [image['id'] for image in coco.images] == [1, 2]
    coco = read_coco(write(image_id=2.0, category_id='18'))
    assert coco.annotations[1]['image_id'] == 2
    assert coco.annotations[1]['category_id'] == 18


@pytest.mark.parametrize('value', [None, True, 1.5, float('nan'), [1], {}, ''])
@pytest.mark.parametrize('key', ['id', 'image_id', 'category_id'])
def test_what_is_no_id(key, value, write):
    with pytest.raises(ValueError, match=rf"ann_file='.*a\.json': annotations.*{key}=.* must be"):
        read_coco(write(**{key: value}))


@pytest.mark.parametrize(
    ('list_', 'key', 'message'),
    [
        ('images', 'id', r"ann_file='.*': images\[1\]: has no 'id', a whole number or a text"),
        ('categories', 'id', r"categories\[1\]: has no 'id'.*1 of 2 entries are without"),
        ('annotations', 'id', r"annotations\[1\]: has no 'id'"),
        ('annotations', 'image_id', r"annotations, id 8: has no 'image_id', the id of an image"),
        ('annotations', 'category_id', r"annotations, id 8: has no 'category_id'"),
    ],
)
def test_missing_ids(list_, key, message, write):
    with pytest.raises(ValueError, match=message):
        read_coco(write(list_, **{key: ...}))


@pytest.mark.parametrize('list_', ['images', 'categories', 'annotations'])
def test_two_entries_of_one_id_are_refused_unless_they_are_the_same(list_, log_file):
    coco = copy.deepcopy(COCO)
    coco[list_].append(copy.deepcopy(coco[list_][0]))
    assert check_coco(coco, 'the file').content == COCO
    assert f'the file: {list_}: 1 of 3 entries repeat' in log_file.read_text()
    coco[list_][-1]['name'] = 'other'
    with pytest.raises(ValueError, match=rf'the file: {list_}, id \d: two different .* with name'):
        check_coco(coco, 'the file')


def test_7_and_text_7_are_one_id():
    coco = copy.deepcopy(COCO)
    coco['images'].append({**coco['images'][0], 'id': '1', 'file_name': 'c.jpg'})
    with pytest.raises(ValueError, match=r"id 1: two .* with file_name 'a\.jpg' and 'c\.jpg'"):
        check_coco(coco, 'the file')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([], "with 'images', 'categories' and 'annotations'; it holds list"),
        (None, 'it holds null'),
        ({}, 'it holds an empty dictionary'),
        ({**COCO, 'images': None}, r"ann_file='.*': images must be a list, not null"),
        ({**COCO, 'images': {'1': {}}}, 'images must be a list, not keys 1'),
        ({**COCO, 'annotations': [7]}, r'annotations\[0\] must be a dictionary, not int'),
        ({'images': [], 'annotations': []}, 'it holds keys images, annotations'),
    ],
)
def test_another_format(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_coco(save(tmp_path / 'a.json', content))


def test_categories_of_one_name_are_all_taken(write):
    coco = read_coco(write('categories', name='person'))
    assert coco.category_ids(['person']) == {1, 18}
    assert read_coco(write()).category_ids(['dog', 'person']) == {1, 18}
    assert read_coco(write()).category_ids(['dog']) == {18}


@pytest.mark.parametrize('name', [..., None, 3, ''])
def test_a_category_without_a_name(name, write):
    with pytest.raises(ValueError, match=r'categories, id 18: .*name'):
        read_coco(write('categories', name=name)).category_ids(['person'])


@pytest.mark.parametrize('width', [..., None, 0])
def test_images_without_a_size(width, write):
    sizes = read_coco(write('images', width=width)).sizes()
    assert sizes[0].tolist() == [64, 48] and np.isnan(sizes[1]).all()


@pytest.mark.parametrize('width', ['64', -1, float('nan'), float('inf'), [64]])
def test_a_size_that_is_none(width, write):
    with pytest.raises(ValueError, match=r'images, id 2: width=.* must be the width of the image'):
        read_coco(write('images', width=width)).sizes()


# ---------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    'box',
    [
        None, [], [1, 2, 3], [1, 2, 3, 4, 5], ['1', '2', '3', '4'], [1, 2, 3, None], 'none', 7,
        [1, 2, 3, float('nan')], [float('nan')] * 4, [float('inf'), 2, 3, 4], [[1, 2, 3, 4]],
        {'x': 1},
    ],
)  # fmt: skip
def test_a_box_is_four_finite_numbers(box, write):
    entries = read_coco(write(bbox=box)).annotations
    with pytest.raises(
        ValueError, match=r'annotations, id 8: bbox=.* must be left, top.*1 of 2 entries are wrong'
    ):
        entries.numbers('bbox', 4)
    assert entries.take([0]).numbers('bbox', 4).tolist() == [[1, 2, 3, 4]]
    entries = Entries([entries[1]] * 2, 'all of them')
    with pytest.raises(ValueError, match=r'all of them.*2 of 2 entries are wrong'):
        entries.numbers('bbox', 4)


def test_single_numbers_and_defaults():
    entries = Entries([{'score': 0.5}, {}, {'score': 1}], 'f')
    assert entries.numbers('score', default=0.25).tolist() == [0.5, 0.25, 1]
    with pytest.raises(ValueError, match=r"f\[1\]: has no 'score', a finite number; 1 of 3"):
        entries.numbers('score')
    for score in (None, '0.5', float('nan'), [0.5]):
        with pytest.raises(ValueError, match=r'f\[1\]: score=.* must be a finite number'):
            Entries([{'score': 1}, {'score': score}], 'f').numbers('score')
    assert Entries([{'score': 2**70}, {'score': 1}], 'f').numbers('score')[0] == 2.0**70
    assert Entries([], 'f').numbers('bbox', 4).shape == (0, 4)


def test_flags():
    rows = [{'iscrowd': 1}, {'iscrowd': 0}, {}, {'iscrowd': None}, {'iscrowd': True}]
    assert Entries(rows, 'f').flags('iscrowd').tolist() == [True, False, False, False, True]
    for value in ('0', 2, 0.5, [1]):
        with pytest.raises(ValueError, match=r'f\[1\]: iscrowd=.* must be 0 or 1'):
            Entries([{}, {'iscrowd': value}], 'f').flags('iscrowd')


# ---------------------------------------------------------------------------------------- results

RESULTS = [
    {'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'score': 0.5},
    {'image_id': '2', 'category_id': 1.0, 'bbox': [1, 2, 3, 4], 'score': 0.5},
]


def test_results_bare_or_in_a_dictionary_with_one_list(tmp_path):
    expected = [RESULTS[0], {**RESULTS[1], 'image_id': 2, 'category_id': 1}]
    assert read_results(save(tmp_path / 'a.json', RESULTS)).rows == expected
    wrapped = {'version': 1, 'detections': RESULTS}
    assert read_results(save(tmp_path / 'a.json', wrapped)).rows == expected
    with pytest.raises(ValueError, match=r"bbox_file='.*a\.json' must be a list.*keys images"):
        read_results(save(tmp_path / 'a.json', {'images': [], 'annotations': []}))
    with pytest.raises(ValueError, match=r"results='.*a\.json' must be a list, not str"):
        read_results(save(tmp_path / 'a.json', 'none'), 'results')


def test_results_without_a_category_have_the_one_there_is(tmp_path):
    bare = [{k: v for k, v in row.items() if k != 'category_id'} for row in RESULTS]
    found = read_results(save(tmp_path / 'a.json', bare), category_id=18)
    assert [row['category_id'] for row in found] == [18, 18]
    with pytest.raises(ValueError, match=r"bbox_file='.*'\[0\]: has no 'category_id'.*2 of 2"):
        read_results(save(tmp_path / 'a.json', bare))
    with pytest.raises(ValueError, match=r"'\[0\]: has no 'category_id'.*1 of 2"):
        read_results(save(tmp_path / 'a.json', [bare[0], RESULTS[1]]), category_id=18)


def test_results_without_an_image(tmp_path):
    with pytest.raises(ValueError, match=r"bbox_file='.*'\[1\]: has no 'image_id'"):
        read_results(save(tmp_path / 'a.json', [RESULTS[0], {'category_id': 1}]))
