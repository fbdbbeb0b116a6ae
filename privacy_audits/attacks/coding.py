"""Rows as numbers: typed blocks on which distances, kernels and counts are computed.

The scale of every column comes from public facts and from reference rows, which are neither members
nor the non-members that an attack is scored on: who is a member cannot move the scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from dpsynth.schema import Column, Schema

Columns = Mapping[str, npt.NDArray]
"""Typed columns as :func:`dpsynth.table.conform` returns them."""

BINS = 32
"""Cells of a numeric column, of equal share among the reference rows."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Block:
    """Coded rows. Sensitive where the rows are.

    Parameters
    ----------
    numeric : ndarray of float32, shape (n, p)
        Numeric columns at unit scale.
    discrete : ndarray of int32, shape (n, q)
        Levels, from 0; a numeric column that may be null adds one that says whether it is.
    cells : ndarray of int32, shape (n, p')
        One cell per column of the schema, numeric columns in bins.
    """

    numeric: npt.NDArray[np.float32]
    discrete: npt.NDArray[np.int32]
    cells: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.cells)

    def take(self, rows: npt.NDArray) -> Block:
        """Return some rows, given by number or by a mask."""
        return Block(
            numeric=self.numeric[rows], discrete=self.discrete[rows], cells=self.cells[rows]
        )

    @classmethod
    def joined(cls, blocks: Sequence[Block]) -> Self:
        """Return the rows of several blocks, one after the other."""
        return cls(
            numeric=np.concatenate([block.numeric for block in blocks]),
            discrete=np.concatenate([block.discrete for block in blocks]),
            cells=np.concatenate([block.cells for block in blocks]),
        )

    @classmethod
    def of_numbers(cls, values: npt.ArrayLike) -> Self:
        """Return rows of numbers that are at unit scale already, shape (n, p); they have no cells.

        Parameters
        ----------
        values : array of shape (n, p)
            Numbers.
        """
        numeric = np.ascontiguousarray(values, dtype=np.float32)
        nothing = np.zeros((len(numeric), 0), dtype=np.int32)
        return cls(numeric=numeric, discrete=nothing, cells=nothing)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Which column of the schema is where in a block.

    Parameters
    ----------
    names : tuple of str, length p'
        Columns of the cells.
    sizes : ndarray of int64, shape (p',)
        Number of cells of each.
    numeric : tuple of str, length p
        Columns of the numbers.
    discrete : tuple of str, length q
        Columns of the levels; a numeric column that may be null stands here again.
    levels : ndarray of int64, shape (q,)
        Number of levels of each.
    """

    names: tuple[str, ...]
    sizes: npt.NDArray[np.int64]
    numeric: tuple[str, ...]
    discrete: tuple[str, ...]
    levels: npt.NDArray[np.int64]

    @classmethod
    def of_numbers(cls, width: int) -> Self:
        """Return the layout of :meth:`Block.of_numbers`."""
        nothing = np.zeros(0, dtype=np.int64)
        names = tuple(f"x{place}" for place in range(width))
        return cls(names=(), sizes=nothing, numeric=names, discrete=(), levels=nothing)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Scale:
    """Monotone map of a numeric column to normal scores, strict between the public bounds."""

    knots: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    edges: npt.NDArray[np.float64]
    null: bool

    @classmethod
    def fit(cls, column: Column, reference: npt.NDArray, tables: Sequence[npt.NDArray]) -> Self:
        seen = reference[np.isfinite(reference)]
        if not len(seen):
            seen = np.zeros(1)
        values, counts = np.unique(seen, return_counts=True)
        shares = (np.cumsum(counts) - counts / 2) / len(seen)
        low, high = _limits(column, tables)
        if low < values[0]:
            values, shares = np.append(low, values), np.append(0.0, shares)
        if high > values[-1]:
            values, shares = np.append(values, high), np.append(shares, 1.0)
        least = 0.1 / (len(seen) + 1)
        return cls(
            knots=values,
            scores=ndtri(np.clip(shares, least, 1 - least)),
            edges=np.unique(np.quantile(seen, np.linspace(0, 1, BINS + 1)[1:-1])),
            null=any(bool(np.isnan(table).any()) for table in tables),
        )

    def score(self, values: npt.NDArray) -> npt.NDArray[np.float32]:
        known = np.isfinite(values)
        scores = np.interp(np.where(known, values, 0.0), self.knots, self.scores)
        return np.where(known, scores, 0.0).astype(np.float32)

    def cell(self, values: npt.NDArray) -> npt.NDArray[np.int32]:
        cells = np.searchsorted(self.edges, values, side="right")
        cells[~np.isfinite(values)] = len(self.edges) + 1
        return cells.astype(np.int32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Coding:
    """How rows of one schema become a :class:`Block`.

    Attributes
    ----------
    layout : Layout
        Which column is where.
    """

    layout: Layout
    _scales: Mapping[str, _Scale]
    _indices: Mapping[str, pd.Index]

    @classmethod
    def fit(cls, schema: Schema, *, reference: Columns, others: Sequence[Columns] = ()) -> Self:
        """Return the coding of a schema.

        Parameters
        ----------
        schema : Schema
            Public facts.
        reference : columns
            Rows that set the scale of numeric columns.
        others : sequence of columns
            Tables that will be coded as well: only their levels, in the order of their text, and
            whether they have nulls are looked at.
        """
        scales: dict[str, _Scale] = {}
        indices: dict[str, pd.Index] = {}
        tables = [reference, *others]
        for column in schema.modelled:
            values = [table[column.name] for table in tables]
            if column.is_numeric:
                scales[column.name] = _Scale.fit(column, reference[column.name], values)
            else:
                indices[column.name] = _levels(column, values)
        flagged = [name for name, scale in scales.items() if scale.null]
        names = tuple(column.name for column in schema.modelled)
        sizes = [
            len(scales[name].edges) + 1 + scales[name].null
            if name in scales
            else len(indices[name]) + 1
            for name in names
        ]
        levels = [len(index) + 1 for index in indices.values()] + [2] * len(flagged)
        layout = Layout(
            names=names,
            sizes=np.array(sizes, dtype=np.int64),
            numeric=tuple(scales),
            discrete=(*indices, *flagged),
            levels=np.array(levels, dtype=np.int64),
        )
        return cls(layout=layout, _scales=scales, _indices=indices)

    def block(self, columns: Columns) -> Block:
        """Code rows."""
        n = len(next(iter(columns.values())))
        numeric: list[npt.NDArray] = []
        discrete: list[npt.NDArray] = []
        flags: list[npt.NDArray] = []
        cells: list[npt.NDArray] = []
        for name in self.layout.names:
            values = columns[name]
            if name in self._scales:
                scale = self._scales[name]
                numeric.append(scale.score(values))
                cells.append(scale.cell(values))
                flags += [np.isnan(values).astype(np.int32)] * scale.null
            else:
                index = self._indices[name]
                codes = index.get_indexer(pd.Index(values, dtype=object)).astype(np.int32)
                codes[codes < 0] = len(index)
                discrete.append(codes)
                cells.append(codes)
        return Block(
            numeric=_stack(numeric, n, np.float32),
            discrete=_stack(discrete + flags, n, np.int32),
            cells=_stack(cells, n, np.int32),
        )


def _levels(column: Column, tables: Sequence[npt.NDArray]) -> pd.Index:
    """Return declared levels, followed by the others that occur, in the order of their text."""
    seen = {value for table in tables for value in pd.unique(table)}
    declared = list(column.levels) if column.categories != "discover" else []
    return pd.Index([*declared, *sorted(seen - set(declared) - {None})], dtype=object)


def _limits(column: Column, tables: Sequence[npt.NDArray]) -> tuple[float, float]:
    """Return public bounds, or, where they were discovered, the range of all tables together."""
    if isinstance(column.bounds, tuple):
        return float(column.bounds[0]), float(column.bounds[1])
    seen = np.concatenate(tables)
    seen = seen[np.isfinite(seen)]
    return float(seen.min(initial=np.inf)), float(seen.max(initial=-np.inf))


def _stack(columns: Sequence[npt.NDArray], n: int, dtype: npt.DTypeLike) -> npt.NDArray:
    return np.stack(columns, axis=1).astype(dtype) if columns else np.zeros((n, 0), dtype=dtype)


def group_rows(tables: Sequence[npt.NDArray]) -> list[npt.NDArray[np.int64]]:
    """Return numbers of the rows of several tables: equal rows, and only those, have equal ones.

    Parameters
    ----------
    tables : sequence of ndarray, shape (n_i, p)
        Integer codes.
    """
    joined = np.concatenate(tables)
    numbers = np.zeros(len(joined), dtype=np.int64)
    for column in joined.T:
        codes = column.astype(np.int64)
        codes = codes - codes.min(initial=0)
        numbers = numbers * (int(codes.max(initial=0)) + 1) + codes
        numbers = pd.factorize(numbers)[0].astype(np.int64)
    return np.split(numbers, np.cumsum([len(table) for table in tables])[:-1])


def value_codes(schema: Schema, tables: Sequence[Columns]) -> list[npt.NDArray[np.int64]]:
    """Return integer codes of exact values, shape (n_i, p) each; declared decimals are rounded."""
    coded: list[npt.NDArray] = []
    for column in schema.modelled:
        values = np.concatenate([table[column.name] for table in tables])
        if column.is_numeric and column.decimals is not None:
            values = np.round(values, column.decimals)
        # -0.0 equals 0.0, and nulls are a value of their own.
        coded.append(pd.factorize(values + 0.0 if column.is_numeric else values)[0])
    joined = np.stack(coded, axis=1).astype(np.int64)
    lengths = [len(next(iter(table.values()))) for table in tables]
    return np.split(joined, np.cumsum(lengths)[:-1])
