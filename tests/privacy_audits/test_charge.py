"""Event == charge: fits of every method pass, and each way to spend more than booked fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import dpsynth as dp
from dpsynth.counts import histogram_event, release_counts
from dpsynth.neural import dpsgd
from dpsynth.neural.pategan import PATEGAN
from dpsynth.neural.vae import DPVAE
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Exponential, Plan, PrivacyUnit
from dpsynth.transcript import Transcript
from privacy_audits.conformance import (
    Conformance,
    cost_is_charge,
    event_is_charge,
    poisson_sampler,
    recorded_noise,
)
from tests.broken import noise, voting
from tests.conftest import patients_schema
from tests.privacy_audits.audited import METHODS, audited_fit, audited_search, plan_of
from tests.privacy_audits.rigs import discovering

UNIT_SCHEMA = patients_schema(id="patient", max_rows=3)
REPLACING = discovering(patients_schema(id="patient", max_rows=3, relation="replace_one"))


def checks(transcript: Transcript, plan: Plan) -> list[Conformance]:
    return [
        event_is_charge(transcript, plan.mechanisms),
        cost_is_charge(transcript, plan.mechanisms),
        recorded_noise(transcript),
    ]


def failed(transcript: Transcript, plan: Plan) -> set[str]:
    return {result.name for result in checks(transcript, plan) if not result.passed}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schema", [UNIT_SCHEMA, REPLACING], ids=["added", "replaced"])
def test_a_fit_spends_what_it_booked(method, schema: dp.Schema) -> None:
    model, transcript = audited_fit(method, schema)
    results = checks(transcript, model.plan_)
    assert [result for result in results if not result.passed] == []
    assert results[1].statistic == pytest.approx(1.0, abs=1e-12)
    for release in transcript.releases:
        assert release.relation == schema.unit.relation
        assert release.query.shape == release.released.shape
        assert not release.query.flags.writeable


def test_a_search_spends_what_it_booked() -> None:
    model, transcript = audited_search(patients_schema())
    assert failed(transcript, model.plan_) == set()


def test_the_units_on_record_are_poisson_samples() -> None:
    schema = patients_schema()
    settings = {"steps": 60, "sampling_probability": 0.5}
    plan = plan_of(DPVAE, schema)
    (*counts, training) = plan.charges
    training = replace(training, mechanism=replace(training.mechanism, **settings))
    plan = replace(plan, charges=(*counts, training))
    transcript = audited_fit(DPVAE, schema, plan=plan)[1]
    assert failed(transcript, plan) == set()
    samples = iter([m.units for m in transcript.measurements if m.units is not None])
    results = poisson_sampler(lambda: next(samples), units=90, probability=0.5, rounds=60)
    assert [result for result in results if not result.passed] == []


# -- ways to spend more ----------------------------------------------------------------------------


dpsgd_sum = dpsgd.noisy_sum


def half_noise(sums: list, *, sigma: float, **kw) -> list:
    return dpsgd_sum(sums, sigma=sigma / 2, **kw)


def another_rate(*args, mechanism, **kw):
    """Samples at a rate that is not the booked one, and reports the booked event."""
    train(*args, mechanism=replace(mechanism, sampling_probability=0.6), **kw)
    return mechanism


def one_step_more(*args, mechanism, lease, **kw):
    """Takes a step more than it asked the ledger for, which would have refused."""
    lease(mechanism.steps)
    train(*args, mechanism=replace(mechanism, steps=mechanism.steps + 1), **kw)
    return mechanism


train = dpsgd.train

LOOP = {
    "noise x0.5": ("dpsynth.neural.dpsgd.noisy_sum", half_noise, "event == charge"),
    "noise x0.5, cost": ("dpsynth.neural.dpsgd.noisy_sum", half_noise, "cost == charge"),
    "another rate": ("dpsynth.neural.base.train", another_rate, "event == charge"),
    "one step more": ("dpsynth.neural.base.train", one_step_more, "event == charge"),
    "counts x0.5": ("dpsynth.codec.release_counts", noise.half_noise_on_counts, "cost == charge"),
}


@pytest.mark.parametrize("name", LOOP)
def test_a_loop_that_spends_more_is_seen(name: str) -> None:
    place, part, check = LOOP[name]
    model, transcript = audited_fit(DPVAE, UNIT_SCHEMA, parts={place: part})
    assert check in failed(transcript, model.plan_)


def test_votes_that_nobody_paid_for_are_seen() -> None:
    model, transcript = audited_fit(PATEGAN, UNIT_SCHEMA, twin=voting.UnpaidLastRound)
    assert {"event == charge", "cost == charge"} <= failed(transcript, model.plan_)


class TooQuiet(NoiseSource):
    """Draws seven tenths of the noise; the scale that goes on record is the booked one."""

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return super().discrete_gaussian(sigma=0.7 * sigma, size=size)


def test_a_source_that_is_too_quiet_is_seen() -> None:
    model, transcript = audited_fit(dp.Independent, UNIT_SCHEMA, noise=TooQuiet)
    assert failed(transcript, model.plan_) == {"noise scale"}


@pytest.mark.parametrize("cliques", [2, 5])
def test_noise_that_is_not_divided_among_the_cliques_is_seen(cliques: int) -> None:
    unit, transcript = PrivacyUnit(), Transcript()
    booked = histogram_event(sigma=6.0, histograms=cliques, unit=unit)
    source = NoiseSource.audited(transcript, seed=1)
    one = histogram_event(sigma=6.0, histograms=1, unit=unit)
    for _ in range(cliques):
        with source.declaring(one):
            release_counts([3, 4], sigma=6.0 / np.sqrt(cliques), noise=source)
    assert not event_is_charge(transcript, [booked]).passed
    result = cost_is_charge(transcript, [booked])
    assert not result.passed
    assert result.statistic == pytest.approx(cliques)


@pytest.mark.parametrize("spent", [0, 2])
def test_a_choice_that_is_not_charged_or_charged_once_for_two_is_seen(spent: int) -> None:
    choice, transcript = Exponential(relation=PrivacyUnit().relation, epsilon=0.2), Transcript()
    for _ in range(spent):
        with transcript.declaring(choice):
            transcript.write("choose", query=[1.0, 2.0], released=[0, 1], sensitivity=1.0)
    assert not event_is_charge(transcript, [choice]).passed


def test_a_release_without_an_event_is_seen() -> None:
    transcript = Transcript()
    release_counts([3, 4], sigma=6.0, noise=NoiseSource.audited(transcript, seed=1))
    booked = [histogram_event(sigma=6.0, histograms=1, unit=PrivacyUnit())]
    assert not event_is_charge(transcript, booked).passed
    assert not cost_is_charge(transcript, booked).passed


def test_trials_beyond_those_that_were_drawn_are_seen() -> None:
    schema = patients_schema()
    model, transcript = audited_search(schema)
    (selection,) = model.plan_.mechanisms
    with transcript.trial(selection, 0):  # type: ignore[arg-type]
        for mechanism in selection.candidates[0]:  # type: ignore[attr-defined]
            with transcript.declaring(mechanism):
                pass
    assert not event_is_charge(transcript, [selection]).passed
