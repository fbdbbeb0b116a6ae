"""The timing command runs and prints nothing about the rows."""

from __future__ import annotations

import re

from privacy_audits.attacks import timing
from tests.conftest import patients_frame, patients_schema


def test_seconds_are_all_that_is_printed(tmp_path, monkeypatch, capsys):
    frame = patients_frame(600)
    schema = patients_schema()
    schema.write(tmp_path / "schema.toml")
    for name, rows in (
        ("fit", frame[:200]),
        ("holdout", frame[200:400]),
        ("released", frame[400:]),
    ):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    given = [str(tmp_path / name) for name in ("fit.csv", "holdout.csv", "schema.toml")]
    released = ["--synthetic", str(tmp_path / "released.csv")]
    monkeypatch.setattr("sys.argv", ["timing", *given, *released])
    timing.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(re.fullmatch(r"\d+\.\d\d s (processor time|on the clock)", line) for line in lines)
