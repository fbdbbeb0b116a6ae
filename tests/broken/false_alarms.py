"""Counts false alarms: every bench with its real part, again and again.

``python -m tests.broken.false_alarms STATE --passes 100`` appends one JSON line per pass and
bench to STATE, skips those that are there, and prints what they add up to as Markdown;
``--write`` puts it into ``docs/audits.md``. A pass has a seed of its own for tables and recorded
coins, and fresh entropy for all noise.

A pass is judged at :data:`FAMILY_ALPHA`: a statistical result alarms if its p-value is below that
level over the number of statistical results of the pass (Bonferroni), an exact one if it fails.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.broken.benches import BENCHES, Bench
from tests.broken.matrix import PAGE, with_section
from tests.broken.surroundings import private_state

FAMILY_ALPHA = 1e-3
"""Most chance that a pass over code that is what it says it is raises any alarm."""

COMMAND = "python -m tests.broken.false_alarms STATE --passes 100"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Results of one bench in one pass.

    Parameters
    ----------
    seed : int
        Number of the pass.
    bench : str
    exact : int
        Number of results that draw nothing at random.
    failed : list of str
        Names of the exact results that failed.
    p_values : list of float
        Of all statistical results.
    """

    seed: int
    bench: str
    exact: int
    failed: list[str]
    p_values: list[float]


def run(bench: Bench, seed: int) -> Row:
    """Put the real part on a bench."""
    results = bench(bench.real, seed=seed)
    exact = [result for result in results if result.p_value is None]
    return Row(
        seed=seed,
        bench=bench.name,
        exact=len(exact),
        failed=[result.name for result in exact if not result.passed],
        p_values=[result.p_value for result in results if result.p_value is not None],
    )


def alarms(rows: Sequence[Row]) -> list[str]:
    """Return the benches of one pass that alarm at the family's level, one name per result."""
    level = FAMILY_ALPHA / max(1, sum(len(row.p_values) for row in rows))
    return [
        row.bench
        for row in rows
        for _ in range(len(row.failed) + sum(p < level for p in row.p_values))
    ]


def report(passes: Sequence[Sequence[Row]]) -> str:
    """Return what the passes add up to, in Markdown."""
    p_values = sorted(p for rows in passes for row in rows for p in row.p_values)
    alarmed = sum(bool(alarms(rows)) for rows in passes)
    exact = sum(row.exact for row in passes[-1])
    statistical = sum(len(row.p_values) for row in passes[-1])
    return "\n".join(
        [
            f"`{COMMAND}`:",
            "",
            "| passes | benches | exact results per pass | statistical results per pass | "
            "passes with an alarm |",
            "|---|---|---|---|---|",
            f"| {len(passes)} | {len(passes[-1])} | {exact} | {statistical} | **{alarmed}** |",
            "",
            f"Of {len(p_values):,} p-values {_share(p_values, 0.1)} are below 0.1, "
            f"{_share(p_values, 0.01)} below 0.01 and {_share(p_values, 0.001)} below 0.001; "
            f"the least is {p_values[0]:.1e}, and an alarm needs "
            f"{FAMILY_ALPHA / statistical:.1e}. Some tests are bounds (Bonferroni, discrete "
            "counts), so that fewer small p-values than their level are expected.",
        ]
    )


def _share(p_values: Sequence[float], level: float) -> str:
    return f"{100 * sum(p < level for p in p_values) / len(p_values):.2f}%"


def stated_benches(text: str) -> int:
    """Return the number of benches that a report states."""
    found = re.search(r"^\| \d+ \| (\d+) \|", text, flags=re.MULTILINE)
    return int(found[1]) if found else 0


def read(state: Path) -> dict[tuple[int, str], Row]:
    """Return the rows that are there, by pass and bench."""
    if not state.exists():
        return {}
    lines = state.read_text(encoding="utf-8").splitlines()
    # A line that was cut off when the command was killed is run again.
    found = [Row(**json.loads(line)) for line in lines if line.endswith("}")]
    return {(row.seed, row.bench): row for row in found}


def _run_what_is_missing(state: Path, done: dict[tuple[int, str], Row], *, passes: int) -> None:
    with private_state(), state.open("a", encoding="utf-8") as file:
        for seed in range(passes):
            for name, bench in BENCHES.items():
                if (seed, name) not in done:
                    done[seed, name] = run(bench, seed)
                    file.write(json.dumps(asdict(done[seed, name])) + "\n")
                    file.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing; return 0 if no pass alarmed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("state", type=Path, help="JSON lines, one per pass and bench")
    parser.add_argument("--passes", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="write into docs/audits.md")
    parser.add_argument("--so-far", action="store_true", help="run nothing, report what is there")
    chosen = parser.parse_args(arguments)
    done = read(chosen.state)
    if not chosen.so_far:
        _run_what_is_missing(chosen.state, done, passes=chosen.passes)
    seeds = [s for s in range(chosen.passes) if all((s, name) in done for name in BENCHES)]
    passes = [[done[seed, name] for name in BENCHES] for seed in seeds]
    if not passes:
        parser.error("no pass is complete.")
    text = report(passes)
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_section(page, "false alarms", text), encoding="utf-8")
    sys.stdout.write(text + "\n")
    for seed, rows in zip(seeds, passes, strict=True):
        for name in alarms(rows):
            sys.stderr.write(f"pass {seed}: {name}\n")
    return int(any(alarms(rows) for rows in passes))


if __name__ == "__main__":
    sys.exit(main())
