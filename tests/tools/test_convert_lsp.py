import json
import runpy

from tests.datasets.test_lsp import people, write
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/convert_lsp.py'))['main']


def test_writes_the_persons_asked_for(tmp_path, capsys):
    root = write(tmp_path, people(4), extended=False)
    out = tmp_path / 'annotations/lsp.json'
    given = [str(root / 'joints.mat'), '--images', str(root / 'images')]
    assert main([*given, '--first', '2', '--last', '3', '--out', str(out)]) == 0
    assert f'{out}: 2 persons' in capsys.readouterr().out
    names = [image['file_name'] for image in json.loads(out.read_text())['images']]
    assert names == ['im0002.jpg', 'im0003.jpg']

    assert main([*given, '--last', '9', '--out', str(out)]) == 2
    assert '--first 1 and --last 9 must be' in capsys.readouterr().err
