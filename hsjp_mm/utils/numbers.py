"""Checks of arguments that are numbers."""

from numbers import Integral
from typing import Any


def require_whole(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is no whole number, or too small.

    Args:
        name: Of the argument.
        value: Which is checked; a truth value is no number.
        least: Allowed.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f'{name}={value!r} must be a whole number of at least {least}')
