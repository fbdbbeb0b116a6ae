"""What the entries of a ledger hold; :mod:`dpsynth._ledger_log` says what they mean."""

from __future__ import annotations

import platform
import uuid
from functools import lru_cache
from importlib import metadata
from typing import Any

from dpsynth import __version__
from dpsynth._ledger_log import FORMAT
from dpsynth._owner import Owner
from dpsynth._pricing import Price
from dpsynth.errors import UsageError
from dpsynth.filters import StopRule
from dpsynth.privacy import NeighbouringRelation, Plan, PrivacyUnit

_N_POLICIES = ("noised", "declared", "replace_one")


def first_entries(
    *, population: str, dataset: str, rule: StopRule, unit: PrivacyUnit, n_policy: str | None
) -> list[tuple[str, dict[str, Any]]]:
    """Return the entries with which a ledger begins."""
    is_replace = unit.relation is NeighbouringRelation.REPLACE_ONE
    n_policy = n_policy or ("replace_one" if is_replace else "noised")
    if n_policy not in _N_POLICIES or (n_policy == "replace_one" and not is_replace):
        raise UsageError(
            f"n_policy must be one of {', '.join(_N_POLICIES)}; the last needs that relation."
        )
    population_id = str(uuid.uuid4())
    return [
        (
            "ledger",
            {"format": FORMAT, "ledger_id": str(uuid.uuid4()), "versions": _versions()},
        ),
        (
            "population",
            {
                "population_id": population_id,
                "name": _name(population, "population"),
                "unit": {
                    "column": unit.column,
                    "max_rows": unit.max_rows,
                    "relation": str(unit.relation),
                },
                "n_policy": n_policy,
                "budget": {"epsilon": rule.budget.epsilon, "delta": rule.budget.delta},
                "filter": {
                    "kind": str(rule.kind),
                    "order": rule.order,
                    "orders": rule.orders,
                    "failure_delta": rule.failure_delta,
                },
            },
        ),
        ("dataset", dataset_body(dataset, population_id)),
    ]


def dataset_body(name: str, population_id: str) -> dict[str, Any]:
    """Return the entry of a dataset."""
    return {
        "dataset_id": str(uuid.uuid4()),
        "population_id": population_id,
        "name": _name(name, "dataset"),
        # A keyed digest of the content, once custodians hold keys.
        "content_hmac": None,
    }


def plan_body(plan: Plan) -> dict[str, Any]:
    """Return the entry of a plan."""
    return {"plan_sha256": plan.digest(), "spec": plan.spec()}


def reserved_body(
    plan: Plan, cost: Price, *, dataset_id: str, rule: str, measured: float
) -> dict[str, Any]:
    """Return the entry of a charge; ``measured`` is its cost in the filter's measure."""
    return {
        "charge_id": str(uuid.uuid4()),
        "dataset_id": dataset_id,
        "plan_sha256": plan.digest(),
        "rule": rule,
        "cost": measured,
        "failure_delta": cost.failure_delta,
        "epsilon": cost.epsilon,
        "rdp": cost.rdp,
        "rho": cost.rho,
        "owner": Owner.current().to_dict(),
        "versions": _versions(),
    }


def refused_body(
    plan: Plan, *, dataset_id: str, code: str, epsilon: float | None
) -> dict[str, Any]:
    """Return the entry of a refusal."""
    return {
        "dataset_id": dataset_id,
        "plan_sha256": plan.digest(),
        "code": code,
        "epsilon": epsilon,
        "owner": Owner.current().to_dict(),
        "versions": _versions(),
    }


def _name(name: str, what: str) -> str:
    if not (name.strip() and name.isprintable() and len(name) <= 200):
        raise UsageError(f"the name of a {what} is 1 to 200 printable characters.")
    return name


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """Return what wrote an entry."""
    return {
        "dpsynth": __version__,
        "dp-accounting": metadata.version("dp-accounting"),
        "python": platform.python_version(),
    }
