"""The command line: light until the arguments are read, and one shape of errors."""

import argparse
import json
import os
import runpy
import subprocess
import sys

import pytest

from hsjp_mm import cli
from hsjp_mm.analysis import keypoint_errors, part_groups
from hsjp_mm.benchmarks import running
from hsjp_mm.cli import FILES, TASKS, Parser, command, main, overview, pair
from hsjp_mm.datasets.subset_files import UNITS
from hsjp_mm.environment.requirements import VersionError
from hsjp_mm.probing import classification, pose
from tests.helpers import ROOT

HEAVY = ('torch', 'mmengine', 'mmpose', 'mmdet', 'mmcv', 'numpy', 'cv2', 'matplotlib')

# Runs every command with --help and with an unknown flag; prints what it left in sys.modules.
ALL_HELPS = f"""
import contextlib, io, json, sys, time
from hsjp_mm.cli import FILES, main
found = {{}}
for name in FILES:
    for flag in ('--help', '--no-such-flag'):
        out, err = io.StringIO(), io.StringIO()
        start = time.process_time()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([name, flag])
                status = 'returned'
            except SystemExit as end:
                status = end.code
        heavy = [module for module in {HEAVY!r} if module in sys.modules]
        seconds = time.process_time() - start
        found[name + ' ' + flag] = [status, out.getvalue() + err.getvalue(), heavy, seconds]
print(json.dumps(found))
"""


@pytest.fixture(scope='module')
def helps() -> dict[str, list]:
    done = subprocess.run(
        [sys.executable, '-c', ALL_HELPS],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'COLUMNS': '100'},
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize('name', FILES)
def test_help_says_how_and_imports_nothing_heavy(name, helps):
    status, said, heavy, seconds = helps[f'{name} --help']
    assert (status, heavy) == (0, [])
    assert said.startswith(f'usage: hsjp-mm {name} ')
    assert seconds < 0.5


@pytest.mark.parametrize('name', FILES)
def test_wrong_arguments_are_told_at_once(name, helps):
    status, said, heavy, seconds = helps[f'{name} --no-such-flag']
    assert (status, heavy) == (2, [])
    assert f'hsjp-mm {name}: error: ' in said
    assert seconds < 0.5


# A path that does not exist, and a folder in a file's place, of each command that reads files.
MISSING = {
    'check-data': ['no.json', '.'],
    'subset': ['.', '--out', 'x.json', '--number', '1'],
    'priors': ['no.json'],
    'groups': ['no.csv'],
    'extract': ['no.pth', '--out', 'x.pth'],
    'convert': ['.', '--out', 'x.pth'],
    'check-init': ['no.py', 'no.pth'],
    'browse': ['.'],
    'probe': ['no.py', 'none', '.', '--protocol', 'knn'],
    'probe-pose': ['no.py', 'no.pth'],
    'analyze': ['no.json', '--ann', 'no.json'],
    'oracle': ['.'],
    'detect': ['no.py', 'no.pth', '.', '--out', 'x.json'],
    'draw': ['no.py', 'no.pth', '.'],
    'compare': ['no.py', '--init', 'scratch', '--out', 'x'],
    'benchmark': ['pipeline', '--data', 'nowhere'],
    'demo': ['--data', 'nowhere'],
    'train': ['.'],
    'test': ['no.py', 'no.pth'],
}
NO_SUCH_FILES = f"""
import contextlib, io, json, sys
from hsjp_mm.cli import main
found = {{}}
for name, arguments in {MISSING!r}.items():
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            status = main([name, *arguments])
        except SystemExit as end:
            status = end.code
    found[name] = [status, err.getvalue(), 'torch' in sys.modules]
print(json.dumps(found))
"""


