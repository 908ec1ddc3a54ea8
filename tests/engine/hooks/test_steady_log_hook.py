"""The line that is logged while the logger is silent."""

from types import SimpleNamespace

import pytest
from mmengine.hooks import LoggerHook

from hsjp_mm.engine import SteadyLogHook
from hsjp_mm.engine.hooks import steady_log_hook


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(steady_log_hook, 'time', SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def lines(hook: SteadyLogHook, clock, seconds: float, number: int, interval: int) -> list[int]:
    """After which of the iterations, each of so many seconds, the hook logs."""
    said: list[str] = []
    runner = SimpleNamespace(
        train_dataloader=range(number),
        hooks=[LoggerHook(interval=interval)],
        log_processor=SimpleNamespace(
            get_log_after_iter=lambda runner, batch, mode: ({}, f'{mode} {batch + 1}')
        ),
        logger=SimpleNamespace(info=said.append),
    )
    hook.before_train_epoch(runner)
    for batch in range(number):
        clock.now += seconds
        hook.after_train_iter(runner, batch)
    assert all(line.startswith('train ') for line in said)
    return [int(line.split()[1]) for line in said]


def test_a_line_every_half_minute_of_slow_iterations(clock):
    assert lines(SteadyLogHook(), clock, 10, 10, interval=50) == [3, 6, 9]


def test_no_second_line_at_the_end_of_an_epoch(clock):
    assert lines(SteadyLogHook(), clock, 10, 9, interval=50) == [3, 6]


def test_none_where_the_logger_speaks_often_enough(clock):
    assert lines(SteadyLogHook(), clock, 1, 100, interval=20) == []


def test_the_logger_s_own_lines_count(clock):
    assert lines(SteadyLogHook(), clock, 10, 10, interval=4) == [3, 7]


def test_seconds_must_be_positive():
    with pytest.raises(ValueError, match='seconds=0 must be positive'):
        SteadyLogHook(0)
