"""A plan and its mechanisms in words, and as a notebook shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from dpsynth.pages.fragments import Rows, fragment

if TYPE_CHECKING:
    from dpsynth.privacy import Plan

HEAD = ("Step", "Mechanism", "Runs", "Noise and other numbers")
"""Names of the columns of :func:`plan_lines`."""

RELATIONS = {
    "add_remove": "one unit added or removed",
    "replace_one": "one unit exchanged for another",
}
"""Neighbouring relations in words."""

_KINDS = {
    "gaussian": "Gaussian noise",
    "discrete_gaussian": "discrete Gaussian noise on counts",
    "partition_selection": "discovery of categories by noisy counts and a threshold",
    "laplace": "Laplace noise",
    "exponential": "exponential mechanism",
    "poisson_sampled_gaussian": "Gaussian noise on sums over Poisson samples",
    "pate_vote": "noisy votes of an ensemble",
    "zcdp": "mechanism known by its zCDP bound",
    "private_selection": "best of a random number of trials",
}

_RUNS = ("count", "steps", "votes")
"""Fields that say how often a mechanism runs."""


def mechanism_words(spec: Mapping[str, Any]) -> str:
    """Describe a mechanism by its :meth:`~dpsynth.privacy.Mechanism.spec`: kind and numbers."""
    return f"{_kind_words(spec)} ({_numbers(spec)})"


def plan_lines(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Return what each step does, in order: name, mechanism, runs, other numbers."""
    lines: list[tuple[str, ...]] = []
    for charge in plan.charges:
        spec = charge.mechanism.spec()
        runs = next((spec[name] for name in _RUNS if name in spec), 1)
        lines.append((charge.step, _kind_words(spec), f"{runs:,}", _numbers(spec, without=_RUNS)))
    return tuple(lines)


def plan_fragment(plan: Plan) -> str | None:
    """Return what a notebook shows of a plan; None without the extra ``report``."""
    budget = plan.budget
    return fragment(
        f"Plan of {plan.method}: ε = {budget.epsilon:g} at δ = {budget.delta:g}",
        facts=[
            ("Protects", plan.unit.describe()),
            ("Neighbours", RELATIONS[plan.unit.relation]),
            ("Schema", plan.schema_sha256[:12] or "not stated"),
        ],
        tables=[Rows(caption="What it runs, in order", head=HEAD, rows=plan_lines(plan))],
        remarks=["Everything here is fixed before the data is touched."],
    )


def _kind_words(spec: Mapping[str, Any]) -> str:
    kind = str(spec["kind"])
    return _KINDS.get(kind, kind.replace("_", " "))


def _numbers(spec: Mapping[str, Any], *, without: Collection[str] = ()) -> str:
    hidden = ("kind", "relation", *without)
    return ", ".join(
        f"{name.replace('_', ' ')} {_value(value)}"
        for name, value in spec.items()
        if name not in hidden
    )


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        # The candidates of a search, each a composition: the JSON has them in full.
        return str(len(value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
