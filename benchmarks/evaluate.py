"""Evaluate a synthetic table against the rows it was made from and rows that nothing has seen."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.dependence import dependence_error
from benchmarks.detection import detection_scores
from benchmarks.discretise import Bins, conformed
from benchmarks.marginals import marginal_error
from benchmarks.prediction import prediction_scores
from benchmarks.report import UtilityReport
from dpsynth.errors import require_extra
from dpsynth.evidence import Finding
from dpsynth.files import read_frame
from dpsynth.schema import Schema
from dpsynth.table import Source, violations

_FAR_ABOVE_FLOOR = 0.1


def evaluate(
    synthetic: Source,
    fit: Source,
    holdout: Source,
    schema: Schema,
    *,
    seed: int = 0,
    table_sha256: str | None = None,
) -> UtilityReport:
    """Measure what a synthetic table is still good for.

    Parameters
    ----------
    synthetic : path, DataFrame or Arrow table
        The table that would be released.
    fit : path, DataFrame or Arrow table
        Rows that the model was fitted to.
    holdout : path, DataFrame or Arrow table
        Rows that neither the model nor its tuning has seen, split by privacy unit.
    schema : Schema
        Public facts; all tables are conformed to it first.
    seed : int
        Seeds models, subsets and bootstrap.
    table_sha256 : str, optional
        Digest of the synthetic table's file, for evidence.

    Returns
    -------
    UtilityReport

    Raises
    ------
    DataError
        If a table has fewer than two rows, or its form does not fit.

    Privacy
    -------
    None: figures are exact functions of real rows. They are confidential and enter no release.
    """
    require_extra("sklearn", extra="benchmarks", purpose="An evaluation")
    rng = np.random.default_rng(seed)
    real = conformed(fit, schema, role="fit")
    held = conformed(holdout, schema, role="holdout")
    ours = conformed(synthetic, schema, role="synthetic")
    broken = violations(_frame(synthetic), schema)
    bins = Bins.of([real, held], schema)
    codes = [bins.codes(table) for table in (real, held, ours)]
    target = schema.target.name if schema.target else None
    marginals = tuple(
        marginal_error(*codes, bins, order=order, target=target, rng=rng)
        for order in range(1, min(3, len(schema.modelled)) + 1)
    )
    dependence = dependence_error(real, held, ours, schema)
    prediction = prediction_scores(real, held, ours, schema, seed=seed)
    report = UtilityReport(
        validity=1 - len(broken) / len(schema.modelled),
        marginals=marginals,
        dependence=dependence,
        prediction=prediction,
        detection=detection_scores(real, held, ours, schema, seed=seed),
        findings=(),
        table_sha256=table_sha256,
    )
    return _with_findings(report, broken, target_unused=target is not None and not prediction)


def _with_findings(
    report: UtilityReport, broken: list[str], *, target_unused: bool
) -> UtilityReport:
    from dataclasses import replace

    found = []
    if broken:
        found.append(
            Finding(
                code="DPS310",
                severity="failure",
                message=f"rows do not fit the schema in: {', '.join(broken)}.",
            )
        )
    if target_unused:
        found.append(
            Finding(
                code="DPS311",
                severity="note",
                message="the target has a single class in the holdout: nothing to predict.",
            )
        )
    if report.dependence.spurious > report.dependence.floor_spurious + _FAR_ABOVE_FLOOR:
        found.append(
            Finding(
                code="DPS312",
                severity="warning",
                message="the table shows dependence that the real rows do not have.",
            )
        )
    for marginal in report.marginals[:1]:
        if marginal.largest > marginal.floor + 3 * _FAR_ABOVE_FLOOR:
            (name,), _ = marginal.worst[0]
            found.append(
                Finding(
                    code="DPS313",
                    severity="warning",
                    message=f"the one-way distribution of {name!r} is far off.",
                )
            )
    return replace(report, findings=tuple(found))


def _frame(source: Source) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    return source.to_pandas() if hasattr(source, "to_pandas") else read_frame(source)  # type: ignore[union-attr, arg-type]
