"""The command line: results on stdout, messages on stderr, documented exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from dpsynth.cli import main
from tests.conftest import patients_frame, patients_schema

SENTINEL = "ZQXSENTINEL7"


class Place:
    """A folder with a table, a schema and a ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.schema, self.data = folder / "schema.toml", folder / "patients.csv"
        self.ledger, self.model = folder / "ledger.db", folder / "model.dpsynth"
        patients_schema(id="patient", max_rows=3).write(self.schema)
        patients_frame(900).to_csv(self.data, index=False)

    def init(self, epsilon: float = 1.0) -> int:
        return main(
            [
                "ledger",
                "init",
                str(self.ledger),
                "--dataset",
                "patients",
                "--epsilon",
                str(epsilon),
                "--delta",
                "1e-5",
                "--unit",
                "patient",
                "--max-rows",
                "3",
            ]
        )

    def fit(self, *more: str, data: Path | None = None) -> int:
        return main(
            [
                "fit",
                str(data or self.data),
                "--schema",
                str(self.schema),
                "--method",
                "independent",
                "--epsilon",
                "1",
                "--delta",
                "1e-5",
                "--ledger",
                str(self.ledger),
                "--dataset",
                "patients",
                "-o",
                str(self.model),
                *more,
            ]
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_from_table_to_synthetic_table(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.init() == 0
    assert place.fit() == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(place.ledger), str(place.model)]
    out = place.folder / "synthetic.csv"
    assert main(["sample", str(place.model), "-n", "50", "-o", str(out)]) == 0
    assert len(pd.read_csv(out)) == 50
    assert main(["ledger", "check", str(place.ledger)]) == 0
    assert main(["ledger", "show", str(place.ledger), "--json"]) == 0
    document = json.loads(capsys.readouterr().out.split("\n", 2)[2])
    assert document["charges"][0]["state"] == "committed"


def test_plan_prints_one_json_document(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        [
            "plan",
            "--schema",
            str(place.schema),
            "--method",
            "independent",
            "--epsilon",
            "1",
            "--delta",
            "1e-5",
            "--json",
        ]
    )
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["epsilon"] <= 1
    assert document["unit"]["max_rows"] == 3


def test_over_budget_exits_4_and_never_opens_the_data(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.init(epsilon=0.5)
    assert place.fit(data=place.folder / "not-there.csv") == 4
    error = capsys.readouterr().err
    assert "DPS1" in error
    assert "not-there" not in error


def test_nothing_is_overwritten_and_nothing_is_spent_for_it(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.init()
    place.model.write_text("mine")
    assert place.fit() == 6
    assert place.model.read_text() == "mine"
    assert place.init() == 6
    main(["ledger", "show", str(place.ledger), "--json"])
    shown = capsys.readouterr().out
    assert json.loads(shown[shown.index("{") :])["charges"] == []


BAD_TABLES = {
    "missing column": (lambda f: f.drop(columns="ward").to_csv(index=False).encode(), "ward"),
    "unreadable": (lambda f: b"\x89PNG\x00\x01\x02", None),
    "empty file": (lambda f: b"", None),
    "no rows": (lambda f: f.head(0).to_csv(index=False).encode(), "no rows"),
    "not UTF-8": (
        lambda f: f.assign(ward=SENTINEL + "é").to_csv(index=False).encode("latin-1"),
        "UTF-8",
    ),
    "duplicate names": (
        lambda f: f.rename(columns={"grade": "ward"}).to_csv(index=False).encode(),
        "ward",
    ),
}


@pytest.mark.parametrize("bad", sorted(BAD_TABLES))
def test_a_bad_table_exits_3_says_why_and_spends_nothing(
    place: Place, bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, word = BAD_TABLES[bad]
    place.init()
    place.data.write_bytes(make(patients_frame(30)))
    assert place.fit() == 3
    error = capsys.readouterr().err
    assert error.startswith("error: DPS2")
    assert "Fix:" in error
    assert word is None or word in error
    assert SENTINEL not in error
    patients_frame(300).to_csv(place.data, index=False, mode="w")
    assert place.fit() == 0


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (("bounds = [0, 120]", "bounds = [120, 0]"), "age"),
        (('kind = "ordinal"', 'kind = "ordinary"'), "grade"),
        (('source = "policy"', ""), "stay"),
    ],
)
def test_a_bad_schema_exits_3_and_names_the_column(
    place: Place, edit: tuple[str, str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = place.schema.read_text()
    flat = text.replace("[\n    0,\n    120,\n]", "[0, 120]")
    assert edit[0] in flat
    place.schema.write_text(flat.replace(*edit))
    assert main(["schema", "check", str(place.schema)]) == 3
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    "tokens",
    [["fit"], ["no-such-command"], ["plan", "--epsilon", "three"], ["ledger", "init", "x"]],
)
def test_wrong_usage_exits_2(tokens: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tokens) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_unknown_method_exits_2(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = ["plan", "--schema", str(place.schema), "--method", "magic", "--epsilon", "1"]
    assert main([*tokens, "--delta", "1e-5"]) == 2
    assert "dp-vae" in capsys.readouterr().err


def test_interrupt_exits_130_and_leaves_the_ledger_sound(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dpsynth.codec import Codec

    def interrupted(*args: object, **kw: object) -> None:
        raise KeyboardInterrupt

    place.init()
    monkeypatch.setattr(Codec, "fit", interrupted)
    assert place.fit() == 130
    monkeypatch.undo()
    assert main(["ledger", "check", str(place.ledger)]) == 0
    assert place.fit() == 4  # the data was touched: the charge counts in full


def test_an_internal_error_names_the_place_and_no_value(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dpsynth.codec import Codec

    def broken(*args: object, **kw: object) -> None:
        raise RuntimeError(SENTINEL)

    place.init()
    monkeypatch.setattr(Codec, "fit", broken)
    assert place.fit() == 1
    error = capsys.readouterr().err
    assert "RuntimeError" in error
    assert SENTINEL not in error


def test_schema_draft_copies_no_value(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    patients_frame(20).assign(ward=SENTINEL).to_csv(place.data, index=False)
    assert main(["schema", "draft", str(place.data)]) == 0
    drafted = capsys.readouterr().out
    assert "TODO" in drafted
    assert "ward" in drafted
    assert SENTINEL not in drafted


@pytest.mark.parametrize("command", [[], ["fit"], ["ledger"], ["schema", "check"]])
def test_help_exits_0(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert "dpsynth" in capsys.readouterr().out


def test_the_installed_command_passes_the_exit_code_on(place: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from dpsynth.cli import run; run()", "verify", str(place.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert done.stdout == ""


def test_release_then_verify_as_the_recipient(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.init()
    monkeypatch.setenv("DPSYNTH_POLICY_ALPHA", "1e-7")
    monkeypatch.setenv("DPSYNTH_AUDIT_AUDITED", "0.5")
    monkeypatch.setenv("DPSYNTH_AUDIT_REFERENCE", "0.25")
    bundle = place.folder / "release"
    command = ["release", str(place.data), "--schema", str(place.schema)]
    command += ["--method", "independent", "--epsilon", "1", "--delta", "1e-5"]
    command += ["--ledger", str(place.ledger), "--dataset", "patients", "-o", str(bundle)]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == str(bundle)
    assert "confidential" in captured.err
    assert (place.folder / "release-internal" / "utility.json").is_file()
    assert main(["verify", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main(command) == 6  # refused before anything is spent
    key = place.folder / "key"
    assert main(["ledger", "key", str(key), "--signing"]) == 0
    assert main(["verify", str(bundle), "--key", f"{key}.pub"]) == 6
    assert main(["sign", str(bundle), "--key", str(key)]) == 0
    assert main(["verify", str(bundle), "--key", f"{key}.pub"]) == 0
    capsys.readouterr()
    command[-1] = str(place.folder / "small")
    assert main([*command, "--rows", "120"]) == 2  # too few for an audit, before as well
    assert "DPS413" in capsys.readouterr().err
    (bundle / "schema.toml").write_text((bundle / "schema.toml").read_text() + "\n")
    assert main(["verify", str(bundle)]) == 6
    assert "schema.toml" in capsys.readouterr().err


def test_schema_check_with_data_is_stamped(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "check", str(place.schema)]) == 0
    assert main(["schema", "check", str(place.schema), "--data", str(place.data)]) == 0
    assert "do not publish" in capsys.readouterr().out
    patients_frame(1).to_csv(place.data, index=False)
    assert main(["schema", "check", str(place.schema), "--data", str(place.data)]) == 3


def test_a_fit_is_not_lost_when_the_evaluation_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.init()
    bundle = place.folder / "release"
    # Next to nobody is held out.
    monkeypatch.setenv("DPSYNTH_AUDIT_REFERENCE", "1e-12")
    monkeypatch.setenv("DPSYNTH_AUDIT_AUDITED", "1e-12")
    command = ["release", str(place.data), "--schema", str(place.schema)]
    command += ["--method", "independent", "--epsilon", "1", "--delta", "1e-5"]
    command += ["--ledger", str(place.ledger), "--dataset", "patients", "-o", str(bundle)]
    assert main(command) == 3
    kept = place.folder / "release-internal" / "model.dpsynth"
    assert str(kept) in capsys.readouterr().err
    assert not bundle.exists()
    assert main(["sample", str(kept), "-n", "9", "-o", str(place.folder / "s.csv")]) == 0


def test_what_could_not_be_written_is_refused_before_anything_is_spent(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.init() == 0
    blocked = place.folder / "file"
    blocked.write_text("in the way")
    common = [
        "--schema", str(place.schema), "--epsilon", "1", "--delta", "1e-5",
        "--ledger", str(place.ledger), "--dataset", "patients",
    ]  # fmt: skip
    data = str(place.data)
    for command in (
        ["fit", data, *common, "--method", "independent", "-o", str(blocked / "model.dpsynth")],
        ["fit", data, *common, "--method", "dp-vae", "-o", str(place.model),
         "--checkpoint", str(blocked / "kept")],
        ["release", data, *common, "--method", "independent", "-o", str(blocked / "release")],
        ["release", data, *common, "--method", "independent"],
    ):  # fmt: skip
        capsys.readouterr()
        assert main(command) == 2
        assert "DPS500" in capsys.readouterr().err
    main(["ledger", "show", str(place.ledger), "--json"])
    assert json.loads(capsys.readouterr().out)["charges"] == []


def test_missing_folders_are_made(place: Place) -> None:
    place.init()
    place.model = place.folder / "new" / "folder" / "model.dpsynth"
    assert place.fit() == 0
    assert place.model.exists()
