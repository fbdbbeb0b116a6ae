"""Kills, full disks and read-only files: what was touched is never given back."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

import dpsynth as dp
from dpsynth.errors import DPSynthError, IntegrityError, UsageError
from dpsynth.ledger import Charge, ChargeState, Ledger
from tests.conftest import patients_frame, patients_schema
from tests.dpsynth.ledger.conftest import create, run_sql
from tests.dpsynth.ledger.test_book import SMALL, gaussian_plan, sampled_plan

KILLS = 50

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/stat").exists(), reason="owners are judged on Linux only"
    ),
]

# Children are forked from a process that has everything imported and has used nothing of it.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["dpsynth.neural.vae", "tests.conftest", "dpsynth.ledger"])


def live_in_every_state(address: str, ready) -> None:
    """Leave a charge in every state and wait to be killed."""
    ledger = Ledger.open(address)
    charges = {state: ledger.reserve(sampled_plan(200), dataset="adult") for state in ChargeState}
    charges[ChargeState.ABORTED].abort()
    charges[ChargeState.TOUCHED].touch()
    for state in (ChargeState.COMMITTED, ChargeState.STOPPED):
        charges[state].touch(leases=True)
    charges[ChargeState.COMMITTED].lease("step 0", 200)
    charges[ChargeState.COMMITTED].commit()
    charges[ChargeState.STOPPED].stop()
    running = ledger.reserve(sampled_plan(200), dataset="adult")
    running.touch(leases=True)
    running.lease("step 0", 100)
    ready.put(({str(state): charge.id for state, charge in charges.items()}, running.id))
    time.sleep(600)


def test_kill_in_every_state(address):
    create(address).close()
    ready = FORKSERVER.Queue()
    child = FORKSERVER.Process(target=live_in_every_state, args=(address, ready))
    child.start()
    ids, running = ready.get(timeout=120)
    with Ledger.open(address) as ledger:
        # Its owner lives: nothing is taken away from it.
        assert {s: ledger.charge(i).state for s, i in ids.items()} == {s: s for s in ids}
        assert ledger.charge(running).state is ChargeState.TOUCHED
        before = ledger.summary(compose=False)
    kill(child)
    with Ledger.open(address) as ledger:
        after = ledger.check(recomputed=True)
        expected = {s: "aborted" if s == "reserved" else s for s in ids}
        assert {s: ledger.charge(i).state for s, i in ids.items()} == expected
        assert ledger.charge(running).state is ChargeState.STOPPED
        assert ledger.recover() == ()
    shares = {line.id: line.share for line in before.charges}
    for line in after.charges:
        if line.id == running:
            assert line.steps_run == {"step 0": 100}
            assert 0 < line.share < shares[line.id]
        elif line.id != ids["reserved"]:
            assert line.share == pytest.approx(shares[line.id])


def unfitted():
    from dpsynth.neural.vae import DPVAE, VAESettings

    settings = VAESettings(steps=250, sampling_probability=0.1)
    return DPVAE(patients_schema(), settings=settings)


def fit_slowly(address: str, steps: str, plan: dp.Plan) -> None:
    """Fit, and write down outside the ledger how many steps were taken."""
    import torch

    torch.set_num_threads(1)
    record = os.open(steps, os.O_WRONLY)
    model = unfitted()
    model.plan = lambda budget, *, rows: plan  # calibrated once: kills should hit the fit
    with Ledger.open(address) as ledger:
        model.fit(
            patients_frame().drop(columns="patient"),
            budget=plan.budget,
            ledger=ledger,
            dataset="patients",
            progress=lambda done, of: os.pwrite(record, f"{done:09d}".encode(), 0),
        )


def kill(child) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    child.join(60)


def test_kills_at_random_times_during_fits(tmp_path):
    address, steps = str(tmp_path / "ledger.db"), tmp_path / "steps"
    schema = patients_schema()
    Ledger.create(
        address,
        population="people",
        dataset="patients",
        budget=dp.Budget(epsilon=50, delta=1e-5),
        unit=schema.unit,
    ).close()
    rng = random.Random(5)
    plan = unfitted().plan(dp.Budget(epsilon=0.5, delta=1e-7))
    duration = 0.0
    for _ in range(2):  # the first starts the fork server as well
        steps.write_text("0" * 9)
        began = time.monotonic()
        child = FORKSERVER.Process(target=fit_slowly, args=(address, str(steps), plan))
        child.start()
        child.join(300)
        assert child.exitcode == 0
        duration = time.monotonic() - began
    seen: dict[str, float] = {}
    met: set[str] = set()
    for _ in range(KILLS):
        steps.write_text("0" * 9)
        child = FORKSERVER.Process(target=fit_slowly, args=(address, str(steps), plan))
        child.start()
        time.sleep(rng.uniform(0, 1.1 * duration))
        kill(child)
        taken = int(steps.read_text())
        was_touched = {
            body for (body,) in run_sql(address, "SELECT body FROM entry WHERE kind = 'touched'")
        }
        with Ledger.open(address) as ledger:
            summary = ledger.check()
        touched = [line for line in summary.charges if any(line.id in b for b in was_touched)]
        assert all(line.state != ChargeState.ABORTED for line in touched)
        new = [line for line in summary.charges if line.id not in seen]
        assert len(new) <= (1 if seen else 3)
        if taken:
            (line,) = new[-1:]
            assert line.state in (ChargeState.STOPPED, ChargeState.COMMITTED)
            if line.steps_run is not None:
                # What was taken had been entered, and hardly more.
                assert taken <= line.steps_run["DP-SGD"] <= taken + 50
        for line in summary.charges:
            assert line.share == pytest.approx(seen.get(line.id, line.share))
            seen[line.id] = line.share
        met |= {str(line.state) for line in new}
    with Ledger.open(address) as ledger:
        ledger.check(recomputed=True)
    assert "stopped" in met
    assert len(seen) > KILLS / 3


def fit_with_checkpoint(address: str, kept: str, record: str, plan: dp.Plan) -> None:
    """Fit, or go on; add every step that is taken to a record outside the ledger."""
    import torch

    torch.set_num_threads(1)
    taken = os.open(record, os.O_WRONLY | os.O_APPEND)
    model = unfitted()
    model.plan = lambda budget, *, rows: plan
    with Ledger.open(address) as ledger:
        model.fit(
            patients_frame().drop(columns="patient"),
            budget=plan.budget,
            ledger=ledger,
            dataset="patients",
            checkpoint=kept,
            progress=lambda done, of: os.write(taken, f"{done}\n".encode()),
        )


def test_a_fit_that_is_killed_again_and_again_ends_within_one_charge(tmp_path):
    address, record = str(tmp_path / "ledger.db"), tmp_path / "steps"
    kept = tmp_path / "checkpoint"
    plan = unfitted().plan(dp.Budget(epsilon=0.5, delta=1e-7))
    budget = dp.Budget(epsilon=0.51, delta=1e-7)
    Ledger.create(
        address, population="people", dataset="patients", budget=budget, unit=plan.unit
    ).close()
    record.touch()
    kills = 0
    for least in (0, 60, 130, 190, 249):
        child = FORKSERVER.Process(
            target=fit_with_checkpoint, args=(address, str(kept), str(record), plan)
        )
        child.start()
        # Killed as soon as it went past this step; the last one may end.
        while child.is_alive() and least < 249:
            steps = record.read_text().split()
            if steps and int(steps[-1]) > least:
                kill(child)
                kills += 1
            time.sleep(0.01)
        child.join(120)
    steps = [int(line) for line in record.read_text().split()]
    assert kills >= 3
    assert len(steps) == len(set(steps)) <= 250  # none was taken twice
    with Ledger.open(address) as ledger:
        (line,) = ledger.check(recomputed=True).charges
    assert line.state == ChargeState.COMMITTED
    assert line.steps_run in (None, {"DP-SGD": 250})


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount file systems")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_full_disk_refuses_what_it_cannot_enter(small_disk):
    path = small_disk / "ledger.db"
    tiny = gaussian_plan(0.001)
    with create(path) as ledger:
        charges = [ledger.reserve(tiny, dataset="adult") for _ in range(20)]
        for charge in charges[:10]:
            charge.touch()
        before = ledger.summary(compose=False)
        with (small_disk / "filler").open("wb", buffering=0) as filler:
            while fill(filler):
                pass
        with pytest.raises(IntegrityError, match="DPS613"):
            spend_on(ledger, charges[10:])
    (small_disk / "filler").unlink()
    with Ledger.open(path) as ledger:
        after = ledger.check()
        states = [line.state for line in after.charges]
        assert states[:10] == ["touched"] * 10
        assert after.capacity_used >= before.capacity_used
        charges = [ledger.charge(line.id) for line in after.charges if line.state == "reserved"]
        for charge in charges:
            charge.touch()
        ledger.check()


def spend_on(ledger: Ledger, charges: list[Charge]) -> None:
    for charge in charges:
        charge.touch()
    for _ in range(1000):
        ledger.reserve(gaussian_plan(0.001), dataset="adult")


def fill(file) -> bool:
    try:
        file.write(bytes(4096))
    except OSError:
        return False
    return True


def test_file_system_that_becomes_read_only_refuses(small_disk):
    path = small_disk / "ledger.db"
    ledger = create(path)
    charge = ledger.reserve(SMALL, dataset="adult")
    other = ledger.reserve(SMALL, dataset="adult")
    other.touch()
    ledger.close()
    remount(small_disk, "ro")
    with pytest.raises(UsageError, match="DPS511"):
        Ledger.open(path)
    with Ledger.open(path, read_only=True) as looking:
        assert looking.check().capacity_used == pytest.approx(0.2)
        with pytest.raises(DPSynthError):
            looking.charge(charge.id).touch()
    remount(small_disk, "rw")
    with Ledger.open(path) as ledger:
        assert ledger.charge(other.id).state is ChargeState.TOUCHED
        ledger.charge(charge.id).touch()
        ledger.check()


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)
