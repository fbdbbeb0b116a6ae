"""People and rows that stand on both sides of the split."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import split
from benchmarks.discretise import conform_tables
from dpsynth.errors import DataError
from tests.benchmarks.conftest import pair_frame, pair_schema, schema_of
from tests.conftest import patients_frame, patients_schema

PEOPLE = patients_schema(id="patient", max_rows=3)


def test_a_person_on_both_sides_is_refused_and_not_named() -> None:
    frame = patients_frame(180, seed=1)
    fit, held = frame[:90], frame[90:].assign(patient=lambda part: part["patient"].astype(str))
    conform_tables(patients_frame(90, seed=3), fit, held, PEOPLE)
    held = held.reset_index(drop=True)
    held.loc[4, "patient"] = "1000007"
    with pytest.raises(DataError, match="before the fit") as refusal:
        conform_tables(patients_frame(90, seed=3), fit, held, PEOPLE)
    assert refusal.value.code == "DPS345"
    assert "1000007" not in str(refusal.value)


def test_rows_that_name_nobody_are_not_one_person() -> None:
    fit, held = patients_frame(90, seed=1), patients_frame(90, seed=2)
    for frame in (fit, held):
        frame["patient"] = frame["patient"].astype("Int64")
        frame.loc[:5, "patient"] = pd.NA
    split.require_apart(fit, held, PEOPLE)
    split.require_apart(fit, fit, patients_schema())  # rows are the units: any may be a twin


def codes(fit: pd.DataFrame, held: pd.DataFrame, schema: object = None) -> list[str]:
    tables = conform_tables(pair_frame(50, 3), fit, held, pair_schema())
    return [finding.code for finding in split.repeated(tables)]


def test_rows_that_were_copied_into_the_holdout_are_reported() -> None:
    fit, held = pair_frame(1500, 1), pair_frame(1500, 2)
    assert codes(fit, held) == []
    leaked = pd.concat([held[:1200], fit[:300]])
    assert codes(fit, leaked) == ["DPS346"]
    assert codes(fit, fit[:400]) == ["DPS346"]


def test_tables_whose_rows_repeat_by_themselves_are_not_accused() -> None:
    schema = schema_of({n: {"kind": "categorical", "categories": list("abcd")} for n in "xyz"})
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frames = [
            pd.DataFrame(rng.choice(list("abcd"), (n, 3)), columns=list("xyz"))
            for n in (50, 200, 150)
        ]
        assert split.repeated(conform_tables(*frames, schema)) == ()


def test_people_with_equal_rows_are_not_accused() -> None:
    frame = pair_frame(500, 1)
    twice = pd.concat([frame, frame])
    assert codes(twice, pair_frame(500, 2)) == []
