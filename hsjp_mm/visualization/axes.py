"""Ends of the axes of figures, so that nothing looks like a difference which is none."""

import math
from collections.abc import Iterable

LEAST = 0.1
"""What an axis of shares, or of differences between them, reaches at least."""


def limits_around(values: Iterable[float]) -> tuple[float, float]:
    """Ends of an axis that is as long as the values want.

    Args:
        values: that it has to show; what is not finite does not count.

    Returns:
        Below the lowest and above the highest one by a twentieth of what lies between them, but not
        below 0 where no value is negative: matplotlib would center an axis on 0.
    """
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    margin = 0.05 * ((high - low) or abs(high)) or 1.0
    return (max(0.0, low - margin) if low >= 0 else low - margin), high + margin


def limits_of_shares(shares: Iterable[float], margin: float = 0.05) -> tuple[float, float]:
    """Ends of an axis from 0 on, for shares in [0, 1] or differences between them.

    Args:
        shares: that it has to show.
        margin: what is left beyond them, as a share of the axis.
    """
    known = [share for share in shares if math.isfinite(share)]
    return (1 + margin) * min(0.0, *known, 0.0), (1 + margin) * max(LEAST, *known, LEAST)
