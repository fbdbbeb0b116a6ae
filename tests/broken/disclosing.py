"""Twins of the purchase of headline figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np

from benchmarks.disclosure import headline as module
from benchmarks.disclosure.headline import Headline, Noisy, Values
from dpsynth.counts import release_counts
from dpsynth.noise import NoiseSource
from dpsynth.privacy import NeighbouringRelation, PlannedCharge, PrivacyUnit
from dpsynth.schema import Schema
from dpsynth.table import Table

Released = tuple[Noisy, tuple[PlannedCharge, ...]]


def _of_unit(table: Table, unit: PrivacyUnit) -> Table:
    return replace(table, schema=replace(table.schema, unit=unit))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRowPerUnit(Headline):
    """Divides by the move of one row, whatever a unit brings."""

    def exact(self, table: Table, synthetic: Values, *, rows: int) -> dict[str, int]:
        single = replace(table.schema.unit, max_rows=1)
        return Headline.exact(self, _of_unit(table, single), synthetic, rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyArrivals(Headline):
    """Forgets that under replace-one rows leave as well."""

    def exact(self, table: Table, synthetic: Values, *, rows: int) -> dict[str, int]:
        added = replace(table.schema.unit, relation=NeighbouringRelation.ADD_REMOVE)
        return Headline.exact(self, _of_unit(table, added), synthetic, rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledToTheExactRows(Headline):
    """A sensitivity of 1/n, with the n of the very table: its targets move with every row."""

    def exact(self, table: Table, synthetic: Values, *, rows: int) -> dict[str, int]:
        del rows
        return Headline.exact(self, table, synthetic, rows=table.n_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileBins(Headline):
    """Cuts numeric columns at quantiles of the rows."""

    def exact(self, table: Table, synthetic: Values, *, rows: int) -> dict[str, int]:
        real, drawn = dict(table.values), dict(synthetic)
        for column in self.columns(table.schema):
            if not column.is_numeric:
                continue
            assert isinstance(column.bounds, tuple)
            low, high = column.bounds
            edges = np.nanquantile(real[column.name], np.linspace(0, 1, self.cells + 1)[1:-1])
            for side in (real, drawn):
                places = np.searchsorted(edges, side[column.name], side="right")
                middle = low + (places + 0.5) / self.cells * (high - low)
                side[column.name] = np.where(np.isnan(side[column.name]), np.nan, middle)
        return Headline.exact(self, replace(table, values=real), drawn, rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class DividesByTheExactRows(Headline):
    """Noises the distances and divides them by the exact number of rows."""

    def release(
        self,
        table: Table,
        synthetic: Values,
        *,
        charges: Sequence[PlannedCharge],
        noise: NoiseSource,
    ) -> Released:
        noisy, ran = Headline.release(self, table, synthetic, charges=charges, noise=noise)
        return replace(noisy, rows=table.n_rows), ran


@dataclass(frozen=True, slots=True, kw_only=True)
class BareWorst(Headline):
    """Shows the worst column without noise: "it is only one of many"."""

    def release(
        self,
        table: Table,
        synthetic: Values,
        *,
        charges: Sequence[PlannedCharge],
        noise: NoiseSource,
    ) -> Released:
        noisy, ran = Headline.release(self, table, synthetic, charges=charges, noise=noise)
        worst = float(self.exact(table, synthetic, rows=noisy.rows)["max.1"])
        return replace(noisy, distances={**noisy.distances, "max.1": worst}), ran


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseOfOneFigure(Headline):
    """Books one figure, however many are released."""

    def charges(self, schema: Schema, *, sigma: float) -> tuple[PlannedCharge, ...]:
        rows, figures = Headline.charges(self, schema, sigma=sigma)
        return rows, replace(figures, mechanism=replace(figures.mechanism, count=1))

    def release(
        self,
        table: Table,
        synthetic: Values,
        *,
        charges: Sequence[PlannedCharge],
        noise: NoiseSource,
    ) -> Released:
        noisy, _ = Headline.release(self, table, synthetic, charges=charges, noise=noise)
        return noisy, tuple(charges)


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfNoise(Headline):
    """Half of the noise, and the booked event is reported."""

    def release(
        self,
        table: Table,
        synthetic: Values,
        *,
        charges: Sequence[PlannedCharge],
        noise: NoiseSource,
    ) -> Released:
        def half(counts: Sequence[int], *, sigma: float, noise: NoiseSource) -> np.ndarray:
            return release_counts(counts, sigma=sigma / 2, noise=noise)

        with mock.patch.object(module, "release_counts", half):
            return Headline.release(self, table, synthetic, charges=charges, noise=noise)
