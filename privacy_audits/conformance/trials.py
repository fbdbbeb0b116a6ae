"""Private selection: the number of trials follows the booked law."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import brentq
from scipy.special import gammaln

from dpsynth.errors import UsageError
from dpsynth.privacy import PrivateSelection
from privacy_audits.conformance.result import ALPHA, Conformance

_LEAST_EXPECTED = 10.0
_REACH = 200_000
"""Trials up to which the law is tabulated."""


def trial_numbers(
    draw: Callable[[], int], event: PrivateSelection, *, rounds: int, alpha: float = ALPHA
) -> Conformance:
    """Compare how many trials searches run with the law that was booked.

    Parameters
    ----------
    draw : callable
        Number of trials of one search.
    event : PrivateSelection
        What was booked.
    rounds : int
        Searches to run.
    alpha : float
        Chance of a false alarm.

    Notes
    -----
    Pearson's chi-square. The law is built here from the definition, normalised by summing it up,
    and its halting probability is searched for until the mean is the booked one: nothing is shared
    with :mod:`dpsynth.trials`.
    """
    law = _law(event.mean_trials, event.shape)
    drawn = np.array([draw() for _ in range(rounds)])
    last = int(np.max(np.flatnonzero(law * rounds >= _LEAST_EXPECTED), initial=0)) + 1
    expected = np.append(law[:last], law[last:].sum()) * rounds
    if last < 2 or expected.min() < _LEAST_EXPECTED / 2:
        raise UsageError("too few draws for a histogram.")
    observed = np.bincount(np.clip(drawn, 0, last + 1), minlength=last + 2)
    impossible = observed[0] > 0
    statistic = float(np.sum((observed[1:] - expected) ** 2 / expected))
    return Conformance(
        name="number of trials",
        statistic=statistic,
        p_value=0.0 if impossible else float(stats.chi2.sf(statistic, last)),
        threshold=alpha,
        meaning="Pearson's chi-square; with another law the best of many trials costs more",
    )


def _law(mean: float, shape: float) -> npt.NDArray[np.float64]:
    """Return the probability of 1, 2, … trials."""
    k = np.arange(1, _REACH + 1, dtype=np.float64)
    weight = gammaln(k + shape) - gammaln(k + 1)

    def at(log_halting: float) -> npt.NDArray[np.float64]:
        weights = np.exp(weight + k * np.log1p(-np.exp(log_halting)))
        return weights / weights.sum()

    found = brentq(lambda x: float(at(x) @ k) - mean, -9.0, -1e-9)
    return at(found)