def test_a_mistyped_path_is_told_before_the_long_imports(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', NO_SUCH_FILES],
        check=True, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    for name, (status, said, torch) in json.loads(done.stdout).items():
        assert (status, torch) == (2, False), name
        assert said.startswith(f'hsjp-mm {name}: ') and len(said.splitlines()) == 1
        assert any(words in said for words in ('does not exist', 'is not a file', 'is a folder'))


# What stands in the place of --out, and the rest of a command whose inputs are there.
OUT_IS_A_FOLDER = {
    'subset': ['a.json', '--number', '1'],
    'groups': ['a.json'],
    'extract': ['a.pth'],
    'convert': ['a.pth'],
    'convert-lsp': ['a.mat', '--images', 'folder'],
    'convert-mesh': ['eft', 'a.json'],
    'convert-body': ['a.pkl'],
    'build-body': [],
    'draw-body': ['a.npz'],
    'probe': ['a.py', 'none', 'folder', '--protocol', 'knn'],
    'probe-pose': ['a.py', 'a.pth'],
    'detect': ['a.py', 'a.pth', 'folder'],
}
OUT_IS_A_FILE = {
    'check-data': ['a.json', 'folder'],
    'priors': ['a.json'],
    'analyze': ['a.json', '--ann', 'a.json'],
    'browse': ['a.py'],
    'draw': ['a.py', 'a.pth', 'folder'],
    'draw-mesh': ['a.py', 'a.pth', 'folder'],
    'toy': [],
}
OUT_IS_AN_INPUT = {
    'convert': ['out.pth'],
    'groups': ['out.pth'],
    'probe-pose': ['a.py', 'a.pth', 'out.pth'],
}
WRONG_OUT = f"""
import contextlib, io, json, sys
from hsjp_mm.cli import main
found = []
for commands, out in (
    ({OUT_IS_A_FOLDER!r}, 'folder'), ({OUT_IS_A_FILE!r}, 'a.json'), ({OUT_IS_AN_INPUT!r}, 'out.pth')
):
    for name, arguments in commands.items():
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            try:
                status = main([name, *arguments, '--out', out])
            except SystemExit as end:
                status = end.code
        found.append([name, status, err.getvalue(), 'torch' in sys.modules])
print(json.dumps(found))
"""


def test_an_out_that_cannot_be_is_told_before_the_long_imports(tmp_path):
    (tmp_path / 'folder').mkdir()
    for name in ('a.json', 'a.pth', 'a.mat', 'a.pkl', 'a.npz', 'a.py', 'out.pth'):
        (tmp_path / name).touch()
    done = subprocess.run(
        [sys.executable, '-c', WRONG_OUT],
        check=True, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert len(told) == len(OUT_IS_A_FOLDER) + len(OUT_IS_A_FILE) + len(OUT_IS_AN_INPUT)
    for name, status, said, torch in told:
        assert (status, torch) == (2, False), name
        assert said.startswith(f'hsjp-mm {name}: --out=') and len(said.splitlines()) == 1
        assert any(w in said for w in ('is a folder', 'is a file', 'must be another file than'))
    assert not any((tmp_path / name).read_bytes() for name in ('a.json', 'out.pth'))


def test_a_needed_out_and_what_is_unknown(capsys):
    for rest, said in (
        ([], '--out is needed'),
        (['a', 'b', '--bogus'], '--out is needed; unknown: a b --bogus'),
    ):
        parser = Parser('Writes.')
        parser.add_out('what')
        with pytest.raises(SystemExit):
            parser.parse_args(rest)
        assert capsys.readouterr().err.splitlines()[-1].endswith(f'error: {said}')


def test_every_tool_is_a_command():
    tools = {path.stem for path in ROOT.glob('tools/*.py')}
    assert set(FILES.values()) == tools
    assert len(FILES) == sum(map(len, TASKS.values()))


def test_overview_fits_a_screen(capsys):
    for arguments in ([], ['--help'], ['help']):
        assert main(arguments) == 0
        assert capsys.readouterr().out == overview() + '\n'
    lines = overview().splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 80
    assert all(any(line.startswith(f'  {name} ') for line in lines) for name in FILES)


def test_unknown_command_is_told_the_nearest(capsys):
    for name, nearest in (
        ('trian', 'train'),
        ('probe_pose', 'probe-pose'),
        ('check', 'check-init'),
    ):
        assert main([name, 'x']) == 2
        assert f'no command {name!r}, is {nearest} meant?' in capsys.readouterr().err
    assert main(['xyz']) == 2
    assert "no command 'xyz'; `hsjp-mm` lists them all" in capsys.readouterr().err


def test_choices_and_defaults_are_those_of_the_modules():
    """They stand in the tools as well, for the modules import torch."""

    def tool(name: str) -> dict:
        return runpy.run_path(str(ROOT / f'tools/{name}.py'))

    assert tool('probe')['PROTOCOLS'] == classification.PROTOCOLS
    names = 'PERSONS', 'ITERATIONS'
    assert [tool('probe_pose')[n] for n in names] == [getattr(pose, n) for n in names]
    assert tool('make_subset')['UNITS'] == tuple(UNITS)
    names = 'HEAD', 'EXTENT'
    assert [tool('part_groups')[n] for n in names] == [getattr(part_groups, n) for n in names]
    names = 'IOU_TYPES', 'METAINFO'
    analyze = tool('analyze_keypoints')
    assert [analyze[n] for n in names] == [getattr(keypoint_errors, n) for n in names]
    assert tool('benchmark')['MEASURES'] == tuple(running.MEASURES)


@pytest.mark.slow
@pytest.mark.parametrize('module', ['analysis.keypoint_errors', 'analysis.keypoint_priors'])
def test_what_needs_no_network_imports_no_torch(module):
    code = f'import sys, hsjp_mm.{module}, hsjp_mm.visualization.{module.split(".")[1]}; '
    code += "assert 'torch' not in sys.modules"
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    subprocess.run([sys.executable, '-c', code], check=True, env=environment)


def broken(error: Exception):
    """A command that fails so."""

    def arguments() -> Parser:
        parser = Parser('Fails.', {'use_area=False': '--no-area'})
        parser.prog = 'hsjp-mm broken'
        parser.add_argument('config')
        parser.add_argument('--grid', type=int)
        parser.add_cfg_options()
        return parser

    @command(arguments)
    def run(args: argparse.Namespace) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ('error', 'said'),
    [
        (ValueError('grid=7 must divide 224'), '--grid=7 must divide 224'),
        (ValueError("config='x' has config=1"), "CONFIG='x' has config=1"),
        (ValueError('grid must be at least 2'), '--grid must be at least 2'),
        (ValueError('grid[0] is odd'), '--grid[0] is odd'),
        (ValueError('a/b.yml: grid=7 is odd'), 'a/b.yml: --grid=7 is odd'),
        (ValueError('grid of 7'), 'grid of 7'),
        (
            ValueError('write dict(head=dict(grid=7, grid=8, use_area=False, b=(use_area=False))'),
            'write dict(head=dict(grid=7, grid=8, --no-area, b=(use_area=False))',
        ),
        (ValueError('model: grid=7'), 'model: grid=7'),
        (ValueError('use_area=Falsehood'), 'use_area=Falsehood'),
        (ValueError('grid: none'), '--grid: none'),
        (ValueError("model.grid=3, 'grid=3', subgrid=3"), "model.grid=3, 'grid=3', subgrid=3"),
        (ValueError('or use_area=False, that is'), 'or --no-area, that is'),
        (ValueError('cfg_options=[1] do not fit'), '--cfg-options=[1] do not fit'),
        (FileNotFoundError(2, 'No such file', 'a.json'), "[Errno 2] No such file: 'a.json'"),
        (ImportError('needs sklearn: run `pip install scikit-learn`'), 'needs sklearn: run `pip '),
        (VersionError('hsjp_mm needs numpy<2'), 'hsjp_mm needs numpy<2'),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(error, said, capsys):
    assert broken(error)(['x.py']) == 2
    err = capsys.readouterr().err
    assert err.startswith(f'hsjp-mm broken: {said}') and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    'error', [KeyError('x'), TypeError('x'), ImportError('x'), RuntimeError('x'), AssertionError()]
)
def test_a_bug_stays_a_traceback(error):
    with pytest.raises(type(error)):
        broken(error)(['x.py'])


def test_a_value_error_of_torch_is_a_bug():
    import torch

    def run() -> None:
        torch.nn.functional.interpolate(torch.zeros(1, 1, 2, 2), size=(1,))

    with pytest.raises(ValueError, match='spatial dimensions'):
        cli.report_mistakes(run, 'x')


def test_what_a_config_asks_for_and_is_not_there_is_a_mistake(capsys):
    from mmengine.registry import MODELS

    import hsjp_mm.models  # noqa: F401

    for config, said in (
        (dict(type='NoSuchNet'), 'NoSuchNet is not in the'),
        (dict(type='mmpose.ResNet', depth=18, no_such=1), "keyword argument 'no_such'"),
    ):
        assert cli.report_mistakes(lambda config=config: MODELS.build(config), 'x') == 2
        assert said in capsys.readouterr().err


def test_stopping_is_status_130(capsys):
    def run() -> None:
        raise KeyboardInterrupt

    assert cli.report_mistakes(run, 'hsjp-mm x') == 130
    assert capsys.readouterr().err == 'hsjp-mm x: stopped\n'


def test_pairs():
    assert pair('a.b=c=d') == 'a.b=c=d'
    for text in ('a', '=b'):
        with pytest.raises(argparse.ArgumentTypeError, match='must be KEY=VALUE'):
            pair(text)


@pytest.mark.slow
def test_from_any_folder_in_a_process_of_its_own(tmp_path):
    """``python -m hsjp_mm`` reads the configs of the package, and ends with the status."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, '-m', 'hsjp_mm', *arguments],
            capture_output=True, text=True, cwd=tmp_path, env=environment,
        )  # fmt: skip

    done = run('toy', '--out', 'toy ä', '--train', '2', '--val', '1')
    assert (done.returncode, done.stderr) == (0, '')
    done = run('priors', 'toy ä/annotations/person_keypoints_train.json')
    assert (done.returncode, done.stderr) == (0, '')
    assert (tmp_path / 'keypoint_priors/head.png').is_file()
    config = 'hsjp_mm::demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py'
    done = run('browse', config, '--cfg-options', 'val_dataloader.dataset.data_root=toy ä')
    assert (done.returncode, done.stderr) == (0, '')
    assert (tmp_path / 'puzzles/val_0.png').is_file()
    done = run('train', 'hsjp_mm::demo/hsjp_hrnet-tiny.py')
    assert done.returncode == 2
    assert done.stderr.startswith("hsjp-mm train: config='hsjp_mm::demo/hsjp_hrnet-tiny.py' does ")


def test_a_flag_of_several_values_may_be_given_twice():
    parser = Parser('Compare.')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--collect', nargs='+')
    for _ in range(2):
        found = parser.parse_args(['--seeds', '4', '--seeds', '5', '6', '--collect', 'a'])
        assert (found.seeds, found.collect) == ([4, 5, 6], ['a'])
        assert parser.parse_args([]).seeds == [0, 1]
