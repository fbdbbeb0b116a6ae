"""The statement of a ledger: what may leave it, worked out from its tables."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from dpsynth import __version__
from dpsynth.accountant import Accountant
from dpsynth.certificate import Meaning, Statement, StatementCharge, StatementRelease
from dpsynth.filters import StopRule
from dpsynth.ledger.entries import ChargeState
from dpsynth.ledger.leases import realised
from dpsynth.ledger.pricing import composed_epsilon, measure, measures_from_json
from dpsynth.ledger.summary import ChargeLine, LedgerSummary
from dpsynth.rounding import round_up

_DELTAS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)


def make_statement(
    summary: LedgerSummary, rule: StopRule, charges: Sequence[Mapping[str, Any]]
) -> Statement:
    """Work out a statement.

    Parameters
    ----------
    summary : LedgerSummary
        What the ledger says of itself, to its custodian.
    rule : StopRule
        Stop rule of the population.
    charges : sequence of mapping
        Rows of the charges with their plans, in the order of the summary.

    Privacy
    -------
    Parameters, names and dates only. Times of day stay behind, since they tell how long runs took,
    and so do owners, refusals and the custodian's digests.
    """
    rows = {row["charge_id"]: row for row in charges}
    curve = _curve(rule, [row for row in charges if row["state"] != ChargeState.ABORTED])
    return Statement(
        ledger_id=summary.anchor.ledger_id,
        sequence=summary.anchor.sequence,
        head=summary.anchor.head,
        population=summary.population,
        datasets=summary.datasets,
        unit=summary.unit,
        n_policy=summary.n_policy,
        budget=summary.budget,
        filter=str(summary.filter),
        spent=summary.spent,
        spent_if_fixed=summary.spent_if_fixed,
        remaining=summary.remaining,
        capacity_used=summary.capacity_used,
        curve=curve,
        meaning=Meaning.of(curve, epsilon=summary.spent),
        charges=tuple(_charge(line, rows[line.id], rule) for line in summary.charges),
        releases=tuple(
            StatementRelease(
                id=line.id,
                name=line.name,
                day=line.recorded[:10],
                table_sha256=line.table_sha256,
                charge_ids=line.charges,
                epsilon=_epsilon([rows[charge] for charge in line.charges], rule),
            )
            for line in summary.releases
        ),
        versions={
            "dpsynth": __version__,
            "dp-accounting": metadata.version("dp-accounting"),
        },
    )


def _curve(rule: StopRule, live: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, float], ...]:
    """Return (ε, δ) pairs that hold for everything booked, however it was chosen."""
    deltas = sorted({*_DELTAS, rule.budget.delta}, reverse=True)
    deltas = [delta for delta in deltas if delta >= rule.budget.delta]
    if not live:
        return tuple((0.0, delta) for delta in deltas)
    costs = [rule.cost(measures_from_json(row["measures"])) for row in live]
    pairs = {delta: rule.certified_epsilon(costs, delta=delta) for delta in deltas}
    if live[0]["rule"] == "plan":
        # It is all that ever runs, so that its own figures are certified.
        alone = Accountant(realised(json.loads(live[0]["spec"]), None))
        pairs = {delta: min(epsilon, alone.epsilon(delta)) for delta, epsilon in pairs.items()}
    return tuple((round_up(epsilon), delta) for delta, epsilon in pairs.items())


def _charge(line: ChargeLine, row: Mapping[str, Any], rule: StopRule) -> StatementCharge:
    spec = json.loads(row["spec"])
    return StatementCharge(
        id=line.id,
        method=line.method,
        dataset=line.dataset,
        state=str(line.state),
        day=line.reserved[:10],
        epsilon_alone=line.epsilon,
        share=line.share,
        mechanisms=tuple((charge["step"], charge["mechanism"]) for charge in spec["charges"]),
        plan_sha256=line.plan_sha256,
        steps_run=line.steps_run,
        step_shares=_step_shares(line, row, spec, rule),
    )


def _step_shares(
    line: ChargeLine, row: Mapping[str, Any], spec: Mapping[str, Any], rule: StopRule
) -> tuple[float, ...] | None:
    """Share the charge out among its steps in proportion to their costs."""
    lowered = line.steps_run if row["rule"] == "filter" else None
    costs = []
    for charge in spec["charges"]:
        ran = realised({"charges": [charge]}, lowered)
        costs.append(rule.main_cost(rule.cost(measure(ran, orders=rule.orders))))
    total = math.fsum(costs)
    if not 0 < total < math.inf:
        return None
    return tuple(line.share * cost / total for cost in costs)


def _epsilon(rows: Sequence[Mapping[str, Any]], rule: StopRule) -> float:
    """Return ε of the charges of one release, which were fixed before it was made."""
    if len(rows) == 1:
        return round_up(rows[0]["epsilon"])
    plans = Counter(row["spec"] for row in rows)
    together = composed_epsilon(plans, delta=rule.budget.delta)
    if together is not None:
        return round_up(together)
    costs = [rule.cost(measures_from_json(row["measures"])) for row in rows]
    return round_up(rule.certified_epsilon(costs))
