"""The custodian's look at a table: it names columns and fixes, never values."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.diagnose import BANNER, diagnose
from dpsynth.errors import DataError
from tests.conftest import patients_frame, patients_schema

Change = Callable[[pd.DataFrame], pd.DataFrame]

CASES: dict[str, tuple[Change, str | None, str, str]] = {
    "one row": (lambda f: f.head(1).assign(stay=1.0), None, "single row", "problem"),
    "constant": (lambda f: f.assign(age=44), "age", "constant", "problem"),
    "all missing": (lambda f: f.assign(stay=np.nan), "stay", "all values are missing", "problem"),
    "undeclared missing": (
        lambda f: f.assign(age=f["age"].where(f.index > 5)), "age", "rules it out", "problem",
    ),
    "infinite": (
        lambda f: f.assign(admitted=["soon"] * 9 + ["2021-01-01", "2022-01-01"] * 46)[: len(f)],
        "admitted", "are no datetime", "problem",
    ),
    "outside": (lambda f: f.assign(age=f["age"] + 100), "age", "outside the bounds", "note"),
    "unlisted": (lambda f: f.assign(ward="elsewhere_" + f["ward"]), "ward", "not among", "note"),
    "many levels": (
        lambda f: pd.concat([f] * 20).assign(ward=[f"w{i}" for i in range(20 * len(f))]),
        "ward", "more than 1000 levels", "problem",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CASES))
def test_each_oddity_is_named_with_column_and_fix(case: str) -> None:
    change, column, words, severity = CASES[case]
    diagnosis = diagnose(change(patients_frame(101)), patients_schema())
    matching = [o for o in diagnosis.observations if words in o.what and o.column == column]
    assert matching, str(diagnosis)
    assert matching[0].severity == severity
    assert matching[0].fix
    assert diagnosis.ok == all(o.severity == "note" for o in diagnosis.observations)


def test_a_table_that_fits() -> None:
    diagnosis = diagnose(patients_frame(200), patients_schema())
    assert diagnosis.ok
    assert not diagnosis.observations
    assert "fits" in str(diagnosis)


def test_too_many_rows_of_one_unit_are_a_note() -> None:
    schema = patients_schema(id="patient", max_rows=2)
    diagnosis = diagnose(patients_frame(300), schema)
    assert diagnosis.ok
    assert "max_rows = 2" in str(diagnosis)


def test_everything_it_says_is_stamped() -> None:
    diagnosis = diagnose(patients_frame(50), patients_schema())
    assert BANNER in str(diagnosis)
    assert json.loads(json.dumps(diagnosis.to_dict()))["banner"] == BANNER


def test_form_is_refused_first() -> None:
    with pytest.raises(DataError, match="no rows"):
        diagnose(patients_frame(5).head(0), patients_schema())


def test_dates_outside_and_keys_that_are_lists() -> None:
    frame = patients_frame(30).astype({"patient": object})
    frame["admitted"] = ["1990-01-01", "2021-01-01", "2022-01-01"] * 10
    frame["patient"] = [[1], [1], [1]] * 10
    said = str(diagnose(frame, patients_schema(id="patient", max_rows=3)))
    assert "column 'admitted': about 33% of the values lie outside" in said
    assert "max_rows = 3" in said


def test_a_declared_level_is_no_null() -> None:
    document = patients_schema().to_dict()
    document["columns"]["ward"]["categories"] = ["a", "b", "c", "NA"]
    frame = patients_frame(30)
    frame.loc[3, "ward"] = "NA"
    assert diagnose(frame, dp.Schema.from_dict(document)).ok


def test_what_is_outside_is_said_once() -> None:
    document = patients_schema().to_dict()
    document["columns"]["age"]["outside"] = "null"
    frame = patients_frame(30)
    frame.loc[3, "age"] = 999
    found = diagnose(frame, dp.Schema.from_dict(document)).observations
    assert [(o.column, o.severity) for o in found] == [("age", "note")]


def test_the_banner_comes_with_every_way_to_show_it() -> None:
    assert repr(diagnose(patients_frame(30), patients_schema())).startswith(BANNER)
