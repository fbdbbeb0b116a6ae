"""Make the runs of a sweep: in parallel, each kept as soon as it is finished."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dpsynth.bench import fitting, measuring
from dpsynth.bench.configuration import CommandSpec
from dpsynth.bench.material import SCHEMA
from dpsynth.bench.peers import run_peer
from dpsynth.bench.runs import Run
from dpsynth.bench.store import LOGS, SYNTHETIC, Outcome, Store
from dpsynth.errors import DPSynthError, require_extra
from dpsynth.files import write_frame

_EVERY = 1.0
"""Seconds between two looks at whether the driver is still there."""

ENDED = "DPS533"
"""Code of a sweep one of whose processes was ended."""

INTERNAL = "DPS340"
"""Code of a run that failed for a reason that nobody foresaw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A run that has just been finished.

    Parameters
    ----------
    run : Run
        The run.
    outcome : Outcome
        What came of it.
    done, of : int
        Runs finished by this command, of those it makes.
    left : float
        Seconds left, if the others take as long on average.
    """

    run: Run
    outcome: Outcome
    done: int
    of: int
    left: float


def waiting(runs: Sequence[Run], store: Store, *, retry: bool) -> list[Run]:
    """Return the runs that are not kept yet.

    Parameters
    ----------
    runs : sequence of Run
        All runs of a sweep.
    store : Store
        What is kept.
    retry : bool
        Whether runs that failed are made again.
    """
    done = store.finished()
    if retry:
        done -= {d for d in {run.digest for run in runs} & done if store.read(d).failed}
    # Entries of the sweep file that differ in their label alone are one run.
    return list({run.digest: run for run in runs if run.digest not in done}.values())


def make(
    runs: Sequence[Run],
    store: Store,
    *,
    jobs: int = 1,
    keep: bool = False,
    progress: Callable[[Step], None] | None = None,
) -> None:
    """Make runs and keep what comes of each.

    Parameters
    ----------
    runs : sequence of Run
        Those to make (:func:`waiting`).
    store : Store
        Only this process writes outcomes to it. What is killed loses the runs in flight alone.
    jobs : int
        Processes.
    keep : bool
        Whether synthetic tables are kept as well.
    progress : callable, optional
        Receives every step.

    Raises
    ------
    DPSynthError
        ``DPS533`` if a process was ended from outside; what is finished is kept.

    Privacy
    -------
    Every run spends its whole budget on the same rows: for public tables only.
    """
    joblib = require_extra("joblib", extra="benchmarks", purpose="A sweep")
    logs = store.folder / LOGS
    if any(isinstance(run.method, CommandSpec) for run in runs):
        logs.mkdir(exist_ok=True)
    tables = store.folder / SYNTHETIC if keep else None
    if tables is not None:
        tables.mkdir(exist_ok=True)
    if not runs:
        return
    # One thread each: fits of several processes would otherwise fight for the same cores.
    with joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        parallel: Any = joblib.Parallel(return_as="generator_unordered")
        began = time.monotonic()
        driver = os.getpid()
        outcomes = parallel(joblib.delayed(_finished)(run, logs, tables, driver) for run in runs)
        try:
            for done, (run, outcome) in enumerate(outcomes, 1):
                store.write(run, outcome)
                if progress is not None:
                    left = (time.monotonic() - began) / done * (len(runs) - done)
                    progress(Step(run=run, outcome=outcome, done=done, of=len(runs), left=left))
        except BrokenProcessPool:
            raise DPSynthError(
                "a process of the sweep was ended from outside, perhaps for want of memory; "
                "finished runs are kept.",
                code=ENDED,
                fix="give the same command again, with fewer jobs.",
            ) from None


def _finished(run: Run, logs: Path, tables: Path | None, driver: int) -> tuple[Run, Outcome]:
    _end_with(driver)
    return run, execute(run, logs=logs, tables=tables)


@functools.cache
def _end_with(driver: int) -> None:
    """See to it, once in a process, that it ends with the one that gave it its runs.

    A driver that is killed cannot tell its processes: they would go on for runs that nobody keeps.
    """
    if os.getpid() != driver:
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_EVERY)
    os._exit(1)


def execute(run: Run, *, logs: Path, tables: Path | None = None) -> Outcome:
    """Make one run; a failure is an outcome.

    Parameters
    ----------
    run : Run
        What to fit.
    logs : path
        Folder that receives what a peer prints.
    tables : path, optional
        Folder that receives the synthetic table.
    """
    began, used = time.monotonic(), _cpu()
    seconds = spent = 0.0
    try:
        synthetic, cliques = _generated(run, logs)
        seconds, spent = time.monotonic() - began, _cpu() - used
        if tables is not None:
            (tables / f"{run.digest}.csv").unlink(missing_ok=True)
            write_frame(synthetic, tables / f"{run.digest}.csv")
        figures = measuring.measure(
            synthetic, run.material, run.measures, claim=run.budget, cliques=cliques
        )
    except DPSynthError as error:
        return _failed(error.code, error.message, began, used)
    except Exception as error:  # a run that breaks must not end the others
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        return _failed(INTERNAL, f"internal error ({place}).", began, used)
    return Outcome(figures=tuple(figures), seconds=round(seconds, 2), cpu_seconds=round(spent, 2))


def _failed(code: str, message: str, began: float, used: float) -> Outcome:
    return Outcome(
        figures=(),
        seconds=round(time.monotonic() - began, 2),
        cpu_seconds=round(_cpu() - used, 2),
        code=code,
        message=message,
    )


def _generated(run: Run, logs: Path) -> tuple[pd.DataFrame, Sequence[Sequence[str]] | None]:
    material, method = run.material, run.method
    if not isinstance(method, CommandSpec):
        fitted = fitting.fit(
            method.method,
            method.settings,
            material.fit,
            material.schema,
            budget=run.budget,
            rows=material.rows,
        )
        return fitted.synthetic, fitted.cliques
    with tempfile.TemporaryDirectory(prefix="dpsynth-bench-") as scratch:
        out = Path(scratch) / "synthetic.csv"
        values = {
            "fit": str(material.fit.resolve()),
            "schema": str((material.folder / SCHEMA).resolve()),
            "epsilon": repr(run.budget.epsilon),
            "delta": repr(run.budget.delta),
            "rows": str(material.rows),
            "seed": str(run.seed),
            "out": str(out),
        }
        log = logs / f"{run.digest}.log"
        return run_peer(method, values, out=out, log=log), None


def _cpu() -> float:
    """Return the processor time of this process and of those it has waited for, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
