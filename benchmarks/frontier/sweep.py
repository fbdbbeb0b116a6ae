"""Runs of a sweep: each one fit, one sample, its figures. What is done is not done again."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.frontier.tables import PublicTable
from benchmarks.frontier.variants import DEFAULTS, changed
from dpsynth.files import write_frame
from dpsynth.ledger import Ledger
from dpsynth.privacy import Budget

if TYPE_CHECKING:
    from benchmarks.discretise import Tables
    from benchmarks.report import Metric

FIGURES = {
    "tvd2": "tvd2.mean",
    "tvd3": "tvd3.mean",
    "tstr": "tstr.boosting.{score}",
    "linear": "tstr.linear.{score}",
}
"""Figures that are kept, and what :func:`benchmarks.evaluate` calls them."""

_SEED = 0
"""Of subsamples and learners: the same for all runs, so that only the tables differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One fit.

    Parameters
    ----------
    table, method : str
        What is fitted by what.
    epsilon, delta : float
        Budget; everything is charged.
    repetition : int
        Number of the repetition, from 0. The noise is the system's: none can be repeated.
    variant : str
        What was changed of the method's defaults (:mod:`benchmarks.frontier.variants`).
    """

    table: str
    method: str
    epsilon: float
    delta: float
    repetition: int
    variant: str = DEFAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run gave.

    Parameters
    ----------
    run : Run
        The run.
    figures : dict of str to float
        Its figures, by the names of :data:`FIGURES`.
    references : dict of str to float
        What rows of the table itself reach: the sampling floor, or the score of real rows.
    seconds : float
        Time of the fit, on a machine that runs several.
    """

    run: Run
    figures: dict[str, float]
    references: dict[str, float]
    seconds: float


def planned(
    tables: Sequence[PublicTable],
    *,
    methods: Sequence[str],
    epsilons: Sequence[float],
    delta: float,
    repetitions: int,
) -> list[Run]:
    """Return all runs of a sweep, whole repetitions one after another."""
    return [
        Run(table=table.name, method=method, epsilon=epsilon, delta=delta, repetition=repetition)
        for repetition, table, epsilon, method in itertools.product(
            range(repetitions), tables, epsilons, methods
        )
    ]


def read(path: Path) -> list[Outcome]:
    """Return the outcomes that a file holds; a line that was cut off is left out."""
    outcomes = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            kept = json.loads(line)
        except ValueError:
            continue
        outcomes.append(Outcome(**{**kept, "run": Run(**kept["run"])}))
    return outcomes


def sweep(
    tables: Sequence[PublicTable], runs: Sequence[Run], path: Path, *, jobs: int, keep: Path | None
) -> Iterator[Outcome]:
    """Make the runs that a file does not hold yet, and add them to it one by one.

    Parameters
    ----------
    tables : sequence of PublicTable
        The tables.
    runs : sequence of Run
        All runs of the sweep.
    path : path
        File of outcomes, one line of JSON each.
    jobs : int
        Processes.
    keep : path, optional
        Folder that receives the synthetic tables.
    """
    from joblib import Parallel, delayed

    done = {outcome.run for outcome in read(path)}
    by_name = {table.name: table for table in tables}
    waiting = [delayed(_make)(by_name[run.table], run, keep) for run in runs if run not in done]
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", inner_max_num_threads=1)
    with path.open("a", encoding="utf-8") as file:
        for outcome in parallel(waiting):
            file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
            file.flush()
            yield outcome


def _make(table: PublicTable, run: Run, keep: Path | None) -> Outcome:
    from benchmarks.discretise import conform_tables

    budget = Budget(epsilon=run.epsilon, delta=run.delta)
    model = changed(run.method, run.variant, table.schema, budget=budget, rows=table.rows)
    ledger = Ledger.in_memory(dataset=table.name, budget=budget, unit=table.schema.unit)
    began = time.monotonic()
    model.fit(table.train, budget=budget, ledger=ledger, dataset=table.name, rows=table.rows)
    seconds = time.monotonic() - began
    synthetic = model.sample()
    if keep is not None:
        name = f"{run.table}-{run.method}-{run.epsilon:g}-{run.repetition}.csv"
        (keep / name).unlink(missing_ok=True)
        write_frame(synthetic, keep / name)
    report = _measured(conform_tables(synthetic, table.train, table.test, table.schema))
    score = "auroc" if "tstr.boosting.auroc" in report else "r2"
    figures, references = {}, {}
    for figure, name in FIGURES.items():
        name = name.format(score=score)
        metric = report[name]
        figures[figure] = metric.value
        real = name.replace("tstr", "trtr")
        reference = report[real].value if real != name else metric.floor
        if reference is not None:
            references[figure] = reference
    return Outcome(run=run, figures=figures, references=references, seconds=round(seconds, 1))


def _measured(tables: Tables) -> dict[str, Metric]:
    """Return error and prediction; whether a table can be told costs more than all fits do."""
    from benchmarks import marginals, prediction

    sections = [
        part.measure(tables, rng=np.random.default_rng([_SEED, number]))
        for number, part in enumerate((marginals, prediction))
    ]
    return {metric.name: metric for section in sections for metric in section.metrics}
