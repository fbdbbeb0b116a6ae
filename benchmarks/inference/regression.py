"""Fit one generalised linear model, and say of every coefficient whether the rows determine it.

A coefficient counts only if the rows determine it: not where columns of the design depend on each
other, not where an outcome is separated (its estimate runs off to infinity), not where nothing
varies. Such a coefficient is NaN; nothing is put in its place.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from benchmarks.inference.formulas import Family, Layout, Rows
from dpsynth.errors import require_extra

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

ITERATIONS = 100
"""Most steps of iteratively reweighted least squares."""

_DEPENDENT = 1e-8
"""Singular values below this share of the largest one mark columns that depend on each other."""
_LOOSE = 1e-6
"""Part in a dependence from which on a column takes part in it."""
_EXACT = 1e-16
"""Residual variance, as a share of the outcome's, below which a formula holds exactly: intervals
would have no width."""
_STILL_MOVING = 0.01
"""A further Newton step that moves a coefficient by more than this has no end: where an outcome is
separated each one adds about 1, where it is not the last one adds less than 1e-4. Per standard
deviation of the covariate."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Fit:
    """Coefficients of one table, without the constant.

    Parameters
    ----------
    estimates : ndarray of float, shape (n_coefficients,)
        NaN where the rows do not determine one.
    errors : ndarray of float, shape (n_coefficients,)
        Standard errors that respect the privacy units.
    plain_errors : ndarray of float, shape (n_coefficients,)
        Standard errors as if every row were a unit of its own.
    rows : int
        Complete rows.
    replicates : ndarray of float, shape (n_groups, 2, n_coefficients)
        Estimates and errors without each of the jackknife groups.
    """

    estimates: FloatArray
    errors: FloatArray
    plain_errors: FloatArray
    rows: int
    replicates: FloatArray

    @property
    def found(self) -> BoolArray:
        """Which coefficients the rows determine."""
        return ~np.isnan(self.estimates)

    @classmethod
    def nothing(cls, n_coefficients: int, rows: int) -> Self:
        """Return a fit in which nothing is determined."""
        gap = np.full(n_coefficients, np.nan)
        return cls(
            estimates=gap,
            errors=gap,
            plain_errors=gap,
            rows=rows,
            replicates=np.empty((0, 2, n_coefficients)),
        )


def fit(layout: Layout, rows: Rows) -> Fit:
    """Fit the model of a formula to a table.

    Parameters
    ----------
    layout : Layout
        What the coefficients are.
    rows : Rows
        The table; rows with a gap are left out.

    Notes
    -----
    Errors are those of the model (inverse information) where every unit has one row, as an
    analyst's software gives them, and cluster-robust by unit otherwise (Liang & Zeger 1986, with
    statsmodels' small-sample factor).

    A replicate without group g takes one Newton step from the full estimate: exact for the linear
    model, and for the logistic one off by a term of second order in the share of the group. Its
    errors are scaled as the inverse information is.

    References
    ----------
    Liang & Zeger 1986, Biometrika 73(1); Albert & Anderson 1984, Biometrika 71(1) for separation.
    """
    rows = rows.complete
    outcome, design = rows.values[:, 0], layout.design(rows)
    n, p = design.shape
    if n <= p + 1 or np.ptp(outcome) == 0.0:
        return Fit.nothing(p, n)
    # Means and scales of the table itself: conditioning only, undone below.
    scale = design.std(axis=0)
    varies = scale > 1e-12 * np.abs(design).max(axis=0, initial=0.0)
    scaled = (design - design.mean(axis=0)) / np.where(varies, scale, 1.0)
    scaled[:, ~varies] = 0.0
    kept, determined = _independent(scaled)
    if not len(kept):
        return Fit.nothing(p, n)
    family = layout.formula.family
    span = 1.0 if family == "logistic" else float(outcome.std())
    solved = _solve(scaled[:, kept], outcome / span, family, rows)
    if solved is None:
        return Fit.nothing(p, n)
    determined[kept] &= solved.settled
    unit = np.where(determined, span / np.where(varies, scale, 1.0), np.nan)

    def natural(values: FloatArray) -> FloatArray:
        out = np.full((*values.shape[:-1], p), np.nan)
        out[..., kept] = values
        return out * unit

    return Fit(
        estimates=natural(solved.estimates),
        errors=natural(solved.errors),
        plain_errors=natural(solved.plain_errors),
        rows=n,
        replicates=natural(solved.replicates),
    )


