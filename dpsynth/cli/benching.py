"""The command for research on public tables."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from dpsynth.cli.console import AsJson, Output, clock, out, say

if TYPE_CHECKING:
    from dpsynth.bench.driver import Step
    from dpsynth.bench.runs import Run
    from dpsynth.bench.store import Store


def bench(
    sweep: Path | None = None,
    *,
    output: Output = None,
    jobs: int | None = None,
    retry: bool = False,
    keep: bool = False,
    dry_run: bool = False,
    example: bool = False,
    as_json: AsJson = False,
) -> None:
    """Fit methods to public tables over budgets and repetitions; measure utility and attacks.

    For tables that anybody may know, and no others: every run spends its whole budget on the same
    rows and shows figures of them. The same command goes on where it was interrupted. A run that
    fails is an outcome; the exit code is 0 all the same, and 2 for a sweep file that cannot be run,
    3 for a table that does not fit its schema, 6 for a damaged file of results.

    Parameters
    ----------
    sweep
        TOML file; --example prints one.
    output
        Folder for runs, results.parquet, figures, results.md and bench.html.
    jobs
        Processes; by default what the sweep file says.
    retry
        Make runs that failed again.
    keep
        Keep the synthetic tables too.
    dry_run
        List the runs that are to be made and a rough cost; make none.
    example
        Print a sweep file with comments.
    as_json
        Print one JSON document.
    """
    from dpsynth.errors import UsageError

    if example:
        print(resources.files("dpsynth.bench").joinpath("example.toml").read_text("utf-8"), end="")
        return
    if sweep is None or output is None:
        raise UsageError(
            "a sweep needs a file and a folder.",
            fix="dpsynth bench sweep.toml -o FOLDER, or dpsynth bench --example > sweep.toml.",
        )
    from dpsynth.bench import driver, page
    from dpsynth.bench.headlines import ONE_RUN
    from dpsynth.bench.parsing import read_sweep
    from dpsynth.bench.runs import planned
    from dpsynth.bench.store import RESULTS, TABLES, Store

    plan = read_sweep(sweep)
    store = Store(output)
    runs = planned(plan, output / TABLES)
    waiting = driver.waiting(runs, store, retry=retry)
    say(f"{len(runs)} runs, {len(waiting)} to be made; public tables, a fresh budget each")
    if dry_run:
        _list(runs, waiting, store, as_json)
        return
    driver.make(waiting, store, jobs=jobs or plan.jobs, keep=keep, progress=_say)
    frame = store.consolidate(runs)
    written = page.write(frame, output, planned=len(runs))
    one = frame.drop_duplicates(ONE_RUN)
    document = {
        "runs": len(one),
        "made": len(waiting),
        "failed": int((one["status"] == "failed").sum()),
        "results": str(output / RESULTS),
        "page": str(written),
    }
    out(document, str(written), as_json)


def _say(step: Step) -> None:
    outcome = step.outcome
    result = f"failed, {outcome.code}: {outcome.message}" if outcome.failed else "done"
    say(
        f"[{step.done}/{step.of}] {step.run}: {result} in {outcome.seconds:.0f} s; "
        f"about {clock(step.left)} left"
    )


def _list(runs: list[Run], waiting: list[Run], store: Store, as_json: bool) -> None:
    from dpsynth.bench.cost import estimated

    costs = estimated(waiting, runs, store)
    known = sum(cost for cost in costs.values() if cost is not None)
    lines = [str(run) for run in waiting]
    lines += [
        f"{method}: " + ("unknown" if cost is None else f"about {clock(cost)} of one core")
        for method, cost in costs.items()
    ]
    lines.append(f"in all: about {clock(known)} of one core, and what measuring takes")
    document = {"runs": [str(run) for run in waiting], "cpu_seconds": costs}
    out(document, "\n".join(lines), as_json)
