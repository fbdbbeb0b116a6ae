"""A small table, a sweep file over it, and a peer that counts how often it is run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import patients_frame, patients_schema

PEER = """
import pathlib, shutil, sys, time
fit, out, epsilon, seed, log, wait = sys.argv[1:]
with open(log, "a") as file:
    file.write(f"{epsilon} {seed}\\n")
time.sleep(float(wait))
rows = pathlib.Path(fit).read_text().splitlines()
shift = 1 + int(float(epsilon)) % (len(rows) - 1)
pathlib.Path(out).write_text("\\n".join([rows[0], *rows[shift:], *rows[1:shift]]) + "\\n")
"""

WriteSweep = Callable[..., Path]


@pytest.fixture
def write_sweep(tmp_path: Path) -> WriteSweep:
    """Return a function that writes a sweep file beside a table of patients."""
    patients_frame(400).drop(columns="patient").to_csv(tmp_path / "patients.csv", index=False)
    patients_schema().write(tmp_path / "patients.toml")
    (tmp_path / "peer.py").write_text(PEER)

    def write(sweep: str, more: str = "") -> Path:
        path = tmp_path / "sweep.toml"
        path.write_text(
            f"""
[sweep]
delta = 1e-5
{sweep}
[[dataset]]
kind = "csv"
label = "patients"
path = "patients.csv"
schema = "patients.toml"
public = true
{more}
"""
        )
        return path

    return write


def peer(*arguments: str, label: str = "peer", wait: float = 0.0, more: str = "") -> str:
    """Return the entry of the stand-in for a peer, or of Python with other arguments."""
    given = arguments or ("peer.py", "{fit}", "{out}", "{epsilon}", "{seed}", "log", str(wait))
    command = ", ".join(f'"{part}"' for part in (sys.executable, *given))
    return f"""
[[command]]
label = "{label}"
command = [{command}]
claim = "none: it copies rows"
{more}
"""
