"""``python -m benchmarks.frontier FOLDER... -o OUT``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.frontier import figure, sweep
from benchmarks.frontier.tables import PublicTable
from dpsynth.errors import DPSynthError
from dpsynth.methods import METHODS


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, measure and draw; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.frontier", description="Utility against ε on public tables."
    )
    parser.add_argument("folders", type=Path, nargs="+", help="train.csv, test.csv and a schema")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.5, 1.0, 3.0, 10.0])
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep the synthetic tables")
    chosen = parser.parse_args(arguments)
    try:
        tables = [PublicTable.read(folder) for folder in chosen.folders]
        runs = sweep.planned(
            tables,
            methods=chosen.methods,
            epsilons=chosen.epsilon,
            delta=chosen.delta,
            repetitions=chosen.repetitions,
        )
        out: Path = chosen.output
        keep = out / "tables" if chosen.keep else None
        (keep or out).mkdir(parents=True, exist_ok=True)
        kept = out / "runs.jsonl"
        for outcome in sweep.sweep(tables, runs, kept, jobs=chosen.jobs, keep=keep):
            run = outcome.run
            print(
                f"{run.table}, {run.method}, ε = {run.epsilon:g}: {outcome.seconds:.0f} s",
                file=sys.stderr,
            )
        outcomes = [outcome for outcome in sweep.read(kept) if outcome.run in set(runs)]
        (out / "frontier.md").write_text(figure.markdown(outcomes), encoding="utf-8")
        figure.draw(outcomes, out / "frontier.svg")
    except DPSynthError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(out / "frontier.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
