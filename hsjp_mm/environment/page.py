"""The doctor's page: what is installed, what will break, and notes.

Imports the standard library only.
"""

from __future__ import annotations

import textwrap

from . import requirements
from .facts import PROBES, Facts
from .problems import Problem

WIDTH = 100


def format_page(facts: Facts, problems: list[Problem]) -> str:
    """Lay out the page, at most `WIDTH` columns wide where no path is longer."""
    lines = ['hsjp_mm doctor', '']
    lines += _format_table(facts)
    breaking = [problem for problem in problems if problem.breaks]
    notes = [problem for problem in problems if not problem.breaks]
    for title, group in ('Will break', breaking), ('Notes', notes):
        if group:
            lines += ['', f'{title} ({len(group)})']
        for number, problem in enumerate(group, 1):
            lines += _format_problem(number, problem)
    lines.append('')
    if breaking:
        lines += [
            'A new environment made by `uv sync` in a clone of hsjp_mm has none of these. For pip,',
            f'python {requirements.doctor()} --constraints > constraints.txt',
            'writes versions that work together; add `-c constraints.txt` to the commands above.',
        ]
    else:
        lines.append('Nothing known will break.')
    return '\n'.join(lines)


def _format_table(facts: Facts) -> list[str]:
    rows = [('', 'installed', 'needed', '')]
    extras = [extra.name for extra in facts.extras if facts.versions.get(extra.name) is not None]
    for name in dict.fromkeys(['python', *PROBES, *facts.ranges, *extras]):
        package = name.partition(' ')[0]
        version, owners = facts.versions.get(package), facts.owners.get(package, [])
        optional = facts.extra(name)
        needed = facts.ranges.get(name, '')
        if optional:
            needed = f'{optional.range} [{optional.extra}]'.strip()  # as pip writes extras
        remark = facts.details.get(name, '')
        if name == package and owners not in ([], [package]):
            remark = f'folder of {" and ".join(owners)}'
        elif name in facts.errors and (version is not None or owners):
            remark = 'does not work'
        shown = '-' if version is None else (version or '?')
        rows.append((name, shown if name == package else '', needed, remark))
    a, b, c = (max(len(row[column]) for row in rows) + 2 for column in range(3))
    table = [f'  {name:{a}}{has:{b}}{needs:{c}}{remark}' for name, has, needs, remark in rows]
    return [line.rstrip() for line in table] + _format_own(facts)


def _format_own(facts: Facts) -> list[str]:
    if facts.package is None:
        return []
    kind = 'editable' if facts.editable else 'not editable'
    return ['', f'  hsjp_mm is {kind}: {facts.package}', f'  its .mim: {facts.mim or "none"}']


def _format_problem(number: int, problem: Problem) -> list[str]:
    lines = _wrap(problem.what, f'  {number}. ') + _wrap(problem.why, '     why: ')
    for index, line in enumerate(problem.fix.splitlines()):
        lines += _wrap(line, '          ' if index else '     fix: ')
    return lines


def _wrap(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=' ' * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
