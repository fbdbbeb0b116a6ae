"""Tables on equal terms: conformed to the schema, then cut into the same bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.errors import DataError
from dpsynth.schema import Schema
from dpsynth.table import Source, conform

IntArray = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray]

QUANTILE_BINS = 20


def conformed(source: Source, schema: Schema, *, role: str) -> Columns:
    """Return the modelled columns of a table, canonical in type, level and decimals.

    Raises
    ------
    DataError
        If the table has fewer than two rows, or its form does not fit.
    """
    columns = conform(source, schema)
    rows = len(next(iter(columns.values())))
    if rows < 2:
        raise DataError(
            f"the {role} table has fewer than two rows.", code="DPS258", fix="give more rows."
        )
    return {
        column.name: np.round(values, column.decimals)
        if column.decimals is not None
        else values
        for column in schema.modelled
        for values in [columns[column.name]]
    }


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Bins that several tables share.

    Parameters
    ----------
    edges : mapping of str to ndarray
        Inner edges of numeric columns; the outer ones are infinite.
    levels : mapping of str to tuple of str
        Levels of discrete columns.
    """

    edges: Mapping[str, npt.NDArray[np.float64]]
    levels: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, reference: Sequence[Columns], schema: Schema) -> Bins:
        """Cut numeric columns at quantiles of the reference tables together.

        Notes
        -----
        Quantiles keep skewed columns honest: bins of equal width would put nearly all rows into one.
        A value that repeats across quantiles gets a bin of its own.
        """
        edges, levels = {}, {}
        for column in schema.modelled:
            together = np.concatenate([table[column.name] for table in reference])
            if column.is_numeric:
                edges[column.name] = _quantile_edges(together.astype(float))
            elif column.categories == "discover":
                present = pd.Series(together, dtype=object).dropna().unique()
                levels[column.name] = tuple(sorted(str(level) for level in present))
            else:
                levels[column.name] = column.levels
        return cls(edges, levels)

    def codes(self, table: Columns) -> dict[str, IntArray]:
        """Return bin numbers; the last two bins are "outside the domain" and null."""
        out = {}
        for name, edges in self.edges.items():
            values = table[name].astype(float)
            null = np.isnan(values)
            codes = np.searchsorted(edges, np.where(null, 0.0, values), side="right")
            out[name] = np.where(null, self.size(name) - 1, codes)
        for name, levels in self.levels.items():
            values = pd.Series(table[name], dtype=object)
            codes = values.map({level: code for code, level in enumerate(levels)})
            codes = codes.fillna(len(levels)).to_numpy(dtype=np.int64)
            out[name] = np.where(values.isna(), len(levels) + 1, codes)
        return out

    def size(self, name: str) -> int:
        """Return the number of bins of a column."""
        inner = len(self.edges[name]) + 1 if name in self.edges else len(self.levels[name])
        return inner + 2


def _quantile_edges(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    present = values[~np.isnan(values)]
    if not present.size:
        return np.zeros(0)
    quantiles = np.quantile(
        present, np.linspace(0, 1, QUANTILE_BINS + 1)[1:-1], method="inverted_cdf"
    )
    edges, repeats = np.unique(quantiles, return_counts=True)
    # An edge opens a bin; after a repeated value the bin is closed right behind it.
    after = np.nextafter(edges[repeats > 1], np.inf)
    return np.unique(np.concatenate([edges, after]))
