"""What keeps a ledger: one append-only log, and tables that follow from it, in a database.

What is committed here is durable before the call returns, and there is one writer at a time. The
head of the chain is read first in every transaction that writes, and its number plus one is the
key of what is appended: even on a database whose locks failed, of two writers that saw the same
state only one could commit.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from dpsynth.errors import IntegrityError, UsageError
from dpsynth.ledger.entries import Entry, damaged, next_entry
from dpsynth.ledger.replay import Replay
from dpsynth.ledger.tables import KEYS, change

_LIVE = "state IN ('reserved', 'touched', 'stopped', 'committed')"


class Database(Protocol):
    """What a store needs of a database; SQL has ``?`` for parameters."""

    def create_tables(self) -> None:
        """Make the tables; inside a transaction that writes."""

    def begin(self, *, write: bool) -> None:
        """Begin a transaction; one that writes waits until no other does."""

    def commit(self) -> None:
        """End the transaction; when this returns, what it wrote is durable."""

    def rollback(self) -> None:
        """Undo the transaction."""

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        ...

    def examine(self) -> None:
        """Refuse a database that is damaged."""

    def settle(self) -> None:
        """Make a new database durable."""

    def discard(self) -> None:
        """Remove a new database that could not be filled."""

    def close(self) -> None:
        """Close it."""

    def translated(self) -> AbstractContextManager[None]:
        """Turn the library's errors into ours."""
        ...


