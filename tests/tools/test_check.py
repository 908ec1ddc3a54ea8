"""The developers' check, with a stand-in for uv that writes down what it is asked for."""

import os
import re
import subprocess

import pytest

from tests.helpers import ROOT

LINTERS = [['run', 'ruff', 'check'], ['run', 'ruff', 'format', '--check'], ['run', 'mypy']]
DOCS = ['run', 'mkdocs', 'build', '--strict', '--quiet']


def write_script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)


def check(folder, *arguments, fails: str = 'nothing') -> tuple[int, list[list[str]]]:
    """Run tools/check.sh; its exit status, and what it asked uv to run."""
    log = folder / 'log'
    write_script(folder / 'uv', f'printf "%s|" "$@" >> {log}; echo >> {log}\n[ "$2" != {fails} ]')
    environment = {**os.environ, 'PATH': f'{folder}:{os.environ["PATH"]}'}
    command = ['bash', str(ROOT / 'tools/check.sh'), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=folder)
    asked = [line.split('|')[:-1] for line in log.read_text().splitlines()]
    return done.returncode, [command for command in asked if command[0] == 'run']


@pytest.mark.parametrize(
    ('arguments', 'passed_on'),
    [
        ([], []),
        (['--fast'], ['-m', 'not slow']),
        (['tests/ops', '--fast', '-k', 'a or b'], ['tests/ops', '-m', 'not slow', '-k', 'a or b']),
    ],
)
def test_all_checks_run_and_arguments_go_to_pytest(arguments, passed_on, tmp_path):
    expected = [*LINTERS, DOCS, ['run', 'pytest', *passed_on]]
    assert check(tmp_path, *arguments) == (0, expected)


def test_a_failing_check_stops(tmp_path):
    status, asked = check(tmp_path, fails='mypy')
    assert status != 0
    assert asked == LINTERS


class TestFloor:
    """With Pythons that are scripts, of which none but pyenv's says that it is 3.10."""

    @pytest.fixture
    def folder(self, tmp_path):
        for name in 'python3.10', 'python3', 'python':
            write_script(tmp_path / name, 'exit 1')
        return tmp_path

    def run(self, folder, *arguments):
        write_script(folder / 'uv', 'echo "$UV_PROJECT_ENVIRONMENT" "$UV_PYTHON" "$@"')
        done = subprocess.run(
            ['bash', str(ROOT / 'tools/check.sh'), '--floor', *arguments],
            env={'PATH': f'{folder}:/usr/bin:/bin', 'PYENV_ROOT': str(folder / 'pyenv')},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout.splitlines()[-1]

    def test_runs_the_tests_alone_with_the_python_of_pyenv(self, folder):
        python = folder / 'pyenv' / 'versions' / '3.10.13' / 'bin' / 'python'
        write_script(python, 'exit 0')
        asked = f'.venv-floor {python} run pytest tests/ops -m not slow'
        assert self.run(folder, 'tests/ops', '--fast') == (0, asked)

    def test_is_skipped_where_there_is_no_such_python(self, folder):
        write_script(folder / 'pyenv' / 'versions' / '3.10.1' / 'bin' / 'python', 'exit 1')
        skipped = 'skipped: no Python 3.10, neither on the PATH nor of pyenv'
        assert self.run(folder) == (0, skipped)


def test_the_static_check_is_for_the_lowest_python():
    settings = (ROOT / 'pyproject.toml').read_text()
    [lowest] = re.findall(r"python_requires='>=([\d.]+),", (ROOT / 'setup.py').read_text())
    assert re.findall(r'^requires-python = ">=([\d.]+),', settings, re.MULTILINE) == [lowest]
    assert re.findall(r'^python_version = "([\d.]+)"', settings, re.MULTILINE) == [lowest]
    target = 'py' + lowest.replace('.', '')
    assert re.findall(r'^target-version = "(\w+)"', settings, re.MULTILINE) == [target]
