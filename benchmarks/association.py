"""How strongly two columns of a table depend on each other, with one group left out as well.

|Spearman's ρ| between numbers, bias-corrected Cramér's V between levels, correlation ratio η
between a number and levels: all in [0, 1]. All three are functions of sums and counts by group, so
that leaving out a group costs nothing. Ranks are those of the whole table and are kept when a group
is left out: ranks within the rest differ by order 1/n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.counting import Counter
from benchmarks.discretise import Conformed
from benchmarks.jackknife import leave_out

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Strengths:
    """Dependence of pairs of columns.

    Parameters
    ----------
    whole : ndarray of float, shape (n_pairs,)
        In the whole table; 0 where a column is constant.
    left_out : ndarray of float, shape (n_groups, n_pairs)
        With one group left out.
    """

    whole: FloatArray
    left_out: FloatArray


def strengths(
    table: Conformed,
    pairs: Sequence[tuple[int, ...]],
    numeric: Sequence[bool],
    sizes: Sequence[int],
) -> Strengths:
    """Measure how strongly pairs of columns depend on each other.

    Parameters
    ----------
    table : Conformed
        The table.
    pairs : sequence of pair of int
        Places of columns.
    numeric : sequence of bool
        Which columns are numbers.
    sizes : sequence of int
        Cells of each column.

    Notes
    -----
    Null is a level of a discrete column. Rows in which a number is null are left out of its pairs.

    References
    ----------
    Bergsma 2013, "A bias-correction for Cramér's V and Tschuprow's T".
    """
    columns = _Columns(table, sizes)
    found = np.empty((columns.n_groups + 1, len(pairs)))
    for k, (i, j) in enumerate(pairs):
        if numeric[i] and numeric[j]:
            found[:, k] = columns.rank_correlation(i, j)
        elif numeric[i] or numeric[j]:
            found[:, k] = columns.correlation_ratio(*((i, j) if numeric[i] else (j, i)))
        else:
            found[:, k] = columns.cramers_v(i, j)
    return Strengths(whole=found[0], left_out=found[1:])


class _Columns:
    """Columns of one table, with groups one after the other; what pairs share is kept."""

    def __init__(self, table: Conformed, sizes: Sequence[int]) -> None:
        order = np.argsort(table.groups, kind="stable")
        present = np.bincount(table.groups)
        self._table = table
        self._order = order
        self._starts = np.cumsum(present[present > 0]) - present[present > 0]
        self.n_groups = len(self._starts)
        self._groups = np.repeat(np.arange(self.n_groups), present[present > 0])
        self._sizes = sizes
        self._counter = Counter({"table": table}, sizes=sizes)
        self._ranked: dict[int, _Ranked] = {}
        self._levels: dict[int, tuple[IntArray, int]] = {}
        self._margins: dict[int, FloatArray] = {}

    def rank_correlation(self, i: int, j: int) -> FloatArray:
        """Return |Spearman's ρ|, whole first, shape (1 + n_groups,)."""
        a, b = self._rank(i), self._rank(j)
        if a.present is None and b.present is None:
            x, y = a.standard, b.standard
            n = self._sums(np.ones(len(x)))
        else:
            both = np.ones(len(a.codes), dtype=bool)
            for side in (a, b):
                both &= True if side.present is None else side.present
            x, y = a.within(both), b.within(both)
            n = self._sums(both.astype(np.float64))
        sx, sy, sxx, syy, sxy = map(self._sums, (x, y, x * x, y * y, x * y))
        n = np.maximum(n, 1.0)
        spread = (sxx - sx * sx / n) * (syy - sy * sy / n)
        return np.minimum(1.0, np.abs(_ratio(sxy - sx * sy / n, np.sqrt(np.maximum(0.0, spread)))))

    def correlation_ratio(self, number: int, level: int) -> FloatArray:
        """Return η of numbers given levels, whole first, shape (1 + n_groups,)."""
        ranked, (codes, size) = self._rank(number), self._level(level)
        x, present = ranked.scaled, ranked.present
        rows = slice(None) if present is None else present
        cells = self._groups[rows] * size + codes[rows]
        total = self.n_groups * size
        counts, sums = (
            _whole_and_left(per_cell.reshape(-1, size))
            for per_cell in (_counts(cells, total), _counts(cells, total, x[rows]))
        )
        n, s = counts.sum(axis=1), sums.sum(axis=1)
        middle = s * s / np.maximum(n, 1.0)
        between = _ratio(sums * sums, counts).sum(axis=1) - middle
        return np.sqrt(np.clip(_ratio(between, self._sums(x * x) - middle), 0.0, 1.0))

    def cramers_v(self, i: int, j: int) -> FloatArray:
        """Return bias-corrected Cramér's V, whole first, shape (1 + n_groups,)."""
        marginal = self._counter.marginal((i, j))
        across, down = self._margin(i), self._margin(j)
        counts = np.vstack(
            [marginal.counts("table").astype(np.float64), marginal.left_out("table")]
        )
        row, column = np.divmod(marginal.cells, self._sizes[j])
        squared = _ratio(counts**2, across[:, row] * down[:, column]).sum(axis=1) - 1.0
        less = np.maximum(counts.sum(axis=1) - 1.0, 1.0)
        r, c = ((margin > 0).sum(axis=1) for margin in (across, down))
        corrected = np.maximum(0.0, squared - (r - 1) * (c - 1) / less)
        room = np.minimum(r - (r - 1) ** 2 / less, c - (c - 1) ** 2 / less) - 1.0
        defined = (np.minimum(r, c) > 1) & (room > 0)
        return np.where(
            defined, np.minimum(1.0, np.sqrt(corrected / np.where(defined, room, 1.0))), 0.0
        )

    def _sums(self, x: FloatArray) -> FloatArray:
        return _whole_and_left(np.add.reduceat(x, self._starts))

    def _rank(self, place: int) -> _Ranked:
        if place not in self._ranked:
            self._ranked[place] = _Ranked(self._table.features[self._order, place])
        return self._ranked[place]

    def _level(self, place: int) -> tuple[IntArray, int]:
        """Return codes of the levels that the table has, and their number."""
        if place not in self._levels:
            codes = self._table.codes[self._order, place]
            seen = np.bincount(codes, minlength=self._sizes[place]) > 0
            self._levels[place] = (np.cumsum(seen) - 1)[codes], int(seen.sum())
        return self._levels[place]

    def _margin(self, place: int) -> FloatArray:
        if place not in self._margins:
            codes, groups, size = (
                self._table.codes[:, place],
                self._table.groups,
                self._sizes[place],
            )
            self._margins[place] = np.vstack([_counts(codes, size), leave_out(codes, groups, size)])
        return self._margins[place]


