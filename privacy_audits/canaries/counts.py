"""Count canaries: privacy units with a category of their own in every declared histogram.

The schema under audit is the real one in which every discrete column with declared levels has some
levels more. Levels are public facts: neither the number of histograms nor their noise depends on
how many there are. Nobody else is in a canary's cells, so that canaries do not meet and each one is
seen through all histograms: with noise σ, k histograms and r rows of a unit, μ = r √k/σ.

Numeric columns, and those whose categories are discovered, hold no canary: their part of the
budget is not audited here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dpsynth.counts import histogram_event
from dpsynth.errors import IntegrityError, UsageError
from dpsynth.privacy import DiscreteGaussian, NeighbouringRelation
from dpsynth.schema import Column, Kind, Schema
from dpsynth.table import Table
from dpsynth.transcript import Measurement
from privacy_audits.canaries.reference import REPLICATES, counted, separations

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountCanaries:
    """Canaries of the histograms of one schema.

    Parameters
    ----------
    schema : Schema
        Public facts of the run.
    bits : ndarray of bool, shape (m,)
        Coins. Under ``add_remove`` a canary is in or absent; under ``replace_one`` it has one
        category or another.
    """

    schema: Schema
    bits: BoolArray

    def __post_init__(self) -> None:
        if not self.hosts(self.schema):
            raise UsageError(
                "no discrete column has declared levels: there is no place for canaries in counts.",
                fix="declare the levels of a column, or audit another method.",
            )

    @property
    def _is_replaced(self) -> bool:
        return self.schema.unit.relation == NeighbouringRelation.REPLACE_ONE

    @staticmethod
    def hosts(schema: Schema) -> list[Column]:
        """Return the columns that canaries can be in."""
        return [c for c in schema.modelled if c.is_discrete and isinstance(c.categories, tuple)]

    def extended(self) -> Schema:
        """Return the schema with the canaries' levels."""
        hosts = {column.name for column in self.hosts(self.schema)}
        return replace(
            self.schema,
            columns=tuple(
                replace(
                    column,
                    kind=Kind.CATEGORICAL if column.kind == Kind.BOOLEAN else column.kind,
                    categories=(*_declared(column), *self._levels(column)),
                )
                if column.name in hosts
                else column
                for column in self.schema.columns
            ),
        )

    def _levels(self, column: Column) -> list[str]:
        """Return levels that the column does not have: whole numbers where all others are."""
        count = self.bits.size * (2 if self._is_replaced else 1)
        if column.whole_levels:
            first = max(int(level) for level in _declared(column)) + 1
            return [str(first + number) for number in range(count)]
        stem = "canary"
        while any(level.startswith(stem) for level in column.levels):
            stem += "_"
        return [f"{stem} {number}" for number in range(count)]

    def enter(self, table: Table) -> Table:
        """Return a table of the extended schema with the canaries that the coins let in.

        Each is a unit of its own with as many rows as a unit may have.
        """
        entering = np.flatnonzero(self.bits)
        if self._is_replaced:
            entering = np.where(self.bits, 0, self.bits.size) + np.arange(self.bits.size)
        most = table.schema.unit.max_rows
        hosts = {column.name for column in self.hosts(self.schema)}

        def values(column: Column) -> npt.NDArray:
            if column.name in hosts:
                levels = np.array(self._levels(self.schema.column(column.name)), dtype=object)
                return np.repeat(levels[entering], most)
            if column.is_numeric:
                least = column.bounds[0] if isinstance(column.bounds, tuple) else 0.0
                return np.full(entering.size * most, float(least))
            return np.full(entering.size * most, None, dtype=object)

        units = table.n_units + np.repeat(np.arange(entering.size), most)
        return replace(
            table,
            values={
                column.name: np.concatenate([table.values[column.name], values(column)])
                for column in table.schema.modelled
            },
            unit_index=np.concatenate([table.unit_index, units]),
        )

    def event(self, booked: DiscreteGaussian) -> DiscreteGaussian:
        """Return the part of the booked event that the canaries see."""
        return histogram_event(
            sigma=booked.sigma, histograms=len(self.hosts(self.schema)), unit=self.schema.unit
        )

    def scores(self, measured: Sequence[Measurement], booked: DiscreteGaussian) -> FloatArray:
        """Return the log-likelihood ratio of every canary, shape (m,).

        Parameters
        ----------
        measured : sequence of Measurement
            All histograms of a run of the codec, in order.
        booked : DiscreteGaussian
            The event that was booked: its noise is that of the test.

        Notes
        -----
        For the discrete Gaussian as for the normal law the ratio of a cell z is
        (2 z r - r²)/2σ², where r rows are in or absent; cells add up. All releases of a histogram
        count, also those that nobody booked.
        """
        moved = float(self.schema.unit.max_rows)
        scores = np.zeros(self.bits.size)
        for levels, canaries, measurement in self._places(measured):
            for release in measurement.releases:
                if release.released.size != levels + 1:
                    raise IntegrityError("a histogram has other cells than its column.")
                cells = release.released[canaries].astype(np.float64)
                ratios = moved * (2.0 * cells - moved) / (2.0 * booked.sigma**2)
                ratios = ratios.reshape(-1, self.bits.size)
                scores += ratios[0] - (ratios[1] if self._is_replaced else 0.0)
        return scores

    def reference(
        self, booked: DiscreteGaussian, rng: np.random.Generator, *, runs: int = REPLICATES
    ) -> FloatArray:
        """Return the d′ of simulated runs of the booked histograms, shape (runs,)."""
        return separations(
            lambda: counted(
                rng,
                canaries=self.bits.size,
                histograms=len(self.hosts(self.schema)),
                sigma=booked.sigma,
                rows=self.schema.unit.max_rows,
                exchanged=self._is_replaced,
            ),
            runs=runs,
        )

    def _places(self, measured: Sequence[Measurement]) -> list[tuple[int, slice, Measurement]]:
        """Return the number of levels, the canaries' cells and the measurement of every host."""
        extended = self.extended()
        hosts = {column.name for column in self.hosts(extended)}
        # The codec buys bounds first, then the first histogram of every column in order.
        first = sum(c.is_numeric and not isinstance(c.bounds, tuple) for c in extended.modelled)
        return [
            (
                len(column.levels),
                slice(len(_declared(self.schema.column(column.name))), len(_declared(column))),
                measured[first + index],
            )
            for index, column in enumerate(extended.modelled)
            if column.name in hosts
        ]


def _declared(column: Column) -> tuple[str, ...]:
    """Return the declared levels in canonical text, without a reserved one."""
    assert isinstance(column.categories, tuple)
    return column.levels[: len(column.categories)]
