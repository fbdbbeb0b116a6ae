"""The file of a ledger: one append-only log, and tables that follow from it.

What is committed here has reached the disk (write-ahead log, ``synchronous=FULL``) before the call
returns. One writer at a time: every write transaction begins with ``BEGIN IMMEDIATE``.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from dpsynth._ledger_log import GENESIS, KEYS, Entry, Replay, change, damaged, make_entry
from dpsynth._sqlite import (
    APPLICATION_ID,
    USER_VERSION,
    connect,
    not_writable,
    remove,
    sync_directory,
    translated,
)
from dpsynth.errors import DPSynthError, IntegrityError, UsageError

# Reals in the tables are for adding up; the log keeps them as text, and only the log is hashed.
_SCHEMA = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {USER_VERSION}",
    """
    CREATE TABLE entry (
        seq INTEGER PRIMARY KEY,
        prev_hash TEXT NOT NULL,
        hash TEXT NOT NULL,
        kind TEXT NOT NULL,
        time TEXT NOT NULL,
        body TEXT NOT NULL
    )
    """,
    """
    CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
    """,
    """
    CREATE TRIGGER entry_is_never_deleted BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
    """,
    """
    CREATE TABLE population (
        population_id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        unit_column TEXT,
        max_rows INTEGER NOT NULL,
        relation TEXT NOT NULL,
        n_policy TEXT NOT NULL,
        epsilon REAL NOT NULL,
        delta REAL NOT NULL,
        filter TEXT NOT NULL,
        filter_order REAL NOT NULL,
        filter_orders TEXT NOT NULL,
        failure_delta REAL NOT NULL,
        created TEXT NOT NULL,
        seq INTEGER NOT NULL REFERENCES entry
    )
    """,
    """
    CREATE TABLE dataset (
        dataset_id TEXT PRIMARY KEY,
        population_id TEXT NOT NULL REFERENCES population,
        name TEXT NOT NULL,
        content_hmac TEXT,
        created TEXT NOT NULL,
        seq INTEGER NOT NULL REFERENCES entry,
        UNIQUE (population_id, name)
    )
    """,
    """
    CREATE TABLE plan (
        plan_sha256 TEXT PRIMARY KEY,
        method TEXT NOT NULL,
        spec TEXT NOT NULL,
        created TEXT NOT NULL,
        seq INTEGER NOT NULL REFERENCES entry
    )
    """,
    """
    CREATE TABLE charge (
        charge_id TEXT PRIMARY KEY,
        dataset_id TEXT NOT NULL REFERENCES dataset,
        plan_sha256 TEXT NOT NULL REFERENCES plan,
        state TEXT NOT NULL CHECK (state IN ('reserved', 'touched', 'committed', 'aborted')),
        rule TEXT NOT NULL CHECK (rule IN ('plan', 'filter')),
        cost REAL NOT NULL,
        failure_delta REAL NOT NULL,
        epsilon REAL NOT NULL,
        rdp TEXT NOT NULL,
        rho REAL,
        owner TEXT NOT NULL,
        versions TEXT NOT NULL,
        reserved TEXT NOT NULL,
        touched TEXT,
        ended TEXT,
        seq INTEGER NOT NULL REFERENCES entry
    )
    """,
    # Every reservation adds up these two; from the index alone 10,000 charges take milliseconds.
    "CREATE INDEX charge_cost ON charge (state, cost, failure_delta)",
)


class Store:
    """A connection to the file of a ledger; :meth:`create` and :meth:`open` make one."""

    def __init__(
        self, connection: sqlite3.Connection, *, path: Path | None, read_only: bool
    ) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.RLock()

    @classmethod
    def create(cls, path: Path | None, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> Self:
        """Make a store that begins with these entries; ``None`` keeps it in memory.

        Raises
        ------
        IntegrityError
            If the file exists.
        UsageError
            If it cannot be made.
        """
        if path is None:
            return cls(connect(None), path=None, read_only=False)._begin(entries)
        try:
            # The file is confidential: what was asked and when is no public fact.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise IntegrityError(
                f"{str(path)!r} exists, and a ledger is never replaced.",
                code="DPS601",
                fix="open it, or choose another name.",
            ) from None
        except OSError:
            raise UsageError(
                f"a ledger cannot be made at {str(path)!r}.",
                fix="name a file in a directory that exists and can be written.",
            ) from None
        try:
            store = cls(connect(path, new=True), path=path, read_only=False)._begin(entries)
        except DPSynthError:
            remove(path)
            raise
        sync_directory(path.absolute().parent)
        return store

    def _begin(self, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> Self:
        with self.writing():
            for statement in _SCHEMA:
                self._connection.execute(statement)
            for kind, body in entries:
                self.append(kind, body)
        return self

    @classmethod
    def open(cls, path: Path, *, read_only: bool) -> Self:
        """Open an existing store.

        Raises
        ------
        UsageError
            If there is no such file, or it cannot be written and ``read_only`` is false.
        IntegrityError
            If the file is no ledger.
        """
        if not path.is_file():
            raise UsageError(
                f"there is no ledger at {str(path)!r}.", fix="make one with `dpsynth ledger init`."
            )
        if not read_only and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            raise not_writable()
        return cls(connect(path, read_only=read_only), path=path, read_only=read_only)

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._connection.close()

    # -- transactions --------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See one state of the file throughout."""
        with self._transaction("BEGIN"):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the write lock; all or nothing is durable afterwards."""
        if self.read_only:
            raise UsageError(
                "this ledger was opened for reading only.", fix="open it without read_only."
            )
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        if os.getpid() != self._pid:
            # SQLite's locks do not survive a fork; two processes on one connection corrupt a file.
            raise UsageError(
                "a ledger cannot be used in a forked process.", fix="open it again there."
            )
        if self._closed:
            raise UsageError("this ledger has been closed.", fix="open it again.")
        with self._lock, translated():
            self._connection.execute(begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # After some failures SQLite has rolled back by itself.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    # -- log and tables ------------------------------------------------------------------------

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        """Append an entry and apply it to the tables; inside :meth:`writing`."""
        head = self.head()
        entry = make_entry(
            head.seq + 1 if head else 1,
            head.hash if head else GENESIS,
            kind,
            datetime.now(UTC).isoformat(timespec="microseconds"),
            body,
        )
        self._connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", entry)
        effect = change(entry, body)
        if effect is None:
            return entry
        # Table and field names come from this package, never from the caller.
        names = list(effect.values)
        if effect.is_new:
            places = ", ".join("?" * len(names))
            statement = f"INSERT INTO {effect.table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608
            self._connection.execute(statement, list(effect.values.values()))
        else:
            fields = ", ".join(f"{name} = ?" for name in names)
            statement = f"UPDATE {effect.table} SET {fields} WHERE {KEYS[effect.table]} = ?"  # noqa: S608
            self._connection.execute(statement, [*effect.values.values(), effect.key])
        return entry

    def head(self) -> Entry | None:
        """Return the last entry."""
        row = self._connection.execute("SELECT * FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        return Entry(*row) if row else None

    def entry(self, seq: int) -> Entry | None:
        """Return one entry."""
        row = self._connection.execute("SELECT * FROM entry WHERE seq = ?", (seq,)).fetchone()
        return Entry(*row) if row else None

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        cursor = self._connection.execute(query, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def live_costs(self) -> tuple[list[float], list[float]]:
        """Return costs and failure probabilities of all charges that are not aborted."""
        query = (
            "SELECT cost, failure_delta FROM charge "
            "WHERE state IN ('reserved', 'touched', 'committed')"
        )
        pairs = self._connection.execute(query).fetchall()
        return [cost for cost, _ in pairs], [failure for _, failure in pairs]

    def verify(self) -> Replay:
        """Rebuild the tables from the log and compare; inside a transaction.

        Raises
        ------
        IntegrityError
            Naming the first bad entry, or every difference between the log and the tables.
        """
        health = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if health != "ok":
            raise IntegrityError(
                "the file of the ledger is damaged.", code="DPS602", fix="restore it from a copy."
            )
        replay = Replay()
        for row in self._connection.execute("SELECT * FROM entry ORDER BY seq"):
            replay.feed(Entry(*row))
        if replay.head is None:
            raise damaged(1, "is missing")
        found = {
            table: {row[key]: row for row in self.rows(f"SELECT * FROM {table}")}  # noqa: S608
            for table, key in KEYS.items()
        }
        if any(row["seq"] > replay.head.seq for rows in found.values() for row in rows.values()):
            raise damaged(replay.head.seq + 1, "is missing, and what it wrote is in the tables")
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
