"""The mechanism that releases headline figures of a synthetic table: its noise and its event.

S is the synthetic table, fixed and public, with n_S rows; F are the sensitive rows, n of them,
bounded to at most k = ``max_rows`` per privacy unit. In a marginal with cells v, c(v) counts F and
s(v) counts S. What is wanted is the total variation ½ Σ |c(v)/n - s(v)/n_S|. Its sensitivity
depends on n, which is private; that of counts does not. Two steps, both booked beforehand:

1. **Rows.** ⌊n/k⌋ plus noise gives R, the rows to which S is scaled from here on. One unit moves n
   by at most k, hence ⌊n/k⌋ by at most 1.
2. **Figures.** With E = Σ |n_S c(v) - R s(v)|, a whole number, added up over the G marginals of a
   family, ⌊ΣE / (n_S k r G)⌋ plus noise; for the worst column ⌊max E / (n_S k r)⌋ plus noise.

**Sensitivity of the figures.** Given R, only c depends on the rows. A row lies in one cell of
every marginal, so that one row more or less moves E by at most n_S. Under ``add_remove`` a unit has
at most k rows and moves E by at most n_S k; under ``replace_one`` the old rows leave and the new
ones arrive, twice that: r is 1 or 2. A sum over G marginals moves by at most G times as much, a
maximum by as much as its parts. So each quotient moves by at most 1, and so does its floor, which
does not decrease and commutes with adding 1. Sensitivity 1 is also what the accountant has an
exact loss distribution for. Rounding costs at most k r / 4 rows.

**What R does to a figure.** n/R in place of 1 moves ½ Σ |c/R - s/n_S| by at most ½ |n/R - 1|,
because Σ c = n. The noise of the figure does not depend on that of R, is symmetric and has one
peak; so by Anderson's lemma an interval for the sum of both, taken as normal with all of ½ (n - R)
in it, covers at least as often as it says (:mod:`benchmarks.disclosure.bought`).

**Why not the distance in rows with the exact n,** ½ Σ |c(v) - n s(v)/n_S|: a row then moves all
targets as well, by up to 1 instead of ½ under ``add_remove``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.marginals import sampling_floor
from dpsynth.counts import release_counts
from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, NeighbouringRelation, PlannedCharge
from dpsynth.schema import Column, Schema
from dpsynth.scoring import cell_count, cells_of
from dpsynth.table import Table

IntArray = npt.NDArray[np.int64]
Values = Mapping[str, npt.NDArray]

ROWS, FIGURES = "evaluation:rows", "evaluation:figures"
"""Steps of the plan, in order."""

_DENSE = 1 << 18
"""Up to this many cells a marginal is counted in an array that has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noisy:
    """What was released, in rows; everything else is post-processing of it and of S.

    Parameters
    ----------
    distances : mapping of str to float
        Total variation by query, times ``rows``.
    rows : int
        Noisy number of rows, at least 1.
    sigma, rows_sigma : float
        Standard deviations of their noise, in rows.
    rounding : float
        Most by which rounding moved a distance, in rows.
    """

    distances: Mapping[str, float]
    rows: int
    sigma: float
    rows_sigma: float
    rounding: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Which marginals are compared, in which cells.

    Parameters
    ----------
    cells : int
        Cells of a numeric column, equal parts between its bounds; null has one more.
    most : int
        Most pairs, and most triples, that are compared. If there are more, a seeded choice that
        looks at no row.
    seed : int
        Of that choice.

    Privacy
    -------
    Columns, cells and marginals follow from the schema and these fields. A column whose bounds or
    categories are discovered has no public cells and is left out.
    """

    cells: int = 16
    most: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.cells < 1 or self.most < 1 or self.seed < 0:
            raise UsageError("cells and most must be at least 1, seed at least 0.")

    def columns(self, schema: Schema) -> tuple[Column, ...]:
        """Return the columns that are compared."""
        return tuple(column for column in schema.modelled if _has_public_cells(column))

    def families(self, schema: Schema) -> dict[str, list[tuple[str, ...]]]:
        """Return the marginals by family: columns, pairs, and triples with the target.

        Raises
        ------
        UsageError
            If no column has public cells.
        """
        names = [column.name for column in self.columns(schema)]
        if not names:
            raise UsageError(
                "no column has declared bounds or categories, so that there is nothing to compare "
                "in cells that are public.",
                code="DPS354",
                fix="declare them in the schema; discovered ones do not serve here.",
            )
        found = {"1": [(name,) for name in names], "2": self._some(combinations(names, 2), 2)}
        if schema.target is not None and schema.target.name in names:
            target = schema.target.name
            pairs = combinations([name for name in names if name != target], 2)
            found["3"] = self._some(((target, *pair) for pair in pairs), 3)
        return {family: marginals for family, marginals in found.items() if marginals}

    def queries(self, schema: Schema) -> tuple[str, ...]:
        """Return the names of the figures that are bought."""
        families = self.families(schema)
        # The worst of one column is its mean.
        worst = ("max.1",) if len(families["1"]) > 1 else ()
        return (*(f"mean.{family}" for family in families), *worst)

    def charges(self, schema: Schema, *, sigma: float) -> tuple[PlannedCharge, ...]:
        """Return the events: the number of rows, and the figures, with equal noise.

        Parameters
        ----------
        schema : Schema
            Public facts.
        sigma : float
            Noise parameter of every query; each is a whole number.

        Privacy
        -------
        One unit moves every query by at most 1: see the head of this file.
        """
        relation = schema.unit.relation
        rows = DiscreteGaussian(relation=relation, sigma=sigma, sensitivity=1, count=1)
        figures = replace(rows, count=len(self.queries(schema)))
        return (
            PlannedCharge(step=ROWS, mechanism=rows),
            PlannedCharge(step=FIGURES, mechanism=figures),
        )

    def release(
        self,
        table: Table,
        synthetic: Values,
        *,
        charges: Sequence[PlannedCharge],
        noise: NoiseSource,
    ) -> tuple[Noisy, tuple[PlannedCharge, ...]]:
        """Compare and add noise.

        Parameters
        ----------
        table : Table
            Sensitive rows, already bounded per unit.
        synthetic : mapping
            The synthetic table as :func:`dpsynth.table.conform` returns it.
        charges : sequence of PlannedCharge
            What was booked: rows, figures.
        noise : NoiseSource
            Where the noise comes from.

        Returns
        -------
        noisy : Noisy
            What may be shown.
        ran : tuple of PlannedCharge
            The events that were run, worked out from what was compared.

        Privacy
        -------
        One release of each event.
        """
        schema, k = table.schema, table.schema.unit.max_rows
        (sigma,) = {_sigma(charge) for charge in charges}
        counted, compared = self.charges(schema, sigma=sigma)
        with noise.declaring(counted.mechanism):
            (units,) = release_counts([table.n_rows // k], sigma=sigma, noise=noise)
        rows = max(1, int(units) * k + k // 2)
        exact = self.exact(table, synthetic, rows=rows)
        compared = replace(compared, mechanism=replace(compared.mechanism, count=len(exact)))
        with noise.declaring(compared.mechanism):
            figures = release_counts([*exact.values()], sigma=sigma, noise=noise)
        # A query counts k r rows of E, and a total variation is half of E.
        step = _step(schema) / 2
        noisy = Noisy(
            # What was rounded down lies half a step higher on average.
            distances={
                name: step * (float(figure) + 0.5)
                for name, figure in zip(exact, figures, strict=True)
            },
            rows=rows,
            sigma=step * sigma,
            rows_sigma=k * sigma,
            rounding=step / 2 + (k // 2) / 2,
        )
        return noisy, (counted, compared)

    def exact(self, table: Table, synthetic: Values, *, rows: int) -> dict[str, int]:
        """Return the exact figures by query: **sensitive**.

        Parameters
        ----------
        table, synthetic
            As in :meth:`release`.
        rows : int
            Noisy number of rows, to which the synthetic counts are scaled.
        """
        schema = table.schema
        real, drawn = self._cut(table.values, schema), self._cut(synthetic, schema)
        n_synthetic = len(next(iter(drawn.values())))
        sizes, unit = self._sizes(schema), n_synthetic * _step(schema)
        out: dict[str, int] = {}
        for family, marginals in self.families(schema).items():
            errors = []
            for names in marginals:
                c, s = _counts([real, drawn], names, sizes)
                # Python's own whole numbers do not overflow when they are added up.
                errors.append(int(np.abs(n_synthetic * c - rows * s).sum()))
            out[f"mean.{family}"] = sum(errors) // (unit * len(errors))
            if family == "1" and len(errors) > 1:
                out["max.1"] = max(errors) // unit
        return out

    def floors(self, synthetic: Values, schema: Schema, *, rows: int) -> dict[str, float]:
        """Return what sampling alone would give, by query: two samples of the law of S.

        Parameters
        ----------
        synthetic : mapping
            As in :meth:`release`.
        schema : Schema
            Public facts.
        rows : int
            Noisy number of sensitive rows, at least 1.
        """
        drawn, sizes = self._cut(synthetic, schema), self._sizes(schema)
        out: dict[str, float] = {}
        for family, marginals in self.families(schema).items():
            floors = []
            for names in marginals:
                (s,) = _counts([drawn], names, sizes)
                floors.append(sampling_floor(s / s.sum(), int(s.sum()), rows))
            out[f"mean.{family}"] = float(np.mean(floors))
            if family == "1":
                out["max.1"] = float(np.max(floors))
        return out

    def state(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return asdict(self)

    def _some(self, marginals: Iterable[tuple[str, ...]], way: int) -> list[tuple[str, ...]]:
        found = list(marginals)
        if len(found) <= self.most:
            return found
        rng = np.random.default_rng([self.seed, way])
        return [found[i] for i in np.sort(rng.choice(len(found), self.most, replace=False))]

    def _cut(self, values: Values, schema: Schema) -> dict[str, IntArray]:
        return {c.name: cells_of(values[c.name], c, cells=self.cells) for c in self.columns(schema)}

    def _sizes(self, schema: Schema) -> dict[str, int]:
        return {c.name: cell_count(c, cells=self.cells) for c in self.columns(schema)}


def _has_public_cells(column: Column) -> bool:
    return not column.discovers and (column.is_discrete or isinstance(column.bounds, tuple))


def _step(schema: Schema) -> int:
    """Return the most rows by which one unit moves the error of one marginal."""
    exchanged = 2 if schema.unit.relation == NeighbouringRelation.REPLACE_ONE else 1
    return exchanged * schema.unit.max_rows


def _sigma(charge: PlannedCharge) -> float:
    assert isinstance(charge.mechanism, DiscreteGaussian)
    return charge.mechanism.sigma


def _counts(
    tables: Sequence[Mapping[str, IntArray]], names: Sequence[str], sizes: Mapping[str, int]
) -> list[IntArray]:
    """Return the counts of one marginal in each table, over the same cells."""
    flat = []
    total = 1
    for name in names:
        total *= sizes[name]
    for table in tables:
        cells = np.zeros(len(table[names[0]]), dtype=np.int64)
        for name in names:
            cells = cells * sizes[name] + table[name]
        flat.append(cells)
    if total > _DENSE:
        # Cells that no table fills add nothing to any figure.
        filled, compact = np.unique(np.concatenate(flat), return_inverse=True)
        ends = np.cumsum([len(part) for part in flat])[:-1]
        flat, total = np.split(compact.reshape(-1), ends), len(filled)
    return [np.bincount(part, minlength=total).astype(np.int64) for part in flat]
