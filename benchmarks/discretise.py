"""Bring three tables to the schema's terms, and cut them on one shared grid.

Comparisons are fair only between tables of one form: dtypes, decimals and levels follow the schema
for all three, bins are shared, and their outer edges are infinite. Nulls and values outside the
domain have cells of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks import references, split
from dpsynth.errors import DataError
from dpsynth.files import column_types, read_columns
from dpsynth.schema import Column, Schema, canonical_level
from dpsynth.table import Source, conform, unit_codes, violations

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BINS = 20
"""Quantile bins of a numeric column."""
GROUPS = 20
"""Groups of whole privacy units, of which intervals leave out one at a time."""

_STREAM = 1_000
"""Of the generator behind groups and references; parts of an evaluation count from 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Cells:
    """How one column is cut.

    Parameters
    ----------
    edges : ndarray of float
        Inner edges of a numeric column; empty for others.
    levels : tuple of str
        Levels of a discrete column, the reserved one included; empty for others.
    """

    edges: FloatArray
    levels: tuple[str, ...] = ()

    @property
    def inner(self) -> int:
        """Cells that hold a value; the null cell follows, and the one outside the domain."""
        return len(self.levels) or len(self.edges) + 1

    @property
    def size(self) -> int:
        """All cells."""
        return self.inner + 2

    def code(self, numbers: FloatArray) -> IntArray:
        """Return the cells of numbers, shape (n_rows,); NaN is null."""
        codes = np.searchsorted(self.edges, numbers, side="right")
        codes[np.isnan(numbers)] = self.inner
        return codes

    def __repr__(self) -> str:
        return f"Cells({self.size})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Conformed:
    """One table on the schema's terms.

    Parameters
    ----------
    features : ndarray of float, shape (n_rows, n_columns)
        Numeric columns as they are (NaN: null), discrete ones as codes.
    codes : ndarray of int, shape (n_rows, n_columns)
        Cells of the shared grid, each below the column's size. The last but one is null, the last
        one is outside the domain.
    units : ndarray of int, shape (n_rows,)
        Privacy unit of each row, from 0.
    groups : ndarray of int, shape (n_rows,)
        Group of each row, in [0, :data:`GROUPS`): units are spread over them at random.
    """

    features: FloatArray
    codes: IntArray
    units: IntArray
    groups: IntArray

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: npt.NDArray) -> Conformed:
        """Return the chosen rows."""
        units = np.unique(self.units[rows], return_inverse=True)[1].reshape(-1)
        return Conformed(
            features=self.features[rows],
            codes=self.codes[rows],
            units=units,
            groups=self.groups[rows],
        )

    def draw(self, n: int, rng: np.random.Generator) -> Conformed:
        """Return ``n`` different rows at random; never one twice."""
        return self if n >= len(self) else self.take(np.sort(rng.permutation(len(self))[:n]))

    def __repr__(self) -> str:
        return f"Conformed({self.codes.shape[1]} columns)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Tables:
    """Three tables on one grid, and two that nobody would want.

    Parameters
    ----------
    schema : Schema
        Public facts.
    columns : tuple of Column
        The modelled columns, in the order of ``features`` and ``codes``.
    cells : tuple of Cells
        How each column is cut.
    synthetic, fit, holdout : Conformed
        The tables; rows stand in an order that does not depend on how they arrived.
    independent, uniform : Conformed
        References with as many rows as the synthetic table (:mod:`benchmarks.references`).
    violated : tuple of str
        Columns in which the synthetic table does not fit the schema.
    """

    schema: Schema
    columns: tuple[Column, ...]
    cells: tuple[Cells, ...]
    synthetic: Conformed
    fit: Conformed
    holdout: Conformed
    independent: Conformed
    uniform: Conformed
    violated: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Cells of each column, null and outside included."""
        return tuple(cells.size for cells in self.cells)

    @property
    def target(self) -> int | None:
        """Place of the declared target."""
        return next((i for i, c in enumerate(self.columns) if c.role == "target"), None)

    def names(self, places: Sequence[int]) -> tuple[str, ...]:
        """Return column names by place."""
        return tuple(self.columns[i].name for i in places)

    def __repr__(self) -> str:
        return f"Tables({self.schema.name!r}, {len(self.columns)} columns)"


def conform_tables(
    synthetic: Source, fit: Source, holdout: Source, schema: Schema, *, seed: int = 0
) -> Tables:
    """Bring three tables to the schema's terms.

    Parameters
    ----------
    synthetic, fit, holdout : path, DataFrame or Arrow table
        The tables; keys are not needed in the synthetic one.
    schema : Schema
        Public facts.
    seed : int
        Governs groups and references.

    Raises
    ------
    DataError
        If a table cannot be read, lacks a column or has fewer than two rows; the message says
        which of the three. If a named privacy unit has rows in both real tables.

    Notes
    -----
    Real values outside the schema follow its declared policy, as they did when the model was
    fitted. A synthetic one has nothing to follow: it falls into the outside cell.
    """
    columns = schema.modelled
    bare = replace(schema, columns=columns)
    released = _read("synthetic", synthetic)
    values = {
        "synthetic": _conform("synthetic", released, bare),
        "fit": _conform("fit", fit, schema),
        "holdout": _conform("holdout", holdout, schema),
    }
    split.require_apart(fit, holdout, schema)
    units = {
        "synthetic": np.arange(len(released), dtype=np.int64),
        "fit": _units(fit, schema),
        "holdout": _units(holdout, schema),
    }
    outside = _outside(released, values["synthetic"], bare)
    cut = [
        _cut(column, {name: table[column.name] for name, table in values.items()}, outside)
        for column in columns
    ]
    rng = np.random.default_rng([seed, _STREAM])
    tables = {
        name: _table([c[name] for _, c, _ in cut], [f[name] for *_, f in cut], units[name], rng)
        for name in values
    }
    cells = tuple(cells for cells, *_ in cut)
    n = len(tables["synthetic"])
    return Tables(
        schema=schema,
        columns=columns,
        cells=cells,
        violated=tuple(violations(released, bare)),
        independent=references.independent(tables["fit"], n, rng),
        uniform=references.uniform(columns, cells, tables["fit"], n, rng),
        **tables,
    )


def quantile_edges(values: FloatArray, bins: int = BINS) -> FloatArray:
    """Return the inner edges of quantile bins; bin ``i`` is [edge ``i-1``, edge ``i``).

    Parameters
    ----------
    values : ndarray of float
        Pooled values; NaN is left out.
    bins : int
        Bins wanted.

    Notes
    -----
    A value that carries the mass of more than one quantile, or any value where there are at most
    ``bins`` different ones, becomes a bin of its own, so that its neighbours do not hide in it.
    """
    present = np.sort(values[~np.isnan(values)])
    if not len(present):
        return np.empty(0)
    different = np.unique(present)
    if len(different) <= bins:
        cuts, heavy = different, different
    else:
        levels = np.linspace(0.0, 1.0, bins + 1)
        cuts = np.quantile(present, levels, method="inverted_cdf")
        cuts, times = np.unique(cuts, return_counts=True)
        heavy = cuts[times > 1]
        cuts = cuts[(cuts > present[0]) & (cuts < present[-1])]
    return np.unique(np.concatenate([cuts, heavy, np.nextafter(heavy, np.inf)]))


def _units(source: Source, schema: Schema) -> npt.NDArray[np.int64]:
    """Return the unit of every row; rows that name none stand together."""
    codes = unit_codes(source, schema)
    return np.where(codes < 0, codes.max(initial=0) + 1, codes)


def _read(role: str, source: Source) -> pd.DataFrame:
    try:
        return read_columns(source, list(column_types(source)))
    except DataError as error:
        raise _of(role, error) from None


def _conform(role: str, source: Source, schema: Schema) -> dict[str, npt.NDArray]:
    try:
        values = conform(source, schema)
    except DataError as error:
        raise _of(role, error) from None
    if len(next(iter(values.values()))) < 2:
        raise DataError(
            f"{role} table: it has fewer than two rows.",
            code="DPS258",
            fix="give a larger table, or hold out a larger share.",
        )
    return values


def _of(role: str, error: DataError) -> DataError:
    return DataError(
        f"{role} table: {error.message}", code=error.code, column=error.column, fix=error.fix
    )


def _outside(
    frame: pd.DataFrame, values: Mapping[str, npt.NDArray], schema: Schema
) -> dict[str, npt.NDArray[np.bool_]]:
    """Mark synthetic numbers that the declared policy had to change."""
    bounded = [c for c in schema.columns if c.is_numeric and isinstance(c.bounds, tuple)]
    if not bounded:
        return {}
    free = replace(schema, columns=tuple(replace(c, bounds="discover") for c in bounded))
    raw = conform(frame, free)
    return {
        c.name: ~(
            (raw[c.name] == values[c.name]) | (np.isnan(raw[c.name]) & np.isnan(values[c.name]))
        )
        for c in bounded
    }


def _cut(
    column: Column,
    values: Mapping[str, npt.NDArray],
    outside: Mapping[str, npt.NDArray[np.bool_]],
) -> tuple[Cells, dict[str, IntArray], dict[str, FloatArray]]:
    """Return how the column is cut, and codes and features by table."""
    if column.is_numeric:
        numbers = {name: _numbers(column, found) for name, found in values.items()}
        cells = Cells(edges=quantile_edges(np.concatenate([numbers["fit"], numbers["holdout"]])))
        codes = {name: cells.code(x) for name, x in numbers.items()}
        if column.name in outside:
            codes["synthetic"][outside[column.name]] = cells.size - 1
        return cells, codes, numbers
    levels = _vocabulary(column, values)
    cells = Cells(edges=np.empty(0), levels=tuple(levels))
    codes = {}
    for name, found in values.items():
        places = pd.Index(levels, dtype=object).get_indexer(pd.Index(found, dtype=object))
        known = places >= 0
        unknown = cells.size - 1 if name == "synthetic" else _other(column, levels)
        places = np.where(known, places, unknown)
        codes[name] = np.where(pd.isna(found), cells.inner, places).astype(np.int64)
    return cells, codes, {name: found.astype(np.float64) for name, found in codes.items()}


def _numbers(column: Column, values: npt.NDArray) -> FloatArray:
    numbers = values if column.decimals is None else np.round(values, column.decimals)
    return np.asarray(
        numbers + 0.0, dtype=np.float64
    )  # no negative zero: it would sort and compare as a value of its own


def _vocabulary(column: Column, values: Mapping[str, npt.NDArray]) -> list[str]:
    if column.categories != "discover":
        return list(column.levels)
    seen = set(values["fit"]) | set(values["holdout"])
    return sorted({level for level in seen if level is not None} | set(column.levels))


def _other(column: Column, levels: list[str]) -> int:
    """Return where real values outside the list go; a discovered list leaves none outside."""
    if column.other is None or column.categories == "discover":
        return len(levels) - 1
    return levels.index(canonical_level(column.other, whole=column.whole_levels))


def _table(
    codes: list[IntArray], features: list[FloatArray], units: IntArray, rng: np.random.Generator
) -> Conformed:
    matrix = np.column_stack(features)
    # Sorted, and units numbered by where they first occur, so that subsamples and folds drawn by
    # place do not depend on the order in which rows arrived.
    order = np.lexsort(matrix.T[::-1])
    numbered = pd.factorize(units[order])[0].astype(np.int64)
    return Conformed(
        features=np.ascontiguousarray(matrix[order]),
        codes=np.ascontiguousarray(np.column_stack(codes)[order]),
        units=numbered,
        groups=spread(int(numbered.max()) + 1, rng)[numbered],
    )


def spread(n: int, rng: np.random.Generator) -> IntArray:
    """Return a random group of each of ``n`` units; sizes differ by one at most."""
    return rng.permutation(n) % GROUPS
