"""Distances of numeric columns: identity, scale, tails."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.discretise import Tables, conform_tables
from benchmarks.numbers import TAILS, distances, measure
from benchmarks.report import Metric
from tests.benchmarks.conftest import pair_frame, pair_tables, schema_of


def figures(tables: Tables) -> dict[str, Metric]:
    section = measure(tables, rng=np.random.default_rng(0))
    return {metric.name: metric for metric in section.metrics}


def test_distances_are_those_of_scipy_in_parts_of_the_range() -> None:
    made = pair_frame(1500, 3)  # as many rows as are held out: none is left out
    found = figures(pair_tables(made))
    real, width = pair_frame(1500, 1), 2e6 + 1e3
    ks = [stats.ks_2samp(real[name], made[name]).statistic for name in ("x", "y")]
    far = [stats.wasserstein_distance(real[name], made[name]) / width for name in ("x", "y")]
    assert found["ks.mean"].value == pytest.approx(np.mean(ks))
    assert found["wasserstein.max"].value == pytest.approx(np.max(far))


def test_the_fitted_rows_themselves_are_at_zero_and_a_shift_is_seen() -> None:
    same = figures(pair_tables(pair_frame(1500, 1)))
    assert all(same[f"{name}.max"].value == 0 for name in ("ks", "wasserstein", "tails"))
    moved = pair_frame(1500, 1)
    moved["x"] = moved["x"] * 1000 + 1e6
    found = figures(pair_tables(moved))
    assert found["ks.max"].value > 0.9
    assert found["wasserstein.max"].value > 0.4
    assert found["tails.max"].value > 0.4


def test_tails_are_differences_of_quantiles() -> None:
    made, real = pair_frame(1500, 3), pair_frame(1500, 1)
    far = [
        np.abs(np.quantile(real[name], TAILS) - np.quantile(made[name], TAILS)).mean() / (2e6 + 1e3)
        for name in ("x", "y")
    ]
    found = figures(pair_tables(made))
    assert found["tails.mean"].value == pytest.approx(np.mean(far))
    assert found["tails.mean"].tier == "B"
    assert found["ks.mean"].tier == "A"


def test_replicates_are_distances_of_the_rest() -> None:
    tables = pair_tables(pair_frame(400, 3), n=400)
    found = distances(tables, 1, tables.synthetic)
    real, made = tables.fit.features[:, 1], tables.synthetic.features[:, 1]
    for group in (0, 7, 19):
        rest = real[tables.fit.groups != group]
        assert found.sides[0][group, 0] == pytest.approx(stats.ks_2samp(rest, made).statistic)
        rest = made[tables.synthetic.groups != group]
        expected = stats.wasserstein_distance(real, rest) / (2e6 + 1e3)
        assert found.sides[1][group, 1] == pytest.approx(expected)


def test_a_uniform_column_is_the_landmark_and_nulls_count_for_nothing() -> None:
    found = figures(pair_tables(pair_frame(1500, 3)))
    metric = found["ks.mean"]
    assert metric.reference == metric.references["uniform"] > 0.9
    assert metric.references["independent"] < 0.05
    assert metric.references["holdout"] == metric.floor
    assert metric.skill > 0.95
    schema = schema_of({"x": {"kind": "real", "bounds": [0, 1], "missing": True}})
    full = pd.DataFrame({"x": np.random.default_rng(0).random(300)})
    holes = pd.concat([full, pd.DataFrame({"x": np.full(50, np.nan)})], ignore_index=True)
    assert figures(conform_tables(holes, full, holes, schema))["wasserstein.mean"].value == 0.0


def test_columns_without_a_number_are_left_out() -> None:
    schema = schema_of(
        {"x": {"kind": "real", "bounds": [0, 1], "missing": True}, "z": {"kind": "boolean"}}
    )
    full = pd.DataFrame({"x": [0.1, 0.5, 0.9], "z": [True, False, True]})
    empty = full.assign(x=np.nan)
    found = figures(conform_tables(empty, full, full, schema))
    assert np.isnan(found["ks.mean"].value)
    nothing = schema_of({"z": {"kind": "boolean"}})
    assert figures(conform_tables(full[["z"]], full[["z"]], full[["z"]], nothing)) == {}
