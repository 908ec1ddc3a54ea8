"""JSON that is there whole or not at all."""

import pytest

from hsjp_mm.utils.files import read_json, write_json


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, {'a': [1, 'ü']})
    assert read_json(path) == {'a': [1, 'ü']}
    with pytest.raises(TypeError):
        write_json(path, {'a': object()})
    assert read_json(path) == {'a': [1, 'ü']}
    assert [file.name for file in tmp_path.iterdir()] == ['a.json']


def test_what_is_no_json_is_named(tmp_path):
    (tmp_path / 'a.json').write_text('{')
    with pytest.raises(ValueError, match=r'a\.json is no JSON'):
        read_json(tmp_path / 'a.json')
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / 'b.json')
