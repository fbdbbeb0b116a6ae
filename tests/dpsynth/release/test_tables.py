"""Both files hold the same cells, whatever the cells are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpsynth.codec import _typed
from dpsynth.errors import DataError, IntegrityError
from dpsynth.files import csv_bytes, parquet_bytes, read_frame
from dpsynth.release.tables import hold_the_same, parquet_marks, read_marks
from dpsynth.schema import Column, Kind

DIGEST = "ab" * 32
NUMBERS = np.array([0.0, -1.0, 3.0, 1e9, np.nan])
TEXTS = np.array(["a", 'b"c', "d,e", "f\ng", "NA", "é", "1.0", " x ", None], dtype=object)


def column(kind: Kind, **facts: object) -> Column:
    return Column(name="x", kind=kind, source="book", missing=True, **facts)  # type: ignore[arg-type]


CASES = {
    "integers": (NUMBERS, column(Kind.INTEGER)),
    "large integers": (np.array([2.0**53, -(2.0**60)]), column(Kind.INTEGER)),
    "reals": (np.array([0.1 + 0.2, -0.0, 1e-300, 12345678.9, np.nan]), column(Kind.REAL)),
    "rounded": (np.array([0.125, 7.0, np.nan]), column(Kind.REAL, decimals=2)),
    "days": (NUMBERS[:3], column(Kind.DATETIME, unit="day")),
    "days with null": (np.array([18_000.0, np.nan]), column(Kind.DATETIME, unit="day")),
    "seconds": (np.array([0.0, 1.6e9, np.nan]), column(Kind.DATETIME, unit="second")),
    "hours": (np.array([-500_000.0, 450_001.0]), column(Kind.DATETIME, unit="hour")),
    "texts": (TEXTS, column(Kind.CATEGORICAL, categories=("a",))),
    "nothing": (np.array([None, None], dtype=object), column(Kind.ORDINAL, categories=("a",))),
    "flags": (
        np.array(["true", "false", None], dtype=object),
        column(Kind.BOOLEAN, categories=("false", "true")),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("nullable", [True, False])
def test_every_kind_of_column_is_the_same_in_both_files(
    case: str, nullable: bool, tmp_path: Path
) -> None:
    values, facts = CASES[case]
    if not nullable:
        values = values[~pd.isna(values)]
    frame = pd.DataFrame({"x": _typed(values, facts, nullable=nullable), "n": range(len(values))})
    csv, parquet = tmp_path / "t.csv", tmp_path / "t.parquet"
    csv.write_bytes(csv_bytes(frame))
    parquet.write_bytes(parquet_bytes(frame, parquet_marks(DIGEST)))
    assert hold_the_same(csv, parquet)
    assert len(read_frame(csv)) == len(read_frame(parquet)) == len(frame)
    csv.write_bytes(csv.read_bytes() + b"a,99\n")
    assert not hold_the_same(csv, parquet)


def test_marks_are_read_back_and_nothing_else_is_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(parquet_bytes(pd.DataFrame({"x": [1]}), parquet_marks(DIGEST)))
    assert read_marks(path) == parquet_marks(DIGEST)
    path.write_bytes(b"PAR1")
    with pytest.raises(IntegrityError, match="DPS605"):
        read_marks(path)


def test_a_column_of_mixed_types_is_refused_without_its_values() -> None:
    with pytest.raises(DataError, match="DPS259") as refusal:
        parquet_bytes(pd.DataFrame({"x": [1, "s3ntinel"]}, dtype=object), parquet_marks(DIGEST))
    assert "s3ntinel" not in str(refusal.value)
    assert refusal.value.__suppress_context__
