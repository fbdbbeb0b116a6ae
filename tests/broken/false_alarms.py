"""Counts false alarms: every bench with its real part, again and again.

``python -m tests.broken.false_alarms STATE --passes 100`` appends one JSON line per pass to STATE,
skips the passes that are there, and prints what they add up to as Markdown; ``--write`` puts it
into ``docs/audits.md``. A pass has a seed of its own for tables and recorded coins, and fresh
entropy for all noise.

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

from tests.broken.benches import BENCHES
from tests.broken.matrix import PAGE, with_section
from tests.broken.surroundings import private_state

FAMILY_ALPHA = 1e-3
"""Most chance that a pass over code that is what it says it is raises any alarm."""

COMMAND = "python -m tests.broken.false_alarms STATE --passes {}"


@dataclass(frozen=True, kw_only=True)
class Pass:
    """Results of one pass.

    Parameters
    ----------
    seed : int
    benches : int
        Number of benches.
    exact : int
        Number of results that draw nothing at random.
    failed : list of str
        Benches with an exact result that failed.
    p_values : list of float
        Of all statistical results.
    """

    seed: int
    benches: int
    exact: int
    failed: list[str]
    p_values: list[float]

    @property
    def alarms(self) -> int:
        """Number of results that fail at the family's level."""
        level = FAMILY_ALPHA / max(1, len(self.p_values))
        return len(self.failed) + sum(p < level for p in self.p_values)


def one_pass(seed: int) -> Pass:
    """Put every real part on its bench."""
    exact, failed, p_values = 0, [], []
    for name, bench in BENCHES.items():
        for result in bench(bench.real, seed=seed):
            if result.p_value is None:
                exact += 1
                failed += [] if result.passed else [f"{name}: {result.name}"]
            else:
                p_values.append(result.p_value)
    return Pass(seed=seed, benches=len(BENCHES), exact=exact, failed=failed, p_values=p_values)


def report(passes: Sequence[Pass]) -> str:
    """Return what the passes add up to, in Markdown."""
    p_values = sorted(p for one in passes for p in one.p_values)
    alarmed = sum(one.alarms > 0 for one in passes)
    last = passes[-1]
    return "\n".join(
        [
            f"`{COMMAND.format(len(passes))}`:",
            "",
            "| passes | benches | exact results per pass | statistical results per pass | "
            "passes with an alarm |",
            "|---|---|---|---|---|",
            f"| {len(passes)} | {last.benches} | {last.exact} | {len(last.p_values)} | "
            f"**{alarmed}** |",
            "",
            f"Of {len(p_values):,} p-values {_share(p_values, 0.1)} are below 0.1, "
            f"{_share(p_values, 0.01)} below 0.01 and {_share(p_values, 0.001)} below 0.001; "
            f"the least is {p_values[0]:.1e}, and an alarm needs "
            f"{FAMILY_ALPHA / len(last.p_values):.1e}. Some tests are bounds (Bonferroni, "
            "discrete counts), so that fewer small ones than their level are expected.",
        ]
    )


def _share(p_values: Sequence[float], level: float) -> str:
    return f"{100 * sum(p < level for p in p_values) / len(p_values):.2f}%"


def stated_benches(text: str) -> int:
    """Return the number of benches that a report states."""
    found = re.search(r"^\| \d+ \| (\d+) \|", text, flags=re.MULTILINE)
    return int(found[1]) if found else 0


def read(state: Path) -> dict[int, Pass]:
    """Return the passes that are there, by seed."""
    if not state.exists():
        return {}
    lines = state.read_text(encoding="utf-8").splitlines()
    found = [Pass(**json.loads(line)) for line in lines if line.endswith("}")]
    return {one.seed: one for one in found}


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing; return 0 if no pass alarmed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("state", type=Path, help="JSON lines, one per pass")
    parser.add_argument("--passes", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="write into docs/audits.md")
    chosen = parser.parse_args(arguments)
    done = read(chosen.state)
    with private_state(), chosen.state.open("a", encoding="utf-8") as file:
        for seed in range(chosen.passes):
            if seed not in done:
                done[seed] = one_pass(seed)
                file.write(json.dumps(asdict(done[seed])) + "\n")
                file.flush()
    passes = [done[seed] for seed in range(chosen.passes)]
    text = report(passes)
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_section(page, "false alarms", text), encoding="utf-8")
    sys.stdout.write(text + "\n")
    for one in passes:
        for name in one.failed:
            sys.stderr.write(f"seed {one.seed}: {name}\n")
    return int(any(one.alarms for one in passes))


if __name__ == "__main__":
    sys.exit(main())
