"""zCDP: ρ of the mechanisms, and the limit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dpsynth.errors import UsageError
from dpsynth.filters import ZCDPRule, stop_rule, zcdp_rho
from dpsynth.privacy import (
    ZCDP,
    Budget,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Laplace,
    NeighbouringRelation,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
)
from tests.dpsynth.filters.adversaries import renyi

ADD_REMOVE = NeighbouringRelation.ADD_REMOVE


@pytest.mark.parametrize(("epsilon", "delta"), [(0.01, 1e-10), (1, 1e-6), (3, 1e-5), (20, 1e-9)])
def test_limit_is_certified_as_exactly_the_budget(epsilon, delta):
    rule = stop_rule(Budget(epsilon=epsilon, delta=delta), kind="zcdp")
    assert isinstance(rule, ZCDPRule)
    assert rule.certified_epsilon([(rule.limit,)]) == pytest.approx(epsilon, rel=1e-9)
    assert rule.admits([(rule.limit,)], [])
    assert not rule.admits([(rule.limit,), (1e-9,)], [])
    assert not rule.closes_with_first_plan


def test_a_budget_that_would_admit_nothing_is_refused():
    with pytest.raises(UsageError, match="too small"):
        stop_rule(Budget(epsilon=1e-7, delta=1e-10), kind="zcdp")


@pytest.mark.parametrize("order", [1.5, 4.0, 16.0])
def test_rho_bounds_the_renyi_divergence_of_worst_pairs(order):
    def rho(mechanism):
        return zcdp_rho([mechanism])

    def normalised(log_weights):
        return log_weights - np.logaddexp.reduce(log_weights)

    cells = np.arange(-150.0, 151.0)
    pair = normalised(-((cells - 2) ** 2) / (2 * 9)), normalised(-(cells**2) / (2 * 9))
    discrete = rho(DiscreteGaussian(relation=ADD_REMOVE, sigma=3.0, sensitivity=2))
    assert renyi(*pair, order) == pytest.approx(discrete * order, rel=1e-6)

    x = np.linspace(-60, 61, 200_001)
    pair = normalised(-np.abs(x - 1) / 1.3), normalised(-np.abs(x) / 1.3)
    scale = rho(Laplace(relation=ADD_REMOVE, noise_multiplier=1.3))
    assert renyi(*pair, order) <= scale * order

    # A bounded-range mechanism: two outputs whose log-ratios differ by at most ε.
    epsilon = 0.8
    bounded = rho(Exponential(relation=ADD_REMOVE, epsilon=epsilon))
    for t in np.linspace(0.01, epsilon - 0.01, 25):
        p = math.expm1(t - epsilon) / math.expm1(-epsilon)
        q = p * math.exp(-t)
        pair = np.log([p, 1 - p]), np.log([q, 1 - q])
        assert (pair[0] - pair[1]) == pytest.approx([t, t - epsilon])
        assert renyi(*pair, order) <= bounded * order * (1 + 1e-9)


def test_rho_adds_up_over_counts_and_mechanisms():
    parts = [
        Gaussian(relation=ADD_REMOVE, noise_multiplier=10.0, count=3),
        PATEVote(relation=ADD_REMOVE, noise_multiplier=10.0, votes=4),
        PartitionSelection(relation=ADD_REMOVE, sigma=10.0, failure_delta=1e-7, count=2),
        ZCDP(relation=ADD_REMOVE, rho=0.25),
    ]
    assert zcdp_rho(parts) == pytest.approx((3 + 4 + 2) / 200 + 0.25)
    sampled = PoissonSampledGaussian(
        relation=ADD_REMOVE, noise_multiplier=1.0, sampling_probability=0.1, steps=1
    )
    assert zcdp_rho([*parts, sampled]) is None
