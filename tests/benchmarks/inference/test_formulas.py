from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from benchmarks.discretise import conform_tables
from benchmarks.inference.formulas import (
    MOST_COEFFICIENTS,
    Formula,
    Layout,
    NotMeasuredError,
    levels_of,
    read_rows,
    rows_of,
)
from dpsynth.errors import SchemaError
from tests.benchmarks.conftest import schema_of

COLUMNS: Mapping[str, Mapping[str, object]] = {
    "id": {"kind": "key"},
    "g": {"kind": "categorical", "categories": ["a", "b", "c"]},
    "x": {"kind": "real", "bounds": [0, 10], "missing": True},
    "y": {"kind": "boolean"},
}


def schema() -> dp.Schema:
    return schema_of(COLUMNS)


FRAME = pd.DataFrame(
    {
        "id": [1, 2, 3, 4, 5],
        "g": ["c", "b", "a", "zzz", "b"],
        "x": [1.0, np.nan, 3.0, 4.0, 5.0],
        "y": [True, False, True, False, True],
    }
)


@pytest.mark.parametrize(
    "text", ["y", "y ~", "~ x", "y ~ x + x", "y ~ y", "y ~ x ~ g", "y ~ x +", "y ~ x * g", "y ~ id"]
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(SchemaError):
        Formula.of(text, schema())


def test_outcomes_have_their_family() -> None:
    assert Formula.of("y ~ g", schema()).family == "logistic"
    assert Formula.of("x ~ g", schema()).family == "linear"
    with pytest.raises(NotMeasuredError):
        _ = Formula.of("g ~ x", schema()).family


def test_levels_are_coded_against_the_first_that_the_fit_rows_show() -> None:
    formula = Formula.of("y ~ g + x", schema())
    rows, levels = read_rows(formula, FRAME, schema(), has_units=True)
    # A level that the schema does not list is the reserved one for real rows; here it is a gap.
    assert len(rows.complete.values) == 3
    layout = Layout.of(formula, levels, rows.complete)
    assert layout.names == ("g[b]", "g[c]", "g[other]", "x")
    assert layout.design(rows.complete).tolist() == [[0, 1, 0, 1], [0, 0, 0, 3], [1, 0, 0, 5]]
    shown = FRAME[FRAME["g"] != "a"]
    rows, levels = read_rows(formula, shown, schema(), has_units=True)
    assert Layout.of(formula, levels, rows.complete).names == ("g[a]", "g[c]", "g[other]", "x")


def test_both_ways_to_the_rows_agree() -> None:
    formula = Formula.of("y ~ g + x", schema())
    known = FRAME[FRAME["g"] != "zzz"]
    tables = conform_tables(known, known, known, schema())
    rows = rows_of(formula, tables.synthetic, tables)
    other, levels = read_rows(formula, known, schema(), has_units=True)
    assert levels_of(formula, tables) == levels
    one, two = (part.complete.values for part in (rows, other))
    np.testing.assert_array_equal(one[np.lexsort(one.T)], two[np.lexsort(two.T)])


def test_synthetic_values_outside_the_schema_are_gaps() -> None:
    formula = Formula.of("y ~ g + x", schema())
    broken = FRAME.assign(x=[1.0, 2.0, 99.0, 4.0, 5.0], y=["true", "false", "true", "?", "true"])
    tables = conform_tables(broken, FRAME, FRAME, schema())
    rows = rows_of(formula, tables.synthetic, tables)
    assert len(rows.complete.values) == 3


def test_a_formula_may_be_too_wide() -> None:
    many = [f"level {i}" for i in range(MOST_COEFFICIENTS + 1)]
    wide = schema_of({**COLUMNS, "h": {"kind": "categorical", "categories": many}})
    formula = Formula.of("y ~ h", wide)
    rows, levels = read_rows(formula, FRAME.assign(h="level 1"), wide, has_units=True)
    with pytest.raises(NotMeasuredError, match="more than"):
        Layout.of(formula, levels, rows.complete)
