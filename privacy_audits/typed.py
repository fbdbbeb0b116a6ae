"""A typed distance between rows: places on public bounds, levels that agree or differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from dpsynth.schema import DISCOVER, Column, Kind, Schema
from dpsynth.table import Source, conform

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_NULL = -1
_BLOCK_CELLS = 1 << 21
"""Distances that are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class TypedRows:
    """Rows of a table as coordinates.

    Parameters
    ----------
    places : ndarray of float, shape (n_rows, n_ordered)
        Numeric and ordinal columns, 0 and 1 at the public bounds; NaN for null.
    levels : ndarray of int64, shape (n_rows, n_named)
        Categorical and boolean columns as codes; -1 for null.
    """

    places: FloatArray
    levels: IntArray

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: npt.NDArray) -> TypedRows:
        """Return the chosen rows."""
        return TypedRows(places=self.places[rows], levels=self.levels[rows])

    def __repr__(self) -> str:
        return f"TypedRows({self.places.shape[1]} ordered, {self.levels.shape[1]} named)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class TypedSpace:
    """Coordinates that rows of one schema share. Make one with :meth:`of`.

    Parameters
    ----------
    schema : Schema
        Public facts.
    keep_outside : bool
        Whether values outside the domain keep a place of their own. Otherwise the declared policy
        applies to them: they are clipped, or become ``other`` or null.
    ordered : mapping of str to (float, float)
        Lower bound and width of each numeric column, and of each ordinal one in steps.
    named : mapping of str to tuple of str
        Levels of each categorical or boolean column.
    """

    schema: Schema
    keep_outside: bool
    ordered: Mapping[str, tuple[float, float]]
    named: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, schema: Schema, *tables: Source, keep_outside: bool = False) -> Self:
        """Return the space of a schema.

        Parameters
        ----------
        schema : Schema
            Public facts.
        *tables : path, DataFrame or Arrow table
            Where the bounds and levels of columns come from for which the schema declares none
            (``"discover"``); not looked at otherwise.
        keep_outside : bool
            See the class.

        Privacy
        -------
        Without discovered columns the space is a function of public facts alone. With them it is as
        confidential as the tables.
        """
        seen: list[dict[str, npt.NDArray]] = []
        if any(column.discovers for column in schema.modelled):
            seen = [conform(table, schema) for table in tables]
        ordered, named = {}, {}
        for column in schema.modelled:
            values = [table[column.name] for table in seen]
            if column.is_numeric:
                ordered[column.name] = _bounds(column, values)
            elif column.kind == Kind.ORDINAL:
                ordered[column.name] = (0.0, max(1.0, len(_declared(column)) - 1.0))
            else:
                named[column.name] = _levels(column, values)
        return cls(schema=schema, keep_outside=keep_outside, ordered=ordered, named=named)

    def rows(self, table: Source) -> TypedRows:
        """Return the coordinates of a table's rows, in the order in which they stand."""
        schema = without_bounds(self.schema) if self.keep_outside else self.schema
        values = conform(table, schema)
        places = [
            (self._numbers(name, values[name]) - low) / width
            for name, (low, width) in self.ordered.items()
        ]
        levels = [self._codes(name, values[name]) for name in self.named]
        n = len(next(iter(values.values())))
        return TypedRows(
            places=np.stack(places, axis=1) if places else np.zeros((n, 0)),
            levels=np.stack(levels, axis=1) if levels else np.zeros((n, 0), dtype=np.int64),
        )

    def _numbers(self, name: str, values: npt.NDArray) -> FloatArray:
        column = self.schema.column(name)
        if column.is_numeric:
            return values
        steps = {level: float(step) for step, level in enumerate(_declared(column))}
        return np.array([steps.get(value, np.nan) for value in values], dtype=np.float64)

    def _codes(self, name: str, values: npt.NDArray) -> IntArray:
        column, levels = self.schema.column(name), self.named[name]
        codes: dict[str | None, int] = {level: code for code, level in enumerate(levels)}
        codes[None] = _NULL
        outside = len(levels)
        if not self.keep_outside and column.categories != DISCOVER:
            outside = outside - 1 if column.other is None else levels.index(column.other)
        return np.array([codes.get(value, outside) for value in values], dtype=np.int64)

    def __repr__(self) -> str:
        return f"TypedSpace({self.schema.name!r})"


def _bounds(column: Column, values: list[FloatArray]) -> tuple[float, float]:
    if isinstance(column.bounds, tuple):
        low, high = float(column.bounds[0]), float(column.bounds[1])
    else:
        present = np.concatenate([part[~np.isnan(part)] for part in values] or [np.zeros(1)])
        low, high = (present.min(), present.max()) if present.size else (0.0, 1.0)
    return float(low), float(high - low) or 1.0


def _levels(column: Column, values: list[npt.NDArray]) -> tuple[str, ...]:
    if column.categories != DISCOVER:
        return column.levels
    return tuple(sorted({value for part in values for value in part if value is not None}))


def _declared(column: Column) -> tuple[str, ...]:
    """Return the levels of an ordinal column that have a rank."""
    return column.levels if column.other is not None else column.levels[:-1]


def without_bounds(schema: Schema) -> Schema:
    """Return a schema under which numbers are read as they are: nothing is clipped."""
    columns = [
        replace(column, bounds=None) if column.is_numeric else column for column in schema.columns
    ]
    return replace(schema, columns=tuple(columns))


def distances(rows: TypedRows, others: TypedRows) -> FloatArray:
    """Return the distance of every row to every other one, shape (n_rows, n_others).

    Notes
    -----
    The mean over columns of: the difference of places; 1 or 0 for levels that differ or agree; 1
    where one of two values is null, 0 where both are. Within the bounds no column weighs more than
    another and the distance lies in [0, 1].

    References
    ----------
    Gower, "A general coefficient of similarity and some of its properties", Biometrics 27 (1971).
    """
    total = np.zeros((len(rows), len(others)))
    for here, there in zip(rows.places.T, others.places.T, strict=True):
        apart = np.abs(here[:, None] - there[None, :])
        absent, lacking = np.isnan(here), np.isnan(there)
        if absent.any() or lacking.any():
            differ = absent[:, None] != lacking[None, :]
            apart = np.where(absent[:, None] | lacking[None, :], differ, apart)
        total += apart
    for here, there in zip(rows.levels.T, others.levels.T, strict=True):
        total += here[:, None] != there[None, :]
    return total / max(1, rows.places.shape[1] + rows.levels.shape[1])


def blocks(rows: int, others: int) -> Iterator[slice]:
    """Cut rows into blocks whose distances to all others fit into memory."""
    step = max(1, _BLOCK_CELLS // max(1, others))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def nearest(rows: TypedRows, others: TypedRows, *, k: int, same: bool = False) -> FloatArray:
    """Return the distances to the nearest others, ascending, shape (n_rows, k).

    Parameters
    ----------
    rows, others : TypedRows
        Of one space.
    k : int
        How many; where there are fewer others, the distances that do not exist are 1.
    same : bool
        Whether both are the same rows in the same order: then no row is its own neighbour.
    """
    found = np.ones((len(rows), k))
    most = min(k, len(others) - same)
    if most < 1:
        return found
    for block in blocks(len(rows), len(others)):
        apart = distances(rows.take(np.arange(block.start, block.stop)), others)
        if same:
            apart[np.arange(len(apart)), np.arange(block.start, block.stop)] = np.inf
        found[block, :most] = np.sort(np.partition(apart, most - 1, axis=1)[:, :most], axis=1)
    return found
