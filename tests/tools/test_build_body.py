import runpy
import sys

import numpy as np

from hsjp_mm.models.body_models import free_body
from tests.helpers import ROOT


def test_arrays_are_written_and_told(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(free_body, 'bodies_of_anny', lambda *numbers: asked.append(numbers))
    arrays = {'shapedirs': np.zeros((1229, 3, 10), np.float32)}
    monkeypatch.setattr(free_body, 'make_free_body', lambda bodies: arrays)
    tool = runpy.run_path(str(ROOT / 'tools/build_body.py'))
    path = tmp_path / 'body.npz'
    assert tool['main'](['--out', str(path), '--number', '3', '--seed', '2']) == 0
    assert asked == [(3, 2)]
    assert '1,229 vertices, 10 shape components' in capsys.readouterr().out
    assert np.load(path)['shapedirs'].shape == (1229, 3, 10)


def test_without_anny_the_command_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'anny', None)
    tool = runpy.run_path(str(ROOT / 'tools/build_body.py'))
    assert tool['main'](['--out', str(tmp_path / 'body.npz')]) == 2
    assert 'needs anny: run `pip install anny`' in capsys.readouterr().err


def test_the_name_is_looked_at_before_bodies_are_made(monkeypatch, capsys):
    monkeypatch.setattr(free_body, 'bodies_of_anny', None)
    tool = runpy.run_path(str(ROOT / 'tools/build_body.py'))
    assert tool['main'](['--out', 'body']) == 2
    assert "--out='body' must end in .npz" in capsys.readouterr().err
