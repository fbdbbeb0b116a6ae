"""SQLite made durable: connections on which a commit has reached the disk, and clear errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpsynth.errors import IntegrityError, UsageError

APPLICATION_ID = 0x64707379  # "dpsy"
USER_VERSION = 1
_BUSY_SECONDS = 60.0


def connect(path: Path | None, *, read_only: bool = False, new: bool = False) -> sqlite3.Connection:
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
        with translated():
            if _pragma(connection, "journal_mode = WAL") != "wal":
                raise UsageError(
                    "a ledger cannot be kept on this file system.",
                    fix="keep it on a local disk, not on a network share.",
                )
    with translated():
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # macOS flushes the disk's own cache only when asked to; elsewhere these do nothing.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    return connection


def _open_uri(uri: str, *, new: bool = False) -> sqlite3.Connection:
    """Open SQLite and make sure that the file is a ledger, unless it is ``new``."""
    with translated():
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if not new and _pragma(connection, "application_id") != APPLICATION_ID:
                raise _no_ledger()
            if not new and _pragma(connection, "user_version") != USER_VERSION:
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
def translated() -> Iterator[None]:
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
            raise not_writable() from None
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
            raise IntegrityError(
                "the file of the ledger is damaged.", code="DPS602", fix="restore it from a copy."
            ) from None


def _no_ledger() -> IntegrityError:
    return IntegrityError(
        "this file is not a dpsynth ledger.", code="DPS602", fix="name the file of a ledger."
    )


def not_writable() -> UsageError:
    return UsageError(
        "the ledger cannot be written here, and every spend is written before it happens.",
        code="DPS511",
        fix="give write permission for the file and its directory, or open it with read_only=True.",
    )


def sync_directory(directory: Path) -> None:
    """Make the name of a new file durable, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
