"""The transcript: complete, true, and nowhere to be found after a fit."""

from __future__ import annotations

import copy
import gc
import json
import pickle
from dataclasses import replace
from types import FunctionType, ModuleType

import numpy as np
import pytest

import dpsynth as dp
from dpsynth.counts import histogram_event, release_counts
from dpsynth.errors import IntegrityError
from dpsynth.noise import NoiseSource
from dpsynth.privacy import (
    DiscreteGaussian,
    Exponential,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
    PrivacyUnit,
    PrivateSelection,
)
from dpsynth.transcript import Transcript, composed, events, same_events
from tests.conftest import patients_schema
from tests.privacy_audits.audited import METHODS, audited_fit, audited_search
from tests.privacy_audits.rigs import discovering

ONE = histogram_event(sigma=2.0, histograms=1, unit=PrivacyUnit())


UNITS = [{}, {"id": "patient", "max_rows": 3, "relation": "replace_one"}]


@pytest.mark.parametrize("make", METHODS)
@pytest.mark.parametrize("unit", UNITS)
def test_what_a_fit_released_is_what_its_plan_booked(make, unit) -> None:
    model, transcript = audited_fit(make, discovering(patients_schema(**unit)))
    assert same_events(events(transcript), model.plan_.mechanisms)
    for release in transcript.releases:
        assert release.event is not None
        assert release.relation == model.schema.unit.relation
        assert release.query.shape == release.released.shape
        assert not release.query.flags.writeable


@pytest.mark.parametrize("make", METHODS)
def test_a_model_fitted_under_audit_is_not_releasable_and_keeps_nothing_of_it(make) -> None:
    # Keyed by the operating system: it is the audit alone that forbids the release.
    model, transcript = audited_fit(make, patients_schema(), seed=None)
    assert transcript.releases
    assert model.privacy_["releasable"] is False
    assert model.privacy_["noise"]["releasable"] is False
    seen, queue = set(), [model.__dict__]
    while queue:
        thing = queue.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType):
            continue
        seen.add(id(thing))
        assert not isinstance(thing, Transcript | NoiseSource)
        if isinstance(thing, FunctionType):
            # Not its globals, which are the package.
            queue += [thing.__closure__, thing.__defaults__, thing.__kwdefaults__]
        else:
            queue += gc.get_referents(thing)


def test_the_steps_of_training_name_their_units_and_what_was_clipped() -> None:
    transcript = audited_fit(dp.DPVAE, patients_schema())[1]
    steps = [m for m in transcript.measurements if isinstance(m.event, PoissonSampledGaussian)]
    assert len(steps) == 6
    assert len({m.units.tobytes() for m in steps}) > 1
    for step in steps:
        (release,) = step.releases
        assert release.primitive == "noisy_sum"
        # Clipped to norm 1, each of the units that took part.
        assert np.linalg.norm(release.query) <= len(step.units)
        assert release.sensitivity == 1.0
    added = np.concatenate([step.releases[0].noise for step in steps])
    assert abs(added.std() - 1) < 6 / np.sqrt(2 * added.size)


def test_selected_levels_are_written_as_they_were_shown() -> None:
    model, transcript = audited_fit(dp.Independent, discovering(patients_schema()))
    (selection,) = (m for m in transcript.measurements if isinstance(m.event, PartitionSelection))
    nulls, levels = selection.releases
    assert (nulls.primitive, levels.primitive) == ("release_counts", "discover_levels")
    shown = levels.released[np.isfinite(levels.released)]
    # Shown levels, and one for the rest.
    assert len(model._codec.codes["ward"].levels) == shown.size + 1 > 1
    assert levels.query.sum() + nulls.query.sum() == 90


def test_an_entropy_keyed_audit_draws_exactly_sampled_noise() -> None:
    transcript = Transcript()
    noise = NoiseSource.audited(transcript)
    assert not noise.releasable
    assert not noise.sibling().releasable
    assert noise.sibling().transcript is transcript
    assert "opendp" in str(noise.describe()["integer"])
    assert "not releasable" in repr(noise)


def test_the_mechanism_is_the_same_with_and_without_audit() -> None:
    plain = NoiseSource.seeded(3)
    audited = NoiseSource.audited(Transcript(), seed=3)
    a, b = (release_counts([4, 0, 9], sigma=2.0, noise=source) for source in (plain, audited))
    assert np.array_equal(a, b)


def test_lines_are_copies() -> None:
    transcript, exact = Transcript(), np.array([1, 2])
    noise = NoiseSource.audited(transcript, seed=0)
    with noise.declaring(ONE):
        noisy = release_counts(exact, sigma=2.0, noise=noise)
    before = noisy.copy()
    exact += 100
    noisy += 100
    (release,) = transcript.releases
    assert np.array_equal(release.query, [1, 2])
    assert np.array_equal(release.released, before)


