"""Files of meshes, read again."""

import re

import numpy as np
import pytest
from PIL import Image

from hsjp_mm.visualization.mesh_files import WRITERS, write_gif, write_obj, write_page, write_ply

VERTICES = np.array([[0, 0, 2], [1, 0, 2], [0, 1, 2.5], [0.5, 0.5, 3]])
FACES = np.array([[0, 1, 2], [1, 3, 2]])
UPRIGHT = np.array([1, -1, -1])


def test_obj(tmp_path):
    write_obj(tmp_path / 'a.obj', VERTICES, FACES)
    lines = [line.split() for line in (tmp_path / 'a.obj').read_text().splitlines()]
    points = [[float(value) for value in line[1:]] for line in lines if line[0] == 'v']
    corners = [[int(value) for value in line[1:]] for line in lines if line[0] == 'f']
    np.testing.assert_allclose(points, VERTICES * UPRIGHT)
    np.testing.assert_array_equal(corners, FACES + 1)


def test_ply(tmp_path):
    write_ply(tmp_path / 'a.ply', VERTICES, FACES)
    header, _, data = (tmp_path / 'a.ply').read_bytes().partition(b'end_header\n')
    assert b'element vertex 4\n' in header and b'element face 2\n' in header
    points = np.frombuffer(data, '<f4', 12).reshape(4, 3)
    np.testing.assert_allclose(points, VERTICES * UPRIGHT)
    faces = np.frombuffer(data[48:], [('count', 'u1'), ('corners', '<i4', 3)])
    assert faces['count'].tolist() == [3, 3]
    np.testing.assert_array_equal(faces['corners'], FACES)


def test_gif(tmp_path):
    write_gif(tmp_path / 'a.gif', VERTICES, FACES)
    with Image.open(tmp_path / 'a.gif') as picture:
        assert picture.n_frames == 36
        assert picture.info['loop'] == 0


def test_a_page_holds_everything(tmp_path):
    write_page(tmp_path / 'a.html', VERTICES, FACES, 'One & only')
    text = (tmp_path / 'a.html').read_text()
    assert 'One &amp; only' in text
    assert not re.search(r'(src|href)=|https?:', text)
    assert text.count('<script>') == 1 and 'data-vertices="' in text


def test_endings():
    assert [*WRITERS] == ['.obj', '.ply', '.gif', '.html']
    with pytest.raises(KeyError):
        WRITERS['.stl']
