"""The single order: its figures, and why the limit is what it is."""

from __future__ import annotations

import numpy as np
import pytest

from dpsynth.filters import RenyiRule, stop_rule
from dpsynth.privacy import Budget
from tests.dpsynth.filters.adversaries import BUDGET


def scalar(budget: Budget = BUDGET, **options) -> RenyiRule:
    rule = stop_rule(budget, **options)
    assert isinstance(rule, RenyiRule)
    return rule


def test_order_and_limit_are_those_of_the_design_document():
    rule = scalar(failure_share=0)
    assert rule.order == pytest.approx(7.5, abs=0.1)
    assert rule.limit == pytest.approx(1.682, abs=1e-3)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.01, 1e-10), (1, 1e-6), (3, 1e-5), (20, 1e-9)])
def test_limit_is_certified_as_exactly_the_budget(epsilon, delta):
    rule = scalar(Budget(epsilon=epsilon, delta=delta))
    assert rule.certified_epsilon([(rule.limit,)]) == pytest.approx(epsilon, rel=1e-9)
    assert rule.admits([(rule.limit,)], [])
    assert not rule.admits([(rule.limit,), (1e-9,)], [])


def test_limit_is_the_largest_that_bounds_the_hockey_stick_pointwise():
    rule = scalar()
    loss = np.linspace(-20, 60, 400_001)
    integrand = np.maximum(0, -np.expm1(rule.budget.epsilon - loss))

    def majorant(total: float) -> np.ndarray:
        return rule.main_delta * np.exp((rule.order - 1) * (loss - total))

    assert np.all(integrand <= majorant(rule.limit) * (1 + 1e-9))
    assert not np.all(integrand <= majorant(rule.limit + 1e-6))


def test_a_budget_too_small_for_any_sum_leaves_only_the_plan_that_is_alone():
    rule = scalar(Budget(epsilon=1e-7, delta=1e-10))
    assert rule.closes_with_first_plan
    assert rule.limit < 0
    assert not rule.admits([(0.0,)], [])
    assert rule.largest_gaussian([]) == 0.0
    assert rule.used([]) == 0.0
    assert rule.used([(1e-9,)]) == float("inf")
