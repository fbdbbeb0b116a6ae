"""The declared regressions on synthetic rows beside the same ones on the fit rows.

Figures are means over all coefficients of all formulas, constants left out. A coefficient that the
synthetic rows do not determine is not recovered: it counts as no overlap, a wrong sign and a wrong
significance, and a finding names it. One that the fit rows do not determine is no yard-stick.

* ``inference.overlap``: Karr's overlap of 95 % intervals.
* ``inference.sign``, ``inference.significance``: shares of coefficients with the same sign, and
  with the same answer at the 5 % level.
* ``inference.distance``: |β_S − β_F| in standard errors of the fit rows, of those recovered.
* ``inference.recovered``: share of coefficients that the synthetic rows determine at all.

*Floor*: what fresh rows of the same law, as many as the synthetic table has, would give on average
(:func:`~benchmarks.inference.overlap.expected`). *Reference* ``holdout``: the holdout rows
themselves, brought to that size: their standard errors grow with the square root of the ratio of
rows, and their difference to the fit rows in proportion to its own standard error.

*Intervals* of overlap and distance are jackknife intervals over privacy units
(:mod:`benchmarks.jackknife`). The three shares jump, which a jackknife does not bear: their
intervals are Wilson's and take coefficients for a sample of those that somebody may ask for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks import jackknife
from benchmarks.discretise import GROUPS, Conformed, Tables
from benchmarks.inference.formulas import Formula, Layout, NotMeasuredError, levels_of, rows_of
from benchmarks.inference.overlap import NORMAL, Agreement, agreement, expected
from benchmarks.inference.regression import Fit, fit
from benchmarks.report import Metric, Row, Section, finite
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NAIVE = Finding(
    "DPS330",
    Severity.INFO,
    "intervals and tests computed from synthetic rows as if they were real are too narrow under "
    "differential privacy: they leave out the noise of the mechanism (docs/validity.md).",
)
"""Stands wherever a regression on synthetic rows is shown."""

_NAMED = 6
"""Coefficients that a finding names."""


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare the regressions that the schema declares.

    Parameters
    ----------
    tables : Tables
        The tables on one grid.
    rng : numpy.random.Generator
        Not used: nothing is drawn.

    Returns
    -------
    Section
        Empty if the schema declares no formula. Details ``inference``: one row per coefficient
        with both intervals.

    Raises
    ------
    SchemaError
        If a formula is not of the schema's grammar.

    Privacy
    -------
    Computed from real rows: confidential.
    """
    compared, findings = [], []
    for text in tables.schema.formulas:
        formula = Formula.of(text, tables.schema)
        try:
            compared.append(_Compared.of(formula, tables))
        except NotMeasuredError as reason:
            findings.append(_not_measured(text, reason))
    if not compared:
        return Section(findings=tuple(findings))
    for found in compared:
        findings += found.findings()
    return Section(
        metrics=_metrics(compared, len(tables.synthetic)),
        findings=(NAIVE, *findings),
        tables={"inference": tuple(row for found in compared for row in found.details())},
    )


