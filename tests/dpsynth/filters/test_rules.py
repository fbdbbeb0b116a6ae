"""What holds for every rule, whatever it adds up."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.errors import UsageError
from dpsynth.filters import (
    FilterKind,
    Measures,
    StopRule,
    gaussian_epsilon,
    rule_from_spec,
    stop_rule,
)
from dpsynth.privacy import Budget
from tests.dpsynth.filters.adversaries import BUDGET, KINDS, Cost, gaussian_cost, most_gaussian

RULES = {kind: stop_rule(BUDGET, kind=kind) for kind in KINDS}
BUDGETS = [Budget(epsilon=e, delta=d) for e, d in ((0.01, 1e-10), (1, 1e-6), (3, 1e-5), (20, 1e-9))]


def cost_of(rule: StopRule, rho: float, steepness: float) -> Cost:
    """Cost of something whose Rényi curve grows faster than that of Gaussian noise."""
    curve = tuple(rho * a * (1 + steepness * a) for a in rule.orders)
    return rule.cost(Measures(rdp=curve, rho=rho, mu_squared=2 * rho))


charges = st.lists(
    st.tuples(st.floats(0, 0.3).filter(lambda x: x == 0 or x > 1e-12), st.floats(0, 0.2)),
    max_size=5,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(booked=charges, order=st.randoms(use_true_random=False))
def test_the_order_of_charges_does_not_matter(kind, booked, order):
    rule = RULES[kind]
    costs = [cost_of(rule, *charge) for charge in booked]
    mixed = list(costs)
    order.shuffle(mixed)
    assert rule.admits(costs, []) == rule.admits(mixed, [])
    assert rule.certified_epsilon(costs) == rule.certified_epsilon(mixed)
    assert rule.used(costs) == rule.used(mixed)
    assert rule.largest_gaussian(costs) == rule.largest_gaussian(mixed)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(booked=charges, more=st.floats(0, 0.2), steepness=st.floats(0, 0.2))
def test_more_never_costs_less_and_nothing_costs_nothing(kind, booked, more, steepness):
    rule = RULES[kind]
    costs = [cost_of(rule, *charge) for charge in booked]
    longer = [*costs, cost_of(rule, more, steepness)]
    assert rule.admits(costs, []) or not rule.admits(longer, [])
    slack = 1 + 1e-9
    assert rule.certified_epsilon(costs) <= rule.certified_epsilon(longer) * slack
    assert rule.used(costs) <= rule.used(longer) * slack
    assert rule.largest_gaussian(costs) * slack >= rule.largest_gaussian(longer)
    free = [*costs, cost_of(rule, 0.0, steepness)]
    assert rule.admits(costs, []) == rule.admits(free, [])
    assert rule.certified_epsilon(costs) == rule.certified_epsilon(free)
    assert rule.used(costs) == rule.used(free)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(booked=charges)
def test_what_is_admitted_is_certified_within_the_budget_and_the_other_way_round(kind, booked):
    rule = RULES[kind]
    costs = [cost_of(rule, *charge) for charge in booked]
    used = rule.used(costs)
    assert (rule.certified_epsilon(costs) <= BUDGET.epsilon * (1 + 1e-12)) == rule.admits(costs, [])
    if used > 0:
        # At the brink: just below it fits, just above it does not.
        below, above = (
            [tuple(part * scale / used for part in cost) for cost in costs]
            for scale in (1 - 1e-7, 1 + 1e-7)
        )
        assert rule.admits(below, [])
        assert rule.certified_epsilon(below) <= BUDGET.epsilon
        assert not rule.admits(above, [])


@pytest.mark.parametrize("kind", KINDS)
def test_failures_are_counted_on_their_own(kind):
    rule = RULES[kind]
    assert rule.failure_delta == pytest.approx(0.2 * BUDGET.delta)
    assert rule.main_delta == pytest.approx(0.8 * BUDGET.delta)
    half = rule.failure_delta / 2
    assert rule.admits([], [half, half])
    assert not rule.admits([], [half, half, 1e-20])
    assert not stop_rule(BUDGET, kind=kind, failure_share=0).admits([], [1e-20])


# Share of ε that one Gaussian loses at the limit (failure_share 0), as measured for these budgets.
LOSS = {"rdp": 0.09, "zcdp": 0.09, "gdp": 1e-6, "rdp_mixture": 0.10}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", BUDGETS)
def test_one_gaussian_is_certified_at_its_closed_form_but_for_what_the_rule_loses(kind, budget):
    rule = stop_rule(budget, kind=kind, failure_share=0)
    rho = most_gaussian(rule, [], [])
    certified = rule.certified_epsilon([gaussian_cost(rule, rho)])
    exact = gaussian_epsilon(rho, budget.delta)
    assert exact <= certified <= budget.epsilon
    assert certified == pytest.approx(budget.epsilon, rel=1e-6)
    assert exact >= (1 - LOSS[kind]) * certified


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", BUDGETS)
def test_largest_gaussian_is_what_still_fits(kind, budget):
    rule = stop_rule(budget, kind=kind)
    booked = [gaussian_cost(rule, 0.3 * most_gaussian(rule, [], []))]
    fits = rule.largest_gaussian(booked)
    exact = gaussian_epsilon(most_gaussian(rule, booked, []), budget.delta)
    assert fits == pytest.approx(exact, rel=1e-6)
    assert 0 < fits < rule.largest_gaussian([])
    assert rule.largest_gaussian([gaussian_cost(rule, 100 * budget.epsilon)]) == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_cost_in_the_measure_is_never_admitted(kind):
    rule = RULES[kind]
    cost = rule.cost(Measures(rdp=(math.inf,) * len(rule.orders), rho=None, mu_squared=None))
    assert rule.is_curve == (len(cost) > 1)
    assert set(cost) == {math.inf}
    assert not rule.admits([cost], [])
    assert rule.certified_epsilon([cost]) == math.inf
    assert rule.largest_gaussian([cost]) == 0.0
    assert rule.used([cost]) == math.inf


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", BUDGETS)
def test_a_rule_is_rebuilt_from_its_description(kind, budget):
    rule = stop_rule(budget, kind=kind, failure_share=0.1)
    spec = json.loads(json.dumps(rule.spec()))
    assert rule_from_spec(spec, budget) == rule
    assert spec["kind"] == kind
    assert set(np.asarray(rule.orders)) >= {1.5, 64.0}


def test_the_default_is_the_single_order():
    assert stop_rule(BUDGET).kind is FilterKind.RDP
    assert {rule.kind for rule in RULES.values() if rule.closes_with_first_plan} == {
        "rdp",
        "rdp_mixture",
    }


def test_wrong_parameters_are_refused():
    with pytest.raises(UsageError, match="filter must be one of rdp, zcdp, gdp, rdp_mixture"):
        stop_rule(BUDGET, kind="pld")
    with pytest.raises(UsageError, match="failure_share"):
        stop_rule(BUDGET, failure_share=1.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "pld"}, "filter must be one of"),
        ({"kind": None}, "filter must be one of"),
        ({"failure_delta": 1e-5}, "failure_delta"),
        ({"failure_delta": "much"}, "malformed"),
        ({"failure_delta": math.nan}, "failure_delta"),
        ({"orders": []}, "orders"),
        ({"orders": [1.0, 2.0]}, "orders"),
        ({"orders": [3.0, 2.0]}, "orders"),
        ({"surprise": 1.0}, "malformed"),
    ],
)
def test_a_changed_description_is_refused(kind, change, message):
    with pytest.raises(UsageError, match=message):
        rule_from_spec({**RULES[kind].spec(), **change}, BUDGET)


@pytest.mark.parametrize("kind", ["rdp", "zcdp"])
def test_an_order_at_which_nothing_is_kept_is_refused(kind):
    with pytest.raises(UsageError, match="at the order"):
        rule_from_spec({**RULES[kind].spec(), "order": 7.77}, BUDGET)
