"""The developers' check, with a stand-in for uv that writes down what it is asked for."""

import os
import subprocess

import pytest

from tests.helpers import ROOT

LINTERS = [['run', 'ruff', 'check'], ['run', 'ruff', 'format', '--check'], ['run', 'mypy']]
DOCS = ['run', 'mkdocs', 'build', '--strict', '--quiet']


def check(folder, *arguments, fails: str = 'nothing') -> tuple[int, list[list[str]]]:
    """Run tools/check.sh; its exit status, and what it asked uv to run."""
    log = folder / 'log'
    (folder / 'uv').write_text(
        f'#!/bin/sh\nprintf "%s|" "$@" >> {log}; echo >> {log}\n[ "$2" != {fails} ]\n'
    )
    (folder / 'uv').chmod(0o755)
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
