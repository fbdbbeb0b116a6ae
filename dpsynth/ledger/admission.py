"""The decision of a ledger: admit a plan by one of its two rules, or say why not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from dpsynth.errors import BudgetError
from dpsynth.filters import FilterKind, Measures, StopRule
from dpsynth.ledger.pricing import Price
from dpsynth.privacy import Plan, PrivacyUnit
from dpsynth.rounding import round_down, round_up

Cost = tuple[float, ...]

# In these measures not every mechanism has a cost (docs/filters.md).
_NARROW = {
    FilterKind.ZCDP: ("zCDP", "take a method that does not sample rows."),
    FilterKind.GDP: (
        "Gaussian differential privacy",
        "run releases with continuous Gaussian noise only; for the methods of this package the "
        "budget must be kept in another measure (rdp), which is settled when a ledger is made.",
    ),
}


def decide(
    rule: StopRule, cost: Price, *, costs: Sequence[Cost], failures: Sequence[float]
) -> Literal["filter", "plan"] | BudgetError:
    """Return the rule that admits a plan, or the refusal.

    Parameters
    ----------
    rule : StopRule
        Stop rule of the population.
    cost : Price
        Cost of the plan.
    costs : sequence of tuple of float
        What the filter adds up, of all charges that are not aborted.
    failures : sequence of float
        Their failure probabilities.
    """
    asked = rule.cost(cost.measures)
    if rule.admits([*costs, asked], [*failures, cost.failure_delta]):
        return "filter"
    if rule.closes_with_first_plan and not costs and cost.epsilon <= rule.budget.epsilon:
        return "plan"
    price_tag = f"this plan costs ε = {round_up(cost.epsilon):g} at δ = {rule.budget.delta:g}"
    left = what_is_left(rule, costs)
    if math.isinf(rule.main_cost(asked)) and rule.kind in _NARROW:
        measure, fix = _NARROW[rule.kind]
        return BudgetError(
            f"{price_tag} and has no finite cost in {measure}, in which the budget is kept. {left}",
            code="DPS104",
            fix=fix,
        )
    if rule.admits([*costs, asked], []):
        return BudgetError(
            f"{price_tag}, and its category discovery may fail with probability "
            f"{cost.failure_delta:.3g}; {max(0.0, rule.failure_delta - math.fsum(failures)):.3g} "
            f"of the {rule.failure_delta:.3g} that is set aside for failures remains. {left}",
            code="DPS101",
            fix="declare the categories in the schema, or plan with a smaller delta.",
        )
    fits = round_down(room(rule, costs))
    if fits > 0:
        fix = f"plan with an epsilon of at most {fits:g}; a method that samples rows may need less."
    else:
        fix = (
            "nothing more can be run on these people; a model that is fitted can still be sampled."
        )
    return BudgetError(
        f"{price_tag} and asks for {rule.used([asked]):.4g} of what the filter admits. {left}",
        code="DPS101",
        fix=fix,
    )


def decide_again(
    rule: StopRule,
    measures: Measures,
    failure_delta: float,
    *,
    epsilon: float,
    costs: Sequence[Cost],
    failures: Sequence[float],
) -> BudgetError | None:
    """Return ``None`` if a run that was stopped may go on at its full cost, or the refusal.

    Parameters
    ----------
    rule : StopRule
        Stop rule of the population.
    measures : Measures
        Cost of all its steps.
    failure_delta : float
        Its failure probability.
    epsilon : float
        ε of its plan at the population's δ.
    costs : sequence of tuple of float
        What the filter adds up, of all other charges that are not aborted.
    failures : sequence of float
        Their failure probabilities.
    """
    asked = rule.cost(measures)
    if rule.admits([*costs, asked], [*failures, failure_delta]):
        return None
    return BudgetError(
        f"to go on, this run needs its whole ε = {round_up(epsilon):g} at δ = "
        f"{rule.budget.delta:g} again ({rule.used([asked]):.4g} of what the filter admits); "
        f"what it gave back when it stopped was spent by others. {what_is_left(rule, costs)}",
        code="DPS101",
        fix="leave it stopped: the steps that it took count, and the rest was given back.",
    )


def what_is_left(rule: StopRule, costs: Sequence[Cost]) -> str:
    """Say what remains of a budget and what would fit; every refusal ends so."""
    budget = f"Of the population's ε = {rule.budget.epsilon:g} at δ = {rule.budget.delta:g}"
    fits = round_down(room(rule, costs))
    if fits <= 0:
        return f"{budget} nothing is left."
    return (
        f"{budget} there is room left for Gaussian noise of ε up to {fits:g} at that δ, on its own "
        f"({max(0.0, 1 - rule.used(costs)):.4g} of what the filter admits)."
    )


def room(rule: StopRule, costs: Sequence[Cost]) -> float:
    """Return the largest ε that would still be admitted, on its own."""
    if not costs and rule.closes_with_first_plan:
        return rule.budget.epsilon
    return rule.largest_gaussian(costs)


def other_unit(plan: Plan, unit: PrivacyUnit, *, left: str) -> BudgetError:
    """Return the refusal of a plan that protects another unit than the population's."""
    differences = [
        f"{name} is {getattr(plan.unit, name)!s} in the plan and {getattr(unit, name)!s} in the "
        "ledger"
        for name in ("column", "max_rows", "relation")
        if getattr(plan.unit, name) != getattr(unit, name)
    ]
    return BudgetError(
        f"the plan, of ε = {plan.budget.epsilon:g} at δ = {plan.budget.delta:g}, does not protect "
        f"the unit of this budget: {'; '.join(differences)}. {left}",
        code="DPS105",
        fix="state in the schema the unit that the ledger was made for.",
    )


def understated(plan: Plan, cost: Price, *, left: str) -> BudgetError:
    """Return the refusal of a plan whose mechanisms cost more than it states."""
    return BudgetError(
        f"the mechanisms of this plan cost ε = {round_up(cost.epsilon_as_planned):g} at "
        f"δ = {plan.budget.delta:g}, more than the ε = {plan.budget.epsilon:g} that it states. "
        f"{left}",
        code="DPS106",
        fix="calibrate the mechanisms to the budget of the plan.",
    )
