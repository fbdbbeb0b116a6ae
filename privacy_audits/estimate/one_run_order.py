"""μ from one run by the law of the most confident guesses.

With canaries that do not interfere, each log-likelihood ratio of a μ-GDP mechanism is that of a
Gaussian pair. Given the score of the first canary that is left out, the guesses that are made are
independent, each wrong with the share of errors beyond that score; how far out it lies is the
order statistic of a uniform sample, a beta variable. The number of errors is thus a mixture of
binomial laws, and few errors refute a small μ.

References
----------
Xiang, Wang and Wang, "Privacy Audit as Bits Transmission", arXiv 2501.17750, whose figures for the
Gaussian mechanism these formulas give back.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import bdtr
from scipy.stats import beta as beta_law

from privacy_audits.estimate.bisection import crossing
from privacy_audits.estimate.bound import Bound, check_level
from privacy_audits.estimate.channels import (
    Channel,
    GaussianChannel,
    SampledGaussianChannel,
    Vector,
)
from privacy_audits.estimate.guesses import Guesses
from privacy_audits.estimate.one_run import COINS

_NODES = 64
_CUT = 1e-15
_HALVINGS = 50
_CHANNEL = ("canaries do not interfere", "guesses chosen by confidence")


def one_run_order(guesses: Guesses, *, alpha: float) -> Bound:
    """Bound μ from below for canaries whose noise is independent.

    Parameters
    ----------
    guesses : Guesses
        Outcome of one run, chosen by :meth:`Guesses.by_confidence`.
    alpha : float
        One-sided level.

    Returns
    -------
    Bound
        On μ.
    """
    channel = GaussianChannel()
    return Bound(
        quantity="mu",
        lower=_lower(guesses, channel, alpha),
        point=order_point(guesses),
        ceiling=_lower(guesses.perfect, channel, alpha),
        method="one run, order statistics (Xiang, Wang and Wang)",
        assumptions=(*COINS, *_CHANNEL, "Gaussian pair of scores"),
        confidence=1 - alpha,
    )


def one_run_order_sampled(guesses: Guesses, *, rate: float, delta: float, alpha: float) -> Bound:
    """Bound ε from below for one release of a Poisson-sampled Gaussian mechanism.

    Parameters
    ----------
    guesses : Guesses
        Outcome of one run, chosen by :meth:`Guesses.by_confidence`.
    rate : float
        Sampling rate, in (0, 1); taken as given.
    delta : float
        δ of the claim, in (0, 1).
    alpha : float
        One-sided level.

    Returns
    -------
    Bound
        On ε.
    """
    channel = SampledGaussianChannel(rate=rate)
    lower, point, ceiling = (
        channel.epsilon(mu, delta)
        for mu in (
            _lower(guesses, channel, alpha),
            order_point(guesses, channel),
            _lower(guesses.perfect, channel, alpha),
        )
    )
    return Bound(
        quantity="epsilon",
        lower=lower,
        point=point,
        ceiling=ceiling,
        method="one run, order statistics, Poisson sampling (Xiang, Wang and Wang)",
        assumptions=(*COINS, *_CHANNEL, "sampled Gaussian pair of scores, the rate as declared"),
        confidence=1 - alpha,
        delta=delta,
    )


def order_p_value(guesses: Guesses, *, mu: float, channel: Channel | None = None) -> float:
    """Return the chance of at most as many errors if the channel has strength ``mu``."""
    channel = channel or GaussianChannel()
    wrong = guesses.made - guesses.correct
    if mu == 0:
        return float(bdtr(wrong, guesses.made, 0.5))
    share, weight = _shares(guesses.canaries, guesses.made)
    error = _error_rate(channel, share, mu)
    return float(weight @ bdtr(wrong, guesses.made, error))


def order_point(guesses: Guesses, channel: Channel | None = None) -> float:
    """Return the strength at which the observed share of errors is the expected one.

    The guesses are taken for the most confident ones; infinite without an error.
    """
    channel = channel or GaussianChannel()
    wrong = (guesses.made - guesses.correct) / guesses.made
    if wrong == 0:
        return math.inf
    if wrong >= 0.5:
        return 0.0
    share = np.array([guesses.made / guesses.canaries])
    return crossing(lambda mu: mu > 0 and float(_error_rate(channel, share, mu)[0]) <= wrong)


def _lower(guesses: Guesses, channel: Channel, alpha: float) -> float:
    check_level(alpha)
    return crossing(lambda mu: order_p_value(guesses, mu=mu, channel=channel) > alpha)


@lru_cache(maxsize=64)
def _shares(canaries: int, made: int) -> tuple[Vector, Vector]:
    """Return nodes and weights over the share of scores beyond the first one that is left out."""
    if made == canaries:
        return np.ones(1), np.ones(1)
    law = beta_law(made + 1, canaries - made)
    low, high = float(law.ppf(_CUT)), float(law.isf(_CUT))
    at, weight = np.polynomial.legendre.leggauss(_NODES)
    nodes = low + (high - low) * (at + 1) / 2
    weights = weight * law.pdf(nodes)
    return nodes, weights / weights.sum()


def _error_rate(channel: Channel, share: Vector, mu: float) -> Vector:
    """Return the share of wrong guesses among the ``share`` most confident scores."""
    low, high = np.zeros_like(share), np.ones_like(share)
    while (short := channel.beyond(high, mu) > share).any():
        high = np.where(short, 2 * high, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inner = channel.beyond(middle, mu) > share
        low, high = np.where(inner, middle, low), np.where(inner, high, middle)
    # Both tails belong to one cut: the quotient of two rounded tails would not.
    return channel.wrong(low, mu) / channel.beyond(low, mu)
