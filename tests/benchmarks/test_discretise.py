"""Tables on equal terms, and bins that hide nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.discretise import BINS, conform_tables, quantile_edges
from dpsynth.errors import DataError, UsageError
from tests.benchmarks.conftest import pair_frame, pair_schema, schema_of, shuffled
from tests.conftest import patients_frame, patients_schema


def cells(edges: np.ndarray, values: object) -> np.ndarray:
    return np.searchsorted(edges, np.asarray(values, dtype=float), side="right")


def test_quantile_bins_carry_equal_mass() -> None:
    values = np.random.default_rng(0).exponential(size=10_000)
    codes = cells(quantile_edges(values), values)
    counts = np.bincount(codes)
    assert len(counts) == BINS
    assert counts.min() > 450
    assert counts.max() < 550


@pytest.mark.parametrize("place", ["lowest", "middle", "highest"])
def test_a_value_with_much_mass_is_one_bin_alone(place: str) -> None:
    rng = np.random.default_rng(1)
    heavy = {"lowest": -1.0, "middle": 0.5, "highest": 2.0}[place]
    values = np.concatenate([rng.random(600), np.full(400, heavy)])
    codes = cells(quantile_edges(values), values)
    own = np.unique(codes[values == heavy])
    assert len(own) == 1
    assert not (codes[values != heavy] == own[0]).any()
    assert codes.max() <= BINS + 2


def test_a_value_smeared_a_little_leaves_its_bin() -> None:
    values = np.concatenate([np.zeros(500), np.random.default_rng(2).uniform(1, 9, 500)])
    edges = quantile_edges(values)
    assert cells(edges, 1e-9) != cells(edges, 0.0)
    assert cells(edges, -1e-9) != cells(edges, 0.0)


def test_few_values_have_a_bin_each() -> None:
    values = np.repeat(np.arange(12.0), np.arange(1, 13) ** 2)
    codes = cells(quantile_edges(values), np.arange(12.0))
    assert len(set(codes.tolist())) == 12
    assert not set(cells(quantile_edges(values), np.arange(12.0) + 0.5)) & set(codes.tolist())


@given(arrays(float, st.integers(0, 60), elements=st.floats(-1e300, 1e300) | st.just(np.nan)))
def test_edges_are_sorted_and_few_whatever_the_values(values: np.ndarray) -> None:
    edges = quantile_edges(values)
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= 3 * BINS
    assert np.isfinite(edges).all()


def test_bins_are_shared_and_open_at_the_ends() -> None:
    far = pair_frame(200, 3).assign(x=1.9e6, y=-900.0)
    tables = conform_tables(far, pair_frame(200, 1), pair_frame(200, 2), pair_schema())
    size = tables.sizes[1]
    assert set(tables.synthetic.codes[:, 1]) == {size - 3}
    assert set(tables.synthetic.codes[:, 2]) == {0}
    counts = np.bincount(np.r_[tables.fit.codes[:, 1], tables.holdout.codes[:, 1]])
    assert len(counts) == BINS
    assert counts.min() >= 19
    assert counts.max() <= 21


def test_null_and_outside_have_cells_of_their_own() -> None:
    schema = patients_schema()
    ours = patients_frame(60, seed=3).astype({"age": float, "stay": float})
    ours.loc[0, "ward"] = "z"
    ours.loc[1, "ward"] = None
    ours.loc[2, "age"] = 5_000.0
    ours.loc[3, "age"] = np.inf
    ours["stay"] = np.nan
    tables = conform_tables(ours, patients_frame(60, seed=1), patients_frame(60, seed=2), schema)
    place = {column.name: i for i, column in enumerate(tables.columns)}

    def at(name: str, cell: int) -> int:
        return int(
            (tables.synthetic.codes[:, place[name]] == tables.sizes[place[name]] - cell).sum()
        )

    assert (at("ward", 2), at("ward", 1)) == (1, 1)
    assert at("age", 1) == 2
    assert at("stay", 2) == 60
    assert set(tables.violated) == {"ward", "age"}
    for table in (tables.synthetic, tables.fit, tables.holdout):
        assert (table.codes < np.array(tables.sizes)).all()
        assert (table.codes >= 0).all()


def test_real_values_outside_follow_the_declared_policy() -> None:
    schema = patients_schema()
    real = patients_frame(60, seed=1).astype({"age": float})
    real.loc[:9, "ward"] = "z"
    real.loc[:9, "sex"] = "z"
    real.loc[:9, "age"] = 5_000.0
    tables = conform_tables(patients_frame(60, seed=3), real, patients_frame(60, seed=2), schema)
    place = {column.name: i for i, column in enumerate(tables.columns)}
    codes = tables.fit.codes
    assert (codes[:, place["ward"]] == tables.sizes[place["ward"]] - 3).sum() == 10  # reserved
    assert not (codes[:, place["sex"]] >= 2).any()  # "other" is declared
    assert tables.fit.features[:, place["age"]].max() == 120.0
    assert not (codes == np.array(tables.sizes) - 1).any()


def test_formats_do_not_matter(tmp_path: Path) -> None:
    schema = patients_schema()
    plain, real, held = (patients_frame(80, seed=seed) for seed in (3, 1, 2))
    odd = plain.assign(
        age=plain["age"].astype(float),
        died=plain["died"].map({True: "True", False: "FALSE"}),
        sex=plain["sex"].astype("category"),
        admitted=plain["admitted"].dt.strftime("%Y-%m-%d"),
        stay=plain["stay"] + 0.004,
        junk=1,
    )
    plain.to_csv(tmp_path / "t.csv", index=False)
    plain.to_parquet(tmp_path / "t.parquet")
    expected = conform_tables(plain, real, held, schema).synthetic
    for source in (odd, tmp_path / "t.csv", str(tmp_path / "t.parquet"), pa.table(plain)):
        found = conform_tables(source, real, held, schema).synthetic
        np.testing.assert_array_equal(found.codes, expected.codes)
        np.testing.assert_array_equal(found.features, expected.features)


def test_row_order_does_not_matter() -> None:
    schema = patients_schema(id="patient", max_rows=3)
    frames = [patients_frame(90, seed=seed) for seed in (3, 1, 2)]
    one = conform_tables(*frames, schema)
    other = conform_tables(*(shuffled(frame) for frame in frames), schema)
    for a, b in zip((one.fit, one.synthetic), (other.fit, other.synthetic), strict=True):
        np.testing.assert_array_equal(a.features, b.features)
        np.testing.assert_array_equal(a.codes, b.codes)
        np.testing.assert_array_equal(a.units, b.units)


def test_units_follow_their_rows() -> None:
    schema = patients_schema(id="patient", max_rows=3)
    frame = patients_frame(90, seed=1)
    table = conform_tables(patients_frame(30, seed=3), frame, patients_frame(30), schema).fit
    assert np.bincount(table.units).tolist() == [3] * 30
    stays = frame.groupby("patient")["stay"].sum().sort_values().to_numpy()
    place = [c.name for c in schema.modelled].index("stay")
    ours = np.sort(np.bincount(table.units, weights=np.nan_to_num(table.features[:, place])))
    np.testing.assert_allclose(ours, stays)


def test_keys_are_needed_where_units_are_but_not_in_the_released_table() -> None:
    schema = patients_schema(id="patient", max_rows=3)
    frames = [patients_frame(30, seed=seed) for seed in (3, 1, 2)]
    without = [frame.drop(columns="patient") for frame in frames]
    conform_tables(without[0], *frames[1:], schema)
    with pytest.raises(DataError, match=r"patient.*fit table"):
        conform_tables(frames[0], without[1], frames[2], schema)


def test_discovered_levels_are_those_of_the_real_rows() -> None:
    schema = schema_of({"c": {"kind": "categorical", "categories": "discover", "source": "dp"}})
    real, held = (pd.DataFrame({"c": list(text)}) for text in ("aab", "bcc"))
    tables = conform_tables(pd.DataFrame({"c": list("abz")}), real, held, schema)
    last = tables.sizes[0] - 1
    assert len(set(tables.fit.codes[:, 0]) | set(tables.holdout.codes[:, 0])) == 3
    assert (tables.synthetic.codes[:, 0] == last).sum() == 1
    assert not tables.violated


@pytest.mark.parametrize("role", ["synthetic", "fit", "holdout"])
def test_wrong_tables_are_refused_by_role(role: str) -> None:
    good = {"synthetic": patients_frame(9), "fit": patients_frame(9), "holdout": patients_frame(9)}
    schema = patients_schema()
    for bad, told in (
        (patients_frame(1), "fewer than two rows"),
        (patients_frame(9).iloc[:0], "no rows"),
        (patients_frame(9).drop(columns="ward"), "'ward'"),
        (Path("absent.csv"), "no readable file"),
    ):
        with pytest.raises(DataError, match=role) as refusal:
            conform_tables(**{**good, role: bad}, schema=schema)
        assert told in str(refusal.value)
        assert refusal.value.exit_code == 3
    with pytest.raises(UsageError):
        conform_tables(**{**good, role: 3}, schema=schema)


def test_rows_are_drawn_once_at_most() -> None:
    table = conform_tables(*(pair_frame(50, seed) for seed in (3, 1, 2)), pair_schema()).fit
    marked = replace(table, units=np.arange(50))
    drawn = marked.draw(30, np.random.default_rng(0))
    assert len(drawn) == 30
    assert len({tuple(row) for row in drawn.features}) == 30
    assert len(table.draw(80, np.random.default_rng(0))) == 50
