"""What the labels cost that pretrainings need, in seconds of those who draw them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

KINDS = {
    'boxes': ('box', 'boxes'),
    'boxes_and_poses': ('box_and_pose', 'boxes with poses'),
    'part_masks': ('part_masks', 'masks of parts'),
    'dense_points': ('dense_points', 'dense points'),
}
"""What may be labelled of a person: the name of its seconds, and what it is called."""
SECONDS = {'box': 7.0, 'box_and_pose': 42.8}
"""Of one person, as table 5 of the 3D study has them."""


@dataclass(frozen=True)
class LabellingCost:
    """What persons were labelled for each initialisation, and how long that takes.

    After table 5 of `Rethinking Self-Supervised Visual Representation Learning in Pre-training for
    3D Human Pose and Shape Estimation <https://arxiv.org/abs/2303.05370>`_, which takes 7 s for a
    box (Papadopoulos et al., 2017) and 42.8 s for a box with the pose in it (Cormier et al.,
    2021). It has no seconds for part masks and dense points.

    Attributes:
        labelling: By name of the initialisation, how many persons are labelled with what:
            ``boxes``, ``boxes_and_poses``, ``part_masks``, ``dense_points``; an empty one needs no
            labels. Of an initialisation that is not named nothing is known.
        seconds: For one person: ``box``, ``box_and_pose``, ``part_masks`` (all of them),
            ``dense_points`` (all of them); beside or in place of :data:`SECONDS`.

    Raises:
        ValueError: Another kind of label, or a number or seconds below 0.

    Examples:
        >>> cost = LabellingCost(
        ...     labelling=dict(
        ...         scratch={}, hsjp=dict(boxes=1200), pose2d=dict(boxes_and_poses=1200)
        ...     ),
        ...     seconds=dict(box=7.0, box_and_pose=42.8),
        ... )
    """

    labelling: Mapping[str, Mapping[str, int]]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """See that all is known."""
        for name, labels in self.labelling.items():
            for kind, number in labels.items():
                if kind not in KINDS:
                    raise ValueError(f'labelling: {name}: {kind} must be one of {", ".join(KINDS)}')
                if number < 0:
                    raise ValueError(f'labelling: {name}: {kind}={number} must be at least 0')
        known = [of_one for of_one, _ in KINDS.values()]
        for of_one, seconds in self.seconds.items():
            if of_one not in known:
                raise ValueError(f'seconds: {of_one} must be one of {", ".join(known)}')
            if seconds < 0:
                raise ValueError(f'seconds: {of_one}={seconds} must be at least 0')

    def labels(self, name: str) -> str:
        """What an initialisation needs, in words."""
        if name not in self.labelling:
            return 'not stated'
        parts = [f'{number:,} {KINDS[kind][1]}' for kind, number in self._needed(name).items()]
        return ', '.join(parts) or 'nothing'

    def total(self, name: str) -> float | None:
        """The seconds of all that an initialisation needs; None where they are not known."""
        if name not in self.labelling or self._unknown(name):
            return None
        needed = self._needed(name).items()
        return float(sum(number * self._seconds[KINDS[kind][0]] for kind, number in needed))

    def time(self, name: str) -> str:
        """The seconds in words, or why there are none."""
        if name not in self.labelling:
            return 'not stated'
        if unknown := self._unknown(name):
            return f'no seconds are given for {", ".join(unknown)}'
        total = self.total(name)
        assert total is not None
        return f'{total:,.0f} ({total / 3600:.1f} h)' if total else '0'

    def notes(self, names: Iterable[str]) -> list[str]:
        """What the seconds are, and which initialisations among those stated are not shown."""
        shown = list(names)
        used = {KINDS[kind] for name in shown if name in self.labelling
                for kind in self._needed(name)}  # fmt: skip
        seconds = [
            f'{words}, {self._seconds[of_one]:g} s'
            for of_one, words in KINDS.values()
            if (of_one, words) in used and of_one in self._seconds
        ]
        each = f'Seconds of labelling for one person: {"; ".join(seconds)}. ' if seconds else ''
        default = all(self._seconds[of_one] == SECONDS.get(of_one) for of_one, _ in used
                      if of_one in self._seconds)  # fmt: skip
        source = 'They are those of table 5 of the 3D study. ' if seconds and default else ''
        notes = [
            f'{each}{source}The labels of the fine-tuning are not counted: all initialisations '
            'get the same ones.'
        ]
        if missing := [name for name in self.labelling if name not in shown]:
            notes.append(
                f'Labels are also stated for {", ".join(missing)}, of which no run is here.'
            )
        return notes

    @property
    def _seconds(self) -> dict[str, float]:
        return {**SECONDS, **self.seconds}

    def _needed(self, name: str) -> dict[str, int]:
        return {kind: number for kind, number in self.labelling[name].items() if number}

    def _unknown(self, name: str) -> list[str]:
        """What is needed and has no seconds."""
        return [
            KINDS[kind][1] for kind in self._needed(name) if KINDS[kind][0] not in self._seconds
        ]
