"""One matrix of numbers for tables of mixed columns, scaled by the schema.

Distances and linear models need every column on one scale. Here a column spans a length of about
one: numbers by their declared range, ordered levels by their place, other levels as corners that
lie at distance one from each other. A range that was declared far wider than the data makes its
column count for little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.discretise import Conformed, Tables

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_LEVELS = 50
"""Levels with a corner of their own; the rare ones beyond share one."""

_REACH = 1.0
"""Numbers are cut at this many ranges beyond the ends of the range."""


def common_levels(tables: Tables, place: int, *, least: float = 0.0) -> IntArray:
    """Return the codes that real rows have, most common first, up to :data:`MOST_LEVELS`.

    Parameters
    ----------
    tables : Tables
        Tables on one grid.
    place : int
        A discrete column.
    least : float
        Share of the real rows that a level needs.
    """
    real = np.concatenate([tables.fit.codes[:, place], tables.holdout.codes[:, place]])
    counts = np.bincount(real, minlength=tables.sizes[place])
    order = np.argsort(-counts, kind="stable")
    return order[(counts[order] > 0) & (counts[order] >= least * len(real))][:MOST_LEVELS]


def numbers_of(tables: Tables, table: Conformed, place: int) -> FloatArray:
    """Return an ordered column as numbers, shape (n_rows,); NaN where a row has none."""
    if tables.columns[place].is_numeric:
        return table.features[:, place]
    codes = table.codes[:, place]
    return np.where(codes < _steps(tables, place), codes, np.nan)


def _steps(tables: Tables, place: int) -> int:
    """Return how many levels have an order; the one that is reserved for the unlisted has none."""
    column = tables.columns[place]
    reserved = column.other is None and column.categories != "discover"
    return tables.cells[place].inner - int(reserved)


def is_ordered(tables: Tables, place: int) -> bool:
    """Whether the column holds numbers or levels with an order."""
    column = tables.columns[place]
    return column.is_numeric or column.kind == "ordinal"


@dataclass(frozen=True, slots=True)
class _Ordered:
    place: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Levels:
    place: int
    kept: IntArray


class Encoding:
    """How tables become a matrix.

    Parameters
    ----------
    tables : Tables
        Ranges come from the schema, or from the real rows where they were discovered; which levels
        are common is read from the real rows. The synthetic table decides nothing.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._parts: list[_Ordered | _Levels] = []
        for place in range(len(tables.columns)):
            if is_ordered(tables, place):
                self._parts.append(_Ordered(place, *_range(tables, place)))
            else:
                self._parts.append(_Levels(place, common_levels(tables, place)))

    def matrix(self, table: Conformed) -> FloatArray:
        """Return the rows as points, shape (n_rows, width)."""
        blocks: list[FloatArray] = []
        for part in self._parts:
            if isinstance(part, _Levels):
                codes = table.codes[:, part.place]
                known = codes[:, None] == part.kept[None, :]
                corners = np.column_stack([known, ~known.any(axis=1)])
                blocks.append(corners / np.sqrt(2.0))
                continue
            numbers = numbers_of(self._tables, table, part.place)
            with np.errstate(over="ignore"):
                scaled = (numbers - part.low) / (part.high - part.low)
            null = np.isnan(numbers)
            # Null lies beside the middle, at distance one from both ends of the range.
            place = np.where(null, 0.5, np.clip(scaled, -_REACH, 1.0 + _REACH))
            blocks.append(np.column_stack([place, null * np.sqrt(0.75)]))
        return np.column_stack(blocks)


def _range(tables: Tables, place: int) -> tuple[float, float]:
    column = tables.columns[place]
    if not column.is_numeric:
        low, high = 0.0, _steps(tables, place) - 1.0
    elif isinstance(column.bounds, tuple):
        low, high = float(column.bounds[0]), float(column.bounds[1])
    else:
        real = np.concatenate([tables.fit.features[:, place], tables.holdout.features[:, place]])
        present = real[np.isfinite(real)]
        low, high = (float(present.min()), float(present.max())) if len(present) else (0.0, 0.0)
    # A range of one point says nothing, and neither does one that is wider than floats go.
    return (low, high) if 0 < high - low < np.inf else (low, np.inf)
