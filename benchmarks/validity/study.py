"""Runs of the study: a fresh table, a fit, five samples, their regressions."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.inference.formulas import Formula, Layout, read_rows
from benchmarks.inference.regression import fit
from benchmarks.report import finite
from benchmarks.simulators import SIMULATORS
from benchmarks.simulators.base import INTERCEPT
from dpsynth.ledger import Ledger
from dpsynth.methods import method_class
from dpsynth.privacy import Budget
from dpsynth.schema import Schema

SAMPLES = 5
"""Synthetic tables per fit."""
REAL, BOOTSTRAP = "real", "bootstrap"
CONTROLS = (REAL, BOOTSTRAP)
"""Without privacy: fresh rows of the law, and fit rows drawn with replacement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One fit.

    Parameters
    ----------
    table : str
        A simulator.
    method : str
        A method, or one of :data:`CONTROLS`.
    epsilon : float or None
        Budget; None for a control.
    delta : float
        Budget.
    rows : int
        Rows of the table to fit, and of every sample.
    repetition : int
        Number from 0. It decides the rows, which are the same for all methods and ε. The noise is
        the system's: none can be repeated.
    """

    table: str
    method: str
    epsilon: float | None
    delta: float
    rows: int
    repetition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """One coefficient in all tables of a run; None where rows do not determine it.

    Parameters
    ----------
    formula, coefficient : str
        Which one.
    truth : float
        What it is.
    fit : tuple of (float or None, float or None)
        Estimate and standard error on the rows to fit.
    samples : tuple of (float or None, float or None)
        The same on every synthetic table, as if its rows were real.
    """

    formula: str
    coefficient: str
    truth: float
    fit: tuple[float | None, float | None]
    samples: tuple[tuple[float | None, float | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run gave.

    Parameters
    ----------
    run : Run
        The run.
    coefficients : tuple of Estimated
        All coefficients of all formulas, without constants.
    seconds : float
        Processor time of the fit.
    """

    run: Run
    coefficients: tuple[Estimated, ...]
    seconds: float


def planned(
    tables: Sequence[str],
    *,
    methods: Sequence[str],
    epsilons: Mapping[str, Sequence[float]],
    delta: float,
    rows: int,
    repetitions: Mapping[str, int],
) -> list[Run]:
    """Return all runs, whole repetitions one after another.

    Parameters
    ----------
    tables, methods : sequence of str
        Simulators; methods and controls.
    epsilons : mapping of str to sequence of float
        Budgets by method; controls have none.
    delta : float
        Budget.
    rows : int
        Rows per table.
    repetitions : mapping of str to int
        By method.
    """
    return [
        Run(
            table=table,
            method=method,
            epsilon=epsilon,
            delta=delta,
            rows=rows,
            repetition=repetition,
        )
        for repetition, table, method in itertools.product(
            range(max(repetitions.values())), tables, methods
        )
        for epsilon in ((None,) if method in CONTROLS else epsilons[method])
        if repetition < repetitions[method]
    ]


def read(path: Path) -> list[Outcome]:
    """Return the outcomes that a file holds; a line that was cut off is left out."""
    outcomes = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            kept = json.loads(line)
        except ValueError:
            continue
        coefficients = tuple(_estimated(entry) for entry in kept["coefficients"])
        outcomes.append(
            Outcome(run=Run(**kept["run"]), coefficients=coefficients, seconds=kept["seconds"])
        )
    return outcomes


def _estimated(entry: Mapping[str, Any]) -> Estimated:
    pairs = tuple((point, error) for point, error in entry["samples"])
    point, error = entry["fit"]
    return Estimated(**{**entry, "fit": (point, error), "samples": pairs})


def study(runs: Sequence[Run], path: Path, *, jobs: int) -> Iterator[Outcome]:
    """Make the runs that a file does not hold yet, and add them to it one by one.

    Parameters
    ----------
    runs : sequence of Run
        All runs of the study.
    path : path
        File of outcomes, one line of JSON each.
    jobs : int
        Processes.
    """
    from joblib import Parallel, delayed

    done = {outcome.run for outcome in read(path)}
    waiting = [delayed(_make)(run) for run in runs if run not in done]
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", inner_max_num_threads=1)
    if path.exists() and path.read_bytes()[-1:] not in (b"", b"\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")  # a line that was cut off must not swallow the next one
    with path.open("a", encoding="utf-8") as file:
        for outcome in parallel(waiting):
            file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
            file.flush()
            yield outcome


def _make(run: Run) -> Outcome:
    simulator = SIMULATORS[run.table]
    place = list(SIMULATORS).index(run.table)
    rng = np.random.default_rng([run.repetition, place])
    real = simulator.draw(run.rows, rng)
    began = time.process_time()
    if run.method == REAL:
        drawn = [simulator.draw(run.rows, rng) for _ in range(SAMPLES)]
    elif run.method == BOOTSTRAP:
        drawn = [real.iloc[rng.integers(0, run.rows, run.rows)] for _ in range(SAMPLES)]
    else:
        drawn = _samples(run, real, simulator.schema, rng)
    seconds = round(time.process_time() - began, 2)
    coefficients = [
        estimated
        for formula, truth in simulator.truth.items()
        for estimated in _regress(
            Formula.of(formula, simulator.schema),
            {name: value for name, value in truth.items() if name != INTERCEPT},
            real,
            drawn,
            simulator.schema,
            real_samples=run.method == REAL,
        )
    ]
    return Outcome(run=run, coefficients=tuple(coefficients), seconds=seconds)


def _samples(
    run: Run, real: pd.DataFrame, schema: Schema, rng: np.random.Generator
) -> list[pd.DataFrame]:
    assert run.epsilon is not None
    budget = Budget(epsilon=run.epsilon, delta=run.delta)
    ledger = Ledger.in_memory(dataset=run.table, budget=budget, unit=schema.unit)
    model = method_class(run.method)(schema)
    model.fit(real, budget=budget, ledger=ledger, dataset=run.table, rows=run.rows)
    return [model.sample(run.rows, seed=int(rng.integers(2**31))) for _ in range(SAMPLES)]


def _regress(
    formula: Formula,
    truth: Mapping[str, float],
    real: pd.DataFrame,
    drawn: Sequence[pd.DataFrame],
    schema: Schema,
    *,
    real_samples: bool,
) -> list[Estimated]:
    """Run one regression on the real and on every synthetic table."""
    rows, levels = read_rows(formula, real, schema, has_units=True)
    layout = Layout.of(formula, levels, rows.complete)
    fits = [fit(layout, rows)]
    for table in drawn:
        rows, _ = read_rows(formula, table, schema, has_units=real_samples)
        fits.append(fit(layout, rows))
    pairs = {
        name: [(finite(found.estimates[i]), finite(found.errors[i])) for found in fits]
        for i, name in enumerate(layout.names)
    }
    return [
        Estimated(
            formula=formula.text,
            coefficient=name,
            truth=value,
            fit=pairs[name][0],
            samples=tuple(pairs[name][1:]),
        )
        for name, value in truth.items()
    ]
