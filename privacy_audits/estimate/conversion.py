"""Gaussian differential privacy and (ε, δ): δ(ε; μ) = Φ(−ε/μ + μ/2) − e^ε Φ(−ε/μ − μ/2).

Everything is computed from log Φ, so that neither e^ε nor a tail over- or underflows.

References
----------
Dong, Roth and Su, "Gaussian Differential Privacy", arXiv 1905.02383, corollary 2.13.
Balle and Wang, arXiv 1805.06530, theorem 8.
"""

from __future__ import annotations

import math

from scipy.special import log_ndtr

from dpsynth.errors import UsageError
from privacy_audits.estimate.bisection import crossing


def log_delta_of(mu: float, epsilon: float) -> float:
    """Return log δ at which a ``mu``-GDP mechanism is (``epsilon``, δ)-DP."""
    if mu == 0:
        return -math.inf
    first = float(log_ndtr(-epsilon / mu + mu / 2))
    second = epsilon + float(log_ndtr(-epsilon / mu - mu / 2))
    # The difference is positive; rounding can only turn a vanishing one around.
    gap = second - first
    return first + math.log(-math.expm1(gap)) if gap < 0 else -math.inf


def delta_of(mu: float, epsilon: float) -> float:
    """Return δ at which a ``mu``-GDP mechanism is (``epsilon``, δ)-DP."""
    return math.exp(log_delta_of(mu, epsilon))


def epsilon_of_mu(mu: float, delta: float) -> float:
    """Return the least ε at which a ``mu``-GDP mechanism is (ε, ``delta``)-DP.

    Parameters
    ----------
    mu : float
        At least 0; infinity gives infinity.
    delta : float
        In (0, 1).

    Raises
    ------
    UsageError
        If an argument is out of range. At δ = 0 no μ > 0 has a finite ε.
    """
    _check(mu, "mu")
    _check_open(delta)
    if math.isinf(mu):
        return math.inf
    return crossing(lambda epsilon: log_delta_of(mu, epsilon) <= math.log(delta))


def mu_of_epsilon(epsilon: float, delta: float) -> float:
    """Return the largest μ for which a μ-GDP mechanism is (``epsilon``, ``delta``)-DP.

    Raises
    ------
    UsageError
        If an argument is out of range.
    """
    _check(epsilon, "epsilon")
    _check_open(delta)
    if math.isinf(epsilon):
        return math.inf
    return crossing(lambda mu: log_delta_of(mu, epsilon) > math.log(delta))


def _check(value: float, name: str) -> None:
    if not value >= 0:
        raise UsageError(f"{name} must be at least 0, got {value}.")


def _check_open(delta: float) -> None:
    if not 0 < delta < 1:
        raise UsageError(f"delta must lie in (0, 1), got {delta}.")
