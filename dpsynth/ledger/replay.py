"""Verification of a ledger: the tables as they follow from the log, rule by rule."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dpsynth.errors import DPSynthError, IntegrityError
from dpsynth.filters import StopRule, rule_from_spec
from dpsynth.ledger.entries import (
    CAME_FROM,
    FORMAT,
    ChargeState,
    Entry,
    damaged,
    verified_body,
)
from dpsynth.ledger.leases import leasable
from dpsynth.ledger.pricing import measures_from_json
from dpsynth.ledger.tables import KEYS, Change, change
from dpsynth.privacy import Budget


def stop_rule(population: Mapping[str, Any]) -> StopRule:
    """Return the stop rule of a row of the population table."""
    budget = Budget(epsilon=population["epsilon"], delta=population["delta"])
    return rule_from_spec(json.loads(population["stop_rule"]), budget)


@dataclass(slots=True)
class Replay:
    """The tables as they follow from the log.

    Attributes
    ----------
    tables : dict
        Rows by table and key.
    ledger_id : str
        Identifier from the first entry.
    head : Entry or None
        Last entry seen.
    """

    tables: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {table: {} for table in KEYS}
    )
    ledger_id: str = ""
    head: Entry | None = None
    _rules: dict[str, StopRule] = field(default_factory=dict)
    _totals: dict[str, _Total] = field(default_factory=dict)
    _reserved: dict[str, tuple[float, str]] = field(default_factory=dict)

    def feed(self, entry: Entry) -> None:
        """Verify one entry and apply it.

        Raises
        ------
        IntegrityError
            Naming the entry, if it does not follow from those before.
        """
        body = verified_body(entry, after=self.head)
        if (entry.kind == "ledger") != (entry.seq == 1):
            raise damaged(entry.seq, "is not where the first entry of a ledger belongs")
        try:
            effect = change(entry, body)
            if entry.kind == "ledger":
                self._open(body)
            elif effect is not None:
                self._apply(entry, effect)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, DPSynthError):
                raise damaged(entry.seq, "states an impossible parameter") from None
            raise damaged(entry.seq, f"({entry.kind}) is malformed") from None
        self.head = entry

    def _open(self, body: Mapping[str, Any]) -> None:
        if body["format"] != FORMAT:
            raise IntegrityError(
                f"the ledger is not of format {FORMAT}.",
                code="DPS611",
                fix="open it with the version of dpsynth that wrote it.",
            )
        self.ledger_id = str(body["ledger_id"])

    def _apply(self, entry: Entry, effect: Change) -> None:
        rows = self.tables[effect.table]
        if effect.is_new:
            if effect.key in rows:
                raise damaged(entry.seq, f"enters a {effect.table} that was entered before")
            self._verify_new(entry, effect)
            rows[effect.key] = dict(effect.values)
            return
        row = rows.get(effect.key)
        if row is None:
            raise damaged(entry.seq, f"names a {effect.table} that was never entered")
        if effect.table == "charge" and entry.kind == "resumed":
            self._resume(entry, row, effect.values)
        elif effect.table == "charge":
            self._move(entry, row, effect.values)
        elif row["content_hmac"] is not None:
            raise damaged(entry.seq, "identifies a dataset a second time")
        row.update(effect.values)

    def _verify_new(self, entry: Entry, effect: Change) -> None:
        row = effect.values
        if effect.table == "population":
            self._rules[effect.key] = stop_rule(row)
            self._totals[effect.key] = _Total()
        if effect.table == "charge":
            self._admit(entry, row)
        if effect.table == "released" and not all(
            key in self.tables["charge"] for key in json.loads(row["charges"])
        ):
            raise damaged(entry.seq, "names a charge that was never entered")

    # -- charges -------------------------------------------------------------------------------

    def _admit(self, entry: Entry, row: Mapping[str, Any]) -> None:
        population_id = self.tables["dataset"][row["dataset_id"]]["population_id"]
        if row["plan_sha256"] not in self.tables["plan"]:
            raise damaged(entry.seq, "names a plan that was never entered")
        rule, total = self._rules[population_id], self._totals[population_id]
        cost = self._cost(entry, rule, row)
        total.add(cost, row["failure_delta"], +1)
        self._reserved[row["charge_id"]] = row["cost"], row["measures"]
        if row["rule"] == "plan":
            fits = (
                rule.closes_with_first_plan
                and total.charges == 1
                and row["epsilon"] <= rule.budget.epsilon
            )
        else:
            fits = total.fits(rule)
        if not fits:
            raise damaged(entry.seq, "reserves more than the budget admits")

    def _move(self, entry: Entry, row: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        if "state" not in values:
            if row["state"] != ChargeState.TOUCHED:
                raise damaged(entry.seq, f"leases steps to a charge that is {row['state']}")
            if row["leased"] is None:
                raise damaged(entry.seq, "leases steps to a charge that was touched without leases")
            self._lease(entry, row, values)
            return
        state = ChargeState(values["state"])
        if row["state"] != CAME_FROM[state]:
            raise damaged(entry.seq, f"turns a charge that is {row['state']} into {state}")
        population_id = self.tables["dataset"][row["dataset_id"]]["population_id"]
        rule, total = self._rules[population_id], self._totals[population_id]
        match state:
            case ChargeState.TOUCHED if values.get("leased") is not None:
                if any(json.loads(values["leased"]).values()):
                    raise damaged(entry.seq, "leases steps before the data was touched")
                self._lease(entry, row, values)
            case ChargeState.COMMITTED if row["leased"] is not None:
                if json.loads(row["leased"]) != self._leasable(row):
                    raise damaged(entry.seq, "commits a run that was not leased all its steps")
            case ChargeState.ABORTED:
                total.add(self._cost(entry, rule, row), row["failure_delta"], -1)
            case ChargeState.STOPPED:
                self._stop(entry, row, values, rule, total)

    def _lease(self, entry: Entry, row: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        before = json.loads(row["leased"]) if row["leased"] is not None else {}
        leased, planned = json.loads(values["leased"]), self._leasable(row)
        fits = leased.keys() <= planned.keys() and (not before or leased.keys() == before.keys())
        if not (fits and all(before.get(s, 0) <= n <= planned[s] for s, n in leased.items())):
            raise damaged(entry.seq, "leases other steps than the plan has")

    def _stop(
        self,
        entry: Entry,
        row: Mapping[str, Any],
        values: Mapping[str, Any],
        rule: StopRule,
        total: _Total,
    ) -> None:
        if row["leased"] is None:
            raise damaged(entry.seq, "stops a run that took no leases")
        before = self._cost(entry, rule, row)
        after = self._cost(entry, rule, {**row, **values})
        # What was admitted as the only plan is never lowered (dpsynth.filters says why).
        if row["rule"] == "plan" and values["measures"] != row["measures"]:
            raise damaged(entry.seq, "lowers a charge that was admitted as the only plan")
        if any(new > old for new, old in zip(after, before, strict=True)):
            raise damaged(entry.seq, "raises the cost of a charge")
        total.add(before, row["failure_delta"], -1)
        total.add(after, row["failure_delta"], +1)

    def _resume(self, entry: Entry, row: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        if row["state"] != ChargeState.STOPPED:
            raise damaged(entry.seq, f"goes on with a charge that is {row['state']}")
        if (values["cost"], values["measures"]) != self._reserved[row["charge_id"]]:
            raise damaged(entry.seq, "goes on at another cost than was reserved")
        population_id = self.tables["dataset"][row["dataset_id"]]["population_id"]
        rule, total = self._rules[population_id], self._totals[population_id]
        total.add(self._cost(entry, rule, row), row["failure_delta"], -1)
        total.add(self._cost(entry, rule, {**row, **values}), row["failure_delta"], +1)
        if row["rule"] != "plan" and not total.fits(rule):
            raise damaged(entry.seq, "goes on with more than the budget admits")

    def _leasable(self, row: Mapping[str, Any]) -> dict[str, int]:
        return leasable(json.loads(self.tables["plan"][row["plan_sha256"]]["spec"]))

    @staticmethod
    def _cost(entry: Entry, rule: StopRule, row: Mapping[str, Any]) -> tuple[float, ...]:
        cost = rule.cost(measures_from_json(row["measures"]))
        if rule.main_cost(cost) != row["cost"]:
            raise damaged(entry.seq, "books another cost than its own measures say")
        return cost


@dataclass(slots=True)
class _Total:
    """Running sum over the charges of a population that are not aborted."""

    charges: int = 0
    parts: list[float] = field(default_factory=list)
    unbounded: list[int] = field(default_factory=list)
    failure_delta: float = 0.0

    def add(self, cost: tuple[float, ...], failure_delta: float, sign: int) -> None:
        self.charges += sign
        self.failure_delta += sign * failure_delta
        if not self.parts:
            self.parts, self.unbounded = [0.0] * len(cost), [0] * len(cost)
        for k, part in enumerate(cost):
            # Apart, because what is infinite cannot be taken off again. A mixture of orders admits
            # a plan that costs infinitely much at some of them.
            if math.isinf(part):
                self.unbounded[k] += sign
            else:
                self.parts[k] += sign * part

    def fits(self, rule: StopRule) -> bool:
        # An exact sum at each of 10,000 charges would be slow; what rounding adds up to over so
        # many is far below the slack.
        slack = 1e-9
        cost = tuple(
            math.inf if infinite else max(0.0, part) * (1 - slack)
            for part, infinite in zip(self.parts, self.unbounded, strict=True)
        )
        failures = self.failure_delta - slack * rule.budget.delta
        return rule.admits([cost], [max(0.0, failures)])
