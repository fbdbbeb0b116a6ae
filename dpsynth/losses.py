"""Privacy loss of each mechanism: Rényi divergence, and loss distribution where it is exact.

The only file that speaks to dp-accounting about single mechanisms. Sensitivities are ours: the
library is always asked about a sensitivity-1 mechanism under add/remove, because its Rényi figures
ignore the relation (``docs/accounting.md``, under-counting cases c and d). The one exception is
Poisson sampling under replace-one, whose loss distribution the library has and which is compared
with a closed form in the tests.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from dp_accounting.pld import pld_pmf
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.privacy_accountant import NeighboringRelation as LibraryRelation
from dp_accounting.rdp import rdp_privacy_accountant as library_rdp

from dpsynth.errors import UsageError
from dpsynth.privacy import (
    ZCDP,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    NeighbouringRelation,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
    PrivateSelection,
)
from dpsynth.trials import TrialLaw

FloatArray = npt.NDArray[np.float64]
LossDistribution: TypeAlias = pld.PrivacyLossDistribution

ORDERS: FloatArray = np.array(
    [1 + x / 10 for x in range(1, 100)]
    + [float(x) for x in range(11, 65)]
    + [72, 80, 96, 112, 128, 160, 192, 256, 384, 512, 768, 1024, 2048],
    dtype=np.float64,
)
"""Rényi orders of the accountant."""

_LARGEST_EXACT_SIGMA = 20_000.0
"""Above this noise the support of a discrete Gaussian is too wide to be tabulated."""


def renyi(mechanism: Mechanism, orders: FloatArray) -> FloatArray:
    """Return an upper bound on the Rényi divergence of neighbours, shape like ``orders``, in nats.

    References
    ----------
    Mironov, "Rényi Differential Privacy", arXiv 1702.07476 (Laplace, Gaussian).
    Canonne, Kamath, Steinke, arXiv 2004.00010, Theorem 14 (discrete Gaussian, several cells).
    Rogers and Steinke, "A Better Privacy Analysis of the Exponential Mechanism" (bounded range).
    Mironov, Talwar, Zhang, arXiv 1908.10530 (Poisson sampling).
    Papernot and Steinke, arXiv 2110.03620, theorem 2 (private selection).
    """
    if isinstance(mechanism, Gaussian):
        return mechanism.count * orders / (2 * mechanism.noise_multiplier**2)
    if isinstance(mechanism, PATEVote):
        return mechanism.votes * orders / (2 * mechanism.noise_multiplier**2)
    if isinstance(mechanism, DiscreteGaussian | PartitionSelection):
        square = mechanism.count * mechanism.sensitivity**2
        return square * orders / (2 * mechanism.sigma**2)
    if isinstance(mechanism, Laplace):
        return mechanism.count * _laplace(1 / mechanism.noise_multiplier, orders)
    if isinstance(mechanism, Exponential):
        epsilon = mechanism.epsilon
        return mechanism.count * np.minimum(orders * epsilon**2 / 8, epsilon)
    if isinstance(mechanism, ZCDP):
        return orders * mechanism.rho
    if isinstance(mechanism, PoissonSampledGaussian):
        return mechanism.steps * _sampled(mechanism, orders)
    if isinstance(mechanism, PrivateSelection):
        return mechanism.count * _selected(mechanism, orders)
    raise UsageError(f"the accountant does not know mechanism {type(mechanism).__name__}.")


def _laplace(epsilon: float, orders: FloatArray) -> FloatArray:
    a = orders
    one = np.log(a / (2 * a - 1)) + (a - 1) * epsilon
    other = np.log((a - 1) / (2 * a - 1)) - a * epsilon
    return np.logaddexp(one, other) / (a - 1)


def _sampled(mechanism: PoissonSampledGaussian, orders: FloatArray) -> FloatArray:
    q, sigma = mechanism.sampling_probability, mechanism.noise_multiplier
    if mechanism.relation == NeighbouringRelation.ADD_REMOVE:
        return _sampled_add_remove(q, sigma, tuple(orders.tolist()))
    # Replacing is removing, then adding: weak triangle inequality (Mironov 2017, Proposition 11)
    # through the table without the unit.
    doubled = _sampled_add_remove(q, sigma, tuple((2 * orders).tolist()))
    lowered = _sampled_add_remove(q, sigma, tuple((2 * orders - 1).tolist()))
    return (orders - 0.5) / (orders - 1) * doubled + lowered


@lru_cache(maxsize=256)
def _sampled_add_remove(q: float, sigma: float, orders: tuple[float, ...]) -> FloatArray:
    # The library warns about fractional orders at which its series does not converge; it leaves
    # them infinite, which is safe, and there are many other orders.
    library_log = logging.getLogger("absl")
    was_disabled, library_log.disabled = library_log.disabled, True
    try:
        rdp = library_rdp._compute_rdp_poisson_subsampled_gaussian(q, sigma, np.array(orders))
    finally:
        library_log.disabled = was_disabled
    return np.asarray(rdp, dtype=np.float64)


def _selected(mechanism: PrivateSelection, orders: FloatArray) -> FloatArray:
    r"""Return the cost of one selection, shape like ``orders``.

    Notes
    -----
    Theorem 2: if one trial costs ε at order a and ε̂ at order â, then the best of K trials costs
    ε + (1 + η)((1 - 1/â) ε̂ + log(1/γ)/â) + log E[K]/(a - 1) at order a. Any â > 1 may be taken: the
    best of ORDERS is.

    *The cost of one trial* is the largest among the candidates, order by order. A trial draws the
    candidate with coins that do not depend on the rows, so that its output is a mixture with the
    same weights on both tables, :math:`e^{(a-1)D}` of mixtures is at most the mean of
    :math:`e^{(a-1)D}` of their parts (with equality where the candidate's number is shown), and
    a mean is at most the maximum.

    *Order.* The theorem wants a total order of the outputs; where scores are equal the first trial
    wins. Trials are exchangeable, so that this is the same as giving every trial an independent
    uniform number, which costs nothing, and letting that decide.

    *Failures.* See :func:`failure_delta`: the formula grows with log(1/γ) and E[K].
    """
    law = TrialLaw.of_mean(mechanism.mean_trials, shape=mechanism.shape)
    eta, log = law.shape, law.log_inverse_halting

    def trial(at: FloatArray) -> FloatArray:
        costs = [sum_renyi(candidate, at) for candidate in mechanism.candidates]
        return np.max(costs, axis=0)

    inner = trial(ORDERS)
    constant = (1 + eta) * float(np.min((1 - 1 / ORDERS) * inner + log / ORDERS))
    log_mean = math.log(law.mean)

    def cost(at: FloatArray, one: FloatArray) -> FloatArray:
        return one + constant + log_mean / (at - 1)

    # Rényi divergence grows with the order: the bound at a larger order holds here as well, and
    # near 1, where log E[K]/(a - 1) explodes, it is the smaller one.
    on_grid = cost(ORDERS, inner)
    later = np.append(np.minimum.accumulate(on_grid[::-1])[::-1], np.inf)
    return np.minimum(cost(orders, trial(orders)), later[np.searchsorted(ORDERS, orders)])


def failure_delta(mechanism: Mechanism) -> float:
    """Return the probability that the mechanism's Rényi cost does not hold.

    Notes
    -----
    *Selection.* Let every trial cost its ε but for an event of probability δ; the event can be
    enlarged by independent coins until its probability is exactly δ on both tables and for every
    candidate. The trials are independent and their number does not depend on the rows, so that no
    event happens with probability E[(1 - δ)^K] ≥ 1 - E[K] δ, on both tables. Given that none
    happened, K has the law with the same η and 1 - γ' = (1 - γ)(1 - δ), hence γ' > γ: theorem 2
    for that law, whose bound is smaller, covers the rest.
    """
    if isinstance(mechanism, PartitionSelection):
        return mechanism.failure_delta
    if isinstance(mechanism, PrivateSelection):
        law = TrialLaw.of_mean(mechanism.mean_trials, shape=mechanism.shape)
        worst = max(math.fsum(map(failure_delta, one)) for one in mechanism.candidates)
        return mechanism.count * law.mean * worst
    return 0.0


def is_exact(mechanism: Mechanism) -> bool:
    """Return whether the mechanism has a tight loss distribution here.

    Notes
    -----
    A discrete Gaussian of sensitivity above 1 has none: a neighbour may spread its rows over
    several cells, and which spread is worst is not known for discrete noise. An exponential
    mechanism is accounted by its zCDP bound, a private selection by its Rényi cost.
    """
    if isinstance(mechanism, DiscreteGaussian | PartitionSelection):
        return mechanism.sensitivity == 1 and mechanism.sigma <= _LARGEST_EXACT_SIGMA
    return not isinstance(mechanism, Exponential | ZCDP | PrivateSelection)


@lru_cache(maxsize=128)
def loss_distribution(mechanisms: tuple[Mechanism, ...], discretisation: float) -> LossDistribution:
    """Return the pessimistic loss distribution of exact mechanisms, composed.

    Parameters
    ----------
    mechanisms : tuple of Mechanism
        All exact (:func:`is_exact`).
    discretisation : float
        Grid of the privacy loss, in nats.
    """
    inverse_variance = 0.0
    parts: list[LossDistribution] = []
    for mechanism in mechanisms:
        if isinstance(mechanism, Gaussian | PATEVote):
            repeats = mechanism.count if isinstance(mechanism, Gaussian) else mechanism.votes
            inverse_variance += repeats / mechanism.noise_multiplier**2
        else:
            parts.append(_single(mechanism, discretisation))
    if inverse_variance:
        # Gaussians add in 1/σ²: one mechanism instead of many, and no rounding between them.
        deviation = 1 / math.sqrt(inverse_variance)
        parts.append(
            pld.from_gaussian_mechanism(deviation, value_discretization_interval=discretisation)
        )
    total = pld.identity(value_discretization_interval=discretisation)
    for part in parts:
        total = total.compose(part)
    return total


@lru_cache(maxsize=128)
def _single(mechanism: Mechanism, h: float) -> LossDistribution:
    if isinstance(mechanism, DiscreteGaussian | PartitionSelection):
        one = pld.from_discrete_gaussian_mechanism(
            mechanism.sigma,
            sensitivity=1,
            value_discretization_interval=h,
            use_connect_dots=True,
        )
        return one.self_compose(mechanism.count)
    if isinstance(mechanism, Laplace):
        one = pld.from_laplace_mechanism(
            mechanism.noise_multiplier, value_discretization_interval=h
        )
        return one.self_compose(mechanism.count)
    if isinstance(mechanism, PoissonSampledGaussian):
        add_remove = mechanism.relation == NeighbouringRelation.ADD_REMOVE
        one = pld.from_gaussian_mechanism(
            mechanism.noise_multiplier,
            value_discretization_interval=h,
            sampling_prob=mechanism.sampling_probability,
            neighboring_relation=LibraryRelation.ADD_OR_REMOVE_ONE
            if add_remove
            else LibraryRelation.REPLACE_ONE,
        )
        return one.self_compose(mechanism.steps)
    raise UsageError(f"{type(mechanism).__name__} has no exact loss distribution.")


def dominating_distribution(rdp: FloatArray, discretisation: float) -> LossDistribution:
    """Turn a Rényi curve into a loss distribution that is at least as bad.

    Parameters
    ----------
    rdp : ndarray, shape of ORDERS
        Rényi cost in nats of everything that is known by it alone, already summed: one block
        converts better than several.
    discretisation : float
        Grid of the privacy loss, in nats.

    Notes
    -----
    The conversion bounds the privacy profile δ(ε) at every ε ≥ 0, and Rényi costs hold in both
    directions, so that δ(-ε) = 1 - e^-ε (1 - δ(ε)) bounds the other side. A true profile is
    convex in e^ε: the largest convex function below the bound still bounds it.

    References
    ----------
    Canonne, Kamath, Steinke, arXiv 2004.00010, Proposition 12.
    Doroshenko et al., "Connect the Dots", arXiv 2207.04380.
    """
    h = discretisation
    steps = _reach(rdp, h)
    epsilons: FloatArray = (np.arange(0, steps + 1) * h).astype(np.float64)
    upper = privacy_profile(rdp, epsilons)
    losses = np.arange(-steps, steps + 1) * h
    lower = 1 - np.exp(-epsilons[:0:-1]) * (1 - upper[:0:-1])
    deltas = _convex_envelope(np.expm1(losses), np.concatenate([lower, upper]))
    return pld.PrivacyLossDistribution(
        pld_pmf.create_pmf_pessimistic_connect_dots_fixed_gap(h, -steps, steps, deltas)
    )


def _reach(rdp: FloatArray, h: float) -> int:
    """Return after how many steps of ``h`` the profile is negligible."""
    epsilon = float(library_rdp.compute_epsilon(ORDERS, rdp, 1e-15)[0])
    # Beyond 300 nats the envelope would lose its last digits; the mass there counts as infinite.
    return max(2, math.ceil(min(epsilon, 300.0) / h))


def privacy_profile(rdp: FloatArray, epsilons: FloatArray) -> FloatArray:
    """Return δ at each ε ≥ 0 that a Rényi curve over ORDERS implies."""
    best = np.zeros_like(epsilons)
    for a, cost in zip(ORDERS, rdp, strict=True):
        exponent = (a - 1) * (cost - epsilons + np.log1p(-1 / a)) - np.log(a)
        best = np.minimum(best, exponent)
    return np.exp(best)


def _convex_envelope(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the largest convex function below points, at those points; ``x`` ascends."""
    hull: list[int] = []
    u, v = x.tolist(), y.tolist()  # plain floats: ten times faster than elements of an array
    for i in range(len(u)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (v[b] - v[a]) * (u[i] - u[a]) < (v[i] - v[a]) * (u[b] - u[a]):
                break
            hull.pop()
        hull.append(i)
    return np.clip(np.interp(x, x[hull], y[hull]), 0.0, 1.0)


def sum_renyi(mechanisms: Sequence[Mechanism], orders: FloatArray) -> FloatArray:
    """Return the summed Rényi cost, shape like ``orders``."""
    total = np.zeros_like(orders)
    for mechanism in mechanisms:
        total = total + renyi(mechanism, orders)
    return total
