import runpy
import sys

import numpy as np
import pytest

from hsjp_mm.cli import main as hsjp_mm
from hsjp_mm.datasets.mesh_files import read_mesh_file
from tests.datasets.converters.scene import smpl_folder
from tests.datasets.converters.test_h36m import annotations  # noqa: F401
from tests.datasets.converters.test_spin_npz import arrays
from tests.helpers import ROOT

TOOL = runpy.run_path(str(ROOT / 'tools/convert_mesh.py'))


def test_every_converter_has_its_options():
    import importlib
    import inspect

    folder = ROOT / 'hsjp_mm/datasets/converters'
    kinds = {path.stem for path in folder.glob('*.py')} - {'__init__', 'samples'}
    assert set(TOOL['OPTIONS']) == kinds
    for kind, options in TOOL['OPTIONS'].items():
        module = importlib.import_module(f'hsjp_mm.datasets.converters.{kind}')
        taken = set(inspect.signature(module.convert).parameters) - {'source', 'out', 'runs'}
        assert taken == {'bodies' if option == 'body' else option for option in options}, kind


def test_it_says_what_it_took_and_left_out(tmp_path, capsys):
    np.savez(tmp_path / 'spin.npz', **arrays())
    out = tmp_path / 'mesh/out.npz'
    assert TOOL['main'](['spin_npz', str(tmp_path / 'spin.npz'), '--out', str(out)]) == 0
    said = capsys.readouterr().out
    assert f'{out}: 2 samples in 2 images' in said
    assert 'left out: 1 with an empty box' in said
    assert len(read_mesh_file(out)) == 2


def test_bodies_give_translations(annotations, tmp_path, capsys):  # noqa: F811
    body = smpl_folder(tmp_path / 'smpl')
    out = str(tmp_path / 'out.npz')
    argv = ['h36m', str(annotations), '--out', out, '--split', 'test', '--body', str(body)]
    assert TOOL['main'](argv) == 0
    assert '4 with translation' in capsys.readouterr().out


def test_mistakes_are_told_in_one_sentence(tmp_path, capsys):
    out = ['--out', str(tmp_path / 'out.npz')]
    for argv, message in (
        (['eft', str(tmp_path), *out, '--split', 'x'], '--split is not for eft, which takes none'),
        (['h36m', str(tmp_path), *out, '--joints', 'x'], '--joints is not for h36m, which takes'),
        (['neuralannot', str(tmp_path), *out], '--labels is needed for neuralannot'),
        (['mupots', str(tmp_path / 'none'), *out], 'does not exist'),
        (['h36m', str(tmp_path), *out, '--split', 'x'], "--split='x' must be one of train, test"),
        (['h36m', str(tmp_path), *out, '--body', str(tmp_path / 'none')], "--body='"),
        (['eft', str(tmp_path), '--out', 'labels'], "--out='labels' must end in .npz"),
    ):
        assert TOOL['main'](argv) == 2
        assert message in capsys.readouterr().err


def test_the_command_is_two_words(monkeypatch):
    monkeypatch.setattr(sys, 'argv', [])
    with pytest.raises(SystemExit) as caught:
        hsjp_mm(['convert', 'mesh', '--help'])
    assert (caught.value.code, sys.argv) == (0, ['hsjp-mm convert-mesh', '--help'])
