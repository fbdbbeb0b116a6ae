"""``python -m privacy_audits.shadow``."""

from __future__ import annotations

import json

import pytest

from privacy_audits.shadow import SmoothedBootstrap
from privacy_audits.shadow.__main__ import main
from tests.conftest import patients_frame, patients_schema


@pytest.fixture
def folder(tmp_path):
    patients_frame(200).to_csv(tmp_path / "train.csv", index=False)
    patients_schema().write(tmp_path / "schema.toml")
    return tmp_path


def command(folder, *more: str) -> list[str]:
    sizes = ["--shadows", "10", "--targets", "5", "--rows", "40", "--pool", "120"]
    return [str(folder), "-o", str(folder / "out"), *sizes, *more]


def test_it_attacks_and_goes_on_from_what_was_kept(folder, capsys, monkeypatch):
    assert main(command(folder, "-m", "smoothed-bootstrap")) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("CONFIDENTIAL")
    assert "10/10 shadows" in shown.err
    path = folder / "out" / "attack.json"
    assert path.stat().st_mode & 0o077 == 0
    first = json.loads(path.read_text())

    def never(self, *_: object, **__: object) -> None:
        raise AssertionError("a finished shadow was made again")

    monkeypatch.setattr(SmoothedBootstrap, "__call__", never)
    assert main(command(folder, "-m", "smoothed-bootstrap")) == 0
    assert capsys.readouterr().out == shown.out
    assert json.loads(path.read_text()) == first


def test_methods_claim_what_they_spend(folder, capsys):
    more = ["-m", "independent", "--epsilon", "2", "--pick", "random", "--data-bounds"]
    assert main(command(folder, *more)) == 0
    out = capsys.readouterr().out
    assert "claimed: ε = 2" in out
    assert "bounds read off the rows" in out


def test_another_command_does_not_go_on_with_the_same_folder(folder, capsys):
    assert main(command(folder, "-m", "smoothed-bootstrap")) == 0
    assert main(command(folder, "-m", "exact-marginals")) == 6
    assert "another design" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--rows", "119"], 2, "too few rows"),
        (["--targets", "0"], 2, "targets"),
        (["--schema", "nowhere.toml"], 3, "no schema file"),
    ],
)
def test_what_cannot_be_run_is_refused(folder, capsys, more, code, message):
    assert main([*command(folder, "-m", "smoothed-bootstrap"), *more]) == code
    assert message in capsys.readouterr().err
