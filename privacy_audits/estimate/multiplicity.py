"""Many tests at one level.

References
----------
Holm, Scandinavian Journal of Statistics 6 (1979).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError


def bonferroni(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return p-values times their number, at most 1."""
    p = _checked(p_values)
    return np.minimum(1.0, len(p) * p)


def holm(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return Holm's adjusted p-values in the order given.

    Rejecting where they are at most α keeps the chance of any false rejection at most α, whatever
    the dependence.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def confirmed(first: float, second: float) -> float:
    """Return the p-value of a test and its one repetition with fresh randomness: 2 · min."""
    return float(bonferroni([first, second]).min())


def release_level(alpha: float, release: int) -> float:
    """Return the level of the ``release``-th release, α · 6/(π²j²): all of them sum up to α.

    Parameters
    ----------
    alpha : float
        Level over all releases there will ever be.
    release : int
        Number of this release, from 1.
    """
    if not 0 < alpha < 1:
        raise UsageError(f"alpha must lie in (0, 1), got {alpha}.")
    if release < 1:
        raise UsageError(f"releases are numbered from 1, got {release}.")
    return alpha * 6 / (math.pi * release) ** 2


def _checked(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise UsageError("p-values form a vector of numbers in [0, 1].")
    return p
