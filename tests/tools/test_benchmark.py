"""Each benchmark once, at its smallest: what it compares runs, and its line is printed."""

import os
import re
import runpy
import subprocess
import sys

import pytest

from hsjp_mm.datasets.toy import render
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/benchmark.py'))['main']
SMALL = ['--rounds', '1', '--threads', '1']


@pytest.fixture(scope='module')
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp('people') / 'toy'
    render(folder, num_train=3, num_val=1, image_size=(96, 96))
    return folder


def run(*arguments):
    """What a benchmark prints, in a process of its own, for it sets threads and seeds."""
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/benchmark.py'), *arguments, *SMALL],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        timeout=900,  # most of it imports, several times where processes are compared
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def ratios(printed):
    """What the lines end with; each is a ratio of two positive times or sizes."""
    return [float(text) for text in re.findall(r'ratio ([\d.]+)', printed)]


@pytest.mark.slow
def test_step():
    printed = run('step', '--batch', '1', '--side', '96')
    assert 'HSJP' in printed and 'stock top-down with 36 keypoints' in printed
    assert len(ratios(printed)) == 1 and ratios(printed)[0] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ('what', 'side', 'ours', 'theirs'),
    [('jigclu-step', 64, 'JigClu', 'two views'), ('pbn-step', 128, 'PBN', 'stock hourglass')],
)
def test_steps_with_their_memory(what, side, ours, theirs):
    printed = run(what, '--batch', '2', '--side', str(side))
    memory, seconds = printed.splitlines()
    assert memory.startswith('peak memory of a training step') and 'MiB' in memory
    assert seconds.startswith('training step') and f'{ours} ' in seconds and theirs in seconds
    assert len(ratios(printed)) == 2 and min(ratios(printed)) > 0


@pytest.mark.slow
def test_mesh_steps_against_their_backbone():
    printed = run('mesh-step', '--batch', '2', '--side', '64', '--rounds', '1').splitlines()
    assert len(printed) == 2
    for name, line in zip(('HMR', 'PARE'), printed, strict=True):
        assert re.match(
            rf'training step, ResNet-50, 64x64, 2 persons, cpu: {name} .+ s, the backbone alone',
            line,
        )
        assert len(ratios(line)) == 2 and min(ratios(line)) > 0


@pytest.mark.slow
def test_pretext_steps_against_the_first(people):
    configs = [
        f'hsjp_mm::demo/{name}_hrnet-tiny_1xb32-1000i_toy-96x96.py' for name in ('hsjp', 'simclr')
    ]
    printed = run(
        'pretext-step', '--configs', *configs, '--data', str(people), '--split', 'train',
        '--batch', '2',
    )  # fmt: skip
    [line] = printed.splitlines()[-1:]
    assert re.match(r'training step, 2 persons, cpu: simclr_.+ s, hsjp_.+ s, ratio .+ MiB', line)
    assert len(ratios(line)) == 2 and min(ratios(line)) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ('what', 'lines'), [('pipeline', ['HSJP']), ('jigclu-pipeline', ['', ' without reading it'])]
)
def test_pipelines(what, lines, people):
    printed = run(what, '--data', str(people), '--split', 'train', '--persons', '2')
    assert len(ratios(printed)) == len(lines) and min(ratios(printed)) > 0
    assert printed.count('the same 2 persons') == len(lines)


@pytest.mark.slow
def test_pipeline_of_large_photographs(people):
    printed = run(
        'photo-pipeline', '--data', str(people), '--split', 'train', '--persons', '3',
        '--megapixels', '0.3',
    )  # fmt: skip
    assert len(ratios(printed)) == 2 and min(ratios(printed)) > 0
    for keep in (0, 1):
        assert re.search(rf'photographs of 0\.3 megapixels, .+ MB each, keep={keep}, the', printed)


@pytest.mark.slow
def test_stores(people):
    printed = run(
        'store', '--data', str(people), '--split', 'train', '--persons', '3', '--megapixels', '0.3'
    )
    assert len(ratios(printed)) == 3 and min(ratios(printed)) > 0
    for what in ('of a store', 'of 0.3 megapixels, shrink=False', 'of 0.3 megapixels, shrink=True'):
        assert re.search(rf'{re.escape(what)}, .+ kB a crop, the same 3 persons', printed)


@pytest.mark.slow
def test_decode():
    printed = run('decode', '--map-sizes', '32', '--crowds', '1', '2')
    grouping, enlarging = printed.split('\n\n')
    rows = [line.split() for part in (grouping, enlarging) for line in part.splitlines()[2:]]
    assert [row[:2] for row in rows] == [['32', '1'], ['32', '2']] * 2
    # a pass over so small maps takes microseconds, which are shown as such
    assert all(float(value) > 0 for row in rows for value in row[2:])


@pytest.mark.slow
def test_dataset():
    printed = run('dataset', '--images', '5', '--boxes', '12')
    assert printed.startswith('annotation file of 5 images, 12 boxes, ')
    found = dict(re.findall(r'^(\S+): (\d+) instances', printed, re.MULTILINE))
    assert found == {'none': '0', 'hsjp_mm.PersonCropDataset': '12', 'mmpose.CocoDataset': '12'}


@pytest.mark.slow
def test_communication(people):
    config = 'hsjp_mm::demo/{}_hrnet-tiny_1xb32-1000i_toy-96x96.py'
    printed = run(
        'communication', '--configs', config.format('hsjp'), config.format('jigclu'),
        '--data', str(people), '--split', 'train', '--batch', '2',
    )  # fmt: skip
    hsjp, jigclu = re.findall(r'gradients ([\d,]+) bytes, other things ([\d,]+) bytes', printed)
    assert hsjp[1] == '0', 'a puzzle is of one process alone'
    # numbers of images; and the vectors and logits of 2 images, patches of whom are exchanged
    assert int(jigclu[1].replace(',', '')) > 2 * 4 * 128 * 4


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['decode', '--rounds', '0'], '--rounds=0 must be at least 1'),
        (['decode', '--map-sizes', '64', '0'], '--map-sizes=0 must be at least 1'),
        (['decode', '--map-sizes', '64', '5'], '--map-sizes=5 must be at least 6 cells'),
        (['decode', '--map-sizes', '64', '50'], '--map-sizes=50 must be a multiple of 4 cells'),
        (['boxes', '--boxes', '-1'], '--boxes=-1 must be at least 1'),
        (['boxes', '--boxes', '3'], '--boxes=3 must be at least 4'),
        (['dataset', '--images', '10', '--boxes', '9'], '--boxes=9 must be at least 10'),
        (['step', '--threads', '0'], '--threads=0 must be at least 1'),
        (['step', '--megapixels', 'nan'], '--megapixels=nan must be above 0'),
        (['step', '--device', 'foo'], "--device='foo' cannot be used"),
        (['pretext-step', '--configs', 'no.py'], "--configs='no.py' does not exist"),
    ],
)
def test_what_cannot_be_measured_is_told(arguments, said, capsys):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
