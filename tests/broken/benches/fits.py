"""Benches of whole data paths: the codec, the table, DP-CTGAN, PATE-GAN, the noise of fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dpsynth.codec import Codec
from dpsynth.neural.ctgan import DPCTGAN
from dpsynth.neural.pategan import PATEGAN
from dpsynth.neural.voting import Teachers
from dpsynth.noise import NoiseSource
from dpsynth.table import load
from privacy_audits.conformance import (
    cost_is_charge,
    event_equality,
    event_is_charge,
    noise_reuse,
    poisson_sampler,
    recorded_noise,
    replay,
    sensitivity,
    touched_teachers,
    transcript_sensitivity,
)
from tests.broken.benches.bench import Results, bench
from tests.conftest import patients_schema
from tests.privacy_audits import audited as audited_fits
from tests.privacy_audits import fit_rigs, rigs, voting_rigs

UNITS = patients_schema(id="patient", max_rows=3)


@bench(real=NoiseSource.from_entropy, runs="2 fits")
def fit_twice(make: Callable[[], NoiseSource], seed: int) -> Results:
    """Two fits with the same public settings: no primitive of either has noise of another."""
    del seed
    yield noise_reuse([noise for _ in range(2) for noise in fit_rigs.noise_of_fit(make)])


@bench(real=DPCTGAN, runs="1 pair of fits")
def adversarial_fit(method: type[DPCTGAN], seed: int) -> Results:
    pair = rigs.one_more_patient(9, seed=seed)
    yield replay(rigs.ctgan_run(UNITS, method, seed=2 + seed), *pair)


@bench(real=DPCTGAN, runs="1 fit of 120 steps")
def adversarial_sampler(method: type[DPCTGAN], seed: int) -> Results:
    batches = iter(fit_rigs.sampled_units(method, seed=seed, steps=120, probability=0.2))
    yield from poisson_sampler(
        lambda: next(batches), units=fit_rigs.SAMPLED, probability=0.2, rounds=120
    )


@bench(real=Codec.fit, runs="1 pair of tables, 1 table")
def codec(fit: Callable, seed: int) -> Results:
    run, pair = rigs.codec_run(UNITS, fit=fit, seed=8 + seed), rigs.one_more_patient(3, seed=seed)
    yield replay(run, *pair)
    transcript, booked = fit_rigs.codec_transcript(fit, pair[1], UNITS)
    yield event_is_charge(transcript, booked)
    yield cost_is_charge(transcript, booked)


@bench(real=load, runs="1 pair of tables")
def loader(loads: Callable, seed: int) -> Results:
    pair = rigs.one_more_patient(9, seed=seed)
    yield sensitivity(rigs.rows_by_unit(UNITS, loads, seed=5 + seed), [pair], bound=3, order=1)
    yield transcript_sensitivity(
        rigs.codec_run(UNITS, loader=loads, seed=8 + seed),
        *pair,
        bound=rigs.plan_bound(rigs.codec_plan(UNITS)),
    )


@bench(real=Teachers, runs="18 pairs of tables, 60 votes")
def ensemble(twin: type[Teachers], seed: int) -> Results:
    pairs = voting_rigs.adversarial_pairs(3, seed=seed)
    yield touched_teachers(voting_rigs.ballots(twin), pairs)
    yield sensitivity(voting_rigs.margins(twin), pairs, bound=np.sqrt(60))


@bench(real=PATEGAN, runs="2 pairs of fits")
def vote_fit(twin: type[PATEGAN], seed: int) -> Results:
    pair, plan = rigs.one_more_patient(9, seed=seed), voting_rigs.vote_plan()
    yield replay(voting_rigs.vote_fit(twin, plan=plan, seed=2 + seed), *pair)
    plan = voting_rigs.vote_plan()
    yield transcript_sensitivity(
        voting_rigs.vote_fit(twin, plan=plan, seed=2 + seed),
        *pair,
        bound=voting_rigs.vote_bound(plan),
    )
    booked, released = voting_rigs.released_votes(twin)
    yield event_equality([booked], [released])


@bench(real=dict, runs="5 fits")
def audited(make: Callable[[], dict[str, Any]], seed: int) -> Results:
    """Whole fits of every method, with parts that are exchanged by name, under audit."""
    for method in audited_fits.METHODS:
        model, transcript = audited_fits.audited_fit(
            method, UNITS, seed=None, rows=90 + seed % 7, parts=make()
        )
        yield event_is_charge(transcript, model.plan_.mechanisms)
        yield cost_is_charge(transcript, model.plan_.mechanisms)
        yield recorded_noise(transcript)
