"""Statements of a ledger: what leaves it, and that nothing computed from rows does."""

from __future__ import annotations

import itertools
import json
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.accountant import Accountant
from dpsynth.certificate import FORMATS, Statement, render
from dpsynth.identity import CustodianKey
from dpsynth.ledger import Ledger, store
from dpsynth.neural.vae import VAESettings
from dpsynth.noise import NoiseSource
from dpsynth.privacy import PoissonSampledGaussian, PrivateSelection
from tests.conftest import patients_frame, patients_schema
from tests.dpsynth.certificate.examples import facts
from tests.dpsynth.ledger.test_book import (
    ONLY_ALONE,
    gaussian_plan,
    in_memory,
    plan_of,
    sampled_plan,
)

BUDGET = dp.Budget(epsilon=6.0, delta=1e-5)


def test_statement_says_what_the_summary_says():
    ledger = in_memory()
    with ledger.reserve(gaussian_plan(0.3), dataset="adult") as charge:
        charge.touch()
        charge.commit()
    ledger.reserve(gaussian_plan(0.2), dataset="adult").abort()
    run = ledger.reserve(sampled_plan(1000), dataset="adult")
    run.touch(leases=True)
    run.lease("step 0", 100)
    run.stop()
    ledger.record_release("first", table_sha256="ab" * 32, charges=[charge.id])
    ledger.record_release("both", table_sha256="cd" * 32, charges=[charge.id, run.id])
    summary, statement = ledger.summary(), ledger.statement()
    assert (statement.spent, statement.remaining) == (summary.spent, summary.remaining)
    assert statement.capacity_used == summary.capacity_used
    assert [line.state for line in statement.charges] == ["committed", "aborted", "stopped"]
    assert statement.charges[2].steps_run == {"step 0": 100}
    for line in statement.charges:
        assert sum(line.step_shares or ()) == pytest.approx(line.share)
    first, both = statement.releases
    assert first.epsilon == statement.charges[0].epsilon_alone < both.epsilon
    portions = {portion.name: portion.share for portion in statement.by_method}
    assert portions == {"test": pytest.approx(summary.capacity_used)}
    assert Statement.from_dict(json.loads(render(statement, "json"))) == statement


def test_every_pair_of_the_curve_is_at_least_the_exact_loss():
    ledger = in_memory()
    for share in (0.2, 0.5):
        ledger.reserve(gaussian_plan(share), dataset="adult").touch()
    exact = Accountant([*gaussian_plan(0.2).mechanisms, *gaussian_plan(0.5).mechanisms])
    statement = ledger.statement()
    assert (statement.spent, 1e-5) in statement.curve
    for epsilon, delta in statement.curve:
        assert epsilon >= exact.epsilon(delta)
    # The only plan there will ever be is certified by its own loss distribution.
    alone = in_memory()
    alone.reserve(ONLY_ALONE, dataset="adult").touch()
    for epsilon, delta in alone.statement().curve:
        own = Accountant(ONLY_ALONE.mechanisms).epsilon(delta)
        assert own <= epsilon <= own + 0.0011


def test_a_search_is_shown_as_one_charge_without_its_candidates():
    run = PoissonSampledGaussian(
        relation="add_remove", noise_multiplier=8.0, sampling_probability=0.01, steps=100
    )
    search = PrivateSelection(relation="add_remove", candidates=((run,), (run,)), mean_trials=5.0)
    ledger = in_memory()
    ledger.reserve(plan_of(search), dataset="adult").touch()
    statement = ledger.statement()
    page = render(statement, "html")
    assert "best of a random number of trials (candidates 2, mean trials 5" in page
    assert Statement.from_dict(json.loads(render(statement, "json"))) == statement


def test_an_untouched_ledger_has_a_statement():
    statement = in_memory().statement()
    assert statement.spent == 0
    assert statement.meaning.best_guess == 0.5 + statement.curve[-1][1] / 2
    for format in ("json", "csv", "html"):
        assert render(statement, format)


def spend(
    frame: pd.DataFrame, monkeypatch, *, slowness: float, key: CustodianKey | None = None
) -> Statement:
    """Fit two methods; identifiers are those of a counter, and time passes at a given speed."""
    numbers = itertools.count(1)
    ticks = itertools.count()
    began = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
    clock = SimpleNamespace(
        now=lambda zone: (began + next(ticks) * timedelta(seconds=slowness)).astimezone(zone)
    )
    with monkeypatch.context() as patch:
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(numbers)))
        patch.setattr(store, "datetime", clock)
        schema = patients_schema(id="patient", max_rows=3)
        ledger = Ledger.in_memory(dataset="patients", budget=BUDGET, unit=schema.unit)
        budget = dp.Budget(epsilon=0.5, delta=1e-6)
        models = [dp.Independent(schema), dp.DPVAE(schema, settings=VAESettings(steps=120))]
        for seed, model in enumerate(models):
            model.fit(
                frame,
                budget=budget,
                ledger=ledger,
                dataset="patients",
                noise=NoiseSource.seeded(seed),
                key=key,
            )
        return ledger.statement()


def test_no_byte_of_an_export_depends_on_one_person(monkeypatch):
    frame = patients_frame()
    other = frame.copy()
    other.loc[other.patient == 7, "age"] = 119
    other.loc[other.patient == 7, "ward"] = "c"
    gone = frame[frame.patient != 7]
    stated = facts()
    before = spend(frame, monkeypatch, slowness=0.5)
    for neighbour in (other, gone):
        after = spend(neighbour, monkeypatch, slowness=0.5)
        for format in FORMATS:
            given = stated if format == "registry-yaml" else None
            assert render(after, format, facts=given) == render(before, format, facts=given)


def test_under_a_key_nothing_but_the_head_of_the_chain_changes(monkeypatch):
    # The head covers the digest by which a table is recognised. To whoever has no key it is a
    # random number, and so is the head.
    key, stated = CustodianKey(bytes(range(32))), facts()
    frame = patients_frame()
    gone = frame[frame.patient != 7]
    before = spend(frame, monkeypatch, slowness=0.5, key=key)
    after = spend(gone, monkeypatch, slowness=0.5, key=key)
    assert before.head != after.head
    for format in FORMATS:
        given = stated if format == "registry-yaml" else None
        shown = render(after, format, facts=given)
        assert shown.replace(after.head, before.head) == render(before, format, facts=given)


def test_run_times_show_in_nothing_but_the_head_of_the_chain(monkeypatch):
    quick = spend(patients_frame(), monkeypatch, slowness=0.5)
    slow = spend(patients_frame(), monkeypatch, slowness=60)
    assert quick.head != slow.head
    stated = facts()
    for format in FORMATS:
        given = stated if format == "registry-yaml" else None
        shown = render(slow, format, facts=given)
        assert shown.replace(slow.head, quick.head) == render(quick, format, facts=given)
