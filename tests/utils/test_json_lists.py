import gc
import json
import random

import pytest

from hsjp_mm.utils import json_lists
from hsjp_mm.utils.files import read_json
from hsjp_mm.utils.json_lists import chunks, decoded, use_json


def read(path, keys=()):
    """What a file holds, by way of the chunks."""

    def whole(value):
        if not json_lists.is_list(value):
            return value
        return [row for part in chunks(value, keys) for row in part]

    def use(content):
        if isinstance(content, dict):
            return {key: whole(value) for key, value in content.items()}
        return whole(content)

    return use_json(path, 'file', use)


ROWS = [{'id': i, 'x': [i, {'y': '},{"'}], 'nothing': None} for i in range(7)]
NUMBERS = [0.1, 1e-320, 1.7976931348623157e308, -0.0, 2**64, -(2**70), 5e-324, True]
CONTENTS = [
    {'info': {'a': 1}, 'rows': ROWS, 'empty': [], 'number': 3, 'text': 'é'},
    ROWS,
    [],
    {},
    NUMBERS,
    {'rows': NUMBERS},
    7,
    'text',
    None,
]


@pytest.mark.parametrize('content', CONTENTS)
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-32'])
def test_files_are_read_as_by_python(content, encoding, tmp_path, monkeypatch):
    monkeypatch.setattr(json_lists, 'CHUNK', 3)
    path = tmp_path / 'a.json'
    for text in (json.dumps(content), f' \n{json.dumps(content, indent=1, ensure_ascii=False)} '):
        path.write_text(text, encoding=encoding)
        assert repr(read(path)) == repr(read_json(path, 'file')) == repr(content)


@pytest.mark.parametrize(
    'row',
    ['NaN', '-Infinity', '1e400', '"\\ud800"', '{"id": NaN}', '{"id": 1, "id": 2}', '[[]]', 'true'],
)
def test_what_only_python_reads_is_read(row, tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(f'{{"rows": [{row}]}}')
    assert repr(read(path)) == repr(json.loads(path.read_text()))


@pytest.mark.parametrize(
    'data',
    [b'', b' ', b'{"rows": [{"id": 1},]}', b'[01]', b'{"rows": [1]', b'[1] 2', b'[' * 10**5,
     b'{"rows": ["\xff"]}', b'{"a": 1,}'],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_json_has_the_usual_error(data, tmp_path):
    path = tmp_path / 'a.json'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"file='.*a\.json' (is no JSON|must be text)") as expected:
        read_json(path, 'file')
    with pytest.raises(ValueError) as found:
        read(path)
    assert str(found.value) == str(expected.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"file='.*a\.json' does not exist"):
        read(tmp_path / 'a.json')


def test_keys_that_are_not_needed_may_be_left_out(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(ROWS))
    assert read(path, ('id', 'other')) == [{'id': i} for i in range(7)]


def test_decoded(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps({'rows': ROWS}))
    assert use_json(path, 'file', lambda content: decoded(content['rows'])) == ROWS
    assert decoded(ROWS) is ROWS


@pytest.mark.parametrize('seed', range(3))
def test_random_numbers_are_the_same_to_the_last_bit(seed, tmp_path):
    rng = random.Random(seed)
    numbers = [rng.uniform(-1, 1) * 10 ** rng.randint(-310, 300) for _ in range(1000)]
    numbers += [round(rng.uniform(0, 640), rng.randint(0, 6)) for _ in range(1000)]
    path = tmp_path / 'a.json'
    path.write_text(json.dumps({'rows': numbers}))
    assert read(path)['rows'] == numbers


def test_an_error_of_what_uses_it_is_not_tried_again(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('[]')
    calls = []

    def use(content):
        calls.append(content)
        raise ValueError('mine')

    with pytest.raises(ValueError, match='mine'):
        use_json(path, 'file', use)
    assert len(calls) == 1


def test_the_collector_of_garbage_runs_on_afterwards(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('[]')
    assert use_json(path, 'file', lambda content: gc.isenabled()) is False
    with pytest.raises(KeyError):
        use_json(path, 'file', lambda content: {}['a'])
    assert gc.isenabled()
