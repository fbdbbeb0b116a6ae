"""Combining rules: one interval from the regressions on several synthetic tables.

Each rule answers for one way of making tables and for no other:

=========  =====================  ==================================================================
rule       variance               valid when
=========  =====================  ==================================================================
partial    ū + b/m                tables keep real rows and replace some of their values by draws
                                  from the posterior of a correct model (Reiter 2003)
full       (1 + 1/m) b − ū        every table is drawn anew, each with parameters of its own from
                                  the posterior of a correct model (Raghunathan et al. 2003)
large      ū (k/n + 1/m)          all tables are drawn with the estimated parameters of one correct
                                  model that was fitted, without noise, to n rows; k rows each
                                  (Raab et al. 2016, "simple" synthesis)
=========  =====================  ==================================================================

ū is the mean of the variances that the tables' regressions state, b the variance between their
estimates. dpsynth draws all tables from one fitted model: b shows how much a draw adds and nothing
of what the noise of the mechanism did to the model, which moves all tables alike. **None of the
rules is valid for tables made with differential privacy**; ``docs/validity.md`` measures by how
much they miss.

References
----------
Reiter 2003, Survey Methodology 29(2); Raghunathan, Reiter & Rubin 2003, Journal of Official
Statistics 19(1); Reiter 2002, Journal of Official Statistics 18(4), for the adjustment; Raab, Nowok
& Dibben 2016, Journal of Privacy and Confidentiality 7(3); Nombo & Charest 2024, arXiv:2405.04769,
and Räisä et al. 2023, arXiv:2205.14485, for what differential privacy does to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError

FloatArray = npt.NDArray[np.float64]

Rule = Literal["partial", "full", "large"]
RULES: tuple[Rule, ...] = get_args(Rule)
"""All rules."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combined:
    """Estimates of all tables together.

    Parameters
    ----------
    estimates : ndarray of float, shape (...)
        Means of the tables' estimates.
    variances : ndarray of float, shape (...)
        By the rule.
    degrees : ndarray of float, shape (...)
        Degrees of freedom of Student's t; infinite for the normal law.
    """

    estimates: FloatArray
    variances: FloatArray
    degrees: FloatArray

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return the ends of the intervals at a level."""
        from scipy.stats import t

        half = t.ppf(0.5 + level / 2.0, self.degrees) * np.sqrt(self.variances)
        return self.estimates - half, self.estimates + half


def combine(
    estimates: npt.ArrayLike,
    variances: npt.ArrayLike,
    *,
    rule: Rule,
    size_ratio: float = 1.0,
) -> Combined:
    """Combine the regressions on several synthetic tables.

    Parameters
    ----------
    estimates : array_like of float, shape (m, ...)
        One estimate per table.
    variances : array_like of float, shape (m, ...)
        Their squared standard errors, each computed as if its table were real.
    rule : {"partial", "full", "large"}
        See the module.
    size_ratio : float
        Rows of a synthetic table by rows that the model was fitted to.

    Returns
    -------
    Combined
        NaN wherever an estimate or a variance is NaN.

    Raises
    ------
    UsageError
        For an unknown rule, for arrays of different shape, for fewer tables than the rule needs
        (two; one for ``large``), for a ratio that is not positive.

    Notes
    -----
    ``partial`` has (m − 1)(1 + m ū/b)² degrees of freedom; without variance between the tables the
    law is normal.

    ``full`` can come out negative. It is then replaced by ū times ``size_ratio`` (Reiter 2002), and
    the law is normal. Where it is positive it has (m − 1)(1 − ū / ((1 + 1/m) b))² degrees of
    freedom; near zero these are so few that the interval spans everything.
    """
    points, spreads = (np.asarray(x, dtype=np.float64) for x in (estimates, variances))
    if rule not in RULES:
        raise UsageError(f"there is no rule {rule!r}.", fix=f"use one of {', '.join(RULES)}.")
    if points.shape != spreads.shape or points.ndim < 1:
        raise UsageError("estimates and variances must have the same shape, one row per table.")
    m = len(points)
    if m < (1 if rule == "large" else 2):
        raise UsageError(f"rule {rule!r} needs more synthetic tables than {m}.")
    if not size_ratio > 0:
        raise UsageError(f"size_ratio must be positive, got {size_ratio}.")
    mean, within = points.mean(axis=0), spreads.mean(axis=0)
    gap = np.isnan(mean) | np.isnan(within)
    if rule == "large":
        total, degrees = within * (size_ratio + 1.0 / m), np.full(mean.shape, np.inf)
    else:
        between = points.var(axis=0, ddof=1)
        total, degrees = (
            _partial(within, between, m)
            if rule == "partial"
            else _full(within, between, m, size_ratio)
        )
    return Combined(
        estimates=mean,
        variances=np.where(gap, np.nan, total),
        degrees=np.where(gap, np.nan, degrees),
    )


def _partial(within: FloatArray, between: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = (m - 1) * (1.0 + m * within / between) ** 2
    return within + between / m, np.where(between > 0.0, degrees, np.inf)


def _full(
    within: FloatArray, between: FloatArray, m: int, size_ratio: float
) -> tuple[FloatArray, FloatArray]:
    spread = (1.0 + 1.0 / m) * between
    total = spread - within
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = (m - 1) * (1.0 - within / spread) ** 2
    positive = total > 0.0
    return (
        np.where(positive, total, size_ratio * within),
        np.where(positive, degrees, np.inf),
    )
