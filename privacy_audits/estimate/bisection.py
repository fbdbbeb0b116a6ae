"""Where a monotone condition begins to hold."""

from __future__ import annotations

import math
from collections.abc import Callable

_TOLERANCE = 1e-10
"""Relative, and absolute near 0."""

_LARGEST = 1e9
"""What does not hold up to here counts as never holding."""


def crossing(holds: Callable[[float], bool]) -> float:
    """Return the largest x ≥ 0 at which ``holds`` was seen to be false, next to its change.

    Parameters
    ----------
    holds : callable
        False below some x ≥ 0 and true from there on.

    Returns
    -------
    float
        Infinity if it holds nowhere.

    Notes
    -----
    The lower end of the last bracket is returned, so that a rejected value is never rounded up to
    one that is not rejected. If ``holds`` is true at 0, this is 0.
    """
    if holds(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while not holds(high):
        low, high = high, 2 * high
        if high > _LARGEST:
            return math.inf
    while high > _TOLERANCE and high - low > _TOLERANCE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return low