@pytest.mark.parametrize(
    "part",
    [
        lambda t: t,
        lambda t: t.releases[0],
        lambda t: t.measurements[0],
    ],
)
def test_a_transcript_is_never_stored_copied_or_shown(part) -> None:
    transcript = Transcript()
    with transcript.declaring(ONE):
        transcript.write("release_counts", query=[123456], released=[654321], sigma=2.0)
    thing = part(transcript)
    for stored in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            stored(thing)
    shown = repr(thing) + str(thing) + f"{thing}"
    assert "123456" not in shown
    assert "654321" not in shown


def test_the_noise_of_an_event_is_taken_from_its_releases() -> None:
    transcript = Transcript()
    with transcript.declaring(ONE):
        transcript.write("release_counts", query=[1], released=[2], sigma=1.0)
        transcript.write("release_counts", query=[1], released=[2], sigma=2.0)
    votes = PATEVote(relation=ONE.relation, noise_multiplier=9.0, votes=4)
    with transcript.declaring(votes):
        transcript.write("v", query=[1] * 4, released=[2] * 4, sigma=3.0, sensitivity=2.0)
    step = PoissonSampledGaussian(
        relation=ONE.relation, noise_multiplier=9.0, sampling_probability=0.1, steps=1
    )
    with transcript.declaring(step):
        transcript.write("s", query=[1.0], released=[2.0], sigma=3.0, sensitivity=0.5)
    chosen = Exponential(relation=ONE.relation, epsilon=0.1)
    with transcript.declaring(chosen):
        transcript.write("e", query=[1.0, 2.0], released=[0, 1], sensitivity=1.0)
    assert events(transcript) == (
        replace(ONE, sigma=1.0),
        replace(votes, noise_multiplier=3.0),
        replace(step, noise_multiplier=6.0),
        chosen,
    )
    assert [m.squared_mu for m in transcript.measurements[:3]] == [1.0, 4 / 9, 1 / 36]


def test_a_measurement_without_a_release_counts_and_one_without_an_event_does_not_pass() -> None:
    transcript = Transcript()
    with transcript.declaring(ONE):
        pass
    assert events(transcript) == (ONE,)
    transcript.write("release_counts", query=[1], released=[2], sigma=1.0)
    with pytest.raises(IntegrityError, match="without an event"):
        events(transcript)


def test_measurements_are_not_nested() -> None:
    transcript = Transcript()
    with (
        transcript.declaring(ONE),
        pytest.raises(IntegrityError, match="inside"),
        transcript.declaring(ONE),
    ):
        pass


def test_composition_adds_what_is_equal_and_keeps_selections_apart() -> None:
    pick = PartitionSelection(relation=ONE.relation, sigma=2.0, failure_delta=1e-6)
    other = DiscreteGaussian(relation=ONE.relation, sigma=3.0)
    joined = composed([ONE, pick, other, replace(ONE, count=4), pick])
    assert sorted(map(repr, joined)) == sorted(
        map(repr, [replace(ONE, count=5), pick, pick, other])
    )
    assert same_events([ONE] * 3, [replace(ONE, count=3)])
    assert same_events([ONE], [replace(ONE, sigma=2.0 * (1 + 1e-15))])
    assert not same_events([ONE], [replace(ONE, sigma=2.0 * (1 + 1e-9))])
    assert not same_events([pick], [pick, pick])
    assert not same_events([ONE], [replace(ONE, relation="replace_one")])


def test_a_private_search_is_one_event_and_its_trials_are_on_record() -> None:
    model, transcript = audited_search(patients_schema())
    assert len(transcript.trials) == transcript.drawn_trials > 1
    assert same_events(events(transcript), model.plan_.mechanisms)
    assert {m.trial for m in transcript.measurements} == set(range(len(transcript.trials)))
    assert model.privacy_["releasable"] is False


def test_a_trial_that_measures_more_than_its_candidate_books_is_seen() -> None:
    booked = PrivateSelection(relation=ONE.relation, candidates=((ONE,), (ONE,)), mean_trials=3.0)
    transcript = Transcript()
    for measured in (1, 2):
        with transcript.trial(booked, measured - 1):
            for _ in range(measured):
                with transcript.declaring(ONE):
                    pass
    (ran,) = events(transcript)
    assert isinstance(ran, PrivateSelection)
    assert ran.candidates == ((ONE,), (ONE, ONE))
    assert not same_events([ran], [booked])
