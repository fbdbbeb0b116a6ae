"""Where a monotone condition begins to hold."""

from __future__ import annotations

from collections.abc import Callable

_FIRST = 1.0
_LARGEST = 1e6
"""Beyond this a condition is taken never to hold."""
_HALVINGS = 60


def crossing(holds: Callable[[float], bool]) -> float:
    """Return the largest x ≥ 0 at which ``holds`` was seen to be false, next to its change.

    Parameters
    ----------
    holds : callable
        False below some x ≥ 0 and true from there on.

    Notes
    -----
    The lower end of the last bracket is returned, so that a rejected value is never rounded up to
    one that is not rejected. If ``holds`` is true at 0, this is 0. A condition that does not hold
    below one million is taken never to hold there.
    """
    if holds(0.0):
        return 0.0
    low, high = 0.0, _FIRST
    while not holds(high):
        low, high = high, 2 * high
        if low > _LARGEST:
            return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if holds(middle) else (middle, high)
    return low
