"""``dpsynth evaluate`` from files to scorecard, page and evidence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import detection
from dpsynth.cli import main
from dpsynth.errors import MissingExtraError
from dpsynth.evidence import Evidence, table_sha256
from tests.conftest import patients_frame, patients_schema

ROWS = 150


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "_ITERATIONS", 10)


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    patients_schema().write(tmp_path / "schema.toml")
    words = ["evaluate", "--schema", str(tmp_path / "schema.toml")]
    for seed, role in enumerate(("fit", "holdout", "synthetic")):
        path = tmp_path / f"{role}.csv"
        patients_frame(ROWS, seed=seed).to_csv(path, index=False)
        words += [f"--{role}", str(path)]
    return words


def test_scorecard_page_and_evidence_in_one_run(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, evidence = tmp_path / "new" / "evaluate.html", tmp_path / "evidence.json"
    outputs = ["--page", str(page), "-o", str(evidence), "--epsilon", "1", "--delta", "1e-6"]
    assert main([*command, *outputs, "--seed", "5"]) == 0
    shown = capsys.readouterr()
    assert "SCORECARD" in shown.out
    assert "FIT FOR" in shown.out
    assert "measuring" not in shown.out
    progress = [line for line in shown.err.splitlines() if line.startswith("measuring: ")]
    assert len(progress) == len(set(progress)) > 5
    assert f"{page} is confidential" in shown.err
    kept = Evidence.read(evidence)
    assert kept.table_sha256 == table_sha256(tmp_path / "synthetic.csv")
    assert kept.metrics["seed"] == 5
    assert dict(kept.metrics["budget"]) == {"epsilon": 1.0, "delta": 1e-6}
    for path in (page, evidence):
        assert path.stat().st_mode & 0o777 == 0o600
    assert "ε = 1" in page.read_text(encoding="utf-8")
    assert str(ROWS) not in shown.out


def test_one_json_document_on_stdout(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {use["use"] for use in document["uses"]} >= {"descriptive tables", "small groups"}
    assert document["budget"] is None


@pytest.mark.parametrize("option", ["--page", "-o"])
def test_existing_files_are_refused_before_anything_is_measured(
    option: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there"
    there.write_text("kept")
    assert main([*command, option, str(there)]) == 6
    assert "measuring" not in capsys.readouterr().err
    assert there.read_text() == "kept"


def test_a_file_where_a_folder_should_be_is_refused_before_anything_is_measured(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main([*command, "--page", str(tmp_path / "file" / "page.html")]) == 2
    assert "measuring" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--epsilon", "1"],
        ["--delta", "1e-6"],
        ["--epsilon", "-1", "--delta", "1e-6"],
        ["--seed", "-1"],
        ["--page", "{}/one", "-o", "{}/one"],
    ],
)
def test_wrong_words_are_refused(
    words: list[str], command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *(word.format(tmp_path) for word in words)]) == 2
    shown = capsys.readouterr()
    assert shown.err.splitlines()[-1].startswith("error: DPS50")
    assert shown.out == ""


def test_a_page_that_cannot_be_made_is_refused_first(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main([*command, "--page", str(tmp_path / "page.html")]) == MissingExtraError.exit_code
    shown = capsys.readouterr().err
    assert "report" in shown
    assert "measuring" not in shown


def test_help_leads_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("Example: dpsynth evaluate") < shown.index("Parameters")
