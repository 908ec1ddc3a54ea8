"""Published values beside one's own: of other data, so that only the order can be compared."""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hsjp_mm.comparison.runs import FineTuning
from hsjp_mm.comparison.verdicts import FEWEST_SEEDS, apart, groups, leader, written

KINDS = (
    'the seeds here show the published order',
    'the seeds here show the opposite order',
    'the seeds here overlap and show no order',
    f'fewer than {FEWEST_SEEDS} seeds here show no order',
)
"""What the runs say of two initialisations."""
EQUAL = 'the published values are equal'


@dataclass(frozen=True)
class Published:
    """What a paper reports of the same initialisations.

    Attributes:
        values: By name of the initialisation, then by share of the labels in (0, 1]; of the measure
            that is compared, or one of which the same is better.
        measured_on: What they were measured on, and where they stand, in a line without a period.

    Raises:
        ValueError: A share outside its range, a value that is no number, or no line.

    Examples:
        >>> published = Published(
        ...     values=dict(scratch={0.1: 73.37, 1.0: 56.37}, pose2d={0.1: 56.92, 1.0: 53.34}),
        ...     measured_on='PA-MPJPE in mm on 3DPW, the best of all epochs, PARE with ResNet-50 '
        ...     '(Choi et al., ICLR 2023, table 3)',
        ... )
    """

    values: Mapping[str, Mapping[float, float]]
    measured_on: str

    def __post_init__(self) -> None:
        """See that all can be shown."""
        for name, shares in self.values.items():
            for share, value in shares.items():
                if not 0 < share <= 1:
                    raise ValueError(f'published: {name}: share {share} must be in (0, 1]')
                if not math.isfinite(value):
                    raise ValueError(f'published: {name}, {share}: {value} must be a number')
        if not self.measured_on:
            raise ValueError('published: measured_on must say what the values were measured on')

    @property
    def shares(self) -> list[float]:
        """The shares of the labels of which there is a value."""
        return sorted({share for shares in self.values.values() for share in shares})

    def text(self, name: str, share: float) -> str:
        """The value of an initialisation, as it was given."""
        value = self.values.get(name, {}).get(share)
        return '–' if value is None else f'{value:.10g}'


def sentences_on(published: Published, runs: Sequence[FineTuning]) -> dict[float, list[str]]:
    """Set the published order of initialisations beside that of the runs, by share of the labels.

    Of each two it is said whether the runs show the published order or the opposite one, as
    :func:`~hsjp_mm.comparison.verdicts.leader` says it, or none, because their seeds overlap or are
    too few.
    """
    found: dict[float, list[str]] = {}
    for share in dict.fromkeys(run.fraction for run in runs):
        scores = {
            init: [run.score for run in group]
            for (fraction, init), group in groups(runs).items()
            if fraction == share and share in published.values.get(init, {})
        }
        if len(scores) > 1:
            values = {name: published.values[name][share] for name in scores}
            found[share] = _sentences(values, scores, runs[0].rule)
    return found


def _sentences(
    values: Mapping[str, float], scores: Mapping[str, Sequence[float]], rule: str
) -> list[str]:
    means = {name: statistics.fmean(ours) for name, ours in scores.items()}
    kinds: dict[str, list[tuple[str, str]]] = {}
    pairs = list(itertools.combinations(_ordered(values, rule), 2))
    for pair in pairs:
        one, other = (scores[name] for name in pair)
        equal = values[pair[0]] == values[pair[1]]
        kinds.setdefault(EQUAL if equal else _kind(one, other, rule), []).append(pair)
    lines = [
        f'Published, from the best on: {", ".join(_ordered(values, rule))}.',
        f'Here, by the means alone: {", ".join(_ordered(means, rule))}.',
    ]
    for kind in filter(kinds.get, (*KINDS, EQUAL)):
        some = kinds[kind] if kind != KINDS[1] else [pair[::-1] for pair in kinds[kind]]
        names = written(some, 'before' if kind in KINDS[:2] else 'and')
        lines.append(f'In {len(some)} of {len(pairs)} pairs {kind}: {names}.')
    return lines


def _kind(one: Sequence[float], other: Sequence[float], rule: str) -> str:
    """What our seeds say of two initialisations of which the first is published as better."""
    led = leader(one, other, rule)
    if led:
        return KINDS[0] if led > 0 else KINDS[1]
    return KINDS[3] if min(len(one), len(other)) < FEWEST_SEEDS and apart(one, other) else KINDS[2]


def _ordered(values: Mapping[str, float], rule: str) -> list[str]:
    """Names, the best first."""
    return sorted(values, key=lambda name: values[name], reverse=rule == 'greater')
