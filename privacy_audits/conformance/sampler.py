"""Poisson sampling: every unit is in every step independently, with the declared chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from dpsynth.errors import UsageError
from privacy_audits.conformance.result import ALPHA, Conformance

_LEAST_VARIANCE = 5.0


def poisson_sampler(
    draw: Callable[[], npt.ArrayLike],
    *,
    units: int,
    probability: float,
    rounds: int,
    alpha: float = ALPHA,
) -> tuple[Conformance, Conformance, Conformance]:
    """Compare inclusions, batch sizes and the rate with those of a Poisson sample.

    Parameters
    ----------
    draw : callable
        Returns the indices of the units of the next batch.
    units : int
        Number of units N.
    probability : float
        Declared rate q.
    rounds : int
        Number of batches T; ``T q (1-q)`` and ``N q (1-q)`` must be at least 5.
    alpha : float
        Chance of a false alarm of each of the three results.

    Returns
    -------
    inclusions : Conformance
        Dispersion of the units' inclusion counts; shuffling makes it nearly 0.
    sizes : Conformance
        Dispersion of the batch sizes; fixed batches make it 0, sampling in groups large.
    rate : Conformance
        All inclusions together against N T q.

    Notes
    -----
    Σ(K - mean)²/variance over binomial K has as many degrees of freedom as there are K. Its first
    two moments are matched exactly (a binomial's fourth moment is not that of a normal).
    """
    q = probability
    if min(rounds, units) * q * (1 - q) < _LEAST_VARIANCE:
        raise UsageError("too few units or rounds for this sampling probability.")
    inclusions = np.zeros(units)
    sizes = np.zeros(rounds)
    for step in range(rounds):
        chosen = np.asarray(draw(), dtype=np.int64)
        # A unit that is drawn twice counts twice: that is no Poisson sample either.
        np.add.at(inclusions, chosen, 1)
        sizes[step] = chosen.size
    return (
        _dispersion(inclusions, rounds, q, alpha, name="sampler: inclusions"),
        _dispersion(sizes, units, q, alpha, name="sampler: batch sizes"),
        _rate(float(inclusions.sum()), units * rounds, q, alpha),
    )


def _dispersion(
    counts: npt.NDArray[np.float64], trials: int, q: float, alpha: float, *, name: str
) -> Conformance:
    variance = trials * q * (1 - q)
    statistic = float(np.sum((counts - trials * q) ** 2) / variance)
    excess = (1 - 6 * q * (1 - q)) / variance
    scale = 1 + excess / 2
    law = stats.chi2(counts.size / scale)
    p_value = 2 * min(law.cdf(statistic / scale), law.sf(statistic / scale))
    return Conformance(
        name=name,
        statistic=statistic / counts.size,
        p_value=float(min(1.0, p_value)),
        threshold=alpha,
        meaning="dispersion over that of Poisson sampling; the booked amplification needs 1",
    )


def _rate(total: float, trials: int, q: float, alpha: float) -> Conformance:
    z = (total - trials * q) / np.sqrt(trials * q * (1 - q))
    return Conformance(
        name="sampler: rate",
        statistic=float(z),
        p_value=float(2 * stats.norm.sf(abs(z))),
        threshold=alpha,
        meaning="inclusions against the booked rate, in standard errors",
    )
