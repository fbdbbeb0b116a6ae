"""No message, no cause, no repr and no log line carries a cell, whatever the table looks like."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dpsynth as dp
from dpsynth.diagnose import diagnose
from dpsynth.errors import DPSynthError
from dpsynth.table import load, preflight, write_frame
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema

TEXT, NUMBER = "ZQXSENTINEL7", "987654321.125"

CELLS = st.sampled_from(
    [TEXT, NUMBER, float(NUMBER), np.inf, -np.inf, np.nan, None, "", b"ZQXSENTINEL7", True,
     pd.Timestamp("2987-06-05"), f"2020-01-01 {TEXT}", 10**300, [TEXT], {"k": TEXT}]
)  # fmt: skip


def leaks(text: str) -> bool:
    return any(mark in text for mark in (TEXT, NUMBER, "987654321", "2987-06-05"))


def everything(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    cells=st.lists(CELLS, min_size=1, max_size=6),
    column=st.sampled_from(["sex", "ward", "age", "stay", "admitted", "died", "patient"]),
)
def test_strange_cells_raise_nothing_or_a_clean_error(
    cells: list, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    schema = patients_schema(id="patient", max_rows=3)
    frame = patients_frame(12).astype(object)
    frame[column] = pd.Series((cells * 12)[:12], dtype=object)
    shown = []
    try:
        table = load(frame, schema, rng=np.random.default_rng(0))
        shown += [repr(table), repr(diagnose(frame, schema)), str(diagnose(frame, schema))]
    except DPSynthError as error:
        shown.append(everything(error))
    assert not any(leaks(text) for text in shown)
    assert not leaks(caplog.text)


CSV = patients_frame(4).to_csv(index=False)
HEADER, FIRST = CSV.splitlines()[:2]


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{FIRST},{TEXT}\n",
        f"{HEADER}\n{TEXT}\n",
        f'{HEADER}\n"{TEXT}\n',
        f"{TEXT}\n{FIRST}\n",
        f"{HEADER},ward\n{FIRST},{TEXT}\n",
    ],
)
def test_malformed_files_are_refused_without_a_cell(content: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(DPSynthError) as refusal:
        preflight(path, patients_schema())
    assert TEXT not in everything(refusal.value)


def test_latin1_files_are_refused_without_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes((CSV + f"1,{TEXT}é," + FIRST.split(",", 2)[2]).encode("latin-1"))
    with pytest.raises(DPSynthError) as refusal:
        preflight(path, patients_schema())
    assert TEXT not in everything(refusal.value)


def test_a_whole_fit_shows_and_logs_no_value(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    schema = patients_schema()
    frame = patients_frame(60).astype(object)
    frame.loc[3, "ward"] = TEXT
    frame.loc[4, "stay"] = float(NUMBER)
    model = dp.Independent(schema).fit(
        frame, budget=BUDGET, ledger=open_ledger(schema), dataset="patients"
    )
    model.save(tmp_path / "m.dpsynth")
    captured = capsys.readouterr()
    shown = [caplog.text, captured.out, captured.err, repr(model), repr(model._codec)]
    assert not any(leaks(text) for text in shown)
    assert not leaks(model.sample(400).to_csv())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_cannot_be_written_is_refused_without_a_cell(
    suffix: str, tmp_path: Path
) -> None:
    cells = [1, TEXT] if suffix == ".parquet" else [f"{TEXT}\udc80"]
    with pytest.raises(DPSynthError) as refusal:
        write_frame(pd.DataFrame({"x": pd.Series(cells, dtype=object)}), tmp_path / f"t{suffix}")
    assert not leaks(everything(refusal.value))
    assert not list(tmp_path.iterdir())


def test_rows_that_cannot_be_decoded_are_refused_without_a_cell() -> None:
    day = pa.array([2**31 - 1], type=pa.int32()).cast(pa.date32())
    schema = dp.Schema.from_dict(
        {
            "table": {"name": "t"},
            "columns": {"x": {"kind": "datetime", "bounds": ["2000-01-01", "2030-01-01"],
                              "source": "s"}},
        }
    )  # fmt: skip
    with pytest.raises(DPSynthError) as refusal:
        load(pa.table({"x": day}), schema, rng=np.random.default_rng(0))
    assert "5881580" not in everything(refusal.value)
