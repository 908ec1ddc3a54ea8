import sys

import pytest

from hsjp_mm.benchmarks.measuring import run_process


def test_what_a_process_prints_is_kept_or_shown(capfd):
    command = [sys.executable, '-c', 'print(3)']
    assert run_process(command) == '3\n'
    assert run_process(command, keep=False) == ''
    assert capfd.readouterr().out == '3\n'


def test_a_process_that_fails_is_told_in_a_sentence(capfd):
    with pytest.raises(ChildProcessError, match=r"ended with status 3; .* above: .* -c 'import"):
        run_process([sys.executable, '-c', 'import sys; print(1, file=sys.stderr); sys.exit(3)'])
    assert capfd.readouterr().err == '1\n'
