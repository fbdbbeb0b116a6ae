"""Every broken twin is caught, by the check that is meant for it, and the real part is not.

False alarms: 1e-6 per statistical result of a real part; ``tests/broken/false_alarms.py`` counts
them over many passes. Misses: the weakest twin stands about eight standard errors beyond what
alarms. What is exact draws nothing, or draws the same coins in every run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from privacy_audits import conformance
from privacy_audits.conformance import ALPHA
from tests.broken import false_alarms, matrix
from tests.broken.benches import BENCHES
from tests.broken.twins import MUTANTS, TWINS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(TWINS))
def test_the_twin_is_caught(name: str) -> None:
    assert matrix.is_killed(name)


@pytest.mark.parametrize("name", sorted(BENCHES))
def test_the_real_part_passes_the_same_checks(name: str) -> None:
    bench = BENCHES[name]
    assert [result for result in bench(bench.real) if not result.passed] == []


def test_every_mutant_has_a_twin_and_every_twin_a_mutant() -> None:
    assert {twin.mutant for twin in TWINS.values()} == set(MUTANTS)
    assert [mutant for mutant in MUTANTS if mutant.startswith("M")] == [
        f"M{number}" for number in range(1, 19)
    ]


def test_every_bench_has_a_twin() -> None:
    assert {twin.bench.name for twin in TWINS.values()} == set(BENCHES)


def test_every_conformance_check_is_used_by_a_bench() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests/broken/benches").glob("*.py")
    )
    checks = [name for name in conformance.__all__ if name[0].islower()]
    tables = {"cancelling_units"}
    assert [name for name in checks if f"{name}(" not in sources and name not in tables] == []


def test_the_page_of_audits_is_the_matrix() -> None:
    page = matrix.PAGE.read_text(encoding="utf-8")
    assert matrix.section(page, "matrix") == matrix.rendered(dict.fromkeys(TWINS, True))


def test_the_page_of_audits_counts_the_false_alarms_of_this_suite() -> None:
    page = matrix.PAGE.read_text(encoding="utf-8")
    assert false_alarms.stated_benches(matrix.section(page, "false alarms")) == len(BENCHES)


def test_a_surviving_twin_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = TWINS["noise x0.5"]
    honest = type(twin)(twin.mutant, twin.bench, twin.bench.real, twin.caught_by)
    monkeypatch.setitem(TWINS, "noise x0.5", honest)
    assert not matrix.is_killed("noise x0.5")
    killed = dict.fromkeys(TWINS, True) | {"noise x0.5": False}
    assert "| | noise x0.5 | noise scale | 1 release of 10,000 values | **no** |" in matrix.table(
        killed
    )
    assert matrix.summary(killed).startswith(f"{len(MUTANTS) - 2} of {len(MUTANTS) - 1} mutants")


def test_the_share_of_a_pass_is_at_least_that_of_a_check() -> None:
    # A pass of the suite as a whole keeps the stated level.
    assert false_alarms.FAMILY_ALPHA / ALPHA >= 10 * len(BENCHES)


def test_the_pitfalls_page_names_what_exists() -> None:
    page = (ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8")
    files: dict[str, str] = {}
    for path in sorted(ROOT.glob("tests/**/*.py")):
        files[path.name] = files.get(path.name, "") + path.read_text(encoding="utf-8")
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", page)
    assert len(named) > 50
    assert [pair for pair in named if f"def {pair[1]}(" not in files.get(pair[0], "")] == []
    twins = [name for group in re.findall(r"; twins? ([^|;]+)", page) for name in group.split(",")]
    assert sorted({name.strip(" *") for name in twins} - set(TWINS)) == []
