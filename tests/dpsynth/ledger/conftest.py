"""Ledgers on every database: SQLite always, PostgreSQL where a server is named."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest

from dpsynth.ledger import Ledger
from dpsynth.privacy import Budget, PrivacyUnit

SERVER = os.environ.get("DPSYNTH_TEST_POSTGRES", "")
"""URL of an empty database, which `.ci/run` starts."""

BUDGET = Budget(epsilon=3, delta=1e-5)
UNIT = PrivacyUnit()

DATABASES = [
    "sqlite",
    pytest.param(
        "postgresql",
        marks=pytest.mark.skipif(not SERVER, reason="DPSYNTH_TEST_POSTGRES names no server"),
    ),
]

Place = Callable[[], str]


@pytest.fixture(params=DATABASES)
def place(request, tmp_path) -> Iterator[Place]:
    """Return an address for a new ledger, each time another."""
    if request.param == "sqlite":
        yield lambda: str(tmp_path / f"{uuid.uuid4().hex}.db")
        return
    import sqlalchemy as sa

    engine = sa.create_engine(SERVER)
    made = []

    def make() -> str:
        name = f"ledger_{uuid.uuid4().hex}"
        with engine.begin() as connection:
            connection.execute(sa.text(f"CREATE SCHEMA {name}"))
        made.append(name)
        return f"{SERVER}&options=-csearch_path%3D{name}"

    yield make
    with engine.begin() as connection:
        for name in made:
            connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


@pytest.fixture
def address(place: Place) -> str:
    return place()


def create(address, **changes) -> Ledger:
    facts = {"population": "people", "dataset": "adult", "budget": BUDGET, "unit": UNIT}
    return Ledger.create(address, **(facts | changes))


def run_sql(address: str, *statements: str, append_only: bool = True) -> list:
    """Run statements past the package; the last one's rows are returned."""
    if "://" in address:
        import sqlalchemy as sa

        engine = sa.create_engine(address)
        with engine.begin() as connection:
            if not append_only:
                connection.execute(
                    sa.text("DROP TRIGGER IF EXISTS entry_is_never_changed ON entry")
                )
            for statement in statements:
                result = connection.execute(sa.text(statement))
            rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows
    import sqlite3

    connection = sqlite3.connect(address, isolation_level=None)
    if not append_only:
        connection.execute("DROP TRIGGER IF EXISTS entry_is_never_changed")
        connection.execute("DROP TRIGGER IF EXISTS entry_is_never_deleted")
    for statement in statements:
        rows = connection.execute(statement).fetchall()
    connection.close()
    return rows
