"""Several orders at once: the supremum, the weights, and what they gain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dpsynth.accountant import Accountant
from dpsynth.errors import UsageError
from dpsynth.filters import Measures, MixtureRule, RenyiRule, StopRule, stop_rule
from dpsynth.privacy import Budget, NeighbouringRelation, PoissonSampledGaussian
from tests.dpsynth.filters.adversaries import BUDGET, gaussian_cost


def mixture(budget: Budget = BUDGET, **options) -> MixtureRule:
    rule = stop_rule(budget, kind="rdp_mixture", **options)
    assert isinstance(rule, MixtureRule)
    return rule


def steps_admitted(rule: StopRule, sampling_probability: float, noise_multiplier: float) -> int:
    """Most steps of DP-SGD that a rule admits."""
    one = PoissonSampledGaussian(
        relation=NeighbouringRelation.ADD_REMOVE,
        noise_multiplier=noise_multiplier,
        sampling_probability=sampling_probability,
        steps=1,
    )
    curve = tuple(map(float, Accountant([one]).rdp(np.asarray(rule.orders))))

    def fits(steps: int) -> bool:
        measures = Measures(rdp=tuple(steps * r for r in curve), rho=None, mu_squared=None)
        return rule.admits([rule.cost(measures)], [])

    low, high = 0, 10**6
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


@pytest.mark.parametrize(
    ("q", "sigma", "single", "several"),
    [(0.01, 1.0, 2125, 2108), (0.1, 3.0, 358, 355), (0.001, 0.7, 90, 9209)],
)
def test_steps_of_dp_sgd_are_those_of_the_design_document(q, sigma, single, several):
    assert steps_admitted(stop_rule(BUDGET, failure_share=0), q, sigma) == single
    assert steps_admitted(mixture(failure_share=0), q, sigma) == several


@pytest.mark.parametrize("scale", [1e-6, 0.02, 0.2, 3.0, 1e4])
@pytest.mark.parametrize("power", [0.5, 1.0, 2.5])
def test_certificate_is_the_supremum_that_a_grid_finds(scale, power):
    rule = mixture()
    curve = np.array([scale * a**power for a in rule.orders])
    certified = rule.certified_epsilon([tuple(curve)])
    loss = np.linspace(certified - 5, certified + 30, 350_001)
    exponents = np.log(rule.weights) + (np.array(rule.orders) - 1) * (loss[:, None] - curve)
    with np.errstate(over="ignore"):
        majorant = rule.main_delta * np.exp(np.logaddexp.reduce(exponents, axis=1))
        assert np.all(np.maximum(0, -np.expm1(certified - loss)) <= majorant)
        least = certified - 1e-6 * (1 + certified)
        assert not np.all(np.maximum(0, -np.expm1(least - loss)) <= majorant)


def test_one_order_is_the_renyi_rule():
    single = stop_rule(BUDGET)
    assert isinstance(single, RenyiRule)
    alone = MixtureRule(
        budget=BUDGET, failure_delta=single.failure_delta, orders=(single.order,), weights=(1.0,)
    )
    for cost in (0.01, 0.7, 5.0):
        expected = single.certified_epsilon([(cost,)])
        assert alone.certified_epsilon([(cost,)]) == pytest.approx(expected, abs=1e-9)
    assert alone.admits([(single.limit - 1e-9,)], [])
    assert not alone.admits([(single.limit + 1e-9,)], [])


def test_an_order_without_a_finite_cost_only_loses_its_weight():
    rule = mixture()
    whole = gaussian_cost(rule, 0.1)
    partly = tuple(c if a < 6 else math.inf for a, c in zip(rule.orders, whole, strict=True))
    assert rule.admits([whole], [])
    assert rule.certified_epsilon([whole]) < rule.certified_epsilon([partly]) < math.inf
    nothing = tuple(math.inf for _ in rule.orders)
    assert not rule.admits([nothing], [])
    assert rule.certified_epsilon([nothing]) == math.inf
    assert rule.largest_gaussian([nothing]) == 0.0
    # A cost that could not be worked out counts as infinite.
    unknown = rule.cost(Measures(rdp=(math.nan,) * len(rule.orders), rho=0.1, mu_squared=0.1))
    assert unknown == nothing


@pytest.mark.parametrize(("epsilon", "delta"), [(0.01, 1e-10), (1, 1e-6), (3, 1e-5), (20, 1e-9)])
def test_weights_are_public_and_cost_gaussians_little(epsilon, delta):
    budget = Budget(epsilon=epsilon, delta=delta)
    rule = mixture(budget)
    assert 1 - 1e-12 <= math.fsum(rule.weights) <= 1
    assert max(rule.weights) >= 0.9
    single = stop_rule(budget).largest_gaussian([])
    assert 0.99 * single < rule.largest_gaussian([]) < single


@pytest.mark.parametrize(
    "weights", [(0.5, 0.5, 0.1), (0.5,), (0.5, 0.0), (0.6, 0.5), (math.nan, 0.5)]
)
def test_weights_that_prove_nothing_are_refused(weights):
    with pytest.raises(UsageError, match="mixture"):
        MixtureRule(budget=BUDGET, failure_delta=0.0, orders=(2.0, 3.0), weights=weights)
