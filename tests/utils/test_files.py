import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hsjp_mm.utils.files import (
    file_sha256,
    is_same_file,
    make_whole,
    read_json,
    read_text,
    reading,
    writable_file,
    writable_folder,
    write_json,
    written_whole,
)

TEXT = '{"Zoë": [1, 2.5]}\n'


def test_hash_of_a_file(tmp_path):
    (tmp_path / 'a').write_bytes(b'abc' * 100_000)
    assert file_sha256(tmp_path / 'a') == hashlib.sha256(b'abc' * 100_000).hexdigest()


@pytest.mark.parametrize(
    'encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32']
)
def test_text_and_json_of_any_unicode_encoding(encoding, tmp_path):
    (tmp_path / 'a.json').write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / 'a.json', 'ann_file') == TEXT
    assert read_json(tmp_path / 'a.json', 'ann_file') == {'Zoë': [1, 2.5]}


def test_an_empty_file_is_an_empty_text_and_no_json(tmp_path):
    (tmp_path / 'a').touch()
    assert read_text(tmp_path / 'a', 'ann_file') == ''
    with pytest.raises(ValueError, match=r"ann_file='.*/a' is no JSON: Expecting value"):
        read_json(tmp_path / 'a', 'ann_file')


@pytest.mark.parametrize('read', [read_text, read_json])
def test_what_cannot_be_read_is_named(read, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--list='.*/none' does not exist"):
        read(tmp_path / 'none', '--list')
    with pytest.raises(FileNotFoundError, match=r"--list='.*' is a folder"):
        read(tmp_path, '--list')
    (tmp_path / 'latin').write_bytes('{"a": 1,\n"Zoë": 2}'.encode('latin-1'))
    with pytest.raises(ValueError, match=r"--list='.*latin' must be text in UTF-8.*line 2 is in"):
        read(tmp_path / 'latin', '--list')


def test_half_a_json_is_named(tmp_path):
    (tmp_path / 'a.json').write_text('{"images": [')
    with pytest.raises(ValueError, match=r"bbox_file='.*a\.json' is no JSON: Expecting"):
        read_json(tmp_path / 'a.json', 'bbox_file')
    (tmp_path / 'a.json').write_text('[' * 100_000)
    with pytest.raises(ValueError, match='is no JSON: maximum recursion'):
        read_json(tmp_path / 'a.json', 'bbox_file')


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, {'Zoë': [1, 2.5]})
    with pytest.raises(TypeError):
        write_json(path, {'Zoë': object()})
    assert read_json(path, 'a') == {'Zoë': [1, 2.5]}
    assert [file.name for file in tmp_path.iterdir()] == ['a.json']


def test_a_folder_is_made_once_and_whole(tmp_path):
    folder = tmp_path / 'data'

    def fail(path):
        path.mkdir()
        (path / 'first').touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_whole(folder, fail)
    assert not folder.exists()
    made = []
    for _ in range(2):
        make_whole(folder, lambda path: made.append(path.mkdir()))
    assert len(made) == 1 and list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == [folder]


def test_of_two_that_make_a_folder_one_waits_for_the_other(tmp_path):
    made = []

    def make(path):
        path.mkdir()
        time.sleep(0.2)
        made.append((path / 'last').touch())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: make_whole(tmp_path / 'data', make), range(2)))
    assert len(made) == 1 and (tmp_path / 'data/last').exists()


@pytest.mark.parametrize('check', [writable_file, writable_folder])
def test_what_can_be_written_is_taken_and_nothing_made(check, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ('a.json', 'new/folder/a.json', tmp_path / 'a'):
        assert check(path, '--out') == Path(path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    for path in ('file/a', 'file/a/b'):
        for check in (writable_file, writable_folder):
            with pytest.raises(NotADirectoryError, match=r"--out='.*' cannot be .*file is a file"):
                check(tmp_path / path, '--out')
    with pytest.raises(IsADirectoryError, match=r"--out='.*' is a folder; give the name of a file"):
        writable_file(tmp_path, '--out')
    with pytest.raises(NotADirectoryError, match=r"--out='.*file' is a file; give the name of a f"):
        writable_folder(tmp_path / 'file', '--out')
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    for check, path in ((writable_folder, tmp_path), (writable_file, tmp_path / 'file')):
        with pytest.raises(PermissionError, match=r"--out='.*' cannot be written: .* is read-only"):
            check(path, '--out')


def test_one_file_by_two_names(tmp_path):
    (tmp_path / 'a').touch()
    (tmp_path / 'b').touch()
    (tmp_path / 'link').symlink_to('a')
    assert is_same_file(tmp_path / 'a', tmp_path / 'link')
    assert not is_same_file(tmp_path / 'a', tmp_path / 'b')
    assert not is_same_file(tmp_path / 'c', tmp_path / 'c')


def test_a_file_that_could_not_be_finished_leaves_the_one_before(tmp_path):
    path = tmp_path / 'new/a.txt'
    with written_whole(path) as new:
        new.write_text('whole')
    with pytest.raises(OSError, match='full'), written_whole(path) as new:
        new.write_text('ha')
        raise OSError('the disk is full')
    assert path.read_text() == 'whole'
    assert list(path.parent.iterdir()) == [path]


def test_the_suffix_of_a_file_to_write(tmp_path):
    assert writable_file(tmp_path / 'a.npz', '--out', suffix='.npz') == tmp_path / 'a.npz'
    with pytest.raises(ValueError, match=r"--out='.*/a' must end in \.npz"):
        writable_file(tmp_path / 'a', '--out', suffix='.npz')


def test_what_a_reader_fails_by_names_the_file():
    for error, message in (
        (IndexError('out of range'), 'a.mat cannot be read: out of range'),
        (EOFError(), 'a.mat cannot be read: EOFError'),
    ):
        with pytest.raises(ValueError, match=message), reading('a.mat cannot be read'):
            raise error
    with pytest.raises(FileNotFoundError, match='none'), reading('a.mat cannot be read'):
        raise FileNotFoundError('none')
