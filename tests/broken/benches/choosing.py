"""Benches of selection: pairs of columns, trials of a search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dpsynth.marginals.mst import MST
from dpsynth.privacy import NeighbouringRelation, PrivacyUnit, PrivateSelection
from dpsynth.scoring import TwoWayScore
from dpsynth.selection import trial_count
from privacy_audits.conformance import (
    cost_is_charge,
    event_is_charge,
    exponential_ratios,
    replay,
    selection_frequencies,
    sensitivity,
    transcript_sensitivity,
    trial_numbers,
)
from tests.broken.benches.bench import Results, bench
from tests.conftest import patients_schema
from tests.privacy_audits import mst_rigs, rigs

UNITS = patients_schema(id="patient", max_rows=3)
EPSILON = 0.6


@bench(real=list, runs="84 pairs of tables; 4,000 draws")
def choice(patches: mst_rigs.Patches, seed: int) -> Results:
    """The law of one draw on neighbours at one state, and draws from that law."""
    rng = np.random.default_rng([7, seed])
    with mst_rigs.entered(patches):
        for rows in (1, 3):
            for relation in NeighbouringRelation:
                unit = PrivacyUnit(column="patient", max_rows=rows, relation=relation)
                law = mst_rigs.choice_of(unit, epsilon=EPSILON)
                pairs = mst_rigs.choice_pairs(unit, rng, count=20)
                yield exponential_ratios(law, pairs, epsilon=EPSILON)
        scores = np.append(rng.integers(0, 20, 9), 40.0)
        draw, stated = mst_rigs.choice_draws(scores, epsilon=EPSILON, unit=unit)
        yield selection_frequencies(draw, stated, rounds=4000)


@bench(real=MST, runs="2 pairs of fits, 1 fit")
def mst_fit(method: type[MST], seed: int) -> Results:
    pair = rigs.one_more_patient(9, seed=seed)
    run, laws, plan = mst_rigs.mst_run(UNITS, method, seed=2 + seed)
    yield replay(run, *pair)
    yield exponential_ratios(
        lambda law: law, zip(*laws, strict=True), epsilon=mst_rigs.one_choice(plan)
    )
    yield transcript_sensitivity(run, *pair, bound=mst_rigs.counts_bound(plan))
    transcript = mst_rigs.transcript_of(method, plan, pair[1], UNITS)
    yield event_is_charge(transcript, plan.mechanisms)
    yield cost_is_charge(transcript, plan.mechanisms)


@bench(real=trial_count, runs="1,500 searches")
def trial_count_of(count: Callable, seed: int) -> Results:
    del seed
    event = rigs.search_plan(UNITS, TwoWayScore()).mechanisms[0]
    assert isinstance(event, PrivateSelection)
    yield trial_numbers(rigs.trial_numbers_of(count), event, rounds=1500)


@bench(real=TwoWayScore, runs="1 pair of tables")
def score_of_neighbours(twin: type[TwoWayScore], seed: int) -> Results:
    bound = twin().event(UNITS, noise_multiplier=1.0).sensitivity
    query = rigs.exact_score(twin(), UNITS, rows=0.0)
    yield sensitivity(query, [rigs.one_more_patient(3, seed=seed)], bound=bound)


@bench(real=TwoWayScore, runs="3 pairs of searches of 8 trials")
def search(twin: type[TwoWayScore], seed: int) -> Results:
    # A unit of many rows tips the exact order of nearly equal trials.
    schema = patients_schema(id="patient", max_rows=200)
    for number in range(3):
        run = rigs.search_run(schema, twin(sample_rows=60), seed=3 * seed + number, trials=8)
        yield replay(run, *rigs.one_more_patient(200, n=60, seed=seed))
