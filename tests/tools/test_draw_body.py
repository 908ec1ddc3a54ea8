import runpy

import numpy as np

from hsjp_mm.datasets.mesh_files import write_mesh_file
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/draw_body.py'))['main']


def test_writes_what_the_ending_says(tmp_path, capsys):
    content = dict(
        body='free', image_path=np.array(['a.jpg']), image_size=np.zeros((1, 2), int),
        box=np.array([[0, 0, 5, 5.0]]), id=np.array([7]), pose=np.zeros((1, 24, 3)),
        has_pose=np.array([True]),
    )  # fmt: skip
    write_mesh_file(tmp_path / 'a.npz', content)
    assert main([str(tmp_path / 'a.npz'), '--out', str(tmp_path / 'out/a.obj')]) in (None, 0)
    assert (tmp_path / 'out/a.obj').read_text().count('\nv ') == 1228
    assert main([str(tmp_path / 'a.npz'), '--id', '8', '--out', str(tmp_path / 'a.obj')]) == 2
    assert 'no sample of --id=8' in capsys.readouterr().err
    assert main([str(tmp_path / 'a.npz'), '--out', str(tmp_path / 'a.stl')]) == 2
    assert 'must end in one of .obj, .ply, .gif, .html' in capsys.readouterr().err
