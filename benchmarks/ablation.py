"""What a method's defaults are worth: ``python -m benchmarks.ablation FOLDER... -o OUT``.

Each default is changed alone, and runs are made beside runs of the defaults. A quarter of the
training rows is held back for the figures: choices that were made by test rows would make those
rows worthless.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.frontier import sweep
from benchmarks.frontier.sweep import FIGURES, Outcome, Run
from benchmarks.frontier.tables import PublicTable
from benchmarks.frontier.variants import DEFAULTS, VARIANTS
from dpsynth.errors import DPSynthError
from dpsynth.files import read_frame, write_frame

_HELD_BACK = 0.25
_SEED = 0
"""Of the split, so that all runs of all sessions are measured on the same rows."""


def development(table: PublicTable, folder: Path) -> PublicTable:
    """Split the training rows of a table in rows to fit and rows to measure on.

    Parameters
    ----------
    table : PublicTable
        Its test rows are not read.
    folder : path
        Receives both parts.
    """
    rows = read_frame(table.train)
    chosen = np.random.default_rng(_SEED).random(len(rows)) < _HELD_BACK
    paths = folder / f"{table.name}-fit.csv", folder / f"{table.name}-held-back.csv"
    for path, part in zip(paths, (rows[~chosen], rows[chosen]), strict=True):
        write_frame(part.reset_index(drop=True), path)
    declared = int(float(f"{(1 - _HELD_BACK) * table.rows:.2g}"))
    return PublicTable(
        name=table.name, train=paths[0], test=paths[1], schema=table.schema, rows=declared
    )


def planned(
    tables: Sequence[PublicTable],
    *,
    methods: Sequence[str],
    epsilons: Sequence[float],
    delta: float,
    repetitions: int,
) -> list[Run]:
    """Return the runs of all variants, whole repetitions of a method one after another."""
    return [
        Run(
            table=table.name,
            method=method,
            epsilon=epsilon,
            delta=delta,
            repetition=repetition,
            variant=variant,
        )
        for method in methods
        for repetition, epsilon, table in itertools.product(range(repetitions), epsilons, tables)
        for variant in (DEFAULTS, *VARIANTS[method])
    ]


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return medians of every variant, with lowest and highest, as a table in Markdown."""
    lines = [
        "| method | table | ε | what was changed | runs | " + " | ".join(FIGURES) + " |",
        "|---|---|---|---|---|" + "---|" * len(FIGURES),
    ]
    groups: dict[tuple[str, str, float, str], list[Outcome]] = {}
    for outcome in outcomes:
        run = outcome.run
        key = (run.method, run.table, run.epsilon, run.variant)
        groups.setdefault(key, []).append(outcome)
    order = {key: (*key[:3], key[3] != DEFAULTS, key[3]) for key in groups}
    for key in sorted(groups, key=order.__getitem__):
        method, table, epsilon, variant = key
        found = groups[key]
        cells = [_cell([outcome.figures[name] for outcome in found]) for name in FIGURES]
        lines.append(
            f"| {method} | {table} | {epsilon:g} | {variant} | {len(found)} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines) + "\n"


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):.4f} ({min(values):.4f}–{max(values):.4f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that are missing and write the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="train.csv, test.csv and a schema")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--epsilon", type=float, nargs="+", default=[1.0])
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args(arguments)
    out: Path = chosen.output
    try:
        with tempfile.TemporaryDirectory(prefix="ablation-") as scratch:
            tables = [
                development(PublicTable.read(folder), Path(scratch)) for folder in chosen.folders
            ]
            runs = planned(
                tables,
                methods=chosen.methods,
                epsilons=chosen.epsilon,
                delta=chosen.delta,
                repetitions=chosen.repetitions,
            )
            out.mkdir(parents=True, exist_ok=True)
            kept = out / "runs.jsonl"
            for outcome in sweep.sweep(tables, runs, kept, jobs=chosen.jobs, keep=None):
                run = outcome.run
                print(f"{run.method}, {run.table}, {run.variant}", file=sys.stderr)
        (out / "ablation.md").write_text(markdown(sweep.read(kept)), encoding="utf-8")
    except DPSynthError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(out / "ablation.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
