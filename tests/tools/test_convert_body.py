import pickle
import runpy
import sys

import pytest

from hsjp_mm.cli import main as hsjp_mm
from hsjp_mm.models.body_models.smpl_files import GENDERS, read_arrays
from tests.helpers import ROOT
from tests.models.body_models.bodies import made_up_body

TOOL = runpy.run_path(str(ROOT / 'tools/convert_body.py'))


def test_a_pickle_becomes_plain_arrays_beside_it(tmp_path, capsys):
    (tmp_path / 'SMPL_FEMALE.pkl').write_bytes(pickle.dumps(made_up_body(), 2))
    assert TOOL['main']([str(tmp_path), '--gender', 'female']) == 0
    said = capsys.readouterr().out
    assert f'{tmp_path / "SMPL_FEMALE.npz"} (' in said and 'shapedirs        (30, 3, 4)' in said
    assert set(read_arrays(tmp_path / 'SMPL_FEMALE.npz')) == set(made_up_body())
    assert TOOL['GENDERS'] == tuple(GENDERS)


def test_mistakes_are_told_in_one_sentence(tmp_path, capsys):
    assert TOOL['main']([str(tmp_path)]) == 2
    assert 'SMPL_NEUTRAL.pkl' in capsys.readouterr().err
    (tmp_path / 'body.pkl').write_bytes(b'cos\nsystem\n.')
    assert TOOL['main']([str(tmp_path / 'body.pkl')]) == 2
    assert 'os.system is not allowed' in capsys.readouterr().err
    assert not (tmp_path / 'body.npz').exists()


def test_the_command_is_two_words_or_one(monkeypatch):
    for words in (['convert', 'body', '--help'], ['convert-body', '--help']):
        monkeypatch.setattr(sys, 'argv', [])
        with pytest.raises(SystemExit) as caught:
            hsjp_mm(words)
        assert (caught.value.code, sys.argv) == (0, ['hsjp-mm convert-body', '--help'])
