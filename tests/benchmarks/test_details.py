"""What the page lists: columns, pairs, bars and cells."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from benchmarks import details
from benchmarks.details import measure
from benchmarks.discretise import Tables, conform_tables
from benchmarks.report import Row
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables, schema_of
from tests.conftest import patients_frame, patients_schema


def listed(tables: Tables) -> dict[str, tuple[Row, ...]]:
    return dict(measure(tables, rng=np.random.default_rng(0)).tables)


def patients() -> Tables:
    return conform_tables(*(patients_frame(300, seed=s) for s in (3, 1, 2)), patients_schema())


def test_values_are_finite_numbers_and_text() -> None:
    for name, rows in listed(patients()).items():
        assert rows, name
        json.dumps(rows, allow_nan=False)
        for row in rows:
            assert row.keys() == rows[0].keys()
            assert all(type(value) in (int, float, str, type(None)) for value in row.values())


def test_columns_and_pairs_are_those_of_the_table() -> None:
    made = corrupted(pair_frame(1500, 3), 1.0)
    found = listed(pair_tables(made.assign(y=made["y"] + 100)))
    columns = {row["column"]: row for row in found["columns"]}
    assert list(columns) == ["g", "x", "y"]
    assert columns["y"]["tvd"] > 0.9 > 0.1 > columns["y"]["floor"]
    assert columns["g"]["ks"] is None
    assert columns["y"]["ks"] == pytest.approx(1.0)
    pairs = {(row["a"], row["b"]): row for row in found["pairs"]}
    assert set(pairs) == {("g", "x"), ("g", "y"), ("x", "y")}
    lost = pairs["g", "x"]
    assert lost["dependence_fit"] > 0.9
    assert lost["dependence_holdout"] > 0.9
    assert lost["dependence_synthetic"] < 0.1
    assert lost["tvd"] == pytest.approx(lost["independent"], abs=0.1)


def test_bars_of_the_worst_column_come_first_and_add_up() -> None:
    found = listed(patients())
    by_column: dict[str, list[Row]] = {}
    for bar in found["histograms"]:
        by_column.setdefault(str(bar["column"]), []).append(bar)
    columns = {row["column"]: row for row in found["columns"]}
    excess = [columns[name]["tvd"] - columns[name]["floor"] for name in by_column]
    assert excess == sorted(excess, reverse=True)
    for bars in by_column.values():
        assert sum(bar["fit"] for bar in bars) == pytest.approx(1.0)
        assert sum(bar["synthetic"] for bar in bars) == pytest.approx(1.0)
        assert len({bar["cell"] for bar in bars}) == len(bars)
    assert [bar["cell"] for bar in by_column["ward"]] == ["a", "b", "c"]
    assert by_column["stay"][-1]["cell"] == "missing"
    assert all(str(bar["cell"])[:4] in {"belo", "2021", "2022", "2023"} or "and above" in str(
        bar["cell"]) for bar in by_column["admitted"])  # fmt: skip


def test_small_cells_are_put_together_and_discovered_levels_are_not_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(details, "MOST_BARS", 3)
    schema = schema_of({"d": {"kind": "categorical", "categories": "discover", "source": "dp"}})
    frame = pd.DataFrame({"d": [f"secret {i % 7}" for i in range(70)]})
    bars = listed(conform_tables(frame, frame, frame, schema))["histograms"]
    assert len(bars) == 4
    assert bars[-1]["cell"] == "all others"
    assert sum(bar["fit"] for bar in bars) == pytest.approx(1.0)
    assert "secret" not in json.dumps(bars)


def test_cells_of_a_fresh_sample_lie_in_their_band() -> None:
    cells = listed(pair_tables(pair_frame(1500, 3)))["cells"]
    assert 100 < len(cells) <= details.MOST_CELLS
    inside = [row["low"] <= row["synthetic"] <= row["high"] for row in cells]
    assert np.mean(inside) > 0.9
    moved = pair_frame(1500, 3)
    far = listed(pair_tables(moved.assign(x=moved["x"] + 15)))["cells"]
    assert np.mean([row["low"] <= row["synthetic"] <= row["high"] for row in far]) < 0.85


def test_one_column_has_no_pairs() -> None:
    schema = schema_of({"a": {"kind": "real", "bounds": [0, 1], "missing": True}})
    frame = pd.DataFrame({"a": np.full(9, np.nan)})
    found = listed(conform_tables(frame, frame, frame, schema))
    assert found["pairs"] == found["cells"] == ()
    (bar,) = found["histograms"]
    assert (bar["cell"], bar["fit"]) == ("missing", 1.0)
    assert found["columns"][0]["ks"] is None
    assert not math.isnan(found["columns"][0]["tvd"])


def test_a_value_that_many_share_has_a_bar_of_its_own_and_neighbours_with_plain_ends() -> None:
    schema = schema_of({"a": {"kind": "integer", "bounds": [0, 200]}})
    frame = pd.DataFrame({"a": [0] * 300 + [*range(1, 101)] * 3 + [150] * 300})
    cells = [
        bar["cell"] for bar in listed(conform_tables(frame, frame, frame, schema))["histograms"]
    ]
    assert cells[0] == "0"
    assert str(cells[1]).startswith("above 0 to ")
    assert cells[-1] == "150"
    assert not any("e-" in str(cell) for cell in cells)