def _not_measured(text: str, reason: NotMeasuredError) -> Finding:
    return Finding("DPS331", Severity.INFO, f"the formula {text!r} was not measured: {reason}.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Compared:
    """One formula in four tables; ``real`` determines the coefficients at the places ``kept``."""

    layout: Layout
    kept: BoolArray
    undetermined: tuple[str, ...]
    real: Fit
    synthetic: Fit
    holdout: Fit
    independent: Fit

    @classmethod
    def of(cls, formula: Formula, tables: Tables) -> _Compared:
        _ = formula.family  # an outcome of another kind ends here
        rows = rows_of(formula, tables.fit, tables)
        layout = Layout.of(formula, levels_of(formula, tables), rows.complete)

        def fitted(table: Conformed, n_groups: int = 0) -> Fit:
            return fit(layout, rows_of(formula, table, tables), n_groups=n_groups)

        real = fitted(tables.fit, GROUPS)
        if not real.found.any():
            raise NotMeasuredError("the fit rows determine none of its coefficients")
        varies = np.ptp(layout.design(rows.complete), axis=0) > 0.0
        return cls(
            layout=layout,
            kept=real.found,
            undetermined=_named(layout, ~real.found & varies),
            real=real,
            synthetic=fitted(tables.synthetic, GROUPS),
            holdout=fitted(tables.holdout),
            independent=fitted(tables.independent),
        )

    def agreement(self, other: FloatArray, errors: FloatArray) -> Agreement:
        """Compare the fit rows with another table, given by estimates and errors."""
        real = self.real
        return agreement(
            real.estimates[self.kept],
            real.errors[self.kept],
            other[..., self.kept],
            errors[..., self.kept],
        )

    def left_out(self) -> tuple[Agreement, Agreement]:
        """Compare again without each group of fit rows, and without each of synthetic ones."""
        real, made = self.real.replicates[..., self.kept], self.synthetic
        without_real = agreement(
            real[:, 0], real[:, 1], made.estimates[self.kept], made.errors[self.kept]
        )
        without_made = self.agreement(made.replicates[:, 0], made.replicates[:, 1])
        return without_real, without_made

    def floor(self, n_synthetic: int) -> Agreement:
        """Return what fresh rows would give."""
        grown = math.sqrt(self.real.rows / max(1, n_synthetic))
        real = self.real
        return expected(
            real.estimates[self.kept],
            real.errors[self.kept],
            real.plain_errors[self.kept] * grown,
        )

    def by_holdout(self, n_synthetic: int) -> Agreement:
        """Return what the holdout rows give, brought to the size of the synthetic table."""
        real, held = self.real, self.holdout
        errors = held.plain_errors * math.sqrt(held.rows / max(1, n_synthetic))
        part = np.hypot(real.errors, errors) / np.hypot(real.errors, held.errors)
        return self.agreement(real.estimates + part * (held.estimates - real.estimates), errors)

    def findings(self) -> list[Finding]:
        """Say what cannot be compared, and what turned round."""
        text, made, found = self.layout.formula.text, self.synthetic, []
        lost = _named(self.layout, self.kept & ~made.found)
        if lost:
            message = (
                f"in {text!r} the synthetic rows do not determine {_listed(lost)} (a level without "
                "rows, columns that depend on each other, or a separated outcome): not recovered."
            )
            found.append(Finding("DPS332", Severity.WARNING, message))
        if self.undetermined:
            message = (
                f"in {text!r} the fit rows do not determine {_listed(self.undetermined)}: "
                "not compared."
            )
            found.append(Finding("DPS333", Severity.INFO, message))
        with np.errstate(invalid="ignore"):
            sure = np.abs(self.real.estimates) > NORMAL * self.real.errors
            sure &= np.abs(made.estimates) > NORMAL * made.errors
            turned = _named(self.layout, sure & (self.real.estimates * made.estimates < 0.0))
        if turned:
            message = (
                f"in {text!r} the synthetic rows show an effect of {_listed(turned)} in the "
                "opposite direction, significant in both tables."
            )
            found.append(Finding("DPS334", Severity.WARNING, message))
        return found

    def details(self) -> list[Row]:
        """Return one row per coefficient, for a forest plot."""
        compared = self.agreement(self.synthetic.estimates, self.synthetic.errors)
        rows: list[Row] = []
        for i, place in enumerate(np.flatnonzero(self.kept)):
            row: dict[str, float | int | str | None] = {
                "formula": self.layout.formula.text,
                "coefficient": self.layout.names[place],
                "recovered": "yes" if self.synthetic.found[place] else "no",
            }
            for name, side in (("fit", self.real), ("synthetic", self.synthetic)):
                estimate, half = side.estimates[place], NORMAL * side.errors[place]
                row[name] = finite(estimate)
                row[f"{name}_low"] = finite(estimate - half)
                row[f"{name}_high"] = finite(estimate + half)
            row["overlap"] = finite(compared.overlap[i])
            row["distance"] = finite(compared.distance[i])
            rows.append(row)
        return rows


def _named(layout: Layout, which: BoolArray) -> tuple[str, ...]:
    return tuple(layout.names[i] for i in np.flatnonzero(which))


def _listed(names: Sequence[str]) -> str:
    more = " and others" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _metrics(compared: Sequence[_Compared], n_synthetic: int) -> tuple[Metric, ...]:
    """Pool all coefficients of all formulas."""
    found = [c.agreement(c.synthetic.estimates, c.synthetic.errors) for c in compared]
    independent = [c.agreement(c.independent.estimates, c.independent.errors) for c in compared]
    held = [c.by_holdout(n_synthetic) for c in compared]
    floors = [c.floor(n_synthetic) for c in compared]
    sides = list(zip(*(c.left_out() for c in compared), strict=True))
    n = min(min(c.real.rows, c.synthetic.rows) for c in compared)
    metrics = []
    for name, pick, smooth in (
        ("overlap", lambda a: a.overlap, True),
        ("sign", lambda a: a.sign, False),
        ("significance", lambda a: a.significance, False),
        ("distance", lambda a: a.distance, True),
    ):
        value = _pooled(found, pick)
        if smooth:
            replicates = [np.atleast_1d(_pooled(side, pick)) for side in sides]
            ends = jackknife.interval(
                float(value),
                *replicates,
                bounds=(0.0, 1.0 if name == "overlap" else math.inf),
            )
        else:
            ends = _wilson(float(value), sum(int(c.kept.sum()) for c in compared))
        metrics.append(
            Metric(
                name=f"inference.{name}",
                value=float(value),
                direction="lower" if name == "distance" else "higher",
                floor=float(_pooled(floors, pick)),
                references={
                    "independent": float(_pooled(independent, pick)),
                    "holdout": float(_pooled(held, pick)),
                },
                landmark="independent",
                ci_low=ends[0],
                ci_high=ends[1],
                n=n,
            )
        )
    recovered = np.concatenate([c.synthetic.found[c.kept] for c in compared])
    share = float(recovered.mean())
    low, high = _wilson(share, len(recovered))
    metrics.append(
        Metric(
            name="inference.recovered",
            value=share,
            direction="higher",
            floor=1.0,
            ci_low=low,
            ci_high=high,
            n=n,
        )
    )
    return tuple(metrics)


def _pooled(found: Sequence[Agreement], pick: Callable[[Agreement], FloatArray]) -> FloatArray:
    """Return the mean over all coefficients that are defined; NaN where none is."""
    values = np.concatenate([pick(part) for part in found], axis=-1)
    defined = ~np.isnan(values)
    counts = defined.sum(axis=-1)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of ``n``."""
    weight = NORMAL**2 / n
    middle = (share + weight / 2.0) / (1.0 + weight)
    half = NORMAL * math.sqrt(share * (1.0 - share) / n + weight / (4.0 * n)) / (1.0 + weight)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
