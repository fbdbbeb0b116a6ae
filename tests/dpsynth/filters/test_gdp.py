"""Gaussian differential privacy: μ of the mechanisms, the limit, and what it cannot certify."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dpsynth.filters import GDPRule, gaussian_delta, gdp_mu_squared, stop_rule
from dpsynth.privacy import (
    ZCDP,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Laplace,
    NeighbouringRelation,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
)
from tests.dpsynth.filters.adversaries import BUDGET

ADD_REMOVE = NeighbouringRelation.ADD_REMOVE
PROFILE = np.linspace(-9, 9, 181)


def mu_of(mechanism) -> float:
    squared = gdp_mu_squared([mechanism])
    assert squared is not None
    return math.sqrt(squared)


def hockey_sticks(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Both directions at all ε of the profile."""
    return np.array(
        [[np.maximum(0, a - math.exp(e) * b).sum() for e in PROFILE] for a, b in ((p, q), (q, p))]
    )


def is_dominated(p: np.ndarray, q: np.ndarray, mu: float) -> bool:
    bound = np.array([gaussian_delta(mu, e) for e in PROFILE])
    return bool(np.all(hockey_sticks(p, q) <= bound + 1e-12))


def bounded_range_pair(epsilon: float, t: float) -> tuple[np.ndarray, np.ndarray]:
    p = math.expm1(t - epsilon) / math.expm1(-epsilon)
    return np.array([p, 1 - p]), np.array([p * math.exp(-t), 1 - p * math.exp(-t)])


@pytest.mark.parametrize("epsilon", [0.001, 0.1, 1.0, 3.0, 8.0])
def test_bounded_range_mechanisms_are_dominated_by_their_gaussian(epsilon):
    mu = mu_of(Exponential(relation=ADD_REMOVE, epsilon=epsilon))
    for t in np.linspace(0.001, 0.999, 41) * epsilon:
        assert is_dominated(*bounded_range_pair(epsilon, t), mu)
    # The closed form of the design document; 0.627 ε where ε is small.
    quantile = -mu / 2
    share = math.erfc(-quantile / math.sqrt(2)) / 2
    assert share == pytest.approx((1 - math.tanh(epsilon / 4)) / 2, rel=1e-9)
    if epsilon < 0.01:
        assert mu == pytest.approx(math.sqrt(math.pi / 8) * epsilon, rel=1e-4)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0])
def test_no_smaller_mu_holds_for_bounded_range(epsilon):
    # The corner of the symmetric pair lies on the curve, so the chord test is exact there.
    mu = mu_of(Exponential(relation=ADD_REMOVE, epsilon=epsilon))
    p, q = bounded_range_pair(epsilon, epsilon / 2)
    fine = np.linspace(-epsilon, epsilon, 2001)
    for scale, holds in ((1.0, True), (0.999, False)):
        delta = np.array([np.maximum(0, p - math.exp(e) * q).sum() for e in fine])
        bound = np.array([gaussian_delta(scale * mu, e) for e in fine])
        assert bool(np.all(delta <= bound + 1e-12)) is holds


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 4.0])
def test_pure_mechanisms_are_dominated_by_their_gaussian(epsilon):
    mu = mu_of(Laplace(relation=ADD_REMOVE, noise_multiplier=1 / epsilon))
    p = 1 / (1 + math.exp(-epsilon))
    pair = np.array([p, 1 - p]), np.array([1 - p, p])
    assert is_dominated(*pair, mu)
    assert not is_dominated(*pair, 0.98 * mu)
    x = np.linspace(-25, 26, 100_001) / epsilon
    laws = [np.exp(-epsilon * np.abs(x - at)) for at in (1.0, 0.0)]
    assert is_dominated(laws[0] / laws[0].sum(), laws[1] / laws[1].sum(), mu * (1 + 1e-3))


def test_a_tiny_and_a_huge_range_stay_finite():
    tiny = Exponential(relation=ADD_REMOVE, epsilon=1e-9)
    assert mu_of(tiny) == pytest.approx(math.sqrt(math.pi / 8) * 1e-9, rel=1e-12)
    assert mu_of(Exponential(relation=ADD_REMOVE, epsilon=4000.0)) < 200
    below, above = (mu_of(Exponential(relation=ADD_REMOVE, epsilon=e)) for e in (1 - 1e-9, 1.0))
    assert below < above == pytest.approx(below, rel=1e-8)


def test_mu_squared_adds_up_and_is_missing_where_it_is_not_proven():
    parts = [
        Gaussian(relation=ADD_REMOVE, noise_multiplier=10.0, count=3),
        PATEVote(relation=ADD_REMOVE, noise_multiplier=10.0, votes=4),
    ]
    assert gdp_mu_squared(parts) == pytest.approx(7 / 100)
    once = Exponential(relation=ADD_REMOVE, epsilon=0.3)
    thrice = Exponential(relation=ADD_REMOVE, epsilon=0.3, count=3)
    assert gdp_mu_squared([thrice]) == pytest.approx(3 * mu_of(once) ** 2)
    for other in (
        DiscreteGaussian(relation=ADD_REMOVE, sigma=10.0),
        PartitionSelection(relation=ADD_REMOVE, sigma=10.0, failure_delta=1e-7),
        PoissonSampledGaussian(
            relation=ADD_REMOVE, noise_multiplier=1.0, sampling_probability=0.1, steps=1
        ),
        ZCDP(relation=ADD_REMOVE, rho=0.25),
    ):
        assert gdp_mu_squared([*parts, other]) is None


def test_a_discrete_gaussian_is_not_private_like_the_continuous_one():
    sigma = 0.3
    cells = np.arange(-20, 22)
    laws = [np.exp(-((cells - at) ** 2) / (2 * sigma**2)) for at in (1, 0)]
    p, q = (law / law.sum() for law in laws)
    assert not is_dominated(p, q, 1 / sigma)
    assert hockey_sticks(p, q)[0].max() > 0


@pytest.mark.parametrize("failure_share", [0.0, 0.2])
def test_limit_is_the_gaussian_that_meets_the_budget(failure_share):
    rule = stop_rule(BUDGET, kind="gdp", failure_share=failure_share)
    assert isinstance(rule, GDPRule)
    delta = gaussian_delta(math.sqrt(rule.limit), BUDGET.epsilon)
    assert delta == pytest.approx(rule.main_delta, rel=1e-6)
    assert delta <= rule.main_delta
    assert not rule.closes_with_first_plan


def test_the_certificate_is_the_whole_budget_from_the_first_charge_on():
    # test_adversaries.py shows why nothing smaller holds.
    rule = stop_rule(BUDGET, kind="gdp")
    assert isinstance(rule, GDPRule)
    assert rule.certified_epsilon([]) == 0.0
    assert rule.certified_epsilon([(1e-6,)]) == BUDGET.epsilon
    assert rule.certified_epsilon([(rule.limit,)]) == BUDGET.epsilon
    assert rule.certified_epsilon([(rule.limit * 1.01,)]) == math.inf
