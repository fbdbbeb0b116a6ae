"""Intervals for smooth functions of counts: leave out one group of privacy units at a time.

A figure compares fitted rows with rows drawn from a model. It would be another with other people
and with another draw; both spreads are estimated by leaving out one twentieth of the units of one
table at a time, and added. Rows of one unit are never torn apart. What neither sees is another
*fit*: the noise of a mechanism moves a figure too, and only a repetition (a sweep) shows how far.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import t

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def leave_out(cells: IntArray, groups: IntArray, size: int) -> FloatArray:
    """Return the counts that remain when one group is left out.

    Parameters
    ----------
    cells : ndarray of int, shape (n_rows,)
        Cell of each row.
    groups : ndarray of int, shape (n_rows,)
        Group of each row, from 0.
    size : int
        Number of cells.

    Returns
    -------
    ndarray of float, shape (n_groups, size)
        One row per group that has rows.
    """
    rows = np.bincount(groups)
    counts = np.bincount(groups * size + cells, minlength=len(rows) * size)
    counts = counts.reshape(len(rows), size)
    if not rows.all():
        counts = counts[rows > 0]
    return np.subtract(np.bincount(cells, minlength=size), counts, dtype=np.float64)


def variance(replicates: FloatArray) -> FloatArray:
    """Return the variance of a figure from its values with one group left out.

    Parameters
    ----------
    replicates : ndarray of float, shape (n_groups, ...)
        Values, one per group.

    Returns
    -------
    ndarray of float, shape (...)
        NaN where there are fewer than two groups.

    References
    ----------
    Efron and Stein 1981, "The jackknife estimate of variance"; Kott 2001, "The delete-a-group
    jackknife".
    """
    n_groups = len(replicates)
    if n_groups < 2:
        return np.full(replicates.shape[1:], np.nan)
    around = replicates - replicates.mean(axis=0)
    return (n_groups - 1) / n_groups * (around**2).sum(axis=0)


def interval(
    value: float,
    *sides: FloatArray,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float]:
    """Return a 95 % interval around a figure.

    Parameters
    ----------
    value : float
        The figure of the whole tables.
    *sides : ndarray of float, shape (n_groups,)
        Its values with one group left out of one table; one array per table.
    bounds : pair of float
        Where the figure can lie at all.

    Notes
    -----
    Student's t with one degree of freedom less than the smaller number of groups.
    """
    fewest = min(len(side) for side in sides)
    spread = float(np.sqrt(sum(float(variance(side)) for side in sides)))
    if fewest < 2 or not np.isfinite(spread) or not np.isfinite(value):
        return float("nan"), float("nan")
    half = float(t.ppf(0.975, fewest - 1)) * spread
    return max(bounds[0], value - half), min(bounds[1], value + half)
