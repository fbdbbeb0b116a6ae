"""Coverage in simulation: a quick run of every estimator, and the published table.

The draws are seeded: a verdict does not change from run to run.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from privacy_audits.estimate import Bound
from privacy_audits.estimate.coverage import (
    ALPHA,
    SIMULATIONS,
    Cell,
    cells,
    coverage_row,
    main,
    measure,
    power_row,
)

TABLE = Path(__file__).parents[3] / "docs" / "audits-coverage.md"
CELLS = list(cells())
QUICK = 300


def is_quick(cell: Cell) -> bool:
    """Whether few different counts occur, or a bound takes no more than a millisecond."""
    heavy = cell.estimator.startswith(("one_run_fdp", "one_run_order"))
    return not heavy or "; 100 guesses" in cell.setting and "μ = 1," not in cell.setting


@pytest.mark.parametrize(
    "cell", filter(is_quick, CELLS), ids=lambda cell: f"{cell.estimator}-{cell.truth:.3g}"
)
def test_coverage_of_a_quick_run(cell):
    # Five standard errors at the nominal level: 6.3 points.
    seen = measure(cell, simulations=QUICK)
    assert seen.coverage >= 1 - ALPHA - 5 * np.sqrt(ALPHA * (1 - ALPHA) / QUICK)
    if cell.truth > 0.9 and "leaked" not in cell.setting and "10 runs" not in cell.setting:
        assert seen.mean > 0.25 * cell.truth  # a bound that always says 0 covers as well


def published() -> dict[tuple[str, str, str], str]:
    rows = [line for line in TABLE.read_text("utf-8").splitlines() if "±" in line]
    parts = [[part.strip() for part in row.strip("|").split("|")] for row in rows]
    return {
        (name, setting, truth): row
        for (name, setting, truth, *_), row in zip(parts, rows, strict=True)
    }


def test_the_published_table_has_every_cell_and_no_other():
    named = {(cell.estimator, cell.setting, f"{cell.truth:.3f}") for cell in CELLS}
    assert len(named) == len(CELLS)
    assert {key for key in published() if not key[0].startswith("estimator")} == named
    assert f"--simulations {SIMULATIONS}" in TABLE.read_text("utf-8")


def test_no_published_coverage_is_below_the_nominal_one_by_more_than_chance():
    # 69 cells: three standard errors are passed by chance once in ten tables.
    for key, row in published().items():
        found = re.search(r"([\d.]+) ± [\d.]+", row)
        if found is not None:
            error = np.sqrt(ALPHA * (1 - ALPHA) / SIMULATIONS)
            assert float(found.group(1)) >= 1 - ALPHA - 3 * error, key


@pytest.mark.parametrize("name", ["clopper_pearson", "gaussian", "d_prime"])
def test_the_published_table_is_what_the_command_prints(name):
    rows = published().values()
    for cell in CELLS:
        if cell.estimator == name and cell.truth in (0.0, 2.0):
            assert coverage_row(cell, simulations=SIMULATIONS) in rows


def test_a_cell_depends_on_its_own_seed_only():
    cell = next(cell for cell in CELLS if cell.estimator == "d_prime")
    first = measure(cell, simulations=20, seed=1)
    assert first == measure(cell, simulations=20, seed=1)
    assert first != measure(cell, simulations=20, seed=2)


def test_coverage_counts_bounds_above_the_truth():
    drawn = iter([0.5, 1.0, 1.5, 2.0])

    def simulate(rng: np.random.Generator) -> Bound:
        lower = next(drawn)
        return Bound(
            quantity="mu",
            lower=lower,
            point=lower,
            ceiling=lower,
            method="given",
            assumptions=(),
            confidence=0.95,
        )

    cell = Cell(estimator="given", setting="given", truth=1.0, simulate=simulate)
    seen = measure(cell, simulations=4)
    assert (seen.coverage, seen.mean, seen.error) == (0.5, 1.25, 0.25)


def test_a_row_of_the_power_table():
    row = power_row(8.0, 100, simulations=5)
    means = [float(part) for part in row.strip("| ").split("|")[2:]]
    assert len(means) == 5
    assert means[0] < means[2] < means[4] < 8  # Steinke, order statistics, d′


def test_the_command_prints_both_tables(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["coverage", "--simulations", "1"])
    monkeypatch.setattr("privacy_audits.estimate.coverage.cells", lambda: iter(CELLS[:2]))
    monkeypatch.setattr(
        "privacy_audits.estimate.coverage.power_row",
        lambda epsilon, canaries, **kw: f"| {epsilon} | {canaries} | {kw['simulations']} |",
    )
    main()
    lines = capsys.readouterr().out.splitlines()
    assert sum("±" in line for line in lines) == 3  # the heading has one as well
    assert lines[-1] == "| 8.0 | 10000 | 1 |"
