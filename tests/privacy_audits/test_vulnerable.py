"""Distances between rows, and the records that stand alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import UsageError
from privacy_audits import typed
from privacy_audits.typed import TypedSpace, distances, nearest
from privacy_audits.vulnerable import isolation, most_vulnerable
from tests.conftest import patients_frame, patients_schema

SCHEMA = dp.Schema.from_dict(
    {
        "table": {"name": "small", "rows": "private"},
        "columns": {
            "x": {"kind": "real", "bounds": [0, 10], "missing": True, "source": "book"},
            "g": {"kind": "ordinal", "categories": ["low", "mid", "high"], "source": "book"},
            "c": {"kind": "categorical", "categories": ["a", "b"], "source": "book"},
        },
    }
)


def rows(*cells: tuple[float | None, str, str]) -> pd.DataFrame:
    return pd.DataFrame(cells, columns=["x", "g", "c"])


def naive(left: pd.DataFrame, right: pd.DataFrame) -> list[list[float]]:
    """Cell by cell, for rows inside the domain."""
    steps = {"low": 0.0, "mid": 0.5, "high": 1.0}

    def apart(a: pd.Series, b: pd.Series) -> float:
        if pd.isna(a.x) or pd.isna(b.x):
            x = float(pd.isna(a.x) != pd.isna(b.x))
        else:
            x = abs(a.x - b.x) / 10
        return (x + abs(steps[a.g] - steps[b.g]) + (a.c != b.c)) / 3

    return [[apart(a, b) for b in right.itertuples()] for a in left.itertuples()]


def test_the_distance_is_the_mean_over_columns():
    left = rows((0.0, "low", "a"), (None, "mid", "b"), (10.0, "high", "a"))
    right = rows((2.5, "low", "b"), (None, "high", "b"))
    space = TypedSpace.of(SCHEMA)
    np.testing.assert_allclose(distances(space.rows(left), space.rows(right)), naive(left, right))


def test_blocks_do_not_change_the_neighbours(monkeypatch):
    schema, frame = patients_schema(), patients_frame(90)
    table = TypedSpace.of(schema).rows(frame)
    whole = nearest(table, table, k=4, same=True)
    monkeypatch.setattr(typed, "_BLOCK_CELLS", 300)
    np.testing.assert_array_equal(nearest(table, table, k=4, same=True), whole)
    apart = distances(table, table)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_array_equal(whole, np.sort(apart, axis=1)[:, :4])


def test_neighbours_that_do_not_exist_are_far():
    table = TypedSpace.of(SCHEMA).rows(rows((1.0, "low", "a"), (1.0, "low", "a")))
    np.testing.assert_array_equal(nearest(table, table, k=2, same=True), [[0, 1], [0, 1]])


@pytest.mark.parametrize(("keep", "place", "level"), [(False, 1.0, 2), (True, 5.0, 3)])
def test_values_outside_the_domain_follow_the_policy_or_keep_their_place(keep, place, level):
    space = TypedSpace.of(SCHEMA, keep_outside=keep)
    coded = space.rows(rows((50.0, "low", "elsewhere")))
    assert coded.places[0, 0] == place
    assert coded.levels[0, 0] == level


def test_columns_without_public_facts_are_scaled_by_the_tables():
    document = SCHEMA.to_dict()
    document["columns"]["x"] |= {"bounds": "discover", "source": "dp"}
    document["columns"]["c"] |= {"categories": "discover", "source": "dp"}
    frame = rows((2.0, "low", "z"), (4.0, "low", "y"), (3.0, "low", "z"))
    coded = TypedSpace.of(dp.Schema.from_dict(document), frame).rows(frame)
    assert coded.places[:, 0].tolist() == [0.0, 1.0, 0.5]
    assert coded.levels[:, 0].tolist() == [1, 0, 1]


def test_the_record_that_stands_alone_comes_first():
    frame = patients_frame(200)
    frame["age"] = 40
    frame.loc[77, ["age", "stay", "ward"]] = [118, 89.0, "c"]
    frame = pd.concat([frame, frame.iloc[[3]]], ignore_index=True)
    alone = isolation(frame, patients_schema(), k=1)
    assert most_vulnerable(frame, patients_schema(), count=3)[0] == 77
    assert alone[3] == alone[200] == 0


def test_the_ranking_does_not_depend_on_the_order_of_the_rows():
    frame = patients_frame(150)
    order = np.random.default_rng(1).permutation(len(frame))
    moved = isolation(frame.iloc[order], patients_schema())
    np.testing.assert_allclose(moved, isolation(frame, patients_schema())[order])


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 1, "k": 0}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(UsageError):
        most_vulnerable(patients_frame(20), patients_schema(), **wrong)
