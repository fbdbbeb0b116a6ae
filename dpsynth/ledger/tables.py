"""The tables of a ledger and which row an entry writes.

The log is the truth and the other tables are a projection of it. :func:`change` says which row an
entry writes; the store applies it when the entry is appended, and
:class:`~dpsynth.ledger.replay.Replay` applies it again to verify.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from dpsynth.errors import IntegrityError
from dpsynth.ledger.entries import Entry
from dpsynth.ledger.judgements import Judgement


class Field(NamedTuple):
    """A field of a table: its type, and whether it may be empty."""

    type: type
    null: bool = False


_TEXT, _WHOLE, _REAL = Field(str), Field(int), Field(float)

# The first field of a table is its key. Reals are for adding up; the log keeps them as text, and
# only the log is hashed.
TABLES: dict[str, dict[str, Field]] = {
    "entry": {
        "seq": _WHOLE,
        "prev_hash": _TEXT,
        "hash": _TEXT,
        "kind": _TEXT,
        "time": _TEXT,
        "body": _TEXT,
    },
    "population": {
        "population_id": _TEXT,
        "name": _TEXT,
        "unit_column": Field(str, null=True),
        "max_rows": _WHOLE,
        "relation": _TEXT,
        "n_policy": _TEXT,
        "epsilon": _REAL,
        "delta": _REAL,
        "stop_rule": _TEXT,
        "created": _TEXT,
        "seq": _WHOLE,
    },
    "dataset": {
        "dataset_id": _TEXT,
        "population_id": _TEXT,
        "name": _TEXT,
        "content_hmac": Field(str, null=True),
        "created": _TEXT,
        "seq": _WHOLE,
    },
    "plan": {
        "plan_sha256": _TEXT,
        "method": _TEXT,
        "spec": _TEXT,
        "created": _TEXT,
        "seq": _WHOLE,
    },
    "charge": {
        "charge_id": _TEXT,
        "dataset_id": _TEXT,
        "plan_sha256": _TEXT,
        "state": _TEXT,
        "rule": _TEXT,
        "cost": _REAL,
        "failure_delta": _REAL,
        "epsilon": _REAL,
        "measures": _TEXT,
        "leased": Field(str, null=True),
        "owner": _TEXT,
        "reserved": _TEXT,
        "touched": Field(str, null=True),
        "ended": Field(str, null=True),
        "seq": _WHOLE,
    },
    "released": {
        "release_id": _TEXT,
        "name": _TEXT,
        "table_sha256": _TEXT,
        "charges": _TEXT,
        "created": _TEXT,
        "seq": _WHOLE,
    },
}

KEYS = {table: next(iter(fields)) for table, fields in TABLES.items() if table != "entry"}
"""Keys of the tables that follow from the log."""

# Every reservation adds up cost and failures; from the index alone 10,000 charges take
# milliseconds.
INDEXES = {"charge_cost": ("charge", ("state", "cost", "failure_delta"))}


# Made once: `json.dumps` with these options makes one at every call, and a ledger is long.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Change(NamedTuple):
    """The row that an entry writes, or the fields of a row that it changes."""

    table: str
    key: str
    values: dict[str, Any]
    is_new: bool


def change(entry: Entry, body: Mapping[str, Any]) -> Change | None:
    """Return what an entry does to the tables; ``None`` for one that is only kept for the record.

    Parameters
    ----------
    entry : Entry
        The entry.
    body : mapping
        Its body, parsed.

    Raises
    ------
    IntegrityError
        If this version does not know the kind.
    """
    match entry.kind:
        case "ledger" | "refused":
            return None
        case "judged":
            Judgement.of(entry.time, body)  # malformed otherwise
            return None
        case "population":
            return _new(
                entry,
                body["population_id"],
                {
                    "name": body["name"],
                    "unit_column": body["unit"]["column"],
                    "max_rows": body["unit"]["max_rows"],
                    "relation": body["unit"]["relation"],
                    "n_policy": body["n_policy"],
                    "epsilon": float(body["budget"]["epsilon"]),
                    "delta": float(body["budget"]["delta"]),
                    "stop_rule": _text(body["stop_rule"]),
                    "created": entry.time,
                },
            )
        case "dataset":
            return _new(
                entry,
                body["dataset_id"],
                {
                    "population_id": body["population_id"],
                    "name": body["name"],
                    "content_hmac": body["content_hmac"],
                    "created": entry.time,
                },
            )
        case "plan":
            return _new(
                entry,
                body["plan_sha256"],
                {
                    "method": body["spec"]["method"],
                    "spec": _text(body["spec"]),
                    "created": entry.time,
                },
            )
        case "released":
            return _new(
                entry,
                body["release_id"],
                {
                    "name": body["name"],
                    "table_sha256": body["table_sha256"],
                    "charges": _text(body["charges"]),
                    "created": entry.time,
                },
            )
        case "reserved":
            return _new(
                entry,
                body["charge_id"],
                {
                    "dataset_id": body["dataset_id"],
                    "plan_sha256": body["plan_sha256"],
                    "state": "reserved",
                    "rule": body["rule"],
                    "cost": float(body["cost"]),
                    "failure_delta": float(body["failure_delta"]),
                    "epsilon": float(body["epsilon"]),
                    "measures": _text(body["measures"]),
                    "leased": None,
                    "owner": _text(body["owner"]),
                    "reserved": entry.time,
                    "touched": None,
                    "ended": None,
                },
                table="charge",
            )
        case "identified":
            values = {"content_hmac": body["content_hmac"], "seq": entry.seq}
            return Change("dataset", body["dataset_id"], values, is_new=False)
        case "touched":
            values = {"state": "touched", "touched": entry.time}
            if body["leased"] is not None:
                values["leased"] = _text(body["leased"])
        case "leased":
            values = {"leased": _text(body["leased"])}
        case "stopped":
            values = {
                "state": "stopped",
                "ended": entry.time,
                "cost": float(body["cost"]),
                "measures": _text(body["measures"]),
            }
        case "resumed":
            values = {
                "state": "touched",
                "ended": None,
                "owner": _text(body["owner"]),
                "cost": float(body["cost"]),
                "measures": _text(body["measures"]),
            }
        case "committed" | "aborted":
            values = {"state": entry.kind, "ended": entry.time}
        case _:
            raise IntegrityError(
                f"entry {entry.seq} is of a kind that this version of dpsynth does not know.",
                code="DPS611",
                fix="open the ledger with the version that wrote it, or a newer one.",
            )
    return Change("charge", body["charge_id"], {**values, "seq": entry.seq}, is_new=False)


def _new(entry: Entry, key: str, values: dict[str, Any], *, table: str | None = None) -> Change:
    table = table or entry.kind
    return Change(table, key, {KEYS[table]: key, **values, "seq": entry.seq}, is_new=True)


def _text(part: object) -> str:
    """Return a part of a parsed body as canonical JSON: in a body reals are strings already."""
    return _ENCODER.encode(part)
