"""Counting queries, such as how many people are female, between 30 and 50, and widowed.

Conjunctions over one to four columns, drawn once for all tables. A person who tabulates a release
asks such questions; the mean error says what to expect, the 95th percentile what to fear.
Intervals are wide, as those of :mod:`benchmarks.marginals`: they cover in 95 to 100 of 100
simulated samples. Those of percentiles are approximate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from benchmarks.counting import references
from benchmarks.discretise import Conformed, Tables
from benchmarks.replicates import Replicated, high, mean
from benchmarks.report import Section

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

QUERIES = 1_000
MOST_COLUMNS = 4
LEAST_SHARE = 0.001
"""Shares below it count as this much in a relative error."""

_NODES = 200
_HALF_NORMAL: FloatArray = norm.ppf(0.5 + (np.arange(_NODES) + 0.5) / (2 * _NODES))
"""Sampling error in standard deviations, at evenly spread probabilities."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """A conjunction.

    Parameters
    ----------
    places : tuple of int
        Columns.
    allowed : tuple of ndarray of bool
        For each column the cells that count.
    """

    places: tuple[int, ...]
    allowed: tuple[npt.NDArray[np.bool_], ...]

    def rows(self, columns: IntArray) -> IntArray:
        """Return the rows that fulfil it, in ascending order.

        Parameters
        ----------
        columns : ndarray of int, shape (n_columns, n_rows)
            Cells of the rows.
        """
        kept = np.flatnonzero(self.allowed[0][columns[self.places[0]]])
        for place, cells in zip(self.places[1:], self.allowed[1:], strict=True):
            kept = kept[cells[columns[place][kept]]]
        return kept


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Answers:
    """Answers of one table.

    Parameters
    ----------
    shares : ndarray of float, shape (n_queries,)
        Shares of its rows.
    left_out : ndarray of float, shape (n_groups, n_queries)
        Shares with one group left out.
    """

    shares: FloatArray
    left_out: FloatArray

    @classmethod
    def of(cls, table: Conformed, queries: Sequence[Query]) -> Answers:
        """Answer all queries."""
        # With groups one after the other, the rows of a group are found without counting them.
        order = np.argsort(table.groups, kind="stable")
        columns = np.ascontiguousarray(table.codes[order].T)
        sizes = np.bincount(table.groups)
        ends = np.cumsum(sizes[sizes > 0])
        counts = np.array([np.searchsorted(query.rows(columns), ends) for query in queries]).T
        by_group = np.diff(counts, axis=0, prepend=0)
        left = np.maximum(1, len(table) - np.diff(ends, prepend=0))
        return cls(
            shares=counts[-1] / len(table), left_out=(counts[-1] - by_group) / left[:, np.newaxis]
        )


def draw_queries(tables: Tables, count: int, rng: np.random.Generator) -> list[Query]:
    """Draw conjunctions: half of the levels of a column, or an interval where there is an order.

    Parameters
    ----------
    tables : Tables
        Columns and their cells; no row is looked at.
    count : int
        How many.
    rng : numpy.random.Generator
        Draws them.
    """
    d = len(tables.columns)
    out = []
    for _ in range(count):
        size = int(rng.integers(1, min(MOST_COLUMNS, d) + 1))
        places = tuple(rng.permutation(d)[:size].tolist())
        out.append(
            Query(places=places, allowed=tuple(_cells(tables, place, rng) for place in places))
        )
    return out


def _cells(tables: Tables, place: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    column, size = tables.columns[place], tables.sizes[place]
    inner = size - 2  # null and outside stand last: nobody asks for them
    cells = np.zeros(size, dtype=bool)
    if column.is_numeric or column.kind == "ordinal":
        first, last = np.sort(rng.integers(0, inner, 2))
        cells[first : last + 1] = True
    else:
        cells[rng.permutation(inner)[: max(1, inner // 2)]] = True
    return cells


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare the answers to 1,000 counting queries.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws queries, and held-out rows.

    Notes
    -----
    Floors are the mean and the percentile of normal sampling errors of all queries together.
    """
    queries = draw_queries(tables, QUERIES, rng)
    fit, synthetic = (Answers.of(table, queries) for table in (tables.fit, tables.synthetic))
    others = {
        name: Answers.of(table, queries).shares for name, table in references(tables, rng).items()
    }
    n, m = len(tables.fit), len(tables.synthetic)
    real = fit.shares
    spread = np.sqrt(real * (1 - real) * (1 / n + 1 / m))
    metrics = []
    for family, error, bounds in (
        ("queries", _absolute, (0.0, 1.0)),
        ("queries.relative", _relative, (0.0, 1.0 / LEAST_SHARE)),
    ):
        errors = Replicated(
            whole=error(synthetic.shares, real),
            sides=(error(synthetic.shares, fit.left_out), error(synthetic.left_out, real)),
        )
        alone = spread if error is _absolute else spread / np.maximum(real, LEAST_SHARE)
        metrics += [
            errors.metric(
                f"{family}.{name}",
                of,
                floor=float(of(np.outer(alone, _HALF_NORMAL).ravel())),
                references={label: error(shares, real) for label, shares in others.items()},
                landmark="independent",
                n=min(n, m),
                bounds=bounds,
            )
            for name, of in (("mean", mean), ("p95", high))
        ]
    return Section(metrics=tuple(metrics))


def _absolute(made: FloatArray, real: FloatArray) -> FloatArray:
    return np.abs(made - real)


def _relative(made: FloatArray, real: FloatArray) -> FloatArray:
    return np.abs(made - real) / np.maximum(real, LEAST_SHARE)