def _independent(scaled: FloatArray) -> tuple[IntArray, BoolArray]:
    """Return columns that span all of them, and which coefficients the design determines.

    A coefficient is determined if no dependence between columns involves its own: its estimate is
    then the same whichever of the dependent columns are left out.
    """
    from scipy.linalg import qr

    triangle, order = qr(scaled, mode="r", pivoting=True)[:2]
    _, singular, right = np.linalg.svd(triangle[: scaled.shape[1]])
    rank = int((singular > _DEPENDENT * max(singular[0], 1e-300)).sum())
    loose = np.zeros(scaled.shape[1], dtype=bool)
    loose[order] = (np.abs(right[rank:]) > _LOOSE).any(axis=0)
    return np.sort(order[:rank]), ~loose


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Solved:
    estimates: FloatArray
    errors: FloatArray
    plain_errors: FloatArray
    settled: BoolArray
    replicates: FloatArray


def _solve(design: FloatArray, outcome: FloatArray, family: Family, rows: Rows) -> _Solved | None:
    """Fit a design of full rank; None where the algebra breaks down."""
    sm = require_extra("statsmodels.api", extra="benchmarks", purpose="A comparison of regressions")
    from statsmodels.tools.sm_exceptions import PerfectSeparationError

    with_constant = np.column_stack([np.ones(len(design)), design])
    model: Any = sm.GLM(
        outcome,
        with_constant,
        family=sm.families.Binomial() if family == "logistic" else sm.families.Gaussian(),
    )
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # What statsmodels warns of (separation, no convergence) is decided below.
            warnings.simplefilter("ignore")
            plain = model.fit(maxiter=ITERATIONS)
            several = len(np.unique(rows.units)) < len(rows.units)
            found = plain
            if several:
                groups = {"groups": rows.units}
                found = model.fit(maxiter=ITERATIONS, cov_type="cluster", cov_kwds=groups)
            algebra = _Algebra.of(with_constant, outcome, plain.params, family, rows.groups)
            step = algebra.step()
    except (np.linalg.LinAlgError, PerfectSeparationError, ValueError):
        return None
    if family == "linear" and plain.scale < _EXACT:
        return None
    estimates, errors, plain_errors = (np.asarray(x) for x in (plain.params, found.bse, plain.bse))
    settled = (
        np.isfinite(estimates)
        & np.isfinite(errors)
        & (errors > 0.0)
        & (plain_errors > 0.0)
        & (np.abs(step) < _STILL_MOVING)
    )
    return _Solved(
        estimates=estimates[1:],
        errors=errors[1:],
        plain_errors=plain_errors[1:],
        settled=settled[1:],
        replicates=algebra.replicates(estimates, errors)[..., 1:],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Algebra:
    """Score and information at the estimate, by jackknife group."""

    scores: FloatArray
    information: FloatArray

    @classmethod
    def of(
        cls,
        design: FloatArray,
        outcome: FloatArray,
        estimate: FloatArray,
        family: Family,
        groups: IntArray,
    ) -> Self:
        predictor = design @ estimate
        mean = 1.0 / (1.0 + np.exp(-predictor)) if family == "logistic" else predictor
        weight = mean * (1.0 - mean) if family == "logistic" else np.ones(len(mean))
        scores, information = [], []
        for group in np.unique(groups):
            part = groups == group
            scores.append(design[part].T @ (outcome[part] - mean[part]))
            information.append((design[part].T * weight[part]) @ design[part])
        return cls(scores=np.array(scores), information=np.array(information))

    def step(self) -> FloatArray:
        """Return what one more Newton step would add."""
        return np.linalg.solve(self.information.sum(axis=0), self.scores.sum(axis=0))

    def replicates(self, estimate: FloatArray, errors: FloatArray) -> FloatArray:
        """Return estimates and errors without each group; NaN where too little is left."""
        total = self.information.sum(axis=0)
        spread = np.diag(np.linalg.inv(total))
        out = np.full((len(self.scores), 2, len(estimate)), np.nan)
        for g, (score, information) in enumerate(zip(self.scores, self.information, strict=True)):
            try:
                inverse = np.linalg.inv(total - information)
            except np.linalg.LinAlgError:
                continue
            with np.errstate(invalid="ignore"):
                factor = np.sqrt(np.diag(inverse) / spread)
            out[g] = estimate + inverse @ (self.scores.sum(axis=0) - score), errors * factor
        return out
