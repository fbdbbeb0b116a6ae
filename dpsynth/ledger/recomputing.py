"""Working out every cost in a ledger anew, from the mechanisms of its plans."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dpsynth.errors import IntegrityError
from dpsynth.filters import Measures, StopRule
from dpsynth.ledger.entries import ChargeState
from dpsynth.ledger.leases import realised
from dpsynth.ledger.pricing import measure, measures_from_json, price

_SLACK = 1e-6
"""How much more, relatively, another version of the libraries may come to."""


def recompute(tables: Mapping[str, Mapping[str, Mapping[str, Any]]], rule: StopRule) -> None:
    """Refuse a ledger in which a charge costs more than was booked for it.

    Parameters
    ----------
    tables : mapping
        What :class:`~dpsynth.ledger.replay.Replay` rebuilt.
    rule : StopRule
        Stop rule of the population.

    Raises
    ------
    IntegrityError
        Naming the charge.
    """
    for charge_id, row in tables["charge"].items():
        spec = json.loads(tables["plan"][row["plan_sha256"]]["spec"])
        lowered = row["state"] == ChargeState.STOPPED and row["rule"] == "filter"
        leased = json.loads(row["leased"]) if lowered else None
        expected = measure(realised(spec, leased), orders=rule.orders)
        if _exceeds(expected, measures_from_json(row["measures"])):
            raise _wrong(charge_id, row["seq"])
        if row["rule"] == "plan":
            whole = price(
                realised(spec, None),
                orders=rule.orders,
                delta=rule.budget.delta,
                planned_delta=rule.budget.delta,
            )
            if whole.epsilon > row["epsilon"] * (1 + _SLACK):
                raise _wrong(charge_id, row["seq"])


def _exceeds(expected: Measures, booked: Measures) -> bool:
    pairs = [
        *zip(expected.rdp, booked.rdp, strict=True),
        (expected.rho, booked.rho),
        (expected.mu_squared, booked.mu_squared),
    ]
    return any(
        (a is None) != (b is None) or (a is not None and b is not None and a > b * (1 + _SLACK))
        for a, b in pairs
    )


def _wrong(charge_id: str, seq: int) -> IntegrityError:
    return IntegrityError(
        f"charge {charge_id} of entry {seq} costs more than was booked for it.",
        code="DPS618",
        fix="restore the ledger from a copy whose anchor you trust.",
    )
