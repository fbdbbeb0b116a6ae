"""A private score of a synthetic table: how far its two-way marginals are from those of the rows.

The cells in which tables are compared are public: they follow from the schema, never from the rows
nor from a fitted codec, so that candidates with different codecs are measured with the same rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.columns import grid_of
from dpsynth.counts import release_counts
from dpsynth.discovery import BOUND_CELLS, bound_cells
from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, NeighbouringRelation
from dpsynth.schema import Column, Schema
from dpsynth.table import Table, conform

IntArray = npt.NDArray[np.int64]

_MOST_LEVELS = 256
"""Levels of a column that have a cell of their own; further ones share the cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoWayScore:
    """Summed absolute error of all two-way marginals, in rows; smaller is better.

    A table with a single modelled column is scored by its one-way marginal.

    Parameters
    ----------
    cells : int
        Most cells of a numeric column, null not counted; of a column whose categories are
        discovered, cells into which its levels are hashed.
    sample_rows : int
        Synthetic rows that are drawn to be compared.
    share : float
        Noise of the score: its cost is this share, in μ², of Gaussian noise that would spend what a
        candidate spends.

    Privacy
    -------
    The statistic is the sum of ``|N - T|`` over the cells of P marginals, with N the counts of the
    rows and T whole numbers that follow from the model and from a declared or noisy number of rows.
    A row lies in exactly one cell of every marginal and changes N there by one, hence the statistic
    by at most P, whatever T is. A unit with at most ``max_rows`` rows changes it by at
    most ``P * max_rows``; where units are exchanged, the old rows leave and the new ones arrive,
    and it is twice that. The statistic is an integer and carries discrete Gaussian noise.
    """

    cells: int = 16
    sample_rows: int = 20_000
    share: float = 0.1

    def __post_init__(self) -> None:
        if self.cells < 1 or self.sample_rows < 1:
            raise UsageError("cells and sample_rows must be at least 1.")
        if not 0 < self.share <= 1:
            raise UsageError(f"share must lie in (0, 1], got {self.share}.")

    def event(
        self, schema: Schema, *, noise_multiplier: float, marginals: int | None = None
    ) -> DiscreteGaussian:
        """Return the event of one score.

        Parameters
        ----------
        schema : Schema
            Public facts.
        noise_multiplier : float
            Noise parameter over sensitivity.
        marginals : int, optional
            Marginals that are compared; by default all that the score compares.
        """
        moved = (marginals or len(_marginals(schema))) * schema.unit.max_rows
        if schema.unit.relation == NeighbouringRelation.REPLACE_ONE:
            moved *= 2
        return DiscreteGaussian(
            relation=schema.unit.relation, sigma=noise_multiplier * moved, sensitivity=moved
        )

    def release(
        self,
        table: Table,
        synthetic: pd.DataFrame,
        *,
        rows: float,
        event: DiscreteGaussian,
        noise: NoiseSource,
    ) -> tuple[int, DiscreteGaussian]:
        """Score a synthetic table.

        Parameters
        ----------
        table : Table
            Sensitive rows, already bounded per unit.
        synthetic : DataFrame
            Rows of a model, as it decodes them.
        rows : float
            Public or noisy number of rows to which the synthetic counts are scaled.
        event : DiscreteGaussian
            What was booked.
        noise : NoiseSource
            Where the noise comes from.

        Returns
        -------
        score : int
            Noisy error; may be negative.
        ran : DiscreteGaussian
            The event that was run, worked out from what was compared.

        Privacy
        -------
        One release of ``event``.
        """
        schema = table.schema
        error, marginals = self._error(table, conform(synthetic, schema), rows=rows)
        moved = self.event(schema, noise_multiplier=1.0, marginals=marginals)
        ran = replace(moved, sigma=event.sigma)
        with noise.declaring(ran):
            score = release_counts([error], sigma=event.sigma, noise=noise)
        return int(score[0]), ran

    def state(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return {"score": "two-way", **asdict(self)}

    def _error(
        self, table: Table, synthetic: Mapping[str, npt.NDArray], *, rows: float
    ) -> tuple[int, int]:
        """Return the exact error, sensitive, and the number of marginals compared."""
        schema = table.schema
        real = {
            c.name: cells_of(table.values[c.name], c, cells=self.cells) for c in schema.modelled
        }
        drawn = {c.name: cells_of(synthetic[c.name], c, cells=self.cells) for c in schema.modelled}
        sizes = {c.name: cell_count(c, cells=self.cells) for c in schema.modelled}
        total = marginals = 0
        for names in _marginals(schema):
            exact = _histogram([real[n] for n in names], [sizes[n] for n in names])
            share = _histogram([drawn[n] for n in names], [sizes[n] for n in names])
            scale = rows / max(1, len(drawn[names[0]]))
            total += int(np.abs(exact - np.rint(share * scale).astype(np.int64)).sum())
            marginals += 1
        return total, marginals


def cell_count(column: Column, *, cells: int) -> int:
    """Return the number of public cells of a column, null included.

    Parameters
    ----------
    column : Column
        Public facts.
    cells : int
        Most cells of a numeric column, null not counted; of a column whose categories are
        discovered, cells into which its levels are hashed.
    """
    if not column.is_numeric:
        discovers = column.categories == "discover"
        return (cells if discovers else min(len(column.levels), _MOST_LEVELS)) + 1
    if not isinstance(column.bounds, tuple):
        return BOUND_CELLS + 1
    return cells + 1


def cells_of(values: npt.NDArray, column: Column, *, cells: int) -> IntArray:
    """Return the public cell of each value, shape (n_rows,); the last cell is null.

    Parameters
    ----------
    values : ndarray, shape (n_rows,)
        A column as :class:`~dpsynth.table.Table` holds it.
    column, cells
        As in :func:`cell_count`.

    Privacy
    -------
    Which value lies in which cell follows from the schema alone: equal parts between its bounds,
    its levels in their order.
    """
    null = cell_count(column, cells=cells) - 1
    if column.is_numeric:
        numbers = values.astype(float)
        present = ~np.isnan(numbers)
        places = np.full(len(numbers), null, dtype=np.int64)
        if isinstance(column.bounds, tuple):
            grid = grid_of(column, (float(column.bounds[0]), float(column.bounds[1])))
            share = grid.positions(numbers[present]) / grid.size
            places[present] = np.minimum((share * cells).astype(np.int64), cells - 1)
        else:
            places[present] = bound_cells(numbers[present])
        return places
    codes, different = pd.factorize(values, use_na_sentinel=True)
    if column.categories == "discover":
        known = [_hashed(str(level), cells) for level in different]
    else:
        levels = {level: code for code, level in enumerate(column.levels)}
        other = levels[column.other or column.levels[-1]]
        known = [levels.get(str(level), other) % null for level in different]
    return np.array([*known, null], dtype=np.int64)[codes]


def _marginals(schema: Schema) -> list[tuple[str, ...]]:
    names = [column.name for column in schema.modelled]
    return list(combinations(names, min(2, len(names))))


def _histogram(cells: list[IntArray], sizes: list[int]) -> IntArray:
    flat = np.zeros_like(cells[0])
    for part, size in zip(cells, sizes, strict=True):
        flat = flat * size + part
    return np.bincount(flat, minlength=int(np.prod(sizes))).astype(np.int64)


def _hashed(level: str, cells: int) -> int:
    # Python's own hash of a text differs from process to process.
    return int.from_bytes(hashlib.sha256(level.encode()).digest()[:8], "big") % cells
