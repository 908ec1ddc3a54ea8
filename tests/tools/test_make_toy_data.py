import json
import runpy

import cv2

from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/make_toy_data.py'))['main']


def test_writes_the_data_and_a_preview(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(['--out', 'toy', '--train', '2', '--val', '1', '--preview', 'a.png'])
    for split, count in (('train', 2), ('val', 1)):
        path = tmp_path / f'toy/annotations/person_keypoints_{split}.json'
        assert len(json.loads(path.read_text())['images']) == count
    assert cv2.imread(str(tmp_path / 'a.png')).shape == (480, 4 * 640, 3)


def test_a_mistake_names_the_flag(tmp_path, capsys):
    assert main(['--out', str(tmp_path / 'toy'), '--train', '-1']) == 2
    assert '--train must be at least 1, got -1' in capsys.readouterr().err
    bodies = ['--kind', 'bodies', '--out', str(tmp_path / 'toy'), '--workers', '0']
    assert main(bodies) == 2
    assert '--workers must be at least 1' in capsys.readouterr().err


def test_there_are_two_looks(tmp_path, capsys):
    assert main(['--kind', 'bodies', '--out', str(tmp_path / 'toy'), '--look', 'grey']) == 2
    assert "--look='grey' must be one of ('varied', 'plain')" in capsys.readouterr().err


def test_bodies_come_with_meshes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(['--kind', 'bodies', '--out', 'toy', '--train', '1', '--val', '1', '--preview', 'a.png'])
    assert (tmp_path / 'toy/mesh/train.npz').is_file()
    assert cv2.imread(str(tmp_path / 'a.png')).shape == (480, 4 * 640, 3)


def test_the_look_of_bodies_is_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for look in ('varied', 'plain'):
        main(['--kind', 'bodies', '--out', look, '--train', '1', '--val', '1', '--look', look])
    varied, plain = (next((tmp_path / look / 'train').iterdir()) for look in ('varied', 'plain'))
    assert varied.name == plain.name
    assert plain.stat().st_size < varied.stat().st_size  # less is in it


def test_what_only_bodies_have_is_refused_for_figures(tmp_path, capsys):
    assert main(['--out', str(tmp_path / 'toy'), '--workers', '2']) == 2
    assert '--workers needs --kind bodies' in capsys.readouterr().err
    assert not (tmp_path / 'toy').exists()
