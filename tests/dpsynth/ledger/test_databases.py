"""What every database must do, and what a server may refuse."""

from __future__ import annotations

import math
import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from dpsynth.errors import BudgetError, DPSynthError, IntegrityError, UsageError
from dpsynth.filters import FilterKind, stop_rule
from dpsynth.ledger import ChargeState, Ledger, filesystem
from dpsynth.ledger.pricing import measure
from dpsynth.privacy import Budget, PoissonSampledGaussian
from tests.dpsynth.ledger.conftest import BUDGET, SERVER, UNIT, create, run_sql
from tests.dpsynth.ledger.test_book import SAMPLED, SMALL, gaussian_plan, plan_of

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


def append_after(head, store) -> None:
    with store.writing():
        store._head = head
        store.append("refused", {"code": "DPS101"})


def test_of_two_writers_that_saw_one_state_one_commits(address):
    """Locks aside: the key of the chain itself refuses the second."""
    with create(address) as one, Ledger.open(address) as two:
        stale = two._store
        with stale.reading():
            seen = stale.head
        one.reserve(SMALL, dataset="adult")
        with pytest.raises(DPSynthError):
            append_after(seen, stale)
        two.check()
        assert len(two.summary(compose=False).charges) == 1


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
35 22 0:31 / /srv/with\\040blank rw - nfs4 server:/export rw
36 22 0:32 / /srv/local rw - ext4 /dev/sdb1 rw
37 36 0:33 / /srv/local/share rw - fuse.sshfs host: rw
38 22 0:34 / /srv/données/患者 rw - cifs //server/export rw
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts are read on Linux only")
def test_network_file_systems_are_refused(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS, encoding="utf-8")
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    for name in (
        "/srv/with blank/ledger.db",
        "/srv/local/share/books/ledger.db",
        "/srv/données/患者/ledger.db",
    ):
        with pytest.raises(UsageError, match="network file system"):
            create(name)
    filesystem.refuse_network(Path("/srv/local/ledger.db"))
    filesystem.refuse_network(Path("/srv/local/shared.db"))
    monkeypatch.undo()
    path = tmp_path / "ledger.db"
    create(path).close()
    mounts.write_text(
        f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n9 8 0:1 / {tmp_path} rw - cifs //h/s\n"
    )
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    with pytest.raises(UsageError, match="DPS514"):
        Ledger.open(path)


@needs_server
def test_a_server_that_may_forget_is_refused(monkeypatch):
    import sqlalchemy as sa

    from dpsynth.ledger import server

    class Forgetful:
        def execute(self, statement):
            assert str(statement) == "SHOW fsync"
            return sa.create_engine("sqlite://").connect().execute(sa.text("SELECT 'off'"))

    books = server.Server(SERVER)
    with pytest.raises(UsageError, match="fsync = off"):
        books._require_durable(Forgetful())  # type: ignore[arg-type]
    books.close()


@pytest.mark.parametrize("kind", list(FilterKind))
def test_every_stop_rule_keeps_a_ledger(address, kind):
    with create(address, filter=kind) as ledger:
        admitted = 0
        for _ in range(12):
            try:
                with ledger.reserve(gaussian_plan(0.19), dataset="adult") as charge:
                    charge.touch()
                    charge.commit()
            except BudgetError:
                continue
            admitted += 1
        assert admitted in (5, 6)
        summary = ledger.check(recomputed=True)
        assert 2.5 < summary.spent <= BUDGET.epsilon
        assert sum(line.share for line in summary.charges) == pytest.approx(summary.capacity_used)
    with Ledger.open(address) as again:
        assert again.summary(compose=False) == summary


def test_an_order_without_a_finite_cost_leaves_a_mixture_readable(address):
    # At this rate and noise the series of the library does not converge at the lowest order.
    run = PoissonSampledGaussian(
        relation="add_remove", noise_multiplier=0.5, sampling_probability=0.2, steps=2
    )
    budget = Budget(epsilon=60, delta=1e-5)
    with create(address, filter=FilterKind.MIXTURE, budget=budget) as ledger:
        rule = stop_rule(budget, kind=FilterKind.MIXTURE)
        assert math.isinf(max(rule.cost(measure((run,), orders=rule.orders))))
        ledger.reserve(plan_of(run), dataset="adult").abort()
        ledger.reserve(plan_of(run), dataset="adult").touch()
        ledger.reserve(SMALL, dataset="adult").touch()
        summary = ledger.check(recomputed=True)
        assert summary.spent < budget.epsilon
    with Ledger.open(address) as again:
        assert again.check() == summary


def test_an_older_state_restored_under_an_open_ledger_is_not_spent_from(address):
    with create(address) as ledger, Ledger.open(address) as other:
        ledger.reserve(SMALL, dataset="adult").touch()
        other.reserve(SMALL, dataset="adult").touch()
        ledger.reserve(SMALL, dataset="adult").touch()
        seen = ledger.anchor.sequence
        # What the database would hold, had a copy been restored that was made before the last two.
        run_sql(
            address,
            f"DELETE FROM entry WHERE seq > {seen - 2}",
            f"DELETE FROM charge WHERE seq > {seen - 2}",
            append_only=False,
        )
        for book in (ledger, other):
            if book is other:
                # It has seen no more than what is left, and may go on.
                book.reserve(SMALL, dataset="adult").touch()
                continue
            with pytest.raises(IntegrityError, match=f"DPS614 entry {seen}, which this process"):
                book.reserve(SMALL, dataset="adult")
        # A fork: the number is there again, and is another entry.
        with pytest.raises(IntegrityError, match="DPS614"):
            ledger.summary(compose=False)


@pytest.mark.skipif(os.name != "posix", reason="open files cannot be exchanged elsewhere")
def test_a_file_that_was_exchanged_is_not_spent_from(tmp_path, monkeypatch):
    path, old = tmp_path / "ledger.db", tmp_path / "old.db"
    create(path).close()
    shutil.copy(path, old)
    monkeypatch.chdir(tmp_path)
    with Ledger.open("ledger.db") as ledger:
        monkeypatch.chdir("/")
        charge = ledger.reserve(SMALL, dataset="adult")
        os.replace(old, path)
        for spend in (charge.touch, lambda: ledger.reserve(SMALL, dataset="adult")):
            with pytest.raises(IntegrityError, match="DPS614 the file of the ledger was exchanged"):
                spend()
        path.unlink()
        with pytest.raises(IntegrityError, match="exchanged or removed"):
            charge.touch()


@pytest.mark.parametrize(("digest", "taken"), [("ab" * 32, True), ("cd" * 32, False)])
def test_two_that_identify_a_dataset_at_once_leave_one_digest(address, monkeypatch, digest, taken):
    with create(address) as ledger, Ledger.open(address) as other:
        look = ledger._known_datasets

        def overtaken():
            known = look()
            other.recognise("adult", "ab" * 32)
            return known

        monkeypatch.setattr(ledger, "_known_datasets", overtaken)
        with nullcontext() if taken else pytest.raises(IntegrityError, match="DPS616"):
            ledger.recognise("adult", digest)
    kinds = [kind for (kind,) in run_sql(address, "SELECT kind FROM entry ORDER BY seq")]
    assert kinds.count("identified") == 1
    with Ledger.open(address) as again:
        again.recognise("adult", "ab" * 32)
