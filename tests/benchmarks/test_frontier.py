"""Sweeps: what is done is not done again, figures are those of the runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.frontier import __main__ as command
from benchmarks.frontier import figure, sweep
from benchmarks.frontier.sweep import Outcome, Run
from benchmarks.frontier.tables import PublicTable, schema_of_spec
from dpsynth.errors import UsageError
from tests.conftest import patients_frame, patients_schema


def outcome(method: str, epsilon: float, repetition: int, value: float) -> Outcome:
    run = Run(table="t", method=method, epsilon=epsilon, delta=1e-5, repetition=repetition)
    figures = dict.fromkeys(sweep.FIGURES, value)
    return Outcome(run=run, figures=figures, references={"tvd2": 0.01}, seconds=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "patients"
    place.mkdir()
    for name, seed in (("train", 0), ("test", 1)):
        rows = patients_frame(1200, seed=seed).drop(columns="patient")
        rows.to_csv(place / f"{name}.csv", index=False)
    patients_schema().write(place / "schema.toml")
    return place


def test_a_sweep_is_measured_drawn_and_not_done_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = [str(folder), "-o", str(out), "--methods", "independent", "--epsilon", "1", "3"]
    asked += ["--repetitions", "1", "--jobs", "1", "--keep"]
    assert command.main(asked) == 0
    lines = (out / "runs.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert {json.loads(line)["run"]["epsilon"] for line in lines} == {1.0, 3.0}
    assert len(list((out / "tables").iterdir())) == 2
    assert (out / "frontier.svg").read_text().lstrip().startswith("<?xml")
    assert "| patients | 3 | independent | 1 |" in (out / "frontier.md").read_text()
    # A run that was cut off while it was written is made again, the others are not.
    (out / "runs.jsonl").write_text("\n".join([lines[0], lines[1][:40]]) + "\n")
    capsys.readouterr()
    assert command.main(asked) == 0
    assert capsys.readouterr().err.count("independent") == 1
    assert len(sweep.read(out / "runs.jsonl")) == 2


def test_bands_and_medians_are_those_of_the_repetitions() -> None:
    found = [outcome("dp-vae", 1.0, k, value) for k, value in enumerate((0.3, 0.1, 0.2))]
    assert figure.spread(found, "tvd2") == {1.0: [0.3, 0.1, 0.2]}
    assert "0.2000 (0.1000–0.3000)" in figure.markdown(found)


def test_a_folder_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs train\.csv"):
        PublicTable.read(tmp_path)
    assert command.main([str(tmp_path), "-o", str(tmp_path / "out")]) == 2


def test_a_described_table_gets_its_schema() -> None:
    columns = {
        "age": {"kind": "numeric", "min": 0, "max": 90, "integer": True, "nullable": True},
        "sex": {"kind": "categorical", "categories": ["F", "M"]},
    }
    schema = schema_of_spec("t", {"target": "sex", "columns": columns})
    assert schema.column("sex").role == "target"
    assert schema.column("age").missing
    assert tuple(schema.column("age").bounds) == (0, 90)
