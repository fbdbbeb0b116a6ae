"""Runs the mutation matrix and writes its table into ``docs/audits.md``.

``python -m tests.broken.matrix`` puts every twin on its bench and every real part on every bench,
and writes the table between the markers of the page. It ends with 1 if a twin survives or a real
part fails. ``--print`` writes to standard output instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.broken.benches import BENCHES
from tests.broken.surroundings import private_state
from tests.broken.twins import BEYOND, MUTANTS, TWINS

PAGE = Path(__file__).parents[2] / "docs" / "audits.md"


def is_killed(name: str) -> bool:
    """Whether the check that is meant for a twin fails on it."""
    twin = TWINS[name]
    failed = {result.name for result in twin.bench(twin.part) if not result.passed}
    return twin.caught_by in failed


def failures_of_real_parts() -> list[str]:
    """Names of benches on which the real part fails a check."""
    return [
        name
        for name, bench in BENCHES.items()
        if any(not result.passed for result in bench(bench.real))
    ]


def table(killed: Mapping[str, bool]) -> str:
    """Return the table of mutants in Markdown: one line per twin."""
    lines = ["| mutant | twin | killer | runs | killed |", "|---|---|---|---|---|"]
    for mutant, what in MUTANTS.items():
        number = "" if mutant == BEYOND else f"{mutant} "
        lines.append(f"| **{number}{what}** | | | | |")
        for name, twin in TWINS.items():
            if twin.mutant == mutant:
                says = "yes" if killed[name] else "**no**"
                lines.append(f"| | {name} | {twin.caught_by} | {twin.bench.runs} | {says} |")
    return "\n".join(lines)


def summary(killed: Mapping[str, bool]) -> str:
    """Return one sentence: how many are killed."""
    listed = [mutant for mutant in MUTANTS if mutant != BEYOND]
    dead = [m for m in listed if _all(killed[n] for n, t in TWINS.items() if t.mutant == m)]
    return (
        f"{len(dead)} of {len(listed)} mutants are killed, by {len(TWINS)} twins on "
        f"{len(BENCHES)} benches; {sum(killed.values())} twins are killed."
    )


def _all(killed: Iterable[bool]) -> bool:
    found = list(killed)
    return bool(found) and all(found)


def section(page: str, name: str) -> str:
    """Return what stands between the markers of a section."""
    return page.split(_begin(name), 1)[1].split(_end(name), 1)[0].strip("\n")


def with_section(page: str, name: str, text: str) -> str:
    """Return the page with another text between the markers of a section."""
    before, rest = page.split(_begin(name), 1)
    _, after = rest.split(_end(name), 1)
    return f"{before}{_begin(name)}\n{text}\n{_end(name)}{after}"


def _begin(name: str) -> str:
    return f"<!-- {name}: generated -->"


def _end(name: str) -> str:
    return f"<!-- /{name} -->"


def rendered(killed: Mapping[str, bool]) -> str:
    """Return the generated part of the page."""
    return f"{summary(killed)}\n\n{table(killed)}"


def main(arguments: list[str] | None = None) -> int:
    """Run everything; return 0 if all twins are killed and no real part is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="write to standard output")
    chosen = parser.parse_args(arguments)
    with private_state():
        killed = {}
        for name in TWINS:
            killed[name] = is_killed(name)
            if not killed[name]:
                sys.stderr.write(f"survives: {name}\n")
        failed = failures_of_real_parts()
    for name in failed:
        sys.stderr.write(f"false alarm: {name}\n")
    if chosen.print:
        sys.stdout.write(rendered(killed) + "\n")
    else:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_section(page, "matrix", rendered(killed)), encoding="utf-8")
    return int(bool(failed) or not all(killed.values()))


if __name__ == "__main__":
    sys.exit(main())
