"""Each incompatibility from made-up facts."""

from dataclasses import replace

import pytest

from hsjp_mm.environment.problems import find_problems
from tests.environment.cases import BREAKING, HEALTHY, NOTES


@pytest.mark.parametrize('case', BREAKING)
def test_breaking_problem_is_found_with_its_fix(case):
    facts, what, fix = BREAKING[case]
    breaking = [problem for problem in find_problems(facts) if problem.breaks]
    found = [problem for problem in breaking if problem.what == what]
    assert len(found) == 1, breaking
    assert fix in found[0].fix.splitlines()
    # One cause is told once; hsjp_mm that fails for a cause of its own takes checkpoints with it.
    assert len(breaking) == (2 if 'hsjp_mm' in facts.errors else 1), breaking


@pytest.mark.parametrize('case', NOTES)
def test_note_does_not_break(case):
    facts, what, fix = NOTES[case]
    problems = find_problems(facts)
    assert not any(problem.breaks for problem in problems), problems
    found = [problem for problem in problems if problem.what == what]
    assert len(found) == 1, problems
    assert fix in found[0].fix.splitlines()


def test_healthy_facts_leave_one_note():
    assert [problem.package for problem in find_problems(HEALTHY)] == ['torch']


def test_a_wheel_is_got_with_mim_and_without_it():
    facts, what, _ = BREAKING['mmcv built for another torch, and there is a wheel']
    [problem] = [p for p in find_problems(facts) if p.what == what]
    assert 'pip install --no-deps openmim==0.3.9' in problem.fix
    facts.versions['openmim'] = '0.3.9'
    [problem] = [p for p in find_problems(facts) if p.what == what]
    assert problem.fix.endswith('mim is installed.')
    facts.versions['openmim'] = None


def test_without_a_wheel_the_table_says_for_what_there_are_some():
    facts, what, _ = BREAKING['mmcv built for another torch']
    [problem] = [p for p in find_problems(facts) if p.what == what]
    assert 'torch 2.1 (CPU, CUDA 11.8, CUDA 12.1)' in problem.fix
    assert 'mim install' not in problem.fix


@pytest.mark.parametrize(
    ('torch', 'setuptools'), [('2.1.2', '69.5.1'), ('2.1.2', '71.0.0'), ('2.2.0', '70.3.0')]
)
def test_other_pairs_of_torch_and_setuptools_fit(torch, setuptools):
    facts = replace(HEALTHY, versions=HEALTHY.versions | dict(torch=torch, setuptools=setuptools))
    assert 'setuptools' not in [problem.package for problem in find_problems(facts)]
