import io

import pytest

from hsjp_mm.utils import progress
from hsjp_mm.utils.progress import track


class Clock:
    """Ten seconds pass with each item."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, 'time', clock)
    return clock


def test_lines_where_nobody_looks_on(clock, capsys):
    for item in track(range(1000, 1009), 'images'):
        assert capsys.readouterr().err == ''.join(
            f'{done} of 9 images, 0.1/s, {left} left\n'
            for done, left in ((2, '1:10'), (4, '0:50'), (6, '0:30'), (8, '0:10'))
            if item == 1000 + done
        )
        clock.now += 10


def test_without_a_length(clock, capsys):
    for _ in track(iter([1, 2]), 'images'):
        clock.now += 15
    assert capsys.readouterr().err == '1 images, 0.1/s\n2 images, 0.1/s\n'


def test_short_work_says_nothing(capsys):
    assert list(track([1, 2, 3], 'images')) == [1, 2, 3]
    assert capsys.readouterr().err == ''


def test_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setattr('sys.stderr', terminal)
    assert list(track((str(i) for i in range(3)), 'images', total=3)) == ['0', '1', '2']
    assert 'images' in terminal.getvalue() and '3/3' in terminal.getvalue()
