"""Stop rules: exact figures, and adversaries that choose what is next from earlier outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from dpsynth.errors import UsageError
from dpsynth.filters import (
    StopRule,
    gaussian_delta,
    gaussian_epsilon,
    zcdp_rho,
)
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

ADD_REMOVE = NeighbouringRelation.ADD_REMOVE
BUDGET = Budget(epsilon=3, delta=1e-5)


def bound(order: float, epsilon: float, delta: float) -> float:
    """Largest Rényi divergence that implies (ε, δ), Canonne-Kamath-Steinke 2020, corollary 13."""
    return epsilon + math.log((order - 1) ** -1 * order) + math.log(delta * order) / (order - 1)


# -- figures --------------------------------------------------------------------------------------


def test_order_and_limit_are_those_of_the_design_document():
    rule = StopRule.for_budget(BUDGET, failure_share=0)
    assert rule.order == pytest.approx(7.5, abs=0.1)
    assert rule.limit == pytest.approx(1.682, abs=1e-3)


@pytest.mark.parametrize("kind", ["rdp", "zcdp"])
@pytest.mark.parametrize(("epsilon", "delta"), [(0.01, 1e-10), (1, 1e-6), (3, 1e-5), (20, 1e-9)])
def test_limit_is_certified_as_exactly_the_budget(kind, epsilon, delta):
    rule = StopRule.for_budget(Budget(epsilon=epsilon, delta=delta), kind=kind)
    assert rule.certified_epsilon([rule.limit]) == pytest.approx(epsilon, rel=1e-9)
    assert rule.admits([rule.limit], [])
    assert not rule.admits([rule.limit, 1e-9], [])


def test_limit_is_the_largest_that_bounds_the_hockey_stick_pointwise():
    rule = StopRule.for_budget(BUDGET)
    loss = np.linspace(-20, 60, 400_001)
    integrand = np.maximum(0, -np.expm1(rule.budget.epsilon - loss))

    def majorant(total: float) -> np.ndarray:
        return rule.main_delta * np.exp((rule.order - 1) * (loss - total))

    assert np.all(integrand <= majorant(rule.limit) * (1 + 1e-9))
    assert not np.all(integrand <= majorant(rule.limit + 1e-6))


def test_exact_gaussian_figures():
    # 20 releases at noise multiplier 5 (accounting.md, 1.1), and a round trip.
    assert gaussian_epsilon(20 / (2 * 25), 1e-5) == pytest.approx(3.8486, abs=1e-4)
    for mu, epsilon in [(0.01, 0.03), (0.7, 1.0), (4.0, 12.0)]:
        delta = gaussian_delta(mu, epsilon)
        assert gaussian_epsilon(mu**2 / 2, delta) == pytest.approx(epsilon, abs=1e-6)
    assert gaussian_epsilon(1e-8, 0.1) == 0.0


@pytest.mark.parametrize("kind", ["rdp", "zcdp"])
def test_largest_gaussian_is_what_still_fits(kind):
    rule = StopRule.for_budget(BUDGET, kind=kind)
    booked = [0.3 * rule.limit]
    fits = rule.largest_gaussian(booked)
    per_rho = rule.order if kind == "rdp" else 1.0

    def cost(epsilon: float) -> float:
        low, high = 1e-9, 50.0
        for _ in range(100):
            middle = (low + high) / 2
            exceeds = gaussian_epsilon(middle, BUDGET.delta) > epsilon
            low, high = (low, middle) if exceeds else (middle, high)
        return low * per_rho

    assert rule.admits([*booked, cost(fits - 1e-4)], [])
    assert not rule.admits([*booked, cost(fits + 1e-4)], [])
    assert rule.largest_gaussian([2 * rule.limit]) == 0.0
    assert rule.largest_gaussian([math.inf]) == 0.0


def test_wrong_parameters_are_refused():
    with pytest.raises(UsageError, match="filter must be one of rdp, zcdp"):
        StopRule.for_budget(BUDGET, kind="pld")
    with pytest.raises(UsageError, match="failure_share"):
        StopRule.for_budget(BUDGET, failure_share=1.0)
    with pytest.raises(UsageError, match="too small"):
        StopRule.for_budget(Budget(epsilon=1e-7, delta=1e-10), kind="zcdp")


# -- zCDP of the mechanisms -----------------------------------------------------------------------


def renyi(log_p: np.ndarray, log_q: np.ndarray, order: float) -> float:
    return float(np.logaddexp.reduce(order * log_p + (1 - order) * log_q)) / (order - 1)


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


# -- adversaries: exact δ of adaptive sequences ---------------------------------------------------


def adaptive_gaussian_delta(first: float, second) -> float:
    """δ(3) of a Gaussian with μ = ``first`` followed by one with μ = ``second(loss)``."""
    loss = np.linspace(first**2 / 2 - 12 * first, first**2 / 2 + 12 * first, 4001)
    density = np.exp(-((loss - first**2 / 2) ** 2) / (2 * first**2))
    density /= density.sum()
    rest = [
        gaussian_delta(mu, BUDGET.epsilon - x)
        if (mu := second(x)) > 0
        else max(0.0, -math.expm1(BUDGET.epsilon - x))
        for x in loss
    ]
    return float(density @ np.array(rest))


STRATEGIES = {
    "always": lambda loss: True,
    "doubles down when unlucky": lambda loss: loss > 0.6,
    "goes on when lucky": lambda loss: loss < 0.2,
    "never": lambda loss: False,
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_gaussian_adversary_stays_within_delta(strategy, share):
    rule = StopRule.for_budget(BUDGET, failure_share=0)
    first = share * rule.limit

    def greedy(loss: float) -> float:
        rest = rule.limit - first
        assert rule.admits([first, rest * (1 - 1e-12)], [])
        return math.sqrt(2 * rest / rule.order) if STRATEGIES[strategy](loss) else 0.0

    mu = math.sqrt(2 * first / rule.order)
    assert adaptive_gaussian_delta(mu, greedy) <= BUDGET.delta


def test_gaussian_simulation_is_exact_and_finds_a_rule_that_forgets():
    mu = math.sqrt(2 * 0.2)
    together = adaptive_gaussian_delta(mu, lambda loss: mu)
    assert together == pytest.approx(gaussian_delta(math.sqrt(2) * mu, 3.0), rel=1e-6)
    # A rule that prices every plan alone lets each be as large as the whole budget.
    alone = math.sqrt(2 * StopRule.for_budget(BUDGET, failure_share=0).limit / 7.5)
    assert adaptive_gaussian_delta(alone, lambda loss: alone if loss > 0 else 0.0) > BUDGET.delta


@dataclass(frozen=True)
class TwoPoint:
    """An output with probability ``p`` has loss ``loss``; the other one takes the rest."""

    p: float
    loss: float

    @property
    def law(self) -> tuple[np.ndarray, np.ndarray]:
        q = self.p * math.exp(-self.loss)
        return np.array([self.p, 1 - self.p]), np.array([q, 1 - q])

    def rdp(self, order: float) -> float:
        p, q = (np.log(law) for law in self.law)
        return max(renyi(p, q, order), renyi(q, p, order))


def spent_delta(first: TwoPoint, when_high: TwoPoint | None, when_low: TwoPoint | None) -> float:
    """Exact δ(3) of a mechanism and what the adversary runs after each of its outputs."""
    p, q = first.law
    total = 0.0
    for branch, then in enumerate((when_high, when_low)):
        start = math.log(p[branch] / q[branch])
        laws = then.law if then else (np.ones(1), np.ones(1))
        losses = start + np.log(laws[0] / laws[1])
        total += p[branch] * float(laws[0] @ np.maximum(0, -np.expm1(BUDGET.epsilon - losses)))
    return total


def shrunk_to_fit(mechanism: TwoPoint, rule: StopRule, booked: float) -> TwoPoint | None:
    """The mechanism with the largest p, at its loss, that the rule still admits."""
    low, high = 1e-16, mechanism.p
    if not rule.admits([booked, TwoPoint(low, mechanism.loss).rdp(rule.order)], []):
        return None
    for _ in range(200):
        middle = math.sqrt(low * high)
        fits = rule.admits([booked, TwoPoint(middle, mechanism.loss).rdp(rule.order)], [])
        low, high = (middle, high) if fits else (low, middle)
    return TwoPoint(low, mechanism.loss)


def test_choosing_the_order_afterwards_is_broken_and_a_fixed_order_holds():
    first = TwoPoint(1.790e-4, 0.9)
    when_high, when_low = TwoPoint(0.4540, 2.2091), TwoPoint(4.010e-5, 3.2637)
    for then, order in ((when_high, 16.0), (when_low, 5.0)):
        # Each branch fits at an order of its own ...
        assert first.rdp(order) + then.rdp(order) <= bound(order, 3.0, 1e-5)
    # ... and together they spend far more than δ.
    assert spent_delta(first, when_high, when_low) > 1.7 * BUDGET.delta

    rule = StopRule.for_budget(BUDGET, failure_share=0)
    booked = first.rdp(rule.order)
    admitted = [shrunk_to_fit(then, rule, booked) for then in (when_high, when_low)]
    assert any(admitted)
    assert 0 < spent_delta(first, *admitted) <= BUDGET.delta


def test_booking_failures_against_what_remains_is_broken_and_a_fixed_share_holds():
    order, failure = 7.5, 0.9 * BUDGET.delta
    first, when_high = TwoPoint(2.559e-4, 2.6), TwoPoint(0.2723, 0.55)
    # Unlucky: two mechanisms within all of δ. Lucky: a failure of 0.9 δ, within the tenth left.
    assert first.rdp(order) + when_high.rdp(order) <= bound(order, 3.0, BUDGET.delta)
    assert first.rdp(order) <= bound(order, 3.0, BUDGET.delta - failure)
    total = spent_delta(first, when_high, None) + (1 - first.p) * failure
    assert total > 1.8 * BUDGET.delta

    rule = StopRule.for_budget(BUDGET, failure_share=0.5)
    admitted = shrunk_to_fit(when_high, rule, first.rdp(rule.order))
    assert not rule.admits([first.rdp(rule.order)], [failure])
    assert rule.admits([first.rdp(rule.order)], [rule.failure_delta])
    total = spent_delta(first, admitted, None) + (1 - first.p) * rule.failure_delta
    assert 0 < total <= BUDGET.delta


def test_random_two_point_adversaries_stay_within_delta():
    rule = StopRule.for_budget(BUDGET, failure_share=0)
    rng = np.random.default_rng(7)
    best = 0.0
    for _ in range(150):
        first = shrunk_to_fit(TwoPoint(0.9, rng.uniform(0.2, 4)), rule, 0.0)
        assert first is not None
        first = TwoPoint(first.p * 10 ** rng.uniform(-3, 0), first.loss)
        booked = first.rdp(rule.order)
        then = [
            shrunk_to_fit(TwoPoint(0.9, rng.uniform(0.2, 4)), rule, booked)
            if rng.random() < 0.7
            else None
            for _ in range(2)
        ]
        best = max(best, spent_delta(first, *then))
        assert best <= BUDGET.delta
    # The bound is nearly reached, so that a rule only a little laxer would have failed.
    assert best > 0.7 * BUDGET.delta
