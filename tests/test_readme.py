"""The README opens with two commands that exist, and its Python example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dpsynth.ledger import Ledger
from dpsynth.schema import Schema
from tests.conftest import BUDGET, patients_frame, patients_schema
from tests.docs.walkthrough import blocks, change_lines, commands, run_command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_opens_with_two_commands_of_the_makefile() -> None:
    first = README.split("```")[1].split("\n")
    commands = [line.split("#")[0].strip() for line in first if line.strip()]
    assert commands == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in commands:
        assert re.search(rf"^{command.split()[1]}:", makefile, re.M)


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("statsmodels")
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert len(names["synthetic"]) == 1000
    assert "fitted at ε" in capsys.readouterr().out


FILLED_IN = """
[files]
table = "visits.parquet"
[ledger]
dataset = "visits"
[audit]
audited = 0.4
reference = 0.2
canaries = 40
[policy]
alpha = 1e-7
[publication]
title = "Visits"
curators = ["ward"]
description = "visits"
intended_use = "tests"
not_for = "all else"
population = "patients"
period = "2021"
region = "here"
contact = "ward"
licence = "none"
maintenance = "none"
registry_authors = ["ward"]
data_source = "Static"
"""


def follow(block: str, *, schema: Schema) -> None:
    """Run the commands of a block, and do what it leaves to a person."""
    for line in commands(block):
        code, _, told = run_command(line)
        assert code == 0, f"{line}\n{told}"
        if line.startswith("dpsynth schema draft"):
            Path("schema.toml").unlink()
            schema.write("schema.toml")
        elif line.startswith("dpsynth init"):
            change_lines(Path("dpsynth.toml"), FILLED_IN)


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DPSYNTH_STATE", str(tmp_path / "state"))
    # What auto takes here trains for minutes.
    monkeypatch.setattr("dpsynth.methods.choose", lambda *_, **__: "independent")
    schema = patients_schema(id="patient", max_rows=4)
    patients_frame(2400).to_parquet("visits.parquet")
    found = [block.body for block in blocks(README) if block.body.startswith("dpsynth ")]
    release, book, steps = found
    follow(release + book, schema=schema)
    Path("ledger.db").unlink()  # a release took all of it
    Ledger.create(
        "ledger.db", population="p", dataset="visits", budget=BUDGET, unit=schema.unit
    ).close()
    follow(steps, schema=schema)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target
