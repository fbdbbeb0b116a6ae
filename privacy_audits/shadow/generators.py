"""Generators to attack: the methods of dpsynth, and three that protect nobody.

The latter are negative controls: an attack that does not find them cannot clear anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.errors import UsageError
from dpsynth.ledger import Ledger
from dpsynth.methods import method_class
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget
from dpsynth.schema import SECONDS, Column, Kind, Schema
from dpsynth.table import conform
from privacy_audits.typed import without_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method of dpsynth by name, with a research ledger in memory for every fit.

    Parameters
    ----------
    method : str
        One of :data:`dpsynth.methods.METHODS`.
    schema : Schema
        Public facts.
    budget : Budget
        What every fit spends.
    declared_rows : int, optional
        Public guess of the number of rows.

    Privacy
    -------
    Noise is seeded, so that a run can go on where it was interrupted: nothing made here can be
    released.
    """

    method: str
    schema: Schema
    budget: Budget
    declared_rows: int | None = None

    def __call__(
        self, table: pd.DataFrame, *, rows: int | None, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Return a synthetic table."""
        ledger = Ledger.in_memory(dataset="shadow", budget=self.budget, unit=self.schema.unit)
        model = method_class(self.method)(self.schema).fit(
            table,
            budget=self.budget,
            ledger=ledger,
            dataset="shadow",
            rows=self.declared_rows,
            noise=NoiseSource.seeded(int(rng.integers(2**63))),
        )
        return model.sample(rows, seed=int(rng.integers(2**63)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDomain:
    """A generator whose bounds are read off the rows before each fit: a domain leak.

    However little the generator itself tells, the extremes of the table are published.

    Parameters
    ----------
    schema : Schema
        Its numeric bounds are replaced.
    generator : callable
        Makes a generator from ``schema=``.

    References
    ----------
    Ganev et al., "Understanding the Impact of Data Domain Extraction on Synthetic Data Privacy",
    arXiv 2504.08254.
    """

    schema: Schema
    generator: Callable[..., Callable[..., pd.DataFrame]]

    def __call__(
        self, table: pd.DataFrame, *, rows: int | None, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Return a synthetic table."""
        values = conform(table, without_bounds(self.schema))
        columns = [
            replace(column, bounds=_extremes(values[column.name], column), source="data")
            if column.is_numeric
            else column
            for column in self.schema.columns
        ]
        schema = replace(self.schema, columns=tuple(columns))
        return self.generator(schema=schema)(table, rows=rows, rng=rng)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMarginals:
    """Columns drawn independently from exact counts: what ``independent`` is without its noise.

    Parameters
    ----------
    schema : Schema
        Public facts; its bounds are the range of the histograms.
    bins : int
        Bins of a numeric column.
    """

    schema: Schema
    bins: int = 20

    def __call__(
        self, table: pd.DataFrame, *, rows: int | None, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Return a synthetic table."""
        values = conform(table, self.schema)
        count = len(table) if rows is None else rows
        out = {}
        for column in self.schema.modelled:
            drawn = values[column.name][rng.integers(len(table), size=count)]
            if column.is_numeric:
                drawn = self._inside_bin(drawn.astype(np.float64), column, rng)
            out[column.name] = _cells(drawn, column)
        return _frame(out, self.schema, count)

    def _inside_bin(
        self, values: npt.NDArray[np.float64], column: Column, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        if not isinstance(column.bounds, tuple):
            return values
        low, high = float(column.bounds[0]), float(column.bounds[1])
        width = (high - low) / self.bins or 1.0
        place = np.minimum(np.floor((values - low) / width), self.bins - 1)
        return np.clip(low + (place + rng.random(len(values))) * width, low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothedBootstrap:
    """Rows drawn with replacement, numbers moved a little: an over-fitted generator.

    Parameters
    ----------
    schema : Schema
        Public facts.
    bandwidth : float
        Standard deviation of the moves, as a share of each public range.
    """

    schema: Schema
    bandwidth: float = 0.02

    def __post_init__(self) -> None:
        if not self.bandwidth >= 0:
            raise UsageError(f"bandwidth must be at least 0, got {self.bandwidth}.")

    def __call__(
        self, table: pd.DataFrame, *, rows: int | None, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Return a synthetic table."""
        values = conform(table, self.schema)
        count = len(table) if rows is None else rows
        drawn = rng.integers(len(table), size=count)
        out = {}
        for column in self.schema.modelled:
            cells = values[column.name][drawn]
            if column.is_numeric and isinstance(column.bounds, tuple):
                low, high = float(column.bounds[0]), float(column.bounds[1])
                moves = rng.normal(0.0, self.bandwidth * (high - low), count)
                cells = np.clip(cells + moves, low, high)
            out[column.name] = _cells(cells, column)
        return _frame(out, self.schema, count)


def _extremes(values: npt.NDArray[np.float64], column: Column) -> tuple[float, float]:
    present = values[~np.isnan(values)]
    if not present.size:
        return column.bounds if isinstance(column.bounds, tuple) else (0.0, 1.0)
    low, high = float(present.min()), float(present.max())
    return low, high if high > low else low + 1.0


def _cells(values: npt.NDArray, column: Column) -> object:
    """Return values as a column of a table."""
    if column.kind == Kind.DATETIME:
        return pd.to_datetime(np.rint(values) * SECONDS[column.unit or "day"], unit="s")
    if column.kind == Kind.INTEGER:
        return pd.array(np.rint(values), dtype="Float64").astype("Int64")
    if column.kind == Kind.REAL and column.decimals is not None:
        return np.round(values, column.decimals)
    return values


def _frame(columns: dict[str, object], schema: Schema, count: int) -> pd.DataFrame:
    """Return a table in the order of the schema; keys are numbered afresh."""
    keys: dict[str, object] = {key.name: np.arange(1, count + 1) for key in schema.keys}
    return pd.DataFrame({column.name: (columns | keys)[column.name] for column in schema.columns})
