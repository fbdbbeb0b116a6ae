"""The queries against a naive one, and what one privacy unit moves in them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.disclosure import headline as module
from benchmarks.disclosure.headline import Headline
from dpsynth.errors import UsageError
from dpsynth.scoring import cells_of
from tests.benchmarks.conftest import schema_of
from tests.benchmarks.disclosure.small import CELLS, naive, small_schema, table, values
from tests.conftest import patients_schema

HEADLINE = Headline(cells=CELLS)

ROW = st.tuples(
    st.sampled_from(["a", "b", "c", None]),
    st.sampled_from([*range(8), math.nan]).map(float),
    st.sampled_from(["false", "true"]),
)
UNIT = st.lists(ROW, min_size=1, max_size=3)
SYNTHETIC = st.lists(ROW, min_size=1, max_size=12)


@given(st.lists(UNIT, min_size=1, max_size=6), SYNTHETIC, st.integers(1, 40))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_queries_are_those_of_a_naive_count(units, synthetic, rows) -> None:
    for relation, unit in (("add_remove", 3), ("replace_one", 6)):
        exact = HEADLINE.exact(
            table(units, small_schema(3, relation)), values(synthetic), rows=rows
        )
        flat = [row for rows_of in units for row in rows_of]
        expected = naive(flat, synthetic, scaled_to=rows, unit=unit)
        assert exact == {name: math.floor(value) for name, value in expected.items()}


@given(st.lists(UNIT, min_size=1, max_size=6), UNIT, UNIT, SYNTHETIC, st.integers(1, 40))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_one_unit_moves_every_query_by_at_most_one(units, old, new, synthetic, rows) -> None:
    drawn = values(synthetic)
    without = units
    pairs = [("add_remove", [*units, new], without)]
    pairs.append(("replace_one", [*units, old], [*units, new]))
    for relation, first, second in pairs:
        schema = small_schema(3, relation)
        a, b = table(first, schema), table(second, schema)
        exact = [HEADLINE.exact(side, drawn, rows=rows) for side in (a, b)]
        assert all(abs(exact[0][name] - exact[1][name]) <= 1 for name in exact[0])
        assert abs(a.n_rows // 3 - b.n_rows // 3) <= 1
        # Before they are rounded as well: rounding hides nothing.
        unit = 6 if relation == "replace_one" else 3
        flat = [[row for rows_of in side for row in rows_of] for side in (first, second)]
        raw = [naive(side, synthetic, scaled_to=rows, unit=unit) for side in flat]
        assert all(abs(raw[0][name] - raw[1][name]) <= 1 for name in raw[0])


@pytest.mark.parametrize("relation", ["add_remove", "replace_one"])
def test_a_unit_of_the_worst_kind_moves_every_query_by_one(relation: str) -> None:
    base = [[("a", 0.0, "false")] * 3] * 4
    new, old = [("c", 6.0, "true")] * 3, [("a", 0.0, "false")] * 3
    schema = small_schema(3, relation)
    # The old rows are missed, the new ones are too many.
    drawn = values([("a", 0.0, "false")])
    first = [*base, old] if relation == "replace_one" else base
    a, b = (HEADLINE.exact(table(units, schema), drawn, rows=30) for units in (first, [*base, new]))
    assert {abs(b[name] - a[name]) for name in a} == {1}


def test_a_table_is_no_distance_from_itself() -> None:
    rows = [("a", 1.0, "true"), ("b", 5.0, "false"), ("c", math.nan, "true")] * 4
    exact = HEADLINE.exact(table([[row] for row in rows], small_schema()), values(rows), rows=12)
    assert exact == dict.fromkeys(exact, 0)


def test_marginals_of_many_cells_are_counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)

    def draw(n: int) -> list:
        return [("abc"[rng.integers(3)], float(rng.integers(8)), "true") for _ in range(n)]

    real, synthetic = table([[row] for row in draw(30)], small_schema()), values(draw(20))
    dense = HEADLINE.exact(real, synthetic, rows=33)
    floors = HEADLINE.floors(synthetic, real.schema, rows=33)
    monkeypatch.setattr(module, "_DENSE", 1)
    assert HEADLINE.exact(real, synthetic, rows=33) == dense
    assert HEADLINE.floors(synthetic, real.schema, rows=33) == pytest.approx(floors)


def test_cells_do_not_depend_on_the_other_rows() -> None:
    schema = patients_schema()
    column = schema.column("age")
    ages = np.array([0.0, 30.0, 60.0, 120.0, math.nan])
    alone = [int(cells_of(ages[i : i + 1], column, cells=16)[0]) for i in range(5)]
    assert alone == cells_of(ages, column, cells=16).tolist() == [0, 3, 7, 15, 16]


def test_columns_without_public_cells_are_left_out() -> None:
    schema = schema_of(
        {
            "g": {"kind": "categorical", "categories": "discover", "source": "dp"},
            "x": {"kind": "real", "bounds": "discover", "source": "dp"},
            "y": {"kind": "boolean"},
        }
    )
    assert [column.name for column in Headline().columns(schema)] == ["y"]
    assert Headline().queries(schema) == ("mean.1",)
    with pytest.raises(UsageError) as refused:
        Headline().families(replace(schema, columns=schema.columns[:2]))
    assert refused.value.code == "DPS354"


def test_of_many_marginals_a_seeded_choice_is_compared() -> None:
    schema = patients_schema()
    whole = Headline().families(schema)
    assert [len(found) for found in whole.values()] == [7, 21, 15]
    assert all("died" in names for names in whole["3"])
    chosen = Headline(most=5).families(schema)
    assert [len(found) for found in chosen.values()] == [7, 5, 5]
    assert set(chosen["2"]) < set(whole["2"])
    assert chosen == Headline(most=5).families(schema)
    assert chosen != Headline(most=5, seed=1).families(schema)


def test_impossible_settings_are_refused() -> None:
    for wrong in ({"cells": 0}, {"most": 0}, {"seed": -1}):
        with pytest.raises(UsageError):
            Headline(**wrong)  # type: ignore[arg-type]
