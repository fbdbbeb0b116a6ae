"""Entries of the log, their hash chain, and the states of a charge.

The hash of an entry is the SHA-256 of ``prev_hash``, ``seq``, ``kind``, ``time`` and ``body``,
joined by newlines, in UTF-8; ``body`` is canonical JSON with every real as a string. The first
entry follows on 64 zeros.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from dpsynth.errors import IntegrityError
from dpsynth.privacy import canonical_json

FORMAT = "dpsynth.ledger/2"
GENESIS = "0" * 64


class ChargeState(StrEnum):
    """Where a charge stands. Everything but ``aborted`` counts against the budget."""

    RESERVED = "reserved"
    """Booked in full; the data has not been read."""
    TOUCHED = "touched"
    """The data may have been read; counts in full."""
    COMMITTED = "committed"
    """The run has ended as planned; counts in full."""
    STOPPED = "stopped"
    """The run has ended early; counts for the steps that were leased to it."""
    ABORTED = "aborted"
    """Given back before the data was read."""


CAME_FROM = {
    ChargeState.TOUCHED: ChargeState.RESERVED,
    ChargeState.COMMITTED: ChargeState.TOUCHED,
    ChargeState.STOPPED: ChargeState.TOUCHED,
    ChargeState.ABORTED: ChargeState.RESERVED,
}
"""The only transitions there are: a state, and the one it is reached from."""


class Entry(NamedTuple):
    """One line of the log."""

    seq: int
    prev_hash: str
    hash: str
    kind: str
    time: str
    body: str


def next_entry(head: Entry | None, kind: str, time: str, body: Mapping[str, Any]) -> Entry:
    """Return the entry that follows on ``head``."""
    seq, prev_hash = (head.seq + 1, head.hash) if head else (1, GENESIS)
    text = canonical_json(body)
    return Entry(seq, prev_hash, _digest(prev_hash, seq, kind, time, text), kind, time, text)


def verified_body(entry: Entry, *, after: Entry | None) -> dict[str, Any]:
    """Return the body of an entry that follows on ``after``.

    Raises
    ------
    IntegrityError
        If it does not follow, or is not what its hash says.
    """
    expected = after.seq + 1 if after else 1
    if entry.seq != expected:
        raise damaged(expected, "is missing")
    if set(map(type, entry[1:])) != {str}:
        raise damaged(entry.seq, "is not text")
    if entry.prev_hash != (after.hash if after else GENESIS):
        raise damaged(entry.seq, "does not follow on the entry before it")
    if entry.hash != _digest(entry.prev_hash, entry.seq, entry.kind, entry.time, entry.body):
        raise damaged(entry.seq, "does not match its own hash")
    try:
        body = json.loads(entry.body)
    except ValueError:
        raise damaged(entry.seq, "is not JSON") from None
    if not isinstance(body, dict):
        raise damaged(entry.seq, "is not an object")
    return body


def damaged(seq: int, what: str) -> IntegrityError:
    """Return the error that names the first bad entry."""
    return IntegrityError(
        f"the ledger has been changed: entry {seq} {what}.",
        code="DPS610",
        fix="restore the ledger from a copy whose anchor you trust; do not spend from this one.",
    )


def _digest(prev_hash: str, seq: int, kind: str, time: str, body: str) -> str:
    return hashlib.sha256("\n".join((prev_hash, str(seq), kind, time, body)).encode()).hexdigest()
