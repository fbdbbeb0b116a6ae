"""Whole sweeps: what is finished is kept and not done again, what fails is an outcome."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from dpsynth.bench import driver, fitting
from dpsynth.bench.parsing import read_sweep
from dpsynth.bench.runs import planned
from dpsynth.bench.store import COLUMNS, RESULTS, Store
from dpsynth.cli import main
from dpsynth.errors import IntegrityError, UsageError
from tests.dpsynth.bench.conftest import WriteSweep, peer

SMALL = 'measures = ["marginals"]\n'


def bench(path: Path, out: Path, *more: str) -> int:
    return main(["bench", str(path), "-o", str(out), *more])


def counted(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().splitlines() if log.exists() else []


def started(path: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from dpsynth.cli import run; run()", "bench"]
    return subprocess.Popen(
        [*command, str(path), "-o", str(out)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


def waited(happened: Callable[[], bool], *, most: float = 90.0) -> None:
    deadline = time.monotonic() + most
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_sweep_is_fitted_measured_attacked_and_drawn(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sweep(
        'methods = ["independent"]\nepsilons = [1, 3]\nmeasures = ["marginals", "attack"]'
    )
    out = tmp_path / "out"
    assert bench(path, out, "--json", "--keep") == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["runs"], document["made"], document["failed"]) == (2, 2, 0)
    assert "[2/2] patients, independent, ε = 3, seed 0: done" in said.err
    assert "about 0:00 left" in said.err
    frame = pd.read_parquet(out / RESULTS)
    assert list(frame.columns) == list(COLUMNS)
    assert set(frame["status"]) == {"done"}
    assert set(frame["guarantee"]) == {"proved"}
    by_name = frame[frame["epsilon"] == 3].set_index("metric")
    assert {"validity", "tvd2.mean", "attack.auc", "attack.epsilon"} <= set(by_name.index)
    # The cap of the area is that of (ε, δ): e^ε / (1 + e^ε), a little more for δ.
    assert by_name.loc["attack.auc", "reference"] == pytest.approx(0.9526, abs=1e-3)
    assert by_name.loc["attack.epsilon", "value"] <= by_name.loc["attack.epsilon", "reference"]
    assert by_name.loc["attack.coins", "value"] == 1.0
    for name in ("bench.html", "results.md", "utility.svg", "frontier.svg"):
        assert (out / name).stat().st_size > 0
    assert len(list((out / "synthetic").iterdir())) == 2

    # Nothing is left to do, and a file that is changed in part makes only what is new.
    assert bench(path, out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["made"] == 0
    path.write_text(path.read_text().replace("[1, 3]", "[1, 3, 5]"))
    assert bench(path, out, "--json", "--dry-run") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["runs"] == ["patients, independent, ε = 5, seed 0"]
    # Finished runs of the same method and table are the better guide to what it will cost.
    took = frame.drop_duplicates("run")["cpu_seconds"].median()
    assert document["cpu_seconds"] == {"independent": pytest.approx(took)}


def test_a_sweep_that_is_killed_goes_on_without_doing_a_finished_run_again(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    epsilons = [1.0, 2.0, 3.0, 4.0, 5.0]
    path = write_sweep(f"{SMALL}epsilons = {epsilons}", peer(wait=0.3))
    out = tmp_path / "out"
    process = started(path, out)
    waited(lambda: len(list((out / "runs").glob("*.parquet"))) >= 2)
    process.kill()
    assert process.wait() < 0
    finished = {p.name: p.stat().st_mtime_ns for p in (out / "runs").glob("*.parquet")}
    assert 2 <= len(finished) < len(epsilons)
    assert not (out / RESULTS).exists()

    assert bench(path, out) == 0
    frame = pd.read_parquet(out / RESULTS)
    assert set(frame["epsilon"]) == set(epsilons)
    assert set(frame["status"]) == {"done"}
    for name, at in finished.items():
        assert (out / "runs" / name).stat().st_mtime_ns == at
    # Each fit stands in the log of the peer: once, but for the one that was in flight.
    fits = [line.split()[0] for line in counted(tmp_path)]
    done = frame.loc[frame["run"].isin([Path(n).stem for n in finished]), "epsilon"].unique()
    assert all(fits.count(str(epsilon)) == 1 for epsilon in done)
    assert len(fits) <= len(epsilons) + 1


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_processes_of_a_sweep_that_is_killed_end_with_it(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    # The peer writes down who runs it, and is still at it when the driver is killed.
    program = (
        "import os, pathlib, sys, time; parent = os.getppid(); "
        "pathlib.Path('worker-' + sys.argv[1]).write_text(str(parent)); "
        "[time.sleep(0.2) for _ in range(300) if os.getppid() == parent]"
    )
    slow = peer("-c", program, "{epsilon}", "{fit}{out}")
    path = write_sweep(f"{SMALL}epsilons = [1, 2]\njobs = 2", slow)
    process = started(path, tmp_path / "out")
    waited(lambda: len([p for p in tmp_path.glob("worker-*") if p.read_text()]) == 2)
    workers = [int(file.read_text()) for file in tmp_path.glob("worker-*")]
    assert all(map(runs, workers))
    process.kill()
    process.wait()
    waited(lambda: not any(map(runs, workers)), most=30.0)


def test_a_run_that_fails_is_an_outcome_and_is_made_again_on_demand(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = peer("-c", "raise SystemExit(3)", "{fit}{epsilon}{out}", label="broken")
    path = write_sweep(f"{SMALL}epsilons = [1]\nrepetitions = 2", peer() + broken)
    out = tmp_path / "out"
    assert bench(path, out) == 0
    assert "broken, ε = 1, seed 0: failed, DPS342" in capsys.readouterr().err
    frame = pd.read_parquet(out / RESULTS)
    failed = frame[frame["status"] == "failed"]
    assert list(failed["method"]) == ["broken", "broken"]
    assert set(failed["code"]) == {"DPS342"}
    assert failed["value"].isna().all()
    assert "| patients | broken | 1 | 2 | DPS342 |" in (out / "results.md").read_text()
    assert "DPS342" in (out / "bench.html").read_text()

    assert bench(path, out) == 0
    assert "0 to be made" in capsys.readouterr().err
    assert bench(path, out, "--retry") == 0
    assert "2 to be made" in capsys.readouterr().err
    assert len(counted(tmp_path)) == 2


def test_a_fit_that_is_refused_and_one_that_breaks_are_outcomes(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = '[[method]]\nlabel = "all"\nmethod = "mst"\nsettings = { choice_share = 1.5 }'
    sweep = read_sweep(write_sweep(f"{SMALL}epsilons = [1]", refusing))
    (run,) = planned(sweep, tmp_path / "tables")
    outcome = driver.execute(run, logs=tmp_path)
    assert outcome.code == UsageError.default_code
    assert outcome.message == "both shares must be positive and leave something for the tables."

    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("with a value that must not be told")

    monkeypatch.setattr(fitting, "fit", breaks)
    outcome = driver.execute(run, logs=tmp_path)
    assert outcome.code == driver.INTERNAL
    assert outcome.message is not None
    assert outcome.message.startswith("internal error (ZeroDivisionError at test_sweeps.py")


def test_a_process_that_is_ended_leaves_what_is_finished(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The peer ends the process that runs it, at ε = 2; never this one.
    program = (
        "import os, sys; parent = os.getppid(); "
        f"{os.getpid()} != parent and sys.argv[1] == '2.0' and os.kill(parent, 9)"
    )
    ending = peer("-c", program, "{epsilon}", "{fit}{out}")
    path = write_sweep(f"{SMALL}epsilons = [1, 2]\njobs = 2", ending)
    assert bench(path, tmp_path / "out") == 1
    assert "DPS533 a process of the sweep was ended" in capsys.readouterr().err
    assert not (tmp_path / "out" / RESULTS).exists()


def test_entries_that_differ_in_their_label_alone_are_fitted_once(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    path = write_sweep(f"{SMALL}epsilons = [1]", peer(label="one") + peer(label="other"))
    assert bench(path, tmp_path / "out") == 0
    assert len(counted(tmp_path)) == 1
    frame = pd.read_parquet(tmp_path / "out" / RESULTS)
    assert set(frame["method"]) == {"one", "other"}


def test_what_figures_depend_on_makes_another_run(write_sweep: WriteSweep, tmp_path: Path) -> None:
    base = f'{SMALL}methods = ["mst"]\nepsilons = [1]\n'

    def digests(sweep: str, more: str = "") -> set[str]:
        return {run.digest for run in planned(read_sweep(write_sweep(sweep, more)), tmp_path / "t")}

    first = digests(base)
    assert digests(base + "jobs = 7\n") == first
    half = '[[method]]\nlabel = "half"\nmethod = "mst"\nsettings = { choice_share = 0.5 }'
    for other in (
        digests(base.replace("[1]", "[2]")),
        digests(base + "seeds = [1]\n"),
        digests(base + "rows = 300\n"),
        digests(base.replace('["marginals"]', '["marginals", "attack"]')),
        digests(base.replace("mst", "independent")),
        digests(base, half) - first,
    ):
        assert len(other) == 1
        assert not other & first
    (tmp_path / "patients.csv").write_text(
        (tmp_path / "patients.csv").read_text().replace("F,a", "M,a", 1)
    )
    sweep = read_sweep(tmp_path / "sweep.toml")
    assert not {run.digest for run in planned(sweep, tmp_path / "t")} & first


def test_too_few_units_for_an_attack_are_refused_before_anything_is_fitted(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sweep('methods = ["independent"]\nepsilons = [1]\nrows = 200')
    assert bench(path, tmp_path / "out") == UsageError.exit_code
    assert "DPS532 too few units for an attack: patients." in capsys.readouterr().err
    assert not list((tmp_path / "out" / "runs").iterdir())


def test_a_damaged_file_is_named_and_refused(write_sweep: WriteSweep, tmp_path: Path) -> None:
    path, out = write_sweep(f"{SMALL}epsilons = [1]", peer()), tmp_path / "out"
    assert bench(path, out) == 0
    (kept,) = (out / "runs").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(IntegrityError, match="delete the file"):
        Store(out).read(kept.stem)
    assert bench(path, out) == IntegrityError.exit_code


def test_the_command_needs_a_file_and_a_folder_and_prints_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench"]) == 2
    assert "--example" in capsys.readouterr().err
    assert main(["bench", "--example"]) == 0
    assert capsys.readouterr().out.startswith("# A sweep")
