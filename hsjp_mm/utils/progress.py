"""How far long work has come."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar('Item')
SECONDS = 15
"""Between two lines where nobody looks on."""


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Go through items, and show on the standard error how many are done, how fast, how long yet.

    On a terminal that is a bar of rich, which MMEngine brings with it; MMEngine's own has no plain
    form for a file. Elsewhere it is a line every 15 seconds: none for work that is done by then.

    Args:
        items: to go through.
        what: they are, for the reader: 'images'.
        total: how many; by default their length.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        yield from _bar(items, what, total)
    else:
        yield from _lines(items, what, total)


def _bar(items: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f'{task.speed:.1f}/s' if task.speed else '')

    columns = (
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), Rate(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, description=what)


def _lines(items: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS:
            last = now
            rate = done / (now - start)
            rest = f', {_clock((total - done) / rate)} left' if total else ''
            of = f' of {total:,}' if total else ''
            print(f'{done:,}{of} {what}, {rate:.1f}/s{rest}', file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f'{minutes}:{seconds:02}'
