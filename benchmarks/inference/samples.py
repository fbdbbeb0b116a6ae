"""The declared regressions on several samples of one model, by every combining rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.inference.combining import RULES, Rule, combine
from benchmarks.inference.formulas import Formula, Layout, NotMeasuredError, read_rows
from benchmarks.inference.overlap import NORMAL, overlap
from benchmarks.inference.regression import Fit, fit
from benchmarks.inference.section import NAIVE
from benchmarks.report import Metric, Row, Section
from dpsynth.errors import UsageError
from dpsynth.evidence import Finding, Severity

if TYPE_CHECKING:
    from dpsynth.schema import Schema
    from dpsynth.table import Source

FloatArray = npt.NDArray[np.float64]

FEWEST = 5
"""Samples: fewer say too little about the variance between them."""


def compare(samples: Sequence[Source], fit_rows: Source, schema: Schema) -> Section:
    """Combine the regressions on several samples of one model, and compare with the fit rows.

    Parameters
    ----------
    samples : sequence of path, DataFrame or Arrow table
        Tables drawn from one fitted model, five or more.
    fit_rows : path, DataFrame or Arrow table
        Rows that the model was fitted to.
    schema : Schema
        Public facts with the formulas.

    Returns
    -------
    Section
        By rule the share of combined 95 % intervals that contain the estimate on the fit rows
        (``inference.RULE.covers``) and the mean overlap with their intervals
        (``inference.RULE.overlap``). Details ``inference.combined``: one row per coefficient and
        rule.

    Raises
    ------
    UsageError
        For fewer than five samples, or a schema without formulas.
    SchemaError
        If a formula is not of the schema's grammar.
    DataError
        If a table cannot be read.

    Privacy
    -------
    Computed from real rows: confidential.

    Notes
    -----
    No rule is valid for tables made with differential privacy (:mod:`~.combining`). A coefficient
    that one of the samples does not determine is not recovered: nothing is combined from the rest,
    and it covers nothing.
    """
    if len(samples) < FEWEST:
        raise UsageError(
            f"there are {len(samples)} samples.", fix=f"draw at least {FEWEST} from one model."
        )
    if not schema.formulas:
        raise UsageError(
            "the schema declares no formula.", fix="write [evaluation] formulas = ['y ~ x']."
        )
    rows: list[Row] = []
    findings = [NAIVE]
    for text in schema.formulas:
        formula = Formula.of(text, schema)
        try:
            rows += _combined(formula, samples, fit_rows, schema)
        except NotMeasuredError as reason:
            message = f"the formula {text!r} was not measured: {reason}."
            findings.append(Finding("DPS331", Severity.INFO, message))
    lost = sorted({str(row["coefficient"]) for row in rows if row["estimate"] is None})
    if lost:
        message = f"not every sample determines {', '.join(lost)}: not recovered."
        findings.append(Finding("DPS332", Severity.WARNING, message))
    metrics = [
        Metric(
            name=f"inference.{rule}.{name}",
            value=float(np.mean([_number(row[name]) for row in rows if row["rule"] == rule])),
            direction="higher",
        )
        for rule in RULES
        for name in ("covers", "overlap")
        if rows
    ]
    return Section(
        metrics=tuple(metrics), findings=tuple(findings), tables={"inference.combined": tuple(rows)}
    )


def _number(value: float | int | str | None) -> float:
    assert isinstance(value, float)
    return value


def _combined(
    formula: Formula, samples: Sequence[Source], fit_rows: Source, schema: Schema
) -> list[Row]:
    _ = formula.family  # an outcome of another kind ends here
    real_rows, levels = read_rows(formula, fit_rows, schema, has_units=True)
    layout = Layout.of(formula, levels, real_rows.complete)
    real = fit(layout, real_rows)
    if not real.found.any():
        raise NotMeasuredError("the fit rows determine none of its coefficients")
    fits = [
        fit(layout, read_rows(formula, sample, schema, has_units=False)[0]) for sample in samples
    ]
    ratio = float(np.mean([found.rows for found in fits])) / real.rows
    return [
        row
        for rule in RULES
        for row in _by_rule(layout, real, fits, rule=rule, size_ratio=max(ratio, 1e-9))
    ]


def _by_rule(
    layout: Layout, real: Fit, fits: Sequence[Fit], *, rule: Rule, size_ratio: float
) -> list[Row]:
    together = combine(
        [found.estimates for found in fits],
        [found.errors**2 for found in fits],
        rule=rule,
        size_ratio=size_ratio,
    )
    low, high = together.interval()
    errors = (high - low) / (2.0 * NORMAL)
    rows: list[Row] = []
    for place in np.flatnonzero(real.found):
        estimate, error = real.estimates[place], real.errors[place]
        recovered = bool(np.isfinite(together.estimates[place]))
        shared = overlap(estimate, error, together.estimates[place], errors[place])
        rows.append(
            {
                "formula": layout.formula.text,
                "coefficient": layout.names[place],
                "rule": rule,
                "fit": float(estimate),
                "fit_low": float(estimate - NORMAL * error),
                "fit_high": float(estimate + NORMAL * error),
                "estimate": float(together.estimates[place]) if recovered else None,
                "low": float(low[place]) if recovered else None,
                "high": float(high[place]) if recovered else None,
                "covers": float(low[place] <= estimate <= high[place]) if recovered else 0.0,
                "overlap": float(shared) if recovered else 0.0,
            }
        )
    return rows
