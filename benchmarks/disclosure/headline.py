"""The mechanism that releases headline figures of a synthetic table: its noise and its event.

Notation: S is the synthetic table, fixed and public, with n_S rows; F are the sensitive rows, n of
them, bounded to at most k = ``max_rows`` per privacy unit. For a marginal m with cells v, c(v)
counts F and q(v) = s(v)/n_S is the share of S. The distance that is wanted, the total variation
½ Σ |c(v)/n - q(v)|, has a sensitivity that depends on n, which is private. In rows it does not:

    H(c) = ½ Σ_v |c(v) - n q(v)|,    n = Σ_v c(v),    so that the distance is H(c)/n.

**Sensitivity of H.** H is a seminorm of a linear function of c, hence |H(c') - H(c)| ≤ H(c' - c).
One row more or less: H(±e_v) = ½ ((1 - q(v)) + Σ_{u≠v} q(u)) = 1 - q(v) ≤ 1. One row in place of
another: H(e_v - e_u) ≤ ½ · 2 = 1, since n stays. A neighbour under ``add_remove`` changes c by at
most k rows of one unit. Under ``replace_one`` a ≤ k rows leave and b ≤ k arrive; min(a, b) of them
are exchanges and the others arrivals or departures, together max(a, b) ≤ k terms of at most 1. So H
moves by at most k under **both** relations; so does a mean of H over marginals, the largest H of
several marginals, and n itself.

**Whole numbers.** A query X that moves by at most k is released as ⌊X/k⌋ plus discrete Gaussian
noise. ⌊·⌋ does not decrease and commutes with adding 1, hence ⌊X/k⌋ moves by at most 1. It is
worked out exactly: n_S H is half of a whole number. Rounding costs up to one unit of k rows and buys
sensitivity 1, for which the accountant has an exact loss distribution.

**Ratios.** A figure is (⌊X/k⌋ + noise) over (⌊n/k⌋ + noise): post-processing. Every figure is at most
1 and mostly far below, so that noise on n does little harm: it gets twice the noise of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.marginals import sampling_floor
from dpsynth.counts import release_counts
from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, PlannedCharge
from dpsynth.schema import Column, Schema
from dpsynth.scoring import cell_count, cells_of
from dpsynth.table import Table

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Values = Mapping[str, npt.NDArray]

FIGURES, ROWS = "evaluation:figures", "evaluation:rows"
"""Steps of the plan."""

QUIETER = 2.0
"""Noise on the number of rows over noise on a figure."""

_DENSE = 1 << 18
"""Up to this many cells a marginal is counted in an array that has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noisy:
    """What was released; everything else is post-processing of it and of S.

    Parameters
    ----------
    figures : mapping of str to int
        By query, in units of ``max_rows`` rows.
    rows : int
        In the same units.
    sigma, rows_sigma : float
        Their noise parameters.
    """

    figures: Mapping[str, int]
    rows: int
    sigma: float
    rows_sigma: float


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
        means = [f"mean.{family}" for family in self.families(schema)]
        # The worst of one column is its mean.
        worst = ["max.1"] if len(self.columns(schema)) > 1 else []
        return (*means, *worst)

    def charges(self, schema: Schema, *, sigma: float) -> tuple[PlannedCharge, ...]:
        """Return the events: figures with noise ``sigma``, the number of rows with twice that.

        Parameters
        ----------
        schema : Schema
            Public facts.
        sigma : float
            Noise parameter of a figure, in units of ``max_rows`` rows.

        Privacy
        -------
        Every query is a whole number that one unit moves by at most 1, under either relation: see
        the head of this file.
        """
        event = partial(DiscreteGaussian, relation=schema.unit.relation, sensitivity=1)
        figures = event(sigma=sigma, count=len(self.queries(schema)))
        rows = event(sigma=QUIETER * sigma, count=1)
        return (
            PlannedCharge(step=FIGURES, mechanism=figures),
            PlannedCharge(step=ROWS, mechanism=rows),
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
            What was booked: figures, rows.
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
        sigmas = [_sigma(charge) for charge in charges]
        exact = self.exact(table, synthetic)
        rows = table.n_rows // table.schema.unit.max_rows
        released = []
        ran = []
        for charge, query, sigma in zip(
            self.charges(table.schema, sigma=sigmas[0]),
            ([*exact.values()], [rows]),
            sigmas,
            strict=True,
        ):
            with noise.declaring(charge.mechanism):
                released.append(release_counts(query, sigma=sigma, noise=noise))
            ran.append(charge)
        noisy = Noisy(
            figures=dict(zip(exact, released[0].tolist(), strict=True)),
            rows=int(released[1][0]),
            sigma=sigmas[0],
            rows_sigma=sigmas[1],
        )
        return noisy, tuple(ran)

    def exact(self, table: Table, synthetic: Values) -> dict[str, int]:
        """Return the exact queries by name, in units of ``max_rows`` rows: **sensitive**."""
        real, drawn = self._cut(table.values, table.schema), self._cut(synthetic, table.schema)
        n_synthetic = len(next(iter(drawn.values())))
        unit = 2 * n_synthetic * table.schema.unit.max_rows
        sizes = self._sizes(table.schema)
        out: dict[str, int] = {}
        for family, marginals in self.families(table.schema).items():
            # 2 n_S H of each marginal, a whole number; Python's own do not overflow when added.
            moved = []
            for names in marginals:
                c, s = _counts([real, drawn], names, sizes)
                moved.append(int(np.abs(n_synthetic * c - table.n_rows * s).sum()))
            out[f"mean.{family}"] = sum(moved) // (unit * len(moved))
            if family == "1" and len(moved) > 1:
                out["max.1"] = max(moved) // unit
        return {name: out[name] for name in self.queries(table.schema)}

    def floors(self, synthetic: Values, schema: Schema, *, rows: float) -> dict[str, float]:
        """Return what sampling alone would give, by query: two samples of the law of S.

        Parameters
        ----------
        synthetic : mapping
            As in :meth:`release`.
        schema : Schema
            Public facts.
        rows : float
            Noisy number of sensitive rows.
        """
        drawn, sizes = self._cut(synthetic, schema), self._sizes(schema)
        out: dict[str, float] = {}
        for family, marginals in self.families(schema).items():
            floors = []
            for names in marginals:
                (s,) = _counts([drawn], names, sizes)
                floors.append(sampling_floor(s / s.sum(), int(s.sum()), max(1, round(rows))))
            out[f"mean.{family}"] = float(np.mean(floors))
            if family == "1":
                out["max.1"] = float(np.max(floors))
        return {name: out[name] for name in self.queries(schema)}

    def state(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return asdict(self)

    def _some(self, marginals: Any, way: int) -> list[tuple[str, ...]]:  # noqa: ANN401
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
