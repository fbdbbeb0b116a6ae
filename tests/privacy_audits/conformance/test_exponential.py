"""The exponential mechanism's checks: exact ratios, and draws that follow stated probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dpsynth.errors import UsageError
from dpsynth.privacy import PrivacyUnit
from privacy_audits.conformance import exponential_ratios, replay, selection_frequencies
from tests.conftest import patients_schema
from tests.privacy_audits import mst_rigs, rigs


def law(scores: list[float]) -> np.ndarray:
    return np.array(scores)  # log-probabilities up to a constant


def test_ratios_are_ranges_and_constants_do_not_matter() -> None:
    pairs = [(law([1.0, 2.0, 3.0]), law([11.3, 11.6, 13.1]))]
    # Differences are -10.3, -9.6, -10.1.
    result = exponential_ratios(lambda x: x, pairs, epsilon=0.7)
    assert result.statistic == pytest.approx(1.0)
    assert result.passed
    assert not exponential_ratios(lambda x: x, pairs, epsilon=0.69).passed
    assert not exponential_ratios(lambda x: x, pairs, epsilon=0.0).passed


@pytest.mark.parametrize(
    "other",
    [[0.0, -math.inf], [0.0, math.nan], [0.0], [-math.inf, -math.inf]],
    ids=["possible on one side", "no number", "another number of candidates", "nothing possible"],
)
def test_laws_that_cannot_be_compared_fail(other: list[float]) -> None:
    result = exponential_ratios(lambda x: x, [(law([0.0, 0.0]), law(other))], epsilon=1e9)
    assert result.statistic == math.inf


def test_a_candidate_that_is_impossible_on_both_sides_is_left_out() -> None:
    pair = law([0.0, 1.0, -math.inf]), law([0.5, 1.0, -math.inf])
    assert exponential_ratios(lambda x: x, [pair], epsilon=0.5).passed


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("relation", ["add_remove", "replace_one"])
def test_one_unit_moves_the_law_of_a_choice_by_what_its_event_says(
    rows: int, relation: str
) -> None:
    unit = PrivacyUnit(column="patient", max_rows=rows, relation=relation)  # type: ignore[arg-type]
    pairs = mst_rigs.choice_pairs(unit, np.random.default_rng(rows), count=30)
    result = exponential_ratios(mst_rigs.choice_of(unit, epsilon=0.3), pairs, epsilon=0.3)
    assert result.passed
    # The bound is reached, so that a sensitivity that is too small cannot hide.
    assert result.statistic > 0.99


def test_a_whole_fit_of_mst_chooses_by_what_it_booked() -> None:
    schema = patients_schema(id="patient", max_rows=3)
    run, laws, plan = mst_rigs.mst_run(schema)
    for pair in (rigs.one_more_patient(9), rigs.one_more_patient(1)):
        laws.clear()
        assert replay(run, *pair).passed
        assert len(laws[0]) == 5
        epsilon = mst_rigs.one_choice(plan)
        assert exponential_ratios(lambda x: x, zip(*laws, strict=True), epsilon=epsilon).passed


def test_draws_are_compared_with_the_stated_law() -> None:
    rng = np.random.default_rng(3)
    stated = np.log([0.5, 0.3, 0.1999, 0.0001])

    def select(weights: list[float]) -> int:
        return int(rng.choice(4, p=weights))

    right = selection_frequencies(
        lambda: select([0.5, 0.3, 0.1999, 0.0001]), stated + 7, rounds=2000
    )
    assert right.passed
    wrong = selection_frequencies(lambda: select([0.6, 0.25, 0.15, 0]), stated, rounds=2000)
    assert not wrong.passed


def test_p_values_of_draws_are_uniform() -> None:
    rng, weights = np.random.default_rng(4), np.array([0.4, 0.3, 0.2, 0.1])
    p_values = [
        selection_frequencies(
            lambda: int(rng.choice(4, p=weights)), np.log(weights), rounds=300
        ).p_value
        for _ in range(150)
    ]
    # Binomial, 6 standard errors.
    assert abs(np.mean(np.array(p_values) < 0.5) - 0.5) < 6 * 0.5 / np.sqrt(150)


def test_what_cannot_be_drawn_fails_and_a_sure_choice_is_refused() -> None:
    stated = [0.0, 0.0, -math.inf]
    draws = iter([0, 1] * 20 + [2])
    assert selection_frequencies(lambda: next(draws), stated, rounds=41).p_value == 0.0
    with pytest.raises(UsageError, match="too certain"):
        selection_frequencies(lambda: 0, [0.0], rounds=100)
    with pytest.raises(UsageError, match="no stated probability"):
        selection_frequencies(lambda: 5, stated, rounds=10)
