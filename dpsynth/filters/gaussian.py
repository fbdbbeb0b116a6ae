"""Gaussian noise in closed form: its privacy profile, and the two ways to invert it."""

from __future__ import annotations

import math
from functools import lru_cache

from scipy.special import log_ndtr, ndtr


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Return δ(ε) of Gaussian noise (Balle and Wang 2018, theorem 8).

    Parameters
    ----------
    mu : float
        Sensitivity over standard deviation, above 0.
    epsilon : float
        ε in nats; negative values are allowed.
    """
    upper, lower = mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu
    return float(ndtr(upper) - math.exp(epsilon + log_ndtr(lower)))


def gaussian_epsilon(rho: float, delta: float) -> float:
    """Return the exact ε at δ of Gaussian noise that is ρ-zCDP, rounded down by at most 1e-9.

    Parameters
    ----------
    rho : float
        Half the squared ratio of sensitivity to noise, above 0.
    delta : float
        δ, in (0, 1).
    """
    mu = math.sqrt(2 * rho)
    low, high = 0.0, 1.0
    if gaussian_delta(mu, low) <= delta:
        return 0.0
    while gaussian_delta(mu, high) > delta:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(mu, middle) > delta else (low, middle)
    return low


@lru_cache(maxsize=64)
def gaussian_capacity(epsilon: float, delta: float) -> float:
    """Return the largest μ² of Gaussian noise that is (ε, δ)-private, rounded down.

    Parameters
    ----------
    epsilon : float
        ε in nats, above 0.
    delta : float
        δ, in (0, 1).
    """

    def fits(mu: float) -> bool:
        # The two terms of δ nearly cancel where μ is small; what that may cost is added.
        upper, lower = mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu
        rounding = 1e-14 * (1 + epsilon + lower**2) * float(ndtr(upper))
        return gaussian_delta(mu, epsilon) + rounding <= delta

    high = 1.0
    while fits(high):
        high *= 2
    low = high / 2
    while not fits(low):
        low, high = low / 2, low
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low**2 * (1 - 1e-12)
