"""``python -m benchmarks.validity -o OUT``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.simulators import SIMULATORS
from benchmarks.validity import study
from dpsynth.errors import DPSynthError, UsageError
from dpsynth.methods import METHODS

METHODS_STUDIED = ("independent", "mst", "dp-vae", "dp-autoregressive")
FAST = (*study.CONTROLS, "independent", "mst")
"""Methods whose fit takes less than a second."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, draw, run the regressions, summarise; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.validity",
        description="Coverage of intervals from synthetic tables, on simulated truth.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", default=list(SIMULATORS), choices=SIMULATORS)
    parser.add_argument(
        "--methods",
        nargs="+",
        default=[*study.CONTROLS, *METHODS_STUDIED],
        choices=[*study.CONTROLS, *METHODS],
    )
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.5, 1.0, 3.0, 10.0])
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--repetitions", type=int, default=30, help="of methods that fit at once")
    parser.add_argument("--slow-repetitions", type=int, default=10, help="of the other methods")
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args(arguments)
    try:
        if min(chosen.repetitions, chosen.slow_repetitions) < 2:
            raise UsageError("a spread needs at least two repetitions.")
        runs = study.planned(
            chosen.tables,
            methods=chosen.methods,
            epsilons=chosen.epsilon,
            delta=chosen.delta,
            rows=chosen.rows,
            repetitions={
                method: chosen.repetitions if method in FAST else chosen.slow_repetitions
                for method in chosen.methods
            },
        )
        out: Path = chosen.output
        out.mkdir(parents=True, exist_ok=True)
        kept = out / "runs.jsonl"
        for number, outcome in enumerate(study.study(runs, kept, jobs=chosen.jobs), start=1):
            run = outcome.run
            print(f"{number}: {run.table}, {run.method}, ε = {run.epsilon}", file=sys.stderr)
        from benchmarks.validity import coverage, figure

        wanted = set(runs)
        found = coverage.summarise([o for o in study.read(kept) if o.run in wanted])
        (out / "coverage.md").write_text(coverage.markdown(found), encoding="utf-8")
        figure.draw(found, out / "coverage.svg")
    except DPSynthError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(out / "coverage.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
