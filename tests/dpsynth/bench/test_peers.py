"""Peers: run without a shell, ended when the time is over, judged by the table that they write."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from dpsynth.bench.configuration import CommandSpec
from dpsynth.bench.peers import PeerError, filled, run_peer


def spec(folder: Path, *command: str, timeout: float = 30.0) -> CommandSpec:
    return CommandSpec(
        label="peer",
        command=command or (sys.executable, "{out}"),
        claim="none",
        timeout=timeout,
        folder=folder,
        environment={"GIVEN": "yes"},
    )


def code_of(folder: Path, *command: str, timeout: float = 30.0) -> str:
    with pytest.raises(PeerError) as caught:
        run_peer(
            spec(folder, *command, timeout=timeout),
            {"out": str(folder / "out.csv")},
            out=folder / "out.csv",
            log=folder / "log",
        )
    return caught.value.code


def test_placeholders_are_filled_and_nothing_else_is_read() -> None:
    command = ["run", "--in={fit}", "$HOME; rm {fit}", "{}", "{{x"]
    assert filled(command, {"fit": "a b{out}"}) == [
        "run",
        "--in=a b{out}",
        "$HOME; rm a b{out}",
        "{}",
        "{{x",
    ]


def test_a_peer_runs_in_its_own_environment_and_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    program = (
        "import os, sys; print('hello'); open(sys.argv[1], 'w').write("
        "'a,b\\n%s,%s\\n' % (os.environ['GIVEN'], os.environ.get('PYTHONPATH', 'none')))"
    )
    frame = run_peer(
        spec(tmp_path, sys.executable, "-c", program, "{out}"),
        {"out": str(tmp_path / "out.csv")},
        out=tmp_path / "out.csv",
        log=tmp_path / "log",
    )
    assert frame.to_dict("list") == {"a": ["yes"], "b": ["none"]}
    assert (tmp_path / "log").read_text() == "hello\n"


def test_every_way_to_fail_has_its_code(tmp_path: Path) -> None:
    python = sys.executable
    assert code_of(tmp_path, str(tmp_path / "nowhere"), "{out}") == "DPS341"
    assert code_of(tmp_path, python, "-c", "raise SystemExit(7)", "{out}") == "DPS342"
    assert code_of(tmp_path, python, "-c", "pass", "{out}") == "DPS344"
    no_table = "import sys; open(sys.argv[1], 'wb').write(b'\\xff\\xfe')"
    assert code_of(tmp_path, python, "-c", no_table, "{out}") == "DPS344"


def test_a_peer_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    child = f"import time; time.sleep(1.5); open({str(tmp_path / 'alive')!r}, 'w')"
    program = (
        "import subprocess, sys; "
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); import time; time.sleep(60)"
    )
    began = time.monotonic()
    assert code_of(tmp_path, sys.executable, "-c", program, "{out}", timeout=0.7) == "DPS343"
    assert time.monotonic() - began < 20
    time.sleep(2.0)
    assert not (tmp_path / "alive").exists()
