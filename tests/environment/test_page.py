"""The page that the doctor prints."""

import pytest

from hsjp_mm.environment.page import format_page
from hsjp_mm.environment.problems import find_problems
from tests.environment.cases import BREAKING, HEALTHY, NOTES, make


@pytest.mark.parametrize('case', [*BREAKING, *NOTES])
def test_page_is_narrow_and_leaves_commands_whole(case):
    facts, what, fix = (BREAKING | NOTES)[case]
    page = format_page(facts, find_problems(facts))
    assert max(len(line) for line in page.splitlines()) <= 100
    assert any(line.endswith(f'. {what}') for line in page.splitlines())
    assert any(line.removeprefix('     fix:').strip() == fix for line in page.splitlines())
    assert ('Nothing known will break.' in page) is (case in NOTES)


def test_an_extra_is_named_where_it_is_installed():
    def rows(facts):
        page = format_page(facts, [])
        return {line[2:].split('  ')[0]: line.split() for line in page.splitlines()[2:]}

    assert rows(HEALTHY)['h5py'] == ['h5py', '-', '[analysis]']
    assert 'pandas' not in rows(HEALTHY)
    with_mim = make({'pandas': '2.3.0', 'mmpretrain': '1.2.0'})
    assert rows(with_mim)['pandas'] == ['pandas', '2.3.0', '<3', '[mim]']
    assert rows(with_mim)['mmpretrain'] == [
        'mmpretrain', '1.2.0', '==1.2.0', '[vit]', 'does', 'not', 'work',
    ]  # fmt: skip
