"""What every database must do, and what a server may refuse."""

from __future__ import annotations

import os

import pytest
from tests.dpsynth.ledger.conftest import BUDGET, SERVER, UNIT, create, run_sql
from tests.dpsynth.ledger.test_book import SAMPLED, SMALL, gaussian_plan

from dpsynth.errors import BudgetError, IntegrityError, UsageError
from dpsynth.ledger import ChargeState, Ledger

needs_server = pytest.mark.skipif(not SERVER, reason="DPSYNTH_TEST_POSTGRES names no server")


def test_whole_life_of_a_ledger(address):
    with create(address) as ledger:
        ledger.add_dataset("adult 2027")
        with ledger.reserve(gaussian_plan(0.3), dataset="adult") as charge:
            charge.touch()
            charge.commit()
        ledger.reserve(SMALL, dataset="adult 2027").abort()
        with pytest.raises(BudgetError, match="DPS101"):
            ledger.reserve(gaussian_plan(0.9), dataset="adult")
        with ledger.reserve(SAMPLED, dataset="adult") as run:
            run.touch(leases=True)
            run.lease("step 0", 400)
            run.commit()
        ledger.record_release("adult 2026", table_sha256="ab" * 32, charges=[charge.id, run.id])
        summary = ledger.check(recomputed=True)
    with Ledger.open(address) as again:
        assert again.check() == summary
        assert (again.unit, again.budget) == (UNIT, BUDGET)
        states = [line.state for line in again.summary().charges]
        assert states == ["committed", "aborted", "committed"]
        (release,) = again.summary().releases
        assert release.charges == (charge.id, run.id)


def test_log_is_append_only(address):
    create(address).close()
    for statement in ("UPDATE entry SET kind = 'plan'", "DELETE FROM entry"):
        with pytest.raises(Exception, match="append-only"):
            run_sql(address, statement)


def test_tampering_is_seen(place):
    for statement, message in [
        ("UPDATE entry SET body = body || ' ' WHERE seq = 2", "entry 2 does not match its own"),
        ("DELETE FROM entry WHERE seq = 4", "entry 4 is missing"),
        ("UPDATE charge SET cost = cost / 2", "cost of charge .* differs from entry"),
        ("UPDATE population SET epsilon = 30", "epsilon of population .* differs from entry 2"),
    ]:
        address = place()
        with create(address) as ledger:
            ledger.reserve(SMALL, dataset="adult").touch()
        run_sql(address, statement, append_only=False)
        with pytest.raises(IntegrityError, match=message):
            Ledger.open(address)


def test_read_only_looks_and_never_writes(address):
    with create(address) as ledger:
        charge = ledger.reserve(SMALL, dataset="adult")
        charge.touch()
    before = run_sql(address, "SELECT count(*) FROM entry")
    with Ledger.open(address, read_only=True) as ledger:
        ledger.check()
        with pytest.raises(UsageError, match="opened for reading only"):
            ledger.charge(charge.id).commit()
    assert run_sql(address, "SELECT count(*) FROM entry") == before


def test_a_ledger_is_never_replaced_and_none_is_found_where_none_is(place):
    address = place()
    with pytest.raises(UsageError, match="no ledger"):
        Ledger.open(address)
    create(address).close()
    with pytest.raises(IntegrityError, match="never replaced"):
        create(address)
    Ledger.open(address).close()


def test_a_ledger_that_cannot_be_filled_leaves_nothing(address):
    with pytest.raises(UsageError, match="name of a dataset"):
        create(address, dataset="two\nlines")
    create(address).close()


def test_names_are_data_and_no_sql(address):
    name = "people'; DROP TABLE entry; --\" ? :p0 %s"
    with create(address, population=name, dataset=name) as ledger:
        ledger.reserve(SMALL, dataset=name).touch()
        assert ledger.check().population == name


def test_addresses_that_are_none():
    with pytest.raises(UsageError, match="no driver for 'oracle'"):
        Ledger.open("oracle://somebody:SECRET@host/base")
    with pytest.raises(UsageError, match="no database URL"):
        Ledger.open("://SECRET")


@needs_server
def test_unreachable_server_is_named_without_its_password():
    with pytest.raises(UsageError, match="cannot be reached") as caught:
        Ledger.open("postgresql+psycopg://somebody:SECRET@127.0.0.1:9/books")
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@needs_server
@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_user_without_rights_cannot_spend(place):
    import sqlalchemy as sa

    address = place()
    create(address).close()
    schema = address.rpartition("%3D")[2]
    engine = sa.create_engine(SERVER)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE reader_{schema} LOGIN"))
        connection.execute(sa.text(f"GRANT USAGE ON SCHEMA {schema} TO reader_{schema}"))
        connection.execute(
            sa.text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader_{schema}")
        )
    engine.dispose()
    limited = address.replace("://dpsynth@", f"://reader_{schema}@")
    assert limited != address
    with Ledger.open(limited, read_only=True) as ledger:
        ledger.check()
    with Ledger.open(limited) as ledger, pytest.raises(UsageError, match="DPS511"):
        ledger.reserve(SMALL, dataset="adult")
    with Ledger.open(address) as ledger:
        assert ledger.summary().charges == ()


def test_states_survive_reopening(address):
    with create(address) as ledger:
        reserved = ledger.reserve(SMALL, dataset="adult")
        touched = ledger.reserve(SMALL, dataset="adult")
        touched.touch()
    with Ledger.open(address) as ledger:
        # The owner, this process, lives.
        assert ledger.charge(reserved.id).state is ChargeState.RESERVED
        assert ledger.charge(touched.id).state is ChargeState.TOUCHED


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_process_cannot_use_the_ledger_of_its_parent(address):
    ledger = create(address)
    child = os.fork()
    if child == 0:
        try:
            ledger.reserve(SMALL, dataset="adult")
        except UsageError as error:
            os._exit(42 if "forked" in str(error) else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    ledger.close()
