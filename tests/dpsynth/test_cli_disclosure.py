"""``dpsynth evaluate`` where the figures may leave the house."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpsynth.cli import main
from tests.conftest import patients_frame
from tests.dpsynth.test_cli import SENTINEL, Place


class Tables(Place):
    """With a synthetic and a public table."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.synthetic, self.public = folder / "synthetic.csv", folder / "public.csv"
        self.evidence = folder / "evidence.json"
        patients_frame(300, seed=4).to_csv(self.synthetic, index=False)
        patients_frame(300, seed=5).to_csv(self.public, index=False)

    def evaluate(self, *more: str, fit: Path | None = None) -> int:
        return main(
            [
                "evaluate",
                "--schema",
                str(self.schema),
                "--synthetic",
                str(self.synthetic),
                "--fit",
                str(fit or self.data),
                *more,
            ]
        )

    def buy(self, *more: str, fit: Path | None = None) -> int:
        ledger = ["--ledger", str(self.ledger), "--dataset", "patients"]
        return self.evaluate("--disclosure", "dp", *ledger, *more, fit=fit)


@pytest.fixture
def place(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def test_figures_are_bought_and_booked(place: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    place.init()
    capsys.readouterr()
    assert place.buy("--json", "-o", str(place.evidence)) == 0
    document = json.loads(capsys.readouterr().out)
    assert 0.0495 < document["paid"]["epsilon"] <= 0.05
    evidence = json.loads(place.evidence.read_text())
    assert evidence["disclosure"] == "dp"
    assert evidence["metrics"]["metrics"] == document["metrics"]
    assert main(["ledger", "show", str(place.ledger), "--json"]) == 0
    (charge,) = json.loads(capsys.readouterr().out)["charges"]
    assert (charge["method"], charge["state"]) == ("evaluation", "committed")
    # The file is there: refused before anything is spent.
    assert place.buy("-o", str(place.evidence)) == 6
    assert place.buy("--epsilon", "0.1", "--delta", "1e-6") == 0
    assert "noisy figures" in capsys.readouterr().out


def test_a_budget_that_is_refused_opens_nothing(place: Tables) -> None:
    place.init(epsilon=0.2)
    assert place.buy("--epsilon", "2", fit=place.folder / "absent.csv") == 4
    assert place.buy(fit=place.folder / "absent.csv") == 3


def test_a_public_reference(place: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    compare = ["--disclosure", "public-reference", "--source", "statistics office"]
    assert place.evaluate(*compare, "--reference", str(place.data)) == 5
    assert "DPS352" in capsys.readouterr().err
    assert (
        place.evaluate(*compare, "--reference", str(place.public), "-o", str(place.evidence)) == 0
    )
    assert "statistics office" in capsys.readouterr().out
    evidence = json.loads(place.evidence.read_text())
    assert evidence["disclosure"] == "public-reference"


def test_the_ledger_is_asked_whether_it_knows_the_reference(
    place: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    key = place.folder / "key"
    assert main(["ledger", "key", str(key)]) == 0
    place.init()
    assert place.fit("--key", str(key)) == 0
    compare = ["--disclosure", "public-reference", "--source", "statistics office"]
    compare += ["--reference", str(place.data), "--ledger", str(place.ledger)]
    assert place.evaluate(*compare, fit=place.public) == 2
    assert place.evaluate(*compare, "--key", str(key), fit=place.public) == 5
    assert "'patients'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--holdout"),
        (("--disclosure", "dp"), "--ledger, --dataset"),
        (("--disclosure", "public-reference"), "--reference, --source"),
        (("--holdout", "h.csv", "--epsilon", "0.1"), "--epsilon"),
        (
            ("--disclosure", "dp", "--ledger", "l", "--dataset", "d", "--holdout", "h.csv"),
            "--holdout",
        ),
        (("--disclosure", "everyone"), "disclosure"),
    ],
)
def test_options_that_are_missing_or_idle_are_refused(
    place: Tables, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert place.evaluate(*options) == 2
    assert said in capsys.readouterr().err


def test_no_value_of_the_table_is_said(place: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    place.init()
    frame = patients_frame(90).astype({"patient": object})
    frame.loc[3, ["ward", "patient"]] = SENTINEL
    frame.to_csv(place.folder / "marked.csv", index=False)
    assert place.buy(fit=place.folder / "marked.csv") == 0
    captured = capsys.readouterr()
    assert SENTINEL not in captured.out + captured.err
