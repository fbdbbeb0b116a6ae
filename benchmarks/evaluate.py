"""Measure what a synthetic table is still good for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmarks.report import Metric, Section, UtilityReport
from benchmarks.uses import Thresholds
from dpsynth.errors import UsageError, require_extra
from dpsynth.evidence import Finding, Severity

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from benchmarks.discretise import Tables
    from benchmarks.workload import Workload
    from dpsynth.privacy import Budget
    from dpsynth.schema import Schema
    from dpsynth.table import Source

Progress = Callable[[str], None]
"""Is told the name of a part that is about to be measured."""

MIN_ROWS = 1_000
"""With fewer rows in a table, sampling noise hides what a person would want to know."""


def evaluate(
    synthetic: Source,
    fit: Source,
    holdout: Source,
    schema: Schema,
    *,
    seed: int = 0,
    table_sha256: str | None = None,
    budget: Budget | None = None,
    workload: Workload | None = None,
    thresholds: Thresholds | None = None,
    progress: Progress | None = None,
) -> UtilityReport:
    """Compare a synthetic table with the rows it was fitted to and with rows nothing has seen.

    Parameters
    ----------
    synthetic : path, DataFrame or Arrow table
        The table to be released. Key columns are ignored.
    fit : path, DataFrame or Arrow table
        Rows that the model was fitted to.
    holdout : path, DataFrame or Arrow table
        Rows of other privacy units, never seen by the model, its codec or its tuning.
    schema : Schema
        Public facts; all three tables are brought to its terms first.
    seed : int
        Governs subsampling, folds, bootstrap and the learners. It has nothing to do with privacy.
    table_sha256 : str, optional
        Digest of the file that will be released. By default that of ``synthetic`` where it is a
        path; needed for :meth:`~benchmarks.report.UtilityReport.evidence`.
    budget : Budget, optional
        What the table was released under. Models are then trained under the same (ε, δ) on the
        fitted rows, for comparison only: nothing is booked, and no such model leaves this function.
    workload : Workload, optional
        Marginals that matter, with weights; by default all pairs, and triples with the target.
    thresholds : Thresholds, optional
        What the curator accepts, decided before the results are seen. By default the stated
        defaults. They say what the table is fit for; the verdict does not depend on them.
    progress : callable, optional
        Called with the name of each part before it is measured. No name carries a value.

    Returns
    -------
    UtilityReport
        Validity, 1-, 2- and 3-way total variation, dependence, prediction of the declared target,
        groups of protected columns, regressions of the declared formulas, how well the table can
        be told from real rows, counting queries, invented and dropped combinations, distances of
        numeric columns, and the error of a workload; for a closer look pMSE, density and coverage,
        the Hellinger distance of copulas and what the learners go by. The order of rows does not
        matter.

    Raises
    ------
    DataError
        If a table cannot be read, lacks a column of the schema or has fewer than two rows, or if
        a named privacy unit has rows in both real tables.
    UsageError
        If the seed is not a whole number from 0.
    MissingExtraError
        If scikit-learn is not installed.

    Privacy
    -------
    Computed from real rows and outside the ε guarantee: the report is confidential, and so is every
    figure in it. ``holdout`` rows belong to people as well.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError("seed must be a whole number ≥ 0.")
    require_extra("sklearn", extra="benchmarks", purpose="An evaluation")
    from benchmarks.discretise import conform_tables

    said = progress or _silent
    said("tables")
    tables = conform_tables(synthetic, fit, holdout, schema, seed=seed)
    sections = _measure(tables, seed, budget=budget, workload=workload, progress=said)
    return UtilityReport(
        schema_name=schema.name,
        schema_sha256=schema.digest(),
        table_sha256=table_sha256 or digest_of(synthetic),
        seed=seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics=tuple(metric for section in sections for metric in section.metrics),
        worst={name: rows for section in sections for name, rows in section.worst.items()},
        findings=tuple(finding for section in sections for finding in section.findings),
        tables={name: rows for section in sections for name, rows in section.tables.items()},
        thresholds=thresholds or Thresholds(),
        budget=budget,
        unit=schema.unit.describe(),
    )


def _silent(part: str) -> None:
    """Say nothing."""


def parts() -> tuple[ModuleType, ...]:
    """Return the families of measurements, in the order in which they are reported."""
    from benchmarks import (
        copula,
        dependence,
        details,
        detection,
        inference,
        learners,
        manifold,
        marginals,
        numbers,
        propensity,
        queries,
        support,
        workload,
    )

    return (
        marginals,
        dependence,
        learners,
        inference,
        detection,
        queries,
        support,
        numbers,
        workload,
        propensity,
        manifold,
        copula,
        details,
    )


def stream(part: ModuleType, seed: int) -> np.random.Generator:
    """Return the generator of a part: adding one does not change the figures of another."""
    import numpy as np

    return np.random.default_rng([seed, *part.__name__.encode()])


def _measure(
    tables: Tables,
    seed: int,
    *,
    budget: Budget | None,
    workload: Workload | None,
    progress: Progress,
) -> list[Section]:
    from benchmarks import learners
    from benchmarks import workload as workloads

    asked: dict[ModuleType, dict[str, Any]] = {
        learners: {"budget": budget},
        workloads: {"workload": workload},
    }
    sections = [_form(tables)]
    for part in parts():
        progress(part.__name__.rpartition(".")[2])
        sections.append(part.measure(tables, rng=stream(part, seed), **asked.get(part, {})))
    return sections


def _form(tables: Tables) -> Section:
    """Say what can be said of the form of the tables."""
    from benchmarks.split import repeated

    found = []
    share = 1.0 - len(tables.violated) / len(tables.columns)
    # A count over the released table: nothing is sampled.
    valid = Metric(
        name="validity", value=share, direction="higher", floor=1.0, ci_low=share, ci_high=share
    )
    if tables.violated:
        # The one finding that blocks: it depends on the released table and the schema alone, so
        # that a refusal tells nothing about the real rows.
        found.append(
            Finding(
                "DPS310",
                Severity.ERROR,
                f"the synthetic table does not fit the schema in {', '.join(tables.violated)}.",
            )
        )
    small = [
        name for name in ("synthetic", "fit", "holdout") if len(getattr(tables, name)) < MIN_ROWS
    ]
    if small:
        found.append(
            Finding(
                "DPS317",
                Severity.INFO,
                f"too few rows to say much ({', '.join(small)}): compare with the floors.",
            )
        )
    return Section(metrics=(valid,), findings=(*found, *repeated(tables)))


def digest_of(source: Source) -> str | None:
    """Return the digest of a table's file, if it is one."""
    import os

    from dpsynth.evidence import table_sha256

    return table_sha256(source) if isinstance(source, str | os.PathLike) else None
