"""What the seeds of several initialisations show, and what so few of them are worth."""

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hsjp_mm.comparison.runs import FineTuning, number_form, percent

DASH = '\u2060–\u2060'  # at which no line breaks
FEWEST_SEEDS = 3
"""From which on an order of initialisations is given."""


@dataclass(frozen=True)
class Spread:
    """Mean and range of what several seeds came to."""

    values: Sequence[float]

    @property
    def mean(self) -> float:
        """Over seeds."""
        return statistics.fmean(self.values)

    @property
    def low(self) -> float:
        """The lowest seed."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The highest seed."""
        return max(self.values)

    def text(self, form: str) -> str:
        """The mean, and in brackets the range; of one value, itself."""
        if len(self.values) == 1:
            return f'{self.mean:{form}}'
        return f'{self.mean:{form}} ({self.low:{form}}{DASH}{self.high:{form}})'


def spread_note(runs: Sequence[FineTuning]) -> str:
    """Say what the spread is, and what so few seeds are worth."""
    sizes = {key: len(group) for key, group in groups(runs).items()}
    if max(sizes.values()) == 1:
        return 'There is one seed: no spread can be seen, and differences may be chance.'
    sentences = [
        'Means over seeds; in brackets, and as bands and bars, from the lowest to the highest.',
        _by_chance(sizes),
        _too_few(sizes),
    ]
    return ' '.join(filter(None, sentences))


def _by_chance(sizes: Mapping[tuple[float, str], int]) -> str:
    """How many of the pairs that may get an order would get one by chance."""
    pairs = [
        (sizes[one], sizes[other])
        for one, other in itertools.combinations(sizes, 2)
        if one[0] == other[0] and min(sizes[one], sizes[other]) >= FEWEST_SEEDS
    ]
    if not pairs:
        return ''
    chances = [chance_apart(*pair) for pair in pairs]
    return (
        f'Were all initialisations equal, {_from_to(itertools.chain(*pairs))} seeds each would '
        f'come apart by chance in 1 of {_from_to(round(1 / chance) for chance in chances)} '
        f'comparisons; this report makes {len(pairs)}, so {sum(chances):.1f} of them are to be '
        'expected.'
    )


def _from_to(numbers: Iterable[int]) -> str:
    """``3``, or ``3 to 5``."""
    known = sorted(set(numbers))
    return ' to '.join(map(str, dict.fromkeys([known[0], known[-1]])))


def _too_few(sizes: Mapping[tuple[float, str], int]) -> str:
    """Of whom no order is given, for want of seeds."""
    few = {key: number for key, number in sizes.items() if number < FEWEST_SEEDS}
    if len(few) == len(sizes) and set(few.values()) == {2}:
        return (
            'Two seeds are too few to give an order: of equal initialisations they come apart in '
            f'1 of {1 / chance_apart(2, 2):.0f} comparisons.'
        )
    several = len({share for share, _ in sizes}) > 1
    names = [
        f'{name}{f" with {percent(share)} of the labels" if several else ""} ({number})'
        for (share, name), number in few.items()
    ]
    if not names:
        return ''
    return f'Fewer than {FEWEST_SEEDS} seeds give no order: {", ".join(names)}.'


def groups(runs: Iterable[FineTuning]) -> dict[tuple[float, str], list[FineTuning]]:
    """Sort runs by share of the labels and initialisation, in the order given."""
    found: dict[tuple[float, str], list[FineTuning]] = {}
    for run in runs:
        found.setdefault((run.fraction, run.init), []).append(run)
    return found


def chance_apart(first: int, second: int) -> float:
    """How often the seeds of two equal initialisations do not mix, in either direction.

    All orders of first + second values are then equally likely, and two of them are apart.
    """
    return 2 / math.comb(first + second, first)


def apart(ones: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the seeds of two initialisations do not mix."""
    return min(ones) > max(others) or max(ones) < min(others)


def leader(ones: Sequence[float], others: Sequence[float], rule: str = 'greater') -> int:
    """Which of two initialisations is ahead: 1 the first, -1 the other, 0 where nothing shows it.

    One is ahead only if each of its seeds is better than each of the other's, and either has at
    least three. Arguments as of :func:`verdict`.
    """
    enough = min(len(ones), len(others)) >= FEWEST_SEEDS
    if not enough or not all(map(math.isfinite, [*ones, *others])) or not apart(ones, others):
        return 0
    return 1 if (min(ones) > max(others)) == (rule == 'greater') else -1


def verdict(
    one: str,
    ones: Sequence[float],
    other: str,
    others: Sequence[float],
    rule: str = 'greater',
) -> str:
    """Say what the seeds of two initialisations show, in a sentence; see :func:`leader`.

    Args:
        one, other: Names.
        ones, others: What their seeds came to.
        rule: What is better, 'greater' or 'less'.
    """
    if not all(map(math.isfinite, [*ones, *others])):
        return f'{one} and {other}: no order can be given, for a seed came to no number.'
    fewest = min(len(ones), len(others))
    if fewest == 1:
        return (
            f'{one} and {other}: no order can be given, for of one seed nothing is known of the '
            'spread.'
        )
    if not apart(ones, others):
        return f'{one} and {other}: no difference shown, their spreads overlap.'
    if fewest < FEWEST_SEEDS:
        odds = 1 / chance_apart(len(ones), len(others))
        return (
            f'{one} and {other}: no order is given, for though their seeds do not mix, so few of '
            f'equal initialisations do not mix either in 1 of {odds:.0f} comparisons.'
        )
    if leader(ones, others, rule) < 0:
        one, ones, other, others = other, others, one, ones
    form = number_form([*ones, *others])
    side = 'above' if rule == 'greater' else 'below'
    return (
        f'{one} is ahead of {other}: each of its seeds ({_range(ones, form)}) is {side} each of '
        f'the other’s ({_range(others, form)}).'
    )


def _range(values: Sequence[float], form: str) -> str:
    return f'{min(values):{form}}–{max(values):{form}}'


def verdicts(runs: Sequence[FineTuning]) -> dict[float, list[str]]:
    """All pairs of initialisations by share of the labels, see :func:`verdict`."""
    scores = {key: [run.score for run in group] for key, group in groups(runs).items()}
    found: dict[float, list[str]] = {}
    for fraction in dict.fromkeys(fraction for fraction, _ in scores):
        names = [init for share, init in scores if share == fraction]
        found[fraction] = [
            verdict(one, scores[fraction, one], other, scores[fraction, other], runs[0].rule)
            for one, other in itertools.combinations(names, 2)
        ]
    return found


def leads(runs: Sequence[FineTuning]) -> dict[float, list[tuple[str, str]]]:
    """The pairs of which the first is ahead, by share of the labels, see :func:`leader`."""
    scores = {key: [run.score for run in group] for key, group in groups(runs).items()}
    return {
        fraction: [
            (one, other)
            for (share, one), (same, other) in itertools.permutations(scores, 2)
            if share == same == fraction
            and leader(scores[share, one], scores[same, other], runs[0].rule) > 0
        ]
        for fraction in dict.fromkeys(fraction for fraction, _ in scores)
    }


def written(pairs: Iterable[tuple[str, str]], between: str) -> str:
    """Pairs by their first, such as ``a before b, c; b before c``."""
    seconds: dict[str, list[str]] = {}
    for first, second in pairs:
        seconds.setdefault(first, []).append(second)
    return '; '.join(f'{first} {between} {", ".join(names)}' for first, names in seconds.items())
