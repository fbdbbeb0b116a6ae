"""``mst`` is what it says it is: its draws, its tables, and whole fits of it.

Eight statistical results, each of which fails a correct mechanism with probability 1e-6; the rest
draws nothing at random that matters. That the same checks fail on wrong mechanisms is shown in
``tests/broken``.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import dpsynth as dp
from dpsynth.marginals.measure import count_pair, pairs_event
from dpsynth.marginals.mst import MST
from dpsynth.marginals.select import log_probabilities, score_sensitivity
from dpsynth.privacy import DiscreteGaussian, Exponential, NeighbouringRelation
from privacy_audits.conformance import (
    Conformance,
    exponential_ratios,
    noise_independence,
    noise_law,
    noise_scale,
    replay,
    sensitivity,
)
from tests.conftest import BUDGET, patients_schema
from tests.privacy_audits import marginal_rigs as rigs
from tests.privacy_audits.rigs import one_more_patient

EPSILON = 0.5
RELATIONS = [str(relation) for relation in NeighbouringRelation]
ROWS = [1, 3, 10]


def holds(*results: Conformance) -> None:
    for result in results:
        assert result.passed, result


# -- draws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("rows", ROWS)
def test_one_unit_moves_a_score_by_what_is_declared_and_not_less(rows: int, relation: str) -> None:
    unit = rigs.unit_of(rows, relation)
    pairs = list(rigs.neighbours(unit))
    for number in range(len(rigs.EDGES)):
        scores = rigs.scores_of(unit)
        result = sensitivity(
            lambda table, scores=scores, at=number: [scores(table)[at]],
            pairs,
            bound=score_sensitivity(unit),
            order=1,
            tolerance=0.0,
        )
        holds(result)
        assert result.statistic == 1.0


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("epsilon", [0.01, 0.5, 4.0])
def test_laws_of_a_draw_on_neighbours_have_the_booked_range_and_reach_it(
    rows: int, relation: str, epsilon: float
) -> None:
    unit = rigs.unit_of(rows, relation)
    pairs = rigs.neighbours(unit)
    result = exponential_ratios(
        rigs.law_of(unit, epsilon=epsilon), pairs, epsilon=epsilon, tolerance=1e-11
    )
    holds(result)
    # A unit raises one score and lowers another by all that it can: with less noise it is caught.
    assert result.statistic == pytest.approx(1.0)


def test_scores_that_are_far_behind_keep_the_range() -> None:
    rng = np.random.default_rng(0)
    for size in (1.0, 1e3, 1e9):
        scores = np.rint(size * rng.standard_normal((200, 40)))
        pairs = [(row, row + rng.choice([-1.0, 1.0], row.size)) for row in scores]
        holds(
            exponential_ratios(
                lambda row: log_probabilities(row, epsilon=2.0, sensitivity=1),
                pairs,
                epsilon=2.0,
                tolerance=1e-11,
            )
        )


def test_probabilities_add_up_and_follow_the_scores() -> None:
    law = log_probabilities([0.0, 2.0, -1e9], epsilon=1.0, sensitivity=2)
    assert np.exp(law).sum() == pytest.approx(1.0, abs=1e-15)
    assert law[1] - law[0] == pytest.approx(1.0 * 2 / (2 * 2), abs=1e-13)
    assert law[1] - law[2] == pytest.approx(40.0, abs=1e-13)


@pytest.mark.parametrize("relation", RELATIONS)
def test_draws_follow_the_stated_law(relation: str) -> None:
    unit = rigs.unit_of(3, relation)
    scores = np.array([0.0, 7.0, -1e6, 20.0, 21.0, 3.0])
    holds(rigs.frequencies(unit, scores, epsilon=2.0, rounds=5000))


# -- tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [np.zeros(10_000), np.arange(10_000) % 7], ids=["0", "some"])
def test_tables_of_pairs_carry_the_booked_noise(exact: np.ndarray) -> None:
    release = rigs.pair_release(sigma=5.0)
    holds(
        noise_scale(release, exact, sigma=5.0),
        noise_law(release, exact, sigma=5.0, integer=True),
        noise_independence(release, exact),
    )


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("rows", ROWS)
def test_one_unit_moves_all_tables_together_by_what_the_event_says(
    rows: int, relation: str
) -> None:
    unit = rigs.unit_of(rows, relation)
    event = pairs_event(multiplier=2.0, pairs=len(rigs.EDGES), unit=unit)

    def tables(table: np.ndarray) -> np.ndarray:
        return np.concatenate([count_pair(table, e, rigs.SIZES).ravel() for e in rigs.EDGES])

    bound = event.sensitivity * np.sqrt(event.count)
    pairs = rigs.neighbours(unit)
    result = sensitivity(tables, pairs, bound=float(bound))
    holds(result)
    assert result.statistic == pytest.approx(1.0)
    assert event.sigma == pytest.approx(2.0 * bound)


# -- whole fits ------------------------------------------------------------------------------------


def without_target(schema: dp.Schema) -> dp.Schema:
    columns = [dataclasses.replace(column, role=None) for column in schema.columns]
    return dataclasses.replace(schema, columns=tuple(columns))


@pytest.mark.parametrize(("rows", "target"), [(1, True), (9, True), (9, False)])
def test_a_whole_fit_tells_nothing_but_its_releases(
    unit_schema: dp.Schema, rows: int, target: bool
) -> None:
    schema = unit_schema if target else without_target(unit_schema)
    pair = one_more_patient(rows)
    holds(*rigs.checks_of_a_fit(schema, *pair))
    holds(replay(rigs.FitRun(schema), *reversed(pair)))


@pytest.mark.parametrize("relation", RELATIONS)
def test_what_ran_is_what_was_booked(relation: str) -> None:
    schema = patients_schema(id="patient", max_rows=3, relation=relation)
    holds(*rigs.what_ran_is_what_was_booked(schema))


@pytest.mark.parametrize("columns", [1, 2, 3, 7])
@pytest.mark.parametrize("target", [True, False])
def test_draws_and_tables_are_booked_as_many_as_a_tree_has(columns: int, target: bool) -> None:
    whole = patients_schema()
    kept = whole.columns[-columns:] if target else whole.columns[:columns]
    schema = dataclasses.replace(whole, columns=kept)
    plan = MST(schema if target else without_target(schema)).plan(BUDGET)
    by_step = {charge.step: charge.mechanism for charge in plan.charges}
    starred = target and columns > 1
    nodes = columns - 1 if starred else columns
    tables = [m.count for m in by_step.values() if isinstance(m, DiscreteGaussian)][1:]
    draws = [m.count for m in by_step.values() if isinstance(m, Exponential)]
    assert tables == [n for n in (nodes if starred else 0, nodes - 1) if n]
    assert draws == ([nodes - 1] if nodes > 2 else [])
