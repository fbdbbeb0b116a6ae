"""Counts of subsets of columns, of several tables at once and with one group left out.

Columns lie one after the other in memory, those of all tables in one block: a marginal costs one
pass over them and one ``bincount`` per table. Marginals with many cells are counted over the cells
that some row is in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.discretise import Conformed, Tables
from benchmarks.jackknife import leave_out

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_DENSE = 1 << 15
"""Up to this many cells a marginal is counted in an array that has all of them."""
_MOST_CELLS = 1 << 62
"""Cell numbers stay below it."""


def subsets(d: int, size: int, most: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return all sets of ``size`` of ``d`` columns, or ``most`` different ones at random."""
    if math.comb(d, size) <= most:
        return list(combinations(range(d), size))
    chosen: set[tuple[int, ...]] = set()
    while len(chosen) < most:
        chosen.add(tuple(sorted(rng.choice(d, size, replace=False).tolist())))
    return sorted(chosen)


def references(tables: Tables, rng: np.random.Generator) -> dict[str, Conformed]:
    """Return what the synthetic table stands beside, with as many rows.

    Parameters
    ----------
    tables : Tables
        The tables.
    rng : numpy.random.Generator
        Draws held-out rows.

    Returns
    -------
    dict of str to Conformed
        ``independent``, ``uniform`` and, where as many rows are held out, ``holdout``.
    """
    n = len(tables.synthetic)
    out = {"independent": tables.independent, "uniform": tables.uniform}
    return out | ({"holdout": tables.holdout.draw(n, rng)} if n <= len(tables.holdout) else {})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Marginal:
    """One subset of columns.

    Parameters
    ----------
    cells : ndarray of int, shape (n_cells,)
        Number of each cell, last column fastest. Of more columns than two it is only a label.
    flat : mapping of str to ndarray of int, shape (n_rows,)
        Place of each row among ``cells``, by table.
    groups : mapping of str to ndarray of int, shape (n_rows,)
        Jackknife groups, by table.
    """

    cells: IntArray
    flat: Mapping[str, IntArray]
    groups: Mapping[str, IntArray]

    def counts(self, table: str) -> IntArray:
        """Return the rows in each cell, shape (n_cells,)."""
        return np.bincount(self.flat[table], minlength=len(self.cells))

    def shares(self, table: str) -> FloatArray:
        """Return the share of rows in each cell, shape (n_cells,)."""
        return self.counts(table) / len(self.flat[table])

    def left_out(self, table: str) -> FloatArray:
        """Return counts with one group left out, shape (n_groups, n_cells)."""
        return leave_out(self.flat[table], self.groups[table], len(self.cells))

    def shares_left_out(self, table: str) -> FloatArray:
        """Return shares with one group left out, shape (n_groups, n_cells)."""
        rows = np.bincount(self.groups[table])
        left = np.maximum(1, rows.sum() - rows[rows > 0])
        counts = self.left_out(table)
        counts /= left[:, np.newaxis]
        return counts


class Counter:
    """Several tables on one grid, ready to be counted.

    Parameters
    ----------
    tables : mapping of str to Conformed
        The tables by name.
    sizes : sequence of int
        Cells of each column.
    """

    def __init__(self, tables: Mapping[str, Conformed], sizes: Sequence[int]) -> None:
        self._sizes = tuple(sizes)
        self._names = tuple(tables)
        self._stacked = np.ascontiguousarray(
            np.concatenate([table.codes for table in tables.values()]).T
        )
        self._ends = np.cumsum([len(table) for table in tables.values()])[:-1]
        self._groups = {name: table.groups for name, table in tables.items()}

    def __repr__(self) -> str:
        return f"Counter({len(self._names)} tables)"

    def marginal(self, places: Sequence[int]) -> Marginal:
        """Return the marginal of the columns at ``places``."""
        flat, total = self._stacked[places[0]], self._sizes[places[0]]
        for place in places[1:]:
            size = self._sizes[place]
            if total > _MOST_CELLS // size:
                flat, cells = pd.factorize(flat)
                total = len(cells)
            flat, total = flat * size + self._stacked[place], total * size
        cells = None
        if total > _DENSE:
            flat, cells = pd.factorize(flat)
        return Marginal(
            cells=np.arange(total) if cells is None else np.asarray(cells),
            flat=dict(zip(self._names, np.split(flat, self._ends), strict=True)),
            groups=self._groups,
        )
