"""What the entries of a ledger hold; :mod:`dpsynth.ledger.tables` says what they mean."""

from __future__ import annotations

import platform
import secrets
import uuid
from functools import lru_cache
from importlib import metadata
from typing import Any

from dpsynth import __version__
from dpsynth.errors import UsageError
from dpsynth.evidence import Evidence
from dpsynth.filters import Measures, StopRule
from dpsynth.ledger.entries import FORMAT
from dpsynth.ledger.owner import Owner
from dpsynth.ledger.pricing import Price, measures_to_json
from dpsynth.privacy import NeighbouringRelation, Plan, PrivacyUnit

_N_POLICIES = ("noised", "declared", "replace_one")


def first_entries(
    *,
    population: str,
    dataset: str,
    rule: StopRule,
    unit: PrivacyUnit,
    n_policy: str | None,
    content_hmac: str | None,
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
                "stop_rule": rule.spec(),
            },
        ),
        ("dataset", dataset_body(dataset, population_id, content_hmac)),
    ]


def dataset_body(name: str, population_id: str, content_hmac: str | None) -> dict[str, Any]:
    """Return the entry of a dataset."""
    return {
        "dataset_id": str(uuid.uuid4()),
        "population_id": population_id,
        "name": _name(name, "dataset"),
        "content_hmac": content_hmac,
    }


def plan_body(plan: Plan) -> dict[str, Any]:
    """Return the entry of a plan."""
    return {"plan_sha256": plan.digest(), "spec": plan.spec()}


def reserved_body(
    plan: Plan, price: Price, *, dataset_id: str, rule: str, cost: float
) -> dict[str, Any]:
    """Return the entry of a charge; ``cost`` is what the filter adds up."""
    return {
        "charge_id": str(uuid.uuid4()),
        "dataset_id": dataset_id,
        "plan_sha256": plan.digest(),
        "rule": rule,
        "cost": cost,
        "failure_delta": price.failure_delta,
        "epsilon": price.epsilon,
        "measures": measures_to_json(price.measures),
        "owner": Owner.current().to_dict(),
        "versions": _versions(),
    }


def stopped_body(charge_id: str, *, reason: str, cost: float, measures: Measures) -> dict[str, Any]:
    """Return the entry of a run that ended early, with what its leased steps cost."""
    return {
        "charge_id": charge_id,
        "reason": reason,
        "cost": cost,
        "measures": measures_to_json(measures),
    }


def released_body(name: str, *, table_sha256: str, charges: tuple[str, ...]) -> dict[str, Any]:
    """Return the entry of a release."""
    return {
        "release_id": str(uuid.uuid4()),
        "name": _name(name, "release"),
        "table_sha256": table_sha256,
        "charges": charges,
    }


def judged_body(
    evidence: Evidence, *, criteria_sha256: str | None, charge_id: str | None
) -> dict[str, Any]:
    """Return the entry of a verdict on a table."""
    return {
        "kind": evidence.kind,
        "table_sha256": evidence.table_sha256,
        "verdict": str(evidence.verdict),
        "disclosure": evidence.disclosure,
        "criteria_sha256": criteria_sha256,
        "charge_id": charge_id,
        # Heads are published. Without it, the few verdicts there are could be tried out.
        "nonce": secrets.token_hex(16),
    }


def resumed_body(charge_id: str, *, cost: float, measures: Measures) -> dict[str, Any]:
    """Return the entry of a stopped run that goes on, with what its reservation had booked."""
    return {
        "charge_id": charge_id,
        "cost": cost,
        "measures": measures_to_json(measures),
        "owner": Owner.current().to_dict(),
        "versions": _versions(),
    }


def refused_body(
    plan_sha256: str, *, dataset_id: str, code: str, epsilon: float | None
) -> dict[str, Any]:
    """Return the entry of a refusal."""
    return {
        "dataset_id": dataset_id,
        "plan_sha256": plan_sha256,
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
