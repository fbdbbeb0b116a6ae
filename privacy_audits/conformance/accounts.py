"""Accounts: a stated (ε, δ) against two accountants that share no code with the package.

One sums Rényi costs at whole orders, the other composes loss distributions of one explicit pair of
outputs per mechanism with a Fourier transform. The first is a valid bound, so that nothing should
be stated above it; the second is what an attacker can really see, so that nothing may be stated
below it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats
from scipy.special import gammaln, logsumexp

from dpsynth.errors import UsageError
from dpsynth.privacy import (
    ZCDP,
    Budget,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Mechanism,
    NeighbouringRelation,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
)
from privacy_audits.conformance.result import Conformance

FloatArray = npt.NDArray[np.float64]

_ORDERS = np.concatenate([np.arange(2, 129), 2 ** np.arange(8, 13)]).astype(np.int64)
_POINTS = 2**17
_REACH_DELTA = 1e-13
"""The window of the transform reaches to the ε that Rényi costs give at this δ."""


def stated_cost(
    mechanisms: Iterable[Mechanism], stated: Budget, *, tolerance: float = 0.005
) -> tuple[Conformance, Conformance]:
    """Compare what is stated for a composition with two independent accountants.

    Parameters
    ----------
    mechanisms : iterable of Mechanism
        Everything that was booked, under add/remove where rows are sampled.
    stated : Budget
        What the books say that all of it costs.
    tolerance : float
        Relative error of ε that is put down to the grid.

    Returns
    -------
    attained, charged : Conformance
        ε that is attained over the one that is stated; stated ε over the valid Rényi bound.

    Raises
    ------
    UsageError
        For a mechanism that these accountants do not know.

    Notes
    -----
    A discrete Gaussian stands for the normal of the same scale, its worst neighbour for one cell
    that moves by the whole sensitivity; a selection for a coin with odds e^(ε/2); ρ-zCDP for a
    Gaussian. All of these attain at most what the mechanism may cost, up to the discreteness of
    the noise, so that a failure of the first result is an under-charge.

    References
    ----------
    Mironov, Talwar, Zhang, arXiv 1908.10530 (sampled Gaussian at whole orders).
    Canonne, Kamath, Steinke, arXiv 2004.00010, Proposition 12 (from Rényi costs to ε).
    Koskela, Jälkö, Honkela, "Computing Tight Differential Privacy Guarantees Using FFT",
    arXiv 1906.03049.
    """
    parts = tuple(mechanisms)
    failure = math.fsum(m.failure_delta for m in parts if isinstance(m, PartitionSelection))
    if failure >= stated.delta:
        attained, charged = math.inf, math.inf
    else:
        rest = stated.delta - failure
        attained, charged = attained_epsilon(parts, rest), renyi_epsilon(parts, rest)
    return (
        Conformance(
            name="accounts: attained",
            statistic=attained / stated.epsilon,
            threshold=1 + tolerance,
            meaning="ε that an attacker attains over the stated one; above 1 it is under-charged",
        ),
        Conformance(
            name="accounts: charged",
            statistic=stated.epsilon / charged if charged else math.inf,
            threshold=1 + tolerance,
            meaning="stated ε over a valid bound; above 1 something else was charged than runs",
        ),
    )


# -- Rényi costs -----------------------------------------------------------------------------------


def renyi_epsilon(mechanisms: Sequence[Mechanism], delta: float) -> float:
    """Return ε at δ by Rényi costs at whole orders; failures of selections are left to the caller.

    Parameters
    ----------
    mechanisms : sequence of Mechanism
    delta : float
    """
    orders = _ORDERS.astype(np.float64)
    cost = np.sum([_renyi(m) for m in mechanisms], axis=0)
    epsilon = cost + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(0.0, float(epsilon.min()))


def _renyi(mechanism: Mechanism) -> FloatArray:
    orders = _ORDERS.astype(np.float64)
    if isinstance(mechanism, PoissonSampledGaussian):
        _refuse_replacing(mechanism)
        return mechanism.steps * np.array([_sampled(mechanism, int(a)) for a in _ORDERS])
    if isinstance(mechanism, Exponential):
        each = np.minimum(orders * mechanism.epsilon**2 / 8, mechanism.epsilon)
        return mechanism.count * each
    return orders * _squared_shift(mechanism) / 2


def _sampled(mechanism: PoissonSampledGaussian, order: int) -> float:
    q, k = mechanism.sampling_probability, np.arange(order + 1)
    shifted = k * (k - 1) / (2 * mechanism.noise_multiplier**2)
    if q == 1:
        return order / (2 * mechanism.noise_multiplier**2)
    choose = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
    terms = choose + k * math.log(q) + (order - k) * math.log1p(-q) + shifted
    return float(logsumexp(terms)) / (order - 1)


def _squared_shift(mechanism: Mechanism) -> float:
    """Return μ² of the Gaussian that the mechanism amounts to."""
    if isinstance(mechanism, Gaussian):
        return mechanism.count / mechanism.noise_multiplier**2
    if isinstance(mechanism, PATEVote):
        return mechanism.votes / mechanism.noise_multiplier**2
    if isinstance(mechanism, DiscreteGaussian | PartitionSelection):
        return mechanism.count * mechanism.sensitivity**2 / mechanism.sigma**2
    if isinstance(mechanism, ZCDP):
        return 2 * mechanism.rho
    raise UsageError(f"the independent accountants do not know {type(mechanism).__name__}.")


def _refuse_replacing(mechanism: PoissonSampledGaussian) -> None:
    if mechanism.relation != NeighbouringRelation.ADD_REMOVE:
        raise UsageError("the independent accountants know sampled rows under add/remove only.")


# -- loss distributions ----------------------------------------------------------------------------


def attained_epsilon(mechanisms: Sequence[Mechanism], delta: float) -> float:
    """Return the ε that is attained at δ by one explicit pair of outputs per mechanism.

    Parameters
    ----------
    mechanisms : sequence of Mechanism
    delta : float
    """
    sampled = [m for m in mechanisms if isinstance(m, PoissonSampledGaussian)]
    coins = [m for m in mechanisms if isinstance(m, Exponential)]
    others = [m for m in mechanisms if m not in sampled and m not in coins]
    shift = math.sqrt(sum(_squared_shift(m) for m in others))
    if not sampled and not coins:
        return _gaussian_epsilon(shift, delta)
    reach = renyi_epsilon(mechanisms, _REACH_DELTA) + 1.0
    step = 2 * reach / _POINTS
    losses: FloatArray = ((np.arange(_POINTS) - _POINTS // 2) * step).astype(np.float64)
    edges: FloatArray = np.append(losses, losses[-1] + step) - step / 2
    epsilons = []
    for removed in (True, False):
        spectrum = np.ones(_POINTS // 2 + 1, dtype=np.complex128)
        for mechanism in sampled:
            _refuse_replacing(mechanism)
            masses = np.diff(_sampled_below(mechanism, edges, removed=removed))
            spectrum *= _transform(masses) ** mechanism.steps
        for mechanism in coins:
            spectrum *= _transform(_coin(mechanism.epsilon / 2, losses)) ** mechanism.count
        if shift:
            below = stats.norm.cdf((edges - shift**2 / 2) / shift)
            spectrum *= _transform(np.diff(below))
        masses = np.fft.fftshift(np.fft.irfft(spectrum, n=_POINTS)).clip(min=0.0)
        epsilons.append(_epsilon_of(losses, masses, delta))
    return max(epsilons)


def _transform(masses: FloatArray) -> npt.NDArray[np.complex128]:
    return np.fft.rfft(np.fft.ifftshift(masses))


def _sampled_below(
    mechanism: PoissonSampledGaussian, losses: FloatArray, *, removed: bool
) -> FloatArray:
    """Return the probability that the loss of one step lies below each of ``losses``."""
    q, sigma = mechanism.sampling_probability, mechanism.noise_multiplier
    # The loss of an output x on the table with the unit, against the one without it.
    rising = losses if removed else -losses
    inside = np.maximum(np.expm1(rising) / q + 1, 0.0)
    with np.errstate(divide="ignore"):
        x = sigma**2 * np.log(inside) + 0.5
    if removed:
        return (1 - q) * stats.norm.cdf(x / sigma) + q * stats.norm.cdf((x - 1) / sigma)
    return stats.norm.sf(x / sigma)


def _coin(loss: float, losses: FloatArray) -> FloatArray:
    """Return the masses of a coin with odds e^loss, each on the grid point next below its loss."""
    masses = np.zeros_like(losses)
    for value, chance in ((loss, 1 / (1 + math.exp(-loss))), (-loss, 1 / (1 + math.exp(loss)))):
        masses[np.searchsorted(losses, value, side="right") - 1] += chance
    return masses


def _epsilon_of(losses: FloatArray, masses: FloatArray, delta: float) -> float:
    """Return the least ε ≥ 0 at which E[(1 - e^(ε - L))₊] is at most δ."""

    def excess(epsilon: float) -> float:
        over = losses > epsilon
        return float(masses[over] @ -np.expm1(epsilon - losses[over])) - delta

    if excess(0.0) <= 0:
        return 0.0
    return float(optimize.brentq(excess, 0.0, float(losses[-1])))


def _gaussian_epsilon(mu: float, delta: float) -> float:
    if not mu:
        return 0.0

    def excess(epsilon: float) -> float:
        inner = stats.norm.logcdf(-mu / 2 - epsilon / mu) + epsilon
        return float(stats.norm.cdf(mu / 2 - epsilon / mu) - np.exp(inner)) - delta

    if excess(0.0) <= 0:
        return 0.0
    return float(optimize.brentq(excess, 0.0, mu**2 / 2 + 40 * mu))