class _Ranked:
    """One numeric column: places of its values among those that differ; NaN is null."""

    def __init__(self, values: FloatArray) -> None:
        null = np.isnan(values)
        self.present: BoolArray | None = ~null if null.any() else None
        known = values if self.present is None else values[self.present]
        points, codes = np.unique(known, return_inverse=True)
        self._n_points = len(points)
        self.codes = np.zeros(len(values), dtype=np.int64)
        self.codes[~null] = codes.reshape(-1)
        self.scaled = np.zeros(len(values))
        if len(points) > 1:
            # Divided first: squares, and sums of squares, of huge numbers are not finite.
            centred = known / np.abs(points).max()
            centred = centred - centred.mean()
            self.scaled[~null] = centred / np.abs(centred).max()
        self.standard = self.within(~null)

    def within(self, rows: BoolArray) -> FloatArray:
        """Return standardised average ranks within some rows, 0 elsewhere, shape (n_rows,)."""
        out = np.zeros(len(rows))
        codes = self.codes[rows]
        counts = np.bincount(codes, minlength=self._n_points)
        average = np.cumsum(counts) - (counts - 1) / 2
        ranks = average[codes] - (len(codes) + 1) / 2
        spread = np.sqrt(np.mean(ranks**2)) if len(ranks) else 0.0
        if spread > 0:
            out[rows] = ranks / spread
        return out


def _counts(cells: IntArray, size: int, weights: FloatArray | None = None) -> FloatArray:
    return np.bincount(cells, weights, size).astype(np.float64)


def _whole_and_left(by_group: FloatArray) -> FloatArray:
    """Return the sum over groups, and that without each of them, shape (1 + n_groups, ...)."""
    whole = by_group.sum(axis=0)
    return np.concatenate([whole[np.newaxis], whole - by_group])


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Return quotients; 0 where there is nothing to divide by."""
    # Sums that should vanish leave rounding errors of the order of their parts, which are ≤ n.
    return np.divide(above, below, out=np.zeros_like(below, dtype=np.float64), where=below > 1e-9)
