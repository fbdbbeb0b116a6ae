"""The two-sample test sees what it should, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import detection
from benchmarks.discretise import Tables, conform_tables
from benchmarks.report import Metric, Section
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables, schema_of, shuffled
from tests.conftest import patients_frame, patients_schema


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "_ITERATIONS", 30)


def run(tables: Tables) -> Section:
    return detection.measure(tables, rng=np.random.default_rng(0))


def figures(section: Section) -> dict[str, Metric]:
    return {metric.name: metric for metric in section.metrics}


def test_a_fresh_sample_cannot_be_told() -> None:
    section = run(pair_tables(pair_frame(600, 3), n=600))
    for metric in section.metrics:
        assert metric.value == pytest.approx(0.5, abs=0.06)
        assert metric.floor == pytest.approx(0.5, abs=0.06)
        assert metric.ci_low < metric.value < metric.ci_high
    assert section.findings == ()


def test_it_is_the_fitted_rows_that_give_the_floor_whatever_their_order() -> None:
    one = figures(run(pair_tables(pair_frame(400, 1), n=400)))
    other = figures(run(pair_tables(shuffled(pair_frame(400, 1)), n=400)))
    assert one == other
    for metric in one.values():
        assert metric.value == pytest.approx(metric.floor, abs=0.04)


def test_what_gives_the_table_away_is_named() -> None:
    base = pair_frame(500, 3)
    section = run(pair_tables(base.assign(y=base["y"] + 8.0), n=500))
    found = figures(section)
    assert found["c2st.boosting.auc"].value > 0.99
    assert found["c2st.boosting.auc"].ci_low > 0.95
    assert section.worst["c2st"][0].columns == ("y",)
    assert section.worst["c2st"][0].value > 0.3
    (finding,) = section.findings
    assert finding.code == "DPS314"
    assert "y" in finding.message


def test_a_linear_model_alone_would_miss_it() -> None:
    def ring(n: int, seed: int, *, real: bool) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        x = rng.choice([-1.0, 1.0], n)
        y = x * rng.choice([-1.0, 1.0], n) if real else x
        return pd.DataFrame({"x": x, "y": y}) + rng.normal(0, 0.1, (n, 2))

    wide = {"kind": "real", "bounds": [-9, 9]}
    schema = schema_of({"x": wide, "y": wide})
    tables = conform_tables(
        ring(600, 3, real=False), ring(600, 1, real=True), ring(600, 2, real=True), schema
    )
    found = figures(run(tables))
    assert found["c2st.boosting.auc"].value > 0.7
    assert found["c2st.linear.auc"].value < 0.56


def test_it_is_told_the_better_the_more_is_wrong() -> None:
    base = pair_frame(600, 3)
    values = [
        figures(run(pair_tables(corrupted(base, share), n=600)))["c2st.boosting.auc"].value
        for share in (0.0, 0.4, 1.0)
    ]
    assert values == sorted(values)
    assert values[-1] > 0.75


def test_formats_give_nothing_away() -> None:
    """Integers against floats of one law: 0.94 before the tables are conformed."""
    rng = [np.random.default_rng(seed) for seed in (1, 2, 3)]
    real, held, ours = (pd.DataFrame({"n": g.gamma(2.0, 9.0, 900)}) for g in rng)
    real, held = real.round().astype(int), held.round().astype(int)
    schema = schema_of({"n": {"kind": "integer", "bounds": [0, 500]}})
    assert figures(run(conform_tables(ours, real, held, schema)))["c2st.boosting.auc"].value < 0.56
    free = schema_of({"n": {"kind": "real", "bounds": [0, 500]}})
    assert figures(run(conform_tables(ours, real, held, free)))["c2st.boosting.auc"].value > 0.85


def test_people_do_not_straddle_folds() -> None:
    rng = np.random.default_rng(0)
    units = np.concatenate([rng.integers(0, 40, 200), rng.integers(0, 40, 200)])
    sides = np.repeat([True, False], 200)
    fold = detection.folds(sides, units, 5, rng)
    for side in (True, False):
        for unit in range(40):
            assert len(np.unique(fold[(sides == side) & (units == unit)])) <= 1
        counts = np.bincount(fold[sides == side], minlength=5)
        assert counts.min() > 20
        assert counts.sum() == 200


def test_single_rows_are_spread_evenly() -> None:
    sides = np.repeat([True, False], [50, 103])
    fold = detection.folds(sides, np.arange(153), 5, np.random.default_rng(0))
    assert np.bincount(fold[sides]).tolist() == [10] * 5
    assert np.ptp(np.bincount(fold[~sides])) <= 1


def test_people_cannot_be_recognised_across_folds() -> None:
    def people(seed: int) -> pd.DataFrame:
        frame = patients_frame(360, seed=seed)
        # Every person's rows repeat a precise value: a model could recognise the person by it.
        first = frame.groupby("patient")[["stay", "age", "admitted"]].transform("first")
        return frame.assign(**{name: first[name] for name in first})

    frames = [people(seed) for seed in (3, 1, 2)]
    by_people = figures(run(conform_tables(*frames, patients_schema(id="patient", max_rows=3))))
    by_rows = figures(run(conform_tables(*frames, patients_schema())))
    assert by_people["c2st.boosting.auc"].floor == pytest.approx(0.5, abs=0.08)
    assert by_rows["c2st.boosting.auc"].floor > 0.6


def test_both_sides_have_the_same_number_of_rows() -> None:
    tables = conform_tables(
        *(pair_frame(n, n) for n in (300, 500, 120)), pair_tables(pair_frame(9, 0), n=9).schema
    )
    assert {metric.n for metric in run(tables).metrics} == {120}


def test_repeated_synthetic_rows_are_an_artefact_and_show() -> None:
    """They are part of the released table; we add no repetition of our own."""
    few = pair_frame(60, 3)
    repeated = pd.concat([few] * 10, ignore_index=True)
    value = figures(run(pair_tables(repeated, n=600)))["c2st.boosting.auc"].value
    fresh = figures(run(pair_tables(pair_frame(600, 3), n=600)))["c2st.boosting.auc"].value
    assert value > fresh + 0.1


def test_one_unit_only_is_said() -> None:
    schema = patients_schema(id="patient", max_rows=3)
    frames = [patients_frame(30, seed=seed) for seed in (3, 1, 2)]
    section = run(conform_tables(frames[0], frames[1], frames[2].assign(patient=1), schema))
    assert section.metrics == ()
    assert [finding.code for finding in section.findings] == ["DPS320"]


@pytest.mark.parametrize("n", [2, 3, 7])
def test_the_smallest_tables_do_not_crash(n: int) -> None:
    found = figures(run(pair_tables(pair_frame(n, 3), n=n)))
    assert all(0 <= metric.value <= 1 for metric in found.values())


def test_details_name_every_column_and_hold_every_row_of_both_sides() -> None:
    base = pair_frame(500, 3)
    section = run(pair_tables(base.assign(y=base["y"] + 8.0), n=500))
    losses = section.tables["c2st"]
    assert losses[0]["column"] == "y"
    assert {row["column"] for row in losses} == {"g", "x", "y"}
    assert [row["loss of AUC"] for row in losses] == sorted(
        (row["loss of AUC"] for row in losses), reverse=True
    )
    bins = section.tables["propensity"]
    assert len(bins) == 20
    assert (bins[0]["from"], bins[-1]["to"]) == (0.0, 1.0)
    for side, end in (("synthetic", bins[-1]), ("holdout", bins[0])):
        assert sum(row[side] for row in bins) == pytest.approx(1.0)
        assert end[side] > 0.8


def test_landmarks_are_tables_that_the_model_can_tell() -> None:
    found = figures(run(pair_tables(corrupted(pair_frame(600, 3), 1.0), n=600)))
    boosting, linear = found["c2st.boosting.auc"], found["c2st.linear.auc"]
    assert boosting.landmark == "independent"
    assert boosting.skill == pytest.approx(0.0, abs=0.2)
    assert linear.references["independent"] == pytest.approx(0.5, abs=0.06)
    assert linear.reference == linear.references["uniform"] > 0.9
    for metric in found.values():
        assert metric.references["holdout"] == metric.floor
        assert metric.tier == "A"
