import argparse
import json
import re

import pytest

from hsjp_mm.benchmarks import boxes
from hsjp_mm.benchmarks.boxes import load_boxes, measure_boxes, write_boxes


@pytest.mark.parametrize('number', [1, 7, 10])
def test_the_file_is_of_coco_format(number, tmp_path, monkeypatch):
    monkeypatch.setattr(boxes, 'STEP', 3)
    write_boxes(tmp_path / 'a.json', number, 4)
    content = json.loads((tmp_path / 'a.json').read_text())
    assert [row['id'] for row in content['annotations']] == list(range(number))
    assert [image['id'] for image in content['images']] == [0, 1, 2, 3]
    owners = [row['image_id'] for row in content['annotations']]
    assert owners == sorted(owners) and max(owners) <= 3
    assert {len(row['bbox']) for row in content['annotations']} == {4}


@pytest.mark.slow
def test_two_starts_in_this_process(tmp_path, capsys):
    write_boxes(tmp_path / 'a.json', 50, 10)
    for start in ('first', 'second'):
        load_boxes(str(tmp_path / 'a.json'), start)
        line = capsys.readouterr().out.splitlines()[-1]
        assert re.match(rf'{start}: [\d.]+ CPU seconds; peak memory -?\d+ MiB above', line)
    assert list((tmp_path / 'cache').glob('a-*.safetensors'))


def test_exponents(capsys, monkeypatch):
    seconds = iter([1, 5, 2, 5, 8, 5])

    def run(command, **_):
        return f'a log: 3\n{command[-1]}: {next(seconds)} CPU seconds\n'

    monkeypatch.setattr(boxes, 'run_process', run)
    measure_boxes(argparse.Namespace(boxes=40, images=8))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(',')[0] for line in lines[::3]][:3] == ['10 boxes', '20 boxes', '40 boxes']
    assert lines[-1] == 'CPU seconds grow with the boxes to the power of 1.00, 2.00'
