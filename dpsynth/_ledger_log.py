"""What the entries of a ledger mean: kinds, hash chain, and the tables that follow from them.

The log is the truth and the tables are a projection of it. :func:`change` says which row an entry
writes; the store applies it when the entry is appended, and :class:`Replay` applies it again to
verify. A later kind of entry (a lease of steps, a release) adds a case and changes none.

The hash of an entry is the SHA-256 of ``prev_hash``, ``seq``, ``kind``, ``time`` and ``body``,
joined by newlines, in UTF-8; ``body`` is canonical JSON with every real as a string. The first
entry follows on 64 zeros.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from dpsynth.errors import DPSynthError, IntegrityError
from dpsynth.filters import FilterKind, StopRule
from dpsynth.privacy import Budget, canonical_json

FORMAT = "dpsynth.ledger/1"
GENESIS = "0" * 64


class ChargeState(StrEnum):
    """Where a charge stands. Everything but ``aborted`` counts against the budget in full."""

    RESERVED = "reserved"
    """Booked; the data has not been read."""
    TOUCHED = "touched"
    """The data may have been read."""
    COMMITTED = "committed"
    """The run has ended as planned."""
    ABORTED = "aborted"
    """Given back before the data was read."""


CAME_FROM = {
    ChargeState.TOUCHED: ChargeState.RESERVED,
    ChargeState.COMMITTED: ChargeState.TOUCHED,
    ChargeState.ABORTED: ChargeState.RESERVED,
}
"""The only transitions there are: a state, and the one it is reached from."""

KEYS = {
    "population": "population_id",
    "dataset": "dataset_id",
    "plan": "plan_sha256",
    "charge": "charge_id",
}
"""Tables of the projection and their keys."""


class Entry(NamedTuple):
    """One line of the log."""

    seq: int
    prev_hash: str
    hash: str
    kind: str
    time: str
    body: str


class Change(NamedTuple):
    """The row that an entry writes, or the fields of a row that it changes."""

    table: str
    key: str
    values: dict[str, Any]
    is_new: bool


def make_entry(seq: int, prev_hash: str, kind: str, time: str, body: Mapping[str, Any]) -> Entry:
    """Return the next entry of a chain."""
    text = canonical_json(body)
    return Entry(seq, prev_hash, _digest(prev_hash, seq, kind, time, text), kind, time, text)


def _digest(prev_hash: str, seq: int, kind: str, time: str, body: str) -> str:
    return hashlib.sha256("\n".join((prev_hash, str(seq), kind, time, body)).encode()).hexdigest()


def damaged(seq: int, what: str) -> IntegrityError:
    """Return the error that names the first bad entry."""
    return IntegrityError(
        f"the ledger has been changed: entry {seq} {what}.",
        code="DPS610",
        fix="restore the ledger from a copy whose anchor you trust; do not spend from this one.",
    )


def change(entry: Entry, body: Mapping[str, Any]) -> Change | None:
    """Return what an entry does to the tables; ``None`` for one that is only kept for the record.

    Raises
    ------
    IntegrityError
        If this version does not know the kind.
    """
    seq, time = entry.seq, entry.time
    match entry.kind:
        case "ledger" | "refused":
            return None
        case "population":
            row = {
                "name": body["name"],
                "unit_column": body["unit"]["column"],
                "max_rows": body["unit"]["max_rows"],
                "relation": body["unit"]["relation"],
                "n_policy": body["n_policy"],
                "epsilon": float(body["budget"]["epsilon"]),
                "delta": float(body["budget"]["delta"]),
                "filter": body["filter"]["kind"],
                "filter_order": float(body["filter"]["order"]),
                "filter_orders": canonical_json(body["filter"]["orders"]),
                "failure_delta": float(body["filter"]["failure_delta"]),
                "created": time,
            }
        case "dataset":
            row = {
                "population_id": body["population_id"],
                "name": body["name"],
                "content_hmac": body["content_hmac"],
                "created": time,
            }
        case "plan":
            row = {
                "method": body["spec"]["method"],
                "spec": canonical_json(body["spec"]),
                "created": time,
            }
        case "reserved":
            row = {
                "dataset_id": body["dataset_id"],
                "plan_sha256": body["plan_sha256"],
                "state": entry.kind,
                "rule": body["rule"],
                "cost": float(body["cost"]),
                "failure_delta": float(body["failure_delta"]),
                "epsilon": float(body["epsilon"]),
                "rdp": canonical_json(body["rdp"]),
                "rho": None if body["rho"] is None else float(body["rho"]),
                "owner": canonical_json(body["owner"]),
                "versions": canonical_json(body["versions"]),
                "reserved": time,
                "touched": None,
                "ended": None,
            }
        case "touched" | "committed" | "aborted":
            stamp = "touched" if entry.kind == "touched" else "ended"
            row = {"state": entry.kind, stamp: time, "seq": seq}
            return Change("charge", body["charge_id"], row, is_new=False)
        case _:
            raise IntegrityError(
                f"entry {seq} is of a kind that this version of dpsynth does not know.",
                code="DPS611",
                fix="open the ledger with the version that wrote it, or a newer one.",
            )
    table = "charge" if entry.kind == "reserved" else entry.kind
    key = body[KEYS[table]]
    return Change(table, key, {KEYS[table]: key, **row, "seq": seq}, is_new=True)


def stop_rule(population: Mapping[str, Any]) -> StopRule:
    """Return the stop rule of a row of the population table."""
    return StopRule(
        kind=FilterKind(population["filter"]),
        budget=Budget(epsilon=population["epsilon"], delta=population["delta"]),
        failure_delta=population["failure_delta"],
        order=population["filter_order"],
        orders=tuple(float(order) for order in json.loads(population["filter_orders"])),
    )


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
    _totals: dict[str, _Total] = field(default_factory=dict)

    def feed(self, entry: Entry) -> None:
        """Verify one entry and apply it.

        Raises
        ------
        IntegrityError
            Naming the entry, if it does not follow from those before.
        """
        body = self._verify_link(entry)
        try:
            effect = change(entry, body)
            if entry.kind == "ledger":
                self._open(entry, body)
            elif effect is not None:
                self._apply(entry, effect)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DPSynthError):
                raise damaged(entry.seq, "states an impossible parameter") from None
            raise damaged(entry.seq, f"({entry.kind}) is malformed") from None
        self.head = entry

    def _verify_link(self, entry: Entry) -> dict[str, Any]:
        expected = self.head.seq + 1 if self.head else 1
        if entry.seq != expected:
            raise damaged(expected, "is missing")
        if not all(isinstance(part, str) for part in entry[1:]):
            raise damaged(entry.seq, "is not text")
        if entry.prev_hash != (self.head.hash if self.head else GENESIS):
            raise damaged(entry.seq, "does not follow on the entry before it")
        if entry.hash != _digest(entry.prev_hash, entry.seq, entry.kind, entry.time, entry.body):
            raise damaged(entry.seq, "does not match its own hash")
        if (entry.kind == "ledger") != (entry.seq == 1):
            raise damaged(entry.seq, "is not where the first entry of a ledger belongs")
        try:
            body = json.loads(entry.body)
        except ValueError:
            raise damaged(entry.seq, "is not JSON") from None
        if not isinstance(body, dict):
            raise damaged(entry.seq, "is not an object")
        return body

    def _open(self, entry: Entry, body: Mapping[str, Any]) -> None:
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
            if effect.table == "charge":
                self._verify_admission(entry, effect)
            rows[effect.key] = dict(effect.values)
            return
        row = rows.get(effect.key)
        if row is None:
            raise damaged(entry.seq, "names a charge that was never reserved")
        state = ChargeState(effect.values["state"])
        if row["state"] != CAME_FROM[state]:
            raise damaged(entry.seq, f"turns a charge that is {row['state']} into {state}")
        row.update(effect.values)
        if state is ChargeState.ABORTED:
            population_id = self.tables["dataset"][row["dataset_id"]]["population_id"]
            self._totals[population_id].add(row, -1)

    def _verify_admission(self, entry: Entry, effect: Change) -> None:
        row = effect.values
        population_id = self.tables["dataset"][row["dataset_id"]]["population_id"]
        if row["plan_sha256"] not in self.tables["plan"]:
            raise damaged(entry.seq, "names a plan that was never entered")
        rule = stop_rule(self.tables["population"][population_id])
        if rule.cost((float(value) for value in json.loads(row["rdp"])), row["rho"]) != row["cost"]:
            raise damaged(entry.seq, "books another cost than its own measures say")
        total = self._totals.setdefault(population_id, _Total())
        total.add(row, +1)
        if row["rule"] == "plan":
            fits = total.charges == 1 and row["epsilon"] <= rule.budget.epsilon
        else:
            fits = total.fits(rule)
        if not fits:
            raise damaged(entry.seq, "reserves more than the budget admits")


@dataclass(slots=True)
class _Total:
    """Running sum over the charges of a population that are not aborted."""

    charges: int = 0
    unbounded: int = 0
    cost: float = 0.0
    failure_delta: float = 0.0

    def add(self, row: Mapping[str, Any], sign: int) -> None:
        self.charges += sign
        self.failure_delta += sign * row["failure_delta"]
        if math.isinf(row["cost"]):
            self.unbounded += sign
        else:
            self.cost += sign * row["cost"]

    def fits(self, rule: StopRule) -> bool:
        # An exact sum at each of 10,000 charges would be slow; what rounding adds up to over so
        # many is far below the slack.
        slack = 1e-9
        return (
            self.unbounded == 0
            and self.cost <= rule.limit * (1 + slack)
            and self.failure_delta <= rule.failure_delta + slack * rule.budget.delta
        )
