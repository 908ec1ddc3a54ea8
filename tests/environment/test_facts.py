"""What the doctor finds out: every import in a child process."""

import py_compile

import pytest

from hsjp_mm.environment import facts, requirements
from hsjp_mm.environment.facts import try_imports


def test_each_import_is_tried_though_others_fail():
    errors, details = try_imports(
        {
            'noisy': "print('noise', end=''); detail = 'said'",
            'poison': "import sys; sys.modules['poison'] = sys; 1 / 0",
            'clean': "import sys; assert 'poison' not in sys.modules",
            'crash': 'import os; os.abort()',
            'exit': 'raise SystemExit(0)',
            'last': 'import json',
        }
    )
    assert errors == {
        'poison': 'ZeroDivisionError: division by zero',
        'crash': 'Python died with exit status -6',
        'exit': 'SystemExit: 0',
    }
    assert details == {'noisy': 'said', 'clean': '', 'last': ''}


@pytest.mark.slow
def test_an_import_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(facts, 'TIMEOUT', 1)
    errors, details = try_imports({'first': '', 'hangs': 'while True: pass', 'last': ''})
    assert errors == {'hangs': 'Python did not finish in 1 s'}
    assert details == {'first': '', 'last': ''}


def test_cuda_of_torch():
    def cuda(detail):
        return facts.Facts({}, {}, details={'torch': detail} if detail else {}).cuda()

    assert cuda('built for CUDA 12.1, 1 x A100') == '12.1'
    assert cuda('built for the CPU, no usable GPU') == 'cpu'
    assert cuda('') == ''


def test_an_extra_that_is_needed_anyway_is_none():
    extras = [requirements.Requirement('pip', '', 'mim'), requirements.Requirement('x', '<3', 'y')]
    known = facts.Facts({}, {'pip': '>=20'}, extras)
    assert known.extra('pip') is None
    assert known.extra('x') == ('x', '<3', 'y')
    assert (known.need('pip'), known.need('x')) == ("'pip>=20'", "'x<3'")


def test_a_package_is_compiled_where_python_finds_its_compiled_form(tmp_path, monkeypatch):
    (tmp_path / 'odd_package.py').write_text('')
    monkeypatch.syspath_prepend(tmp_path)
    assert not facts.is_compiled('odd_package')
    py_compile.compile(str(tmp_path / 'odd_package.py'))
    assert facts.is_compiled('odd_package')
    assert facts.is_compiled('no_such_package')
