"""A ledger in a database server, through SQLAlchemy; PostgreSQL is what it is tested with.

A ledger wants a database, or a schema of one, for itself. Writers queue for a lock on the row of
the population; the chain's own key would refuse the second of two that slipped through
(:mod:`dpsynth.ledger.store`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self

from dpsynth.errors import IntegrityError, UsageError, require_extra
from dpsynth.ledger.tables import INDEXES, TABLES

require_extra("sqlalchemy", extra="postgres", purpose="A ledger in a database server")

import sqlalchemy as sa  # noqa: E402
from sqlalchemy import exc  # noqa: E402

_LOCK_SECONDS = 60
_CONNECT_SECONDS = 10
_KEY_LENGTH = 64

_POSTGRES_TRIGGERS = (
    """
    CREATE FUNCTION entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the log is append-only'; END $$
    """,
    """
    CREATE TRIGGER entry_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION entry_is_append_only()
    """,
)


class Server:
    """A database in a server; see :class:`~dpsynth.ledger.store.Database`.

    Privacy
    -------
    The address may hold a password: no message shows more than the kind of server and the name of
    the database.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        try:
            address = sa.make_url(url)
        except exc.ArgumentError:
            raise UsageError(
                "the address of the ledger is no database URL.",
                fix="write it like postgresql+psycopg://user@host/database.",
            ) from None
        self._read_only = read_only
        self._dialect = address.get_backend_name()
        self._name = f"{self._dialect} database {address.database!r}"
        if self._dialect == "postgresql":
            address = address.update_query_dict(
                {"connect_timeout": str(_CONNECT_SECONDS), **dict(address.query)}
            )
        try:
            # Connections are tried before use: a long fit outlasts a server's patience.
            self._engine = sa.create_engine(address, pool_pre_ping=True, hide_parameters=True)
        except (ImportError, exc.ArgumentError):
            raise UsageError(
                f"no driver for {address.drivername!r} is installed.",
                code="DPS502",
                fix="pip install 'dpsynth[postgres]' and write postgresql+psycopg://...",
            ) from None
        self._connection: sa.Connection | None = None
        self._tables = _tables()

    @classmethod
    def create(cls, url: str) -> Self:
        """Connect to an empty database.

        Raises
        ------
        IntegrityError
            If it holds a ledger already.
        UsageError
            If it cannot be reached.
        """
        server = cls(url)
        with server.translated(), server._engine.connect() as connection:
            server._require_durable(connection)
            if sa.inspect(connection).has_table("entry"):
                raise IntegrityError(
                    f"the {server._name} holds a ledger, and a ledger is never replaced.",
                    code="DPS601",
                    fix="open it, or give the new ledger a database or schema of its own.",
                )
        return server

    @classmethod
    def open(cls, url: str, *, read_only: bool) -> Self:
        """Connect to a database that holds a ledger.

        Raises
        ------
        UsageError
            If it cannot be reached or holds none.
        """
        server = cls(url, read_only=read_only)
        with server.translated(), server._engine.connect() as connection:
            if not read_only:
                server._require_durable(connection)
            if not sa.inspect(connection).has_table("entry"):
                raise UsageError(
                    f"there is no ledger in the {server._name}.",
                    fix="make one with `dpsynth ledger init`.",
                )
        return server

    def _require_durable(self, connection: sa.Connection) -> None:
        """Refuse a server that may forget what it has confirmed."""
        if self._dialect != "postgresql":
            return
        if connection.execute(sa.text("SHOW fsync")).scalar_one() != "on":
            raise UsageError(
                f"the {self._name} runs with fsync = off: it may forget a spend after a crash.",
                code="DPS511",
                fix="switch fsync on in the server's configuration.",
            )

    def create_tables(self) -> None:
        """Make the tables; inside a transaction."""
        self._tables.create_all(self._open_connection)
        if self._dialect == "postgresql":
            for statement in _POSTGRES_TRIGGERS:
                self._open_connection.execute(sa.text(statement))

    def begin(self, *, write: bool) -> None:
        """Begin a transaction; one that writes waits for its turn."""
        # A reader sees one state throughout; a writer must see what was committed while it waited.
        isolation = "READ COMMITTED" if write else "REPEATABLE READ"
        options: dict[str, Any] = {"isolation_level": isolation}
        if self._dialect == "postgresql":
            options["postgresql_readonly"] = not write
        connection = self._engine.connect().execution_options(**options)
        self._connection = connection
        try:
            if write:
                self._take_turn(connection)
        except BaseException:
            self.rollback()
            raise

    def _take_turn(self, connection: sa.Connection) -> None:
        if self._dialect == "postgresql":
            connection.execute(sa.text("SET LOCAL synchronous_commit = on"))
            connection.execute(sa.text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
        if sa.inspect(connection).has_table("population"):
            population = self._tables.tables["population"]
            connection.execute(sa.select(population.c.population_id).with_for_update()).all()

    def commit(self) -> None:
        """End the transaction; what it wrote is durable."""
        self._open_connection.commit()
        self._release()

    def rollback(self) -> None:
        """Undo the transaction."""
        # A connection that broke has been rolled back by the server.
        with suppress(exc.SQLAlchemyError):
            self._open_connection.rollback()
        self._release()

    def _release(self) -> None:
        self._open_connection.close()
        self._connection = None

    @property
    def _open_connection(self) -> sa.Connection:
        assert self._connection is not None, "outside a transaction"
        return self._connection

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run a statement with ``?`` for parameters and return its rows."""
        parts = statement.split("?")
        names = [f"p{i}" for i in range(len(parts) - 1)]
        text = parts[0] + "".join(
            f":{name}{part}" for name, part in zip(names, parts[1:], strict=True)
        )
        result = self._open_connection.execute(
            sa.text(text), dict(zip(names, parameters, strict=True))
        )
        return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def examine(self) -> None:
        """Do nothing: a server looks after its own pages."""

    def settle(self) -> None:
        """Do nothing: a commit was enough."""

    def discard(self) -> None:
        """Close: the transaction that made the tables was undone."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn SQLAlchemy's errors into ours."""
        try:
            yield
            return
        except exc.IntegrityError:
            # Another writer has appended under the same number.
            error: Exception = UsageError(
                "another process has written to the ledger at the same moment.",
                code="DPS512",
                fix="try again.",
            )
        except exc.DBAPIError as problem:
            error = self._translate(getattr(problem.orig, "sqlstate", None))
        except exc.SQLAlchemyError:
            error = self._translate(None)
        raise error from None

    def _translate(self, state: str | None) -> Exception:
        match state:
            case "55P03" | "40P01" | "40001" | "57014":
                return UsageError(
                    f"another process has held the ledger for {_LOCK_SECONDS} seconds.",
                    code="DPS512",
                    fix="wait until it has ended; a process that was killed holds no lock.",
                )
            case "42501" | "25006":
                return UsageError(
                    f"the {self._name} does not let this user write, and every spend is written "
                    "before it happens.",
                    code="DPS511",
                    fix="grant the rights, or open the ledger with read_only=True.",
                )
            case "53100" | "53200" | "58030":
                return IntegrityError(
                    "the ledger could not be written: the server's disk is full or failing.",
                    code="DPS613",
                    fix="make room; nothing may be read from the data until the ledger can be "
                    "written.",
                )
            case _:
                return UsageError(
                    f"the {self._name} cannot be reached or does not answer as a ledger does.",
                    code="DPS515",
                    fix="check that the server runs, the address, the user and the password; what "
                    "was confirmed before is not lost.",
                )


def _tables() -> sa.MetaData:
    """Return the tables as SQLAlchemy describes them."""
    types = {int: sa.BigInteger(), float: sa.Double(), str: sa.Text()}
    metadata = sa.MetaData()
    for table, fields in TABLES.items():
        key = next(iter(fields))
        columns = [
            sa.Column(
                name,
                sa.String(_KEY_LENGTH) if name == key and field.type is str else types[field.type],
                primary_key=name == key,
                autoincrement=False,
                nullable=field.null,
            )
            for name, field in fields.items()
        ]
        sa.Table(table, metadata, *columns)
    for name, (table, fields) in INDEXES.items():
        columns = [metadata.tables[table].c[field] for field in fields]
        sa.Index(name, *columns)
    return metadata
