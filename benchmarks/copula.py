"""Multivariate Hellinger distance of Gaussian copulas: one figure for all linear dependence.

Every table is replaced by the Gaussian copula with its rank correlations: columns become normal
scores, and what is compared is two normal distributions of mean 0. The distance runs from 0 to 1.
Each table's scores come from its own ranks, so that how a number is distributed does not enter:
one-way figures say that. Neither does dependence that ranks do not show, such as a ring.

Notes
-----
For correlation matrices A and B the squared distance is
1 - det(A)^¼ det(B)^¼ / det((A + B) / 2)^½. With many columns it comes close to 1 for small
differences as well; the floor, as many held-out rows, and the landmark say where a figure lies.

Levels without an order have no ranks: each level that at least 1 % of the real rows have, but for
the most common one, is a column of zeros and ones. Nulls are a column of their own, and take the
middle score in theirs. Matrices are shrunk towards the identity (:data:`SHRINKAGE`): without that a
column that follows from others in one table only would put the distance at 1.

References
----------
El Emam, Mosquera, Fang and El-Hussuna 2022, "Utility metrics for evaluating synthetic health data
generation methods: validation study".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

from benchmarks import jackknife
from benchmarks.discretise import Conformed, Tables
from benchmarks.encoding import common_levels, is_ordered, numbers_of
from benchmarks.report import Metric, Section

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ROWS = 50_000
"""Rows of a side."""
SHRINKAGE = 0.01
"""Weight of the identity in every correlation matrix."""
LEAST_SHARE = 0.01
"""Share of the real rows that a level needs for a column of its own."""

_ROUNDING = 1e-7


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare the copulas of fitted and synthetic rows, at the size of the holdout.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws rows.

    Notes
    -----
    The distance of two samples shrinks with their size; synthetic rows, held-out rows and those of
    the references are therefore as many. Intervals leave out groups of units.
    """
    n = min(len(tables.synthetic), len(tables.holdout), MOST_ROWS)
    real = Moments(tables, tables.fit.draw(MOST_ROWS, rng))
    made, held, independent, uniform = (
        Moments(tables, table.draw(n, rng))
        for table in (tables.synthetic, tables.holdout, tables.independent, tables.uniform)
    )
    if not real.width:
        return Section()
    value = hellinger(real.whole, made.whole)
    low, high = jackknife.interval(
        value,
        np.array([hellinger(matrix, made.whole) for matrix in real.without]),
        np.array([hellinger(real.whole, matrix) for matrix in made.without]),
        bounds=(0.0, 1.0),
    )
    floor = hellinger(real.whole, held.whole)
    metric = Metric(
        name="hellinger.copula",
        value=value,
        floor=floor,
        references={
            "independent": hellinger(real.whole, independent.whole),
            "uniform": hellinger(real.whole, uniform.whole),
            "holdout": floor,
        },
        landmark="independent",
        direction="lower",
        ci_low=low,
        ci_high=high,
        n=n,
        tier="B",
    )
    return Section(metrics=(metric,))


def hellinger(a: FloatArray, b: FloatArray) -> float:
    """Return the Hellinger distance of two normal distributions of mean 0.

    Parameters
    ----------
    a, b : ndarray of float, shape (width, width)
        Covariance matrices, positive definite.
    """
    logs = [float(np.linalg.slogdet(matrix)[1]) for matrix in (a, b, (a + b) / 2)]
    # expm1 keeps small distances, of which 1 - exp would leave rounding only.
    return float(np.sqrt(max(0.0, -np.expm1((logs[0] + logs[1]) / 4 - logs[2] / 2))))


class Moments:
    """Correlation matrices of normal scores: of all rows, and without each group.

    Parameters
    ----------
    tables : Tables
        Says which levels have a column of their own.
    table : Conformed
        Rows.
    """

    def __init__(self, tables: Tables, table: Conformed) -> None:
        scores = _scores(tables, table)
        self.width = scores.shape[1]
        groups = [scores[table.groups == group] for group in np.unique(table.groups)]
        sums = np.array([part.sum(axis=0) for part in groups])
        products = np.array([part.T @ part for part in groups])
        rows = np.array([len(part) for part in groups])
        self.whole = _correlation(sums.sum(axis=0), products.sum(axis=0), int(rows.sum()))
        self.without = [
            _correlation(sums.sum(axis=0) - sums[i], products.sum(axis=0) - products[i], int(left))
            for i, left in enumerate(rows.sum() - rows)
            if left > 1
        ]


def normal_scores(numbers: FloatArray) -> FloatArray:
    """Return Φ⁻¹ of the mid-ranks, shape (n_rows,); 0 where there is no number.

    Parameters
    ----------
    numbers : ndarray of float, shape (n_rows,)
        NaN where a row has none.
    """
    out = np.zeros(len(numbers))
    present = ~np.isnan(numbers)
    if present.any():
        ranks = rankdata(numbers[present])
        out[present] = ndtri((ranks - 0.5) / len(ranks))
    return out


def _scores(tables: Tables, table: Conformed) -> FloatArray:
    columns: list[FloatArray] = []
    for place in range(len(tables.columns)):
        if not is_ordered(tables, place):
            levels = common_levels(tables, place, least=LEAST_SHARE)[1:]
            columns += [(table.codes[:, place] == level).astype(np.float64) for level in levels]
            continue
        numbers = numbers_of(tables, table, place)
        columns += [normal_scores(numbers), np.isnan(numbers).astype(np.float64)]
    return np.column_stack(columns) if columns else np.empty((len(table), 0))


def _correlation(sums: FloatArray, products: FloatArray, n: int) -> FloatArray:
    """Return the shrunk correlation matrix; a column that is constant depends on nothing."""
    mean = sums / n
    covariance = products / n - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(0.0, np.diag(covariance)))
    moves = spread > _ROUNDING
    scale = np.where(moves, spread, 1.0)
    out = covariance / np.outer(scale, scale)
    out[~moves], out[:, ~moves] = 0.0, 0.0
    np.fill_diagonal(out, 1.0)
    return (1.0 - SHRINKAGE) * out + SHRINKAGE * np.eye(len(out))