class Store:
    """The log and the tables of a ledger in a database.

    Parameters
    ----------
    database : Database
        Where they are kept.
    read_only : bool
        Look only.

    Attributes
    ----------
    after_commit : callable or None
        Told the head of the chain whenever entries have become durable.
    """

    def __init__(self, database: Database, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self.after_commit: Callable[[Entry], None] | None = None
        self._database = database
        self._head: Entry | None = None
        self._seen: Entry | None = None
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.RLock()

    def begin(self, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Fill a new database with the first entries; if that fails it is removed."""
        try:
            with self._transaction(write=True, new=True):
                self._database.create_tables()
                for kind, body in entries:
                    self.append(kind, body)
        except BaseException:
            self._database.discard()
            raise
        self._database.settle()

    def close(self) -> None:
        """Close the database."""
        self._closed = True
        self._database.close()

    # -- transactions --------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See one state of the ledger throughout."""
        with self._transaction(write=False):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write alone; all or nothing is durable afterwards."""
        if self.read_only:
            raise UsageError(
                "this ledger was opened for reading only.", fix="open it without read_only."
            )
        with self._transaction(write=True):
            yield

    @contextmanager
    def _transaction(self, *, write: bool, new: bool = False) -> Iterator[None]:
        if os.getpid() != self._pid:
            # Connections and locks do not survive a fork; two processes on one corrupt a file.
            raise UsageError(
                "a ledger cannot be used in a forked process.", fix="open it again there."
            )
        if self._closed:
            raise UsageError("this ledger has been closed.", fix="open it again.")
        with self._lock:
            with self._database.translated():
                self._database.begin(write=write)
                try:
                    before = self._head = None if new else self._read_head()
                    self._require_seen()
                    yield
                    self._database.commit()
                except BaseException:
                    self._database.rollback()
                    raise
            self._seen = self._head
            if write and self._head is not before and self._head and self.after_commit:
                self.after_commit(self._head)

    def _require_seen(self) -> None:
        """Refuse a ledger that has lost what this process has seen in it.

        Whole logs are verified when a ledger is opened; a process that keeps one open for weeks
        must not go on spending from an older state that was restored under its hands.
        """
        seen = self._seen
        if seen is None or seen == self._head or self.entry(seen.seq) == seen:
            return
        raise IntegrityError(
            f"entry {seen.seq}, which this process has seen, is not in the ledger any more.",
            code="DPS614",
            fix="restore the newest copy; this one was cut off, rewritten or is an older state.",
        )

    # -- log and tables ------------------------------------------------------------------------

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Append an entry and apply it to the tables; inside :meth:`writing`."""
        time = datetime.now(UTC).isoformat(timespec="microseconds")
        entry = next_entry(self._head, kind, time, body)
        self._database.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", entry)
        self._head = entry
        effect = change(entry, json.loads(entry.body))
        if effect is None:
            return
        # Table and field names come from this package, never from the caller.
        names = list(effect.values)
        if effect.is_new:
            places = ", ".join("?" * len(names))
            statement = f"INSERT INTO {effect.table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608
            self._database.execute(statement, list(effect.values.values()))
        else:
            fields = ", ".join(f"{name} = ?" for name in names)
            statement = f"UPDATE {effect.table} SET {fields} WHERE {KEYS[effect.table]} = ?"  # noqa: S608
            self._database.execute(statement, [*effect.values.values(), effect.key])

    @property
    def head(self) -> Entry:
        """The last entry; inside a transaction."""
        if self._head is None:
            raise damaged(1, "is missing")
        return self._head

    def _read_head(self) -> Entry | None:
        rows = self._database.execute("SELECT * FROM entry ORDER BY seq DESC LIMIT 1")
        return Entry(**rows[0]) if rows else None

    def entry(self, seq: int) -> Entry | None:
        """Return one entry."""
        rows = self.rows("SELECT * FROM entry WHERE seq = ?", seq)
        return Entry(**rows[0]) if rows else None

    def ledger_id(self) -> str | None:
        """Return the identifier in the first entry, unverified; ``None`` if it cannot be read."""
        first = self.entry(1)
        try:
            return None if first is None else str(json.loads(first.body)["ledger_id"])
        except (ValueError, TypeError, KeyError):
            return None

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        return self._database.execute(query, parameters)

    def live(self, *fields: str) -> list[dict[str, Any]]:
        """Return some fields of all charges that are not aborted."""
        # As above: names of fields are ours.
        return self.rows(f"SELECT {', '.join(fields)} FROM charge WHERE {_LIVE}")  # noqa: S608

    def reservation(self, charge_id: str) -> str:
        """Return the body of the entry that reserved a charge."""
        rows = self.rows(
            "SELECT body FROM entry WHERE kind = 'reserved' AND body LIKE ?",
            f'%"charge_id":"{charge_id}"%',
        )
        return rows[0]["body"]

    def verify(self) -> Replay:
        """Rebuild the tables from the log and compare; inside a transaction.

        Raises
        ------
        IntegrityError
            Naming the first bad entry, or every difference between the log and the tables.
        """
        self._database.examine()
        replay = Replay()
        for row in self.rows("SELECT * FROM entry ORDER BY seq"):
            replay.feed(Entry(**row))
        if replay.head is None:
            raise damaged(1, "is missing")
        found = {
            table: {row[key]: row for row in self.rows(f"SELECT * FROM {table}")}  # noqa: S608
            for table, key in KEYS.items()
        }
        last = replay.head.seq
        written = (row["seq"] for rows in found.values() for row in rows.values())
        if any(isinstance(seq, int) and seq > last for seq in written):
            raise damaged(last + 1, "is missing, and what it wrote is in the tables")
        differences = [
            difference
            for table, rows in found.items()
            for difference in _differences(table, replay.tables[table], rows)
        ]
        if differences:
            raise IntegrityError(
                "the tables do not follow from the log: " + "; ".join(differences) + ".",
                code="DPS612",
                fix="restore the ledger from a copy whose anchor you trust.",
            )
        return replay


def _differences(
    table: str, expected: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    for key, row in expected.items():
        if key not in found:
            yield f"{table} {key} of entry {row['seq']} is missing"
            continue
        for name, value in row.items():
            if found[key][name] != value:
                yield f"{name} of {table} {key} differs from entry {row['seq']}"
    for key in found.keys() - expected.keys():
        yield f"{table} {key} has no entry"
