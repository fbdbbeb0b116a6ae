"""SQLite made durable: what is committed has reached the disk, and errors are clear.

Write-ahead log, ``synchronous=FULL``, one writer at a time (``BEGIN IMMEDIATE``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from dpsynth.errors import DPSynthError, IntegrityError, UsageError
from dpsynth.ledger.filesystem import refuse_network
from dpsynth.ledger.tables import INDEXES, TABLES

_APPLICATION_ID = 0x64707379  # "dpsy"
_USER_VERSION = 2
_BUSY_SECONDS = 60.0

_TYPES = {int: "INTEGER", float: "REAL", str: "TEXT"}

_TRIGGERS = (
    """
    CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
    """,
    """
    CREATE TRIGGER entry_is_never_deleted BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
    """,
)


class SQLite:
    """The file of a ledger, or one in memory; see :class:`~dpsynth.ledger.store.Database`."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self._connection = connection
        # Absolute: a program may change its folder while the ledger is open.
        self._path = None if path is None else path.absolute()
        self._file = None if path is None else _identity(path)

    @classmethod
    def in_memory(cls) -> Self:
        """Make a database that ends with the process."""
        return cls(_connect(None), None)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make an empty file; it is never put in place of another.

        Raises
        ------
        IntegrityError
            If the file exists.
        UsageError
            If it cannot be made.
        """
        refuse_network(path)
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
            return cls(_connect(path, new=True), path)
        except DPSynthError:
            _remove(path)
            raise

    @classmethod
    def open(cls, path: Path, *, read_only: bool) -> Self:
        """Open an existing file.

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
        if not read_only:
            refuse_network(path)
            if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
                raise _not_writable()
        return cls(_connect(path, read_only=read_only), path)

    def create_tables(self) -> None:
        """Make the tables; inside a transaction."""
        self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {_USER_VERSION}")
        for table, fields in TABLES.items():
            key = next(iter(fields))
            columns = ", ".join(
                f"{name} {_TYPES[field.type]}"
                + (" PRIMARY KEY" if name == key else "" if field.null else " NOT NULL")
                for name, field in fields.items()
            )
            self._connection.execute(f"CREATE TABLE {table} ({columns})")
        for statement in _TRIGGERS:
            self._connection.execute(statement)
        for name, (table, fields) in INDEXES.items():
            self._connection.execute(f"CREATE INDEX {name} ON {table} ({', '.join(fields)})")

    def begin(self, *, write: bool) -> None:
        """Begin a transaction; one that writes waits for its turn."""
        if self._path is not None and _identity(self._path) != self._file:
            # SQLite would go on with the file that was opened, which has no name any more: what is
            # spent there nobody else would ever see.
            raise IntegrityError(
                "the file of the ledger was exchanged or removed while it was open.",
                code="DPS614",
                fix="open the ledger again; restore the newest copy if it is refused then.",
            )
        self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    def commit(self) -> None:
        """End the transaction; what it wrote has reached the disk."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction."""
        # After some failures SQLite has rolled back by itself.
        with suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run a statement with ``?`` for parameters and return its rows."""
        cursor = self._connection.execute(statement, parameters)
        if cursor.description is None:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def examine(self) -> None:
        """Refuse a damaged file."""
        if self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise _damaged()

    def settle(self) -> None:
        """Make the name of a new file durable."""
        if self._path is not None:
            _sync_directory(self._path.parent)

    def discard(self) -> None:
        """Remove what :meth:`create` made."""
        self.close()
        if self._path is not None:
            _remove(self._path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        with _translated():
            yield


def _connect(
    path: Path | None, *, read_only: bool = False, new: bool = False
) -> sqlite3.Connection:
    """Open SQLite on a file that exists and make every commit durable."""
    if path is None:
        connection = _open_uri(":memory:", new=True)
    elif read_only:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        try:
            return _open_uri(uri)
        except UsageError:
            if path.with_name(f"{path.name}-wal").exists():
                raise
            # Nothing waits in a write-ahead log, and where none can be made none will come.
            return _open_uri(f"{uri}&immutable=1")
    else:
        connection = _open_uri(f"{path.absolute().as_uri()}?mode=rw", new=new)
        with _translated():
            if _pragma(connection, "journal_mode = WAL") != "wal":
                raise UsageError(
                    "a ledger cannot be kept on this file system.",
                    fix="keep it on a local disk, not on a network share.",
                )
    with _translated():
        connection.execute("PRAGMA synchronous = FULL")
        # macOS flushes the disk's own cache only when asked to; elsewhere these do nothing.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    return connection


def _open_uri(uri: str, *, new: bool = False) -> sqlite3.Connection:
    """Open SQLite and make sure that the file is a ledger, unless it is ``new``."""
    with _translated():
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if not new and _pragma(connection, "application_id") != _APPLICATION_ID:
                raise _no_ledger()
            if not new and _pragma(connection, "user_version") != _USER_VERSION:
                raise IntegrityError(
                    "the ledger's tables are of another version.",
                    code="DPS611",
                    fix="open it with the version of dpsynth that wrote it, or a newer one.",
                )
        except BaseException:
            connection.close()
            raise
    return connection


def _pragma(connection: sqlite3.Connection, pragma: str) -> object:
    return connection.execute(f"PRAGMA {pragma}").fetchone()[0]


@contextmanager
def _translated() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        # Extended codes keep the primary one in the low byte; the module's own errors have none.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    else:
        return
    match code:
        case sqlite3.SQLITE_NOTADB:
            raise _no_ledger() from None
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            raise _not_writable() from None
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            raise UsageError(
                f"another process has held the ledger for {_BUSY_SECONDS:.0f} seconds.",
                code="DPS512",
                fix="wait until it has ended; a process that was killed holds no lock.",
            ) from None
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM:
            raise IntegrityError(
                "the ledger could not be written: the disk is full or failing.",
                code="DPS613",
                fix="make room; nothing may be read from the data until the ledger can be written.",
            ) from None
        case _:
            raise _damaged() from None


def _damaged() -> IntegrityError:
    return IntegrityError(
        "the file of the ledger is damaged.", code="DPS602", fix="restore it from a copy."
    )


def _no_ledger() -> IntegrityError:
    return IntegrityError(
        "this file is not a dpsynth ledger.", code="DPS602", fix="name the file of a ledger."
    )


def _not_writable() -> UsageError:
    return UsageError(
        "the ledger cannot be written here, and every spend is written before it happens.",
        code="DPS511",
        fix="give write permission for the file and its directory, or open it with read_only=True.",
    )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of the same name; ``None`` where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _sync_directory(directory: Path) -> None:
    """Make the name of a new file durable, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
