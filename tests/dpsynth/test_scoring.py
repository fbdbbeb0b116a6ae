"""The score: its statistic against a naive one, and its sensitivity on hostile neighbours."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource
from dpsynth.scoring import TwoWayScore
from dpsynth.table import conform, load
from privacy_audits.conformance import sensitivity
from tests.conftest import patients_frame, patients_schema
from tests.privacy_audits import rigs

SCORE = TwoWayScore(cells=7, sample_rows=100)


def error(frame: pd.DataFrame, synthetic: pd.DataFrame, schema: dp.Schema, rows: float) -> int:
    table = load(frame, schema, rng=np.random.default_rng(0))
    return SCORE._error(table, conform(synthetic, schema), rows=rows)[0]


def test_the_statistic_is_the_summed_error_of_all_pairs() -> None:
    schema = dp.Schema.from_dict(
        {
            "table": {"name": "t", "rows": "private"},
            "columns": {
                "a": {"kind": "categorical", "categories": ["x", "y"], "other": "y",
                      "source": "book"},
                "b": {"kind": "integer", "bounds": [0, 13], "source": "book"},
                "c": {"kind": "boolean", "source": "book"},
            },
        }
    )  # fmt: skip
    rng = np.random.default_rng(3)

    def table(n: int) -> pd.DataFrame:
        return pd.DataFrame(
            {"a": rng.choice(["x", "y"], n), "b": rng.integers(0, 14, n), "c": rng.random(n) < 0.3}
        )

    real, synthetic = table(90), table(50)
    expected = 0
    for pair in combinations("abc", 2):
        n, t = ({} for _ in range(2))
        for counts, frame in ((n, real), (t, synthetic)):
            for row in frame.assign(b=frame["b"] // 2)[list(pair)].itertuples(index=False):
                counts[tuple(row)] = counts.get(tuple(row), 0) + 1
        for cell in n.keys() | t.keys():
            expected += abs(n.get(cell, 0) - round(t.get(cell, 0) * 90 / 50))
    assert error(real, synthetic, schema, 90.0) == expected


def test_a_better_table_has_the_smaller_error(frame: pd.DataFrame, schema: dp.Schema) -> None:
    rng = np.random.default_rng(1)
    shuffled = frame.apply(lambda column: rng.permutation(column.to_numpy()))
    wrong = shuffled.assign(ward="a", died=True)
    near, mid, far = (error(frame, other, schema, 600.0) for other in (frame, shuffled, wrong))
    assert 0 == near < mid < far


def test_one_column_is_scored_by_its_own_counts() -> None:
    schema = dp.Schema.from_dict(
        {
            "table": {"name": "t", "rows": "private"},
            "columns": {"c": {"kind": "boolean", "source": "book"}},
        }
    )
    real, synthetic = pd.DataFrame({"c": [True] * 7}), pd.DataFrame({"c": [True, False]})
    assert error(real, synthetic, schema, 2.0) == 7
    assert SCORE.event(schema, noise_multiplier=3.0).sensitivity == 1


@pytest.mark.parametrize("discover", [False, True])
@pytest.mark.parametrize("target", [0.0, 240.0, 1e6])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_one_unit_moves_the_score_by_at_most_its_sensitivity(
    unit_schema: dp.Schema, rows: int, target: float, discover: bool
) -> None:
    schema = rigs.discovering(unit_schema) if discover else unit_schema
    synthetic = patients_frame(40, seed=7)
    event = SCORE.event(schema, noise_multiplier=1.0)
    assert event.sensitivity == 21 * 3
    result = sensitivity(
        lambda frame: np.array([float(error(frame, synthetic, schema, target))]),
        [rigs.one_more_patient(rows)],
        bound=event.sensitivity,
    )
    assert result.passed
    if not target:  # nothing to subtract: every row counts in full
        assert result.statistic == min(rows, 3) / 3


def test_replacing_a_unit_moves_the_score_by_at_most_twice_as_much() -> None:
    schema = patients_schema(id="patient", max_rows=3, relation="replace_one")
    event = SCORE.event(schema, noise_multiplier=1.0)
    assert event.sensitivity == 2 * 21 * 3
    assert event.relation == "replace_one"
    base = patients_frame(240)
    # The old rows fall into cells that the synthetic table overfills, the new ones do not.
    old = base.head(3).assign(patient="x", ward="a", sex="F", grade="low", age=50, died=True)
    old = old.assign(stay=1.0, admitted=pd.Timestamp("2021-05-05"))
    new = old.assign(ward="b", sex="M", grade="mid", age=90, died=False, stay=80.0)
    new = new.assign(admitted=pd.Timestamp("2024-05-05"))
    synthetic = pd.concat([old] * 200)
    pair = [pd.concat([base, extra], ignore_index=True) for extra in (new, old)]
    moved = sensitivity(
        lambda frame: np.array([float(error(frame, synthetic, schema, 1e5))]),
        [(pair[0], pair[1])],
        bound=event.sensitivity,
    )
    assert moved.passed
    assert moved.statistic == 1.0


def test_the_release_says_what_it_ran_and_is_noised(frame: pd.DataFrame, schema: dp.Schema) -> None:
    table = load(frame, schema, rng=np.random.default_rng(0))
    event = SCORE.event(schema, noise_multiplier=2.0)
    assert event.sigma == 42.0
    noise = NoiseSource.seeded(5)
    drawn = []
    for _ in range(60):
        score, ran = SCORE.release(table, frame, rows=600.0, event=event, noise=noise)
        assert ran == event
        drawn.append(score)
    # The exact error is 0, the noise has the booked scale: chi-square, 1e-6 on either side.
    spread = sum(z**2 for z in drawn) / 42.0**2
    assert 21 < spread < 127


def test_impossible_settings_are_refused() -> None:
    for settings in ({"cells": 0}, {"sample_rows": 0}, {"share": 0.0}, {"share": 1.5}):
        with pytest.raises(UsageError):
            TwoWayScore(**settings)  # type: ignore[arg-type]
