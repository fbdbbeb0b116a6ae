"""For every rule: whoever chooses from earlier outputs cannot spend more than δ."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dpsynth.filters import FilterKind, gaussian_delta, gaussian_epsilon, rule_from_spec, stop_rule
from tests.dpsynth.filters.adversaries import (
    BUDGET,
    KINDS,
    Choice,
    Step,
    TwoPoint,
    gaussian_cost,
    most_gaussian,
    shrunk_to_fit,
    spent_by_gaussians,
    spent_by_two_points,
)

CELLS = (0.0, 0.6, 1.2, 2.0)
# Share of what is left that is spent next, by the cell in which the loss lies.
STRATEGIES = {
    "always the same": (0.4, 0.4, 0.4, 0.4, 0.4),
    "doubles down when unlucky": (0.05, 0.05, 0.5, 1.0, 1.0),
    "goes on when lucky": (1.0, 0.8, 0.3, 0.0, 0.0),
    "only in the middle": (0.0, 0.3, 1.0, 0.3, 0.0),
}


def test_kinds_are_all_that_there_are():
    assert set(KINDS) == set(FilterKind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_four_gaussians_chosen_from_outputs_stay_within_delta(kind, strategy):
    rule = stop_rule(BUDGET, kind=kind, failure_share=0)
    whole = most_gaussian(rule, [], [])

    def choose(cell: int, steps: tuple[Step, ...]) -> Step:
        left = whole - math.fsum(step.rho for step in steps)
        rho = left * STRATEGIES[strategy][cell] * (1 - 1e-9)
        assert rule.admits([gaussian_cost(rule, s.rho) for s in (*steps, Step(rho))], [])
        return Step(rho)

    first = Step(0.3 * whole)
    spent = spent_by_gaussians(first, [choose, choose, choose], cells=CELLS)
    assert spent.error < 0.03 * BUDGET.delta
    assert 0 < spent.delta - 4 * spent.error
    assert spent.delta <= BUDGET.delta


@pytest.mark.parametrize("kind", KINDS)
def test_spending_all_of_it_is_the_gaussian_of_the_limit_whatever_the_path(kind):
    # Two-sided: the simulation must neither miss nor invent anything.
    rule = stop_rule(BUDGET, kind=kind, failure_share=0)
    whole = most_gaussian(rule, [], [])

    def part(cell: int, steps: tuple[Step, ...]) -> Step:
        return Step((0.1, 0.2, 0.3, 0.4, 0.5)[cell] * whole)

    def rest(cell: int, steps: tuple[Step, ...]) -> Step:
        return Step(whole - math.fsum(step.rho for step in steps))

    spent = spent_by_gaussians(Step(0.3 * whole), [part, rest], cells=CELLS)
    exact = gaussian_delta(math.sqrt(2 * whole), BUDGET.epsilon)
    assert spent.delta == pytest.approx(exact, abs=4 * spent.error)
    assert spent.error < 0.03 * exact
    assert exact <= BUDGET.delta
    if kind == "gdp":
        assert exact == pytest.approx(BUDGET.delta, rel=1e-6)


def failure_when_lucky(unlucky: Step, lucky: Step) -> Choice:
    return lambda cell, steps: lucky if cell == 0 else unlucky


@pytest.mark.parametrize("kind", KINDS)
def test_taking_failures_off_as_one_goes_is_broken_and_a_fixed_share_holds(kind):
    failure = 0.95 * BUDGET.delta
    template = stop_rule(BUDGET, kind=kind, failure_share=0)

    def as_one_goes(costs, failures) -> bool:
        spec = {**template.spec(), "failure_delta": math.fsum(failures)}
        return rule_from_spec(spec, BUDGET).admits(costs, failures)

    # Small enough that the failure would still be admitted after it ...
    first = most_gaussian(template, [], [failure], as_one_goes)
    booked = [gaussian_cost(template, first)]
    # ... and when it came out high, all that is left is spent instead.
    rest = most_gaussian(template, booked, [], as_one_goes)
    adversary = failure_when_lucky(Step(rest), Step(failure=failure))
    spent = spent_by_gaussians(Step(first), [adversary], cells=(1.0,))
    # (What is proven by Rényi costs is proven with room to spare for Gaussians.)
    assert spent.delta - 4 * spent.error > (1.5 if kind == "gdp" else 1.05) * BUDGET.delta

    rule = stop_rule(BUDGET, kind=kind, failure_share=0.5)
    first = 0.7 * most_gaussian(rule, [], [])
    booked = [gaussian_cost(rule, first)]
    assert not rule.admits(booked, [failure])
    assert rule.admits(booked, [rule.failure_delta])
    rest = most_gaussian(rule, booked, [])
    adversary = failure_when_lucky(Step(rest), Step(failure=rule.failure_delta))
    spent = spent_by_gaussians(Step(first), [adversary], cells=(1.0,))
    assert spent.delta + 4 * spent.error <= BUDGET.delta


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_that_forgets_is_found(kind):
    # Every plan priced alone: each may be as large as the whole budget.
    whole = most_gaussian(stop_rule(BUDGET, kind=kind, failure_share=0), [], [])
    again = failure_when_lucky(Step(whole), Step())
    spent = spent_by_gaussians(Step(whole), [again], cells=(0.0,))
    assert spent.delta - 4 * spent.error > 1.5 * BUDGET.delta


@pytest.mark.parametrize("kind", KINDS)
def test_the_certificate_holds_for_whoever_stops_when_unlucky(kind):
    # E[(1 - exp(ε̂ - L))₊] ≤ δ also for the ε̂ of the moment at which the adversary stops.
    rule = stop_rule(BUDGET, kind=kind, failure_share=0)
    whole = most_gaussian(rule, [], [])
    first = Step(0.4 * whole)
    closed_form = gaussian_epsilon(first.rho, BUDGET.delta)

    def stop_when_unlucky(cell: int, steps: tuple[Step, ...]) -> Step:
        return Step() if cell == 1 else Step(whole - first.rho)

    def simulate(certify):
        return spent_by_gaussians(
            first, [stop_when_unlucky], cells=(closed_form,), certify=certify, size=40_000
        )

    def certified(steps: tuple[Step, ...]) -> float:
        return rule.certified_epsilon([gaussian_cost(rule, step.rho) for step in steps])

    def as_if_fixed(steps: tuple[Step, ...]) -> float:
        return gaussian_epsilon(math.fsum(step.rho for step in steps), BUDGET.delta)

    spent = simulate(certified)
    assert 0 < spent.delta + 4 * spent.error <= BUDGET.delta
    # The closed form of what was spent is no such certificate, under any rule.
    spent = simulate(as_if_fixed)
    assert spent.delta - 4 * spent.error > 1.2 * BUDGET.delta


def test_choosing_the_order_afterwards_is_broken():
    first = TwoPoint(1.790e-4, 0.9)
    when_high, when_low = TwoPoint(0.4540, 2.2091), TwoPoint(4.010e-5, 3.2637)
    spec = stop_rule(BUDGET, failure_share=0).spec()
    for then, order in ((when_high, 16.0), (when_low, 5.0)):
        # Each branch fits at an order of its own ...
        rule = rule_from_spec({**spec, "order": order}, BUDGET)
        assert rule.admits([first.cost(rule), then.cost(rule)], [])
    # ... and together they spend far more than δ.
    assert spent_by_two_points(first, when_high, when_low) > 1.7 * BUDGET.delta


@pytest.mark.parametrize("kind", KINDS)
def test_orders_and_weights_fixed_beforehand_hold(kind):
    rule = stop_rule(BUDGET, kind=kind, failure_share=0)
    first = TwoPoint(1.790e-4, 0.9)
    fits = [
        shrunk_to_fit(then, rule, [first.cost(rule)])
        for then in (TwoPoint(0.4540, 2.2091), TwoPoint(4.010e-5, 3.2637))
    ]
    assert any(fits)
    assert 0 < spent_by_two_points(first, *fits) <= BUDGET.delta


@pytest.mark.parametrize(
    ("kind", "reached"), [("rdp", 0.6), ("zcdp", 0.3), ("gdp", 0.35), ("rdp_mixture", 0.5)]
)
def test_random_two_point_adversaries_stay_within_delta(kind, reached):
    rule = stop_rule(BUDGET, kind=kind, failure_share=0)
    rng = np.random.default_rng(7)
    best = 0.0
    for _ in range(40):
        first = shrunk_to_fit(TwoPoint(0.9, rng.uniform(0.2, 4)), rule, [])
        assert first is not None
        first = TwoPoint(first.p * 10 ** rng.uniform(-3, 0), first.loss)
        then = [
            shrunk_to_fit(TwoPoint(0.9, rng.uniform(0.2, 4)), rule, [first.cost(rule)])
            if rng.random() < 0.7
            else None
            for _ in range(2)
        ]
        best = max(best, spent_by_two_points(first, *then))
        assert best <= BUDGET.delta
    # The bound is approached, so that a rule a good deal laxer would have failed.
    assert best > reached * BUDGET.delta
