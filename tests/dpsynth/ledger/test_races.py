"""Eight processes, a budget for three fits: three succeed and five are refused, every time."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from pathlib import Path

import pytest

import dpsynth as dp
from dpsynth.filters import stop_rule
from dpsynth.ledger import Ledger
from dpsynth.ledger.pricing import measure
from tests.conftest import patients_frame, patients_schema

REPETITIONS = 20
RACERS, WINNERS = 8, 3
BUDGET = dp.Budget(epsilon=2.0, delta=1e-5)
EACH = dp.Budget(epsilon=1.0, delta=1e-6)

pytestmark = pytest.mark.slow


def run_races(addresses: list[str], folder: str, start, results) -> None:
    """Run by every racer: one fit through the command line for every ledger."""
    from dpsynth.cli import main

    os.chdir(folder)
    for repetition, address in enumerate(addresses):
        command = ["fit", "patients.csv", "--schema", "schema.toml", "--method", "independent"]
        command += ["--epsilon", str(EACH.epsilon), "--delta", str(EACH.delta)]
        command += ["--ledger", address, "--dataset", "patients"]
        command += ["-o", f"model-{repetition}-{os.getpid()}.dpsynth"]
        start.wait(120)
        results.put((repetition, main(command)))


@pytest.fixture
def contest(tmp_path) -> Path:
    patients_schema().write(tmp_path / "schema.toml")
    patients_frame(200).drop(columns="patient").to_csv(tmp_path / "patients.csv", index=False)
    return tmp_path


def test_the_budget_is_one_for_three_fits():
    rule = stop_rule(BUDGET)
    mechanisms = dp.Independent(patients_schema()).plan(EACH).mechanisms
    share = rule.used([rule.cost(measure(mechanisms, orders=rule.orders))])
    assert 1 / (WINNERS + 1) < share < 1 / WINNERS


def test_racing_fits_never_overspend(place, contest):
    addresses = [place() for _ in range(REPETITIONS)]
    schema = patients_schema()
    for address in addresses:
        Ledger.create(
            address, population="people", dataset="patients", budget=BUDGET, unit=schema.unit
        ).close()
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(RACERS), spawn.Queue()
    racers = [
        spawn.Process(target=run_races, args=(addresses, str(contest), start, results))
        for _ in range(RACERS)
    ]
    for racer in racers:
        racer.start()
    outcomes = Counter(results.get(timeout=300) for _ in range(RACERS * REPETITIONS))
    for racer in racers:
        racer.join(60)
    for repetition, address in enumerate(addresses):
        assert outcomes[repetition, 0] == WINNERS
        assert outcomes[repetition, 4] == RACERS - WINNERS
        with Ledger.open(address) as ledger:
            summary = ledger.check()
        assert [line.state for line in summary.charges] == ["committed"] * WINNERS
        assert summary.spent <= BUDGET.epsilon
    assert len(list(contest.glob("*.dpsynth"))) == WINNERS * REPETITIONS
