"""The codec: a typed table to integer codes and back.

What the codec knows about the rows it buys: noisy one-way counts of every column, from which the
bins and atoms of numeric columns follow, and, where the schema says ``discover``, bounds and
categories. :func:`codec_charges` states the events before the data is touched; :meth:`Codec.fit`
spends exactly those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.columns import (
    ColumnCodes,
    DiscreteCodes,
    NumericCodes,
    choose_codes,
    codes_from_state,
    grid_of,
    numeric_capacity,
)
from dpsynth.counts import discover_levels, histogram_event, release_counts, selection_event
from dpsynth.density import HEAVY, Segments, project_counts, refine
from dpsynth.discovery import BOUND_CELLS, bound_cells, bounds_from_counts
from dpsynth.errors import IntegrityError
from dpsynth.grid import Grid
from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, PartitionSelection, Plan, PlannedCharge
from dpsynth.schema import Column, Kind, Schema
from dpsynth.table import Table

CodeArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

COUNTS = "one-way counts"
BOUNDS = "bounds"
LEVELS = "levels of {}"

_RESERVED_OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSettings:
    """Public sizes of the codec.

    Parameters
    ----------
    numeric_codes : int
        Most codes (atoms and bins) of a numeric column.
    discovered_levels : int
        Most levels that are kept of a column whose categories are discovered.
    discovered_depth : int
        Levels of the histogram tree that are bought for a numeric column whose bounds are
        discovered, since its grid is not known when the plan is made.
    """

    numeric_codes: int = 32
    discovered_levels: int = 64
    discovered_depth: int = 3

    def state(self) -> dict[str, int]:
        """Return the fields as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def block_sizes(schema: Schema, settings: CodecSettings) -> tuple[int, ...]:
    """Return the number of codes of every modelled column, null included.

    Follows from the schema and the settings alone.
    """
    return tuple(_capacity(column, settings) + 1 for column in schema.modelled)


def _capacity(column: Column, settings: CodecSettings) -> int:
    if column.is_numeric:
        return numeric_capacity(column, settings.numeric_codes)
    if column.categories == "discover":
        return settings.discovered_levels + 1
    return len(column.levels)


def _depth(column: Column, settings: CodecSettings) -> int:
    """Histograms that one column takes part in under the step :data:`COUNTS`."""
    if not column.is_numeric:
        return 0 if column.categories == "discover" else 1
    if column.bounds == "discover" or column.bounds is None:
        return settings.discovered_depth
    return grid_of(column, (float(column.bounds[0]), float(column.bounds[1]))).levels


def codec_charges(
    schema: Schema, settings: CodecSettings, *, sigma: float, failure_delta: float
) -> tuple[PlannedCharge, ...]:
    """State what fitting the codec will spend.

    Parameters
    ----------
    schema : Schema
        Public facts.
    settings : CodecSettings
        Public sizes.
    sigma : float
        Noise parameter of every count, in rows.
    failure_delta : float
        δ that is set aside for category discovery, shared evenly by the columns that need it.

    Returns
    -------
    tuple of PlannedCharge

    Privacy
    -------
    Counts: one histogram per discrete column and one per tree level of a numeric column.
    """
    unit = schema.unit
    charges: list[PlannedCharge] = []
    sought = [column for column in schema.modelled if column.is_numeric and column.discovers]
    if sought:
        event = histogram_event(sigma=sigma, histograms=len(sought), unit=unit)
        charges.append(PlannedCharge(step=BOUNDS, mechanism=event))
    open_sets = [c for c in schema.modelled if c.categories == "discover"]
    for column in open_sets:
        selection = selection_event(
            sigma=sigma, failure_delta=failure_delta / len(open_sets), unit=unit
        )
        charges.append(PlannedCharge(step=LEVELS.format(column.name), mechanism=selection))
    histograms = sum(_depth(column, settings) for column in schema.modelled)
    if histograms:
        event = histogram_event(sigma=sigma, histograms=histograms, unit=unit)
        charges.append(PlannedCharge(step=COUNTS, mechanism=event))
    return tuple(charges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """A fitted codec. Everything in it is public or was bought.

    Parameters
    ----------
    schema : Schema
        Public facts.
    codes : mapping of str to ColumnCodes
        Codes of each modelled column.
    counts : mapping of str to ndarray of float64, shape (block size,)
        Noisy rows per code, non-negative, the same total in every column.
    rows : float
        Noisy number of rows.
    """

    schema: Schema
    codes: Mapping[str, ColumnCodes]
    counts: Mapping[str, FloatArray]
    rows: float

    @property
    def sizes(self) -> tuple[int, ...]:
        """Block size of every modelled column."""
        return tuple(codes.size for codes in self.codes.values())

    @classmethod
    def fit(
        cls, table: Table, *, plan: Plan, settings: CodecSettings, noise: NoiseSource
    ) -> tuple[Codec, tuple[PlannedCharge, ...]]:
        """Buy counts, bins, atoms and whatever the schema leaves to discover.

        Parameters
        ----------
        table : Table
            Sensitive rows, already bounded per unit.
        plan : Plan
            Holds the events of :func:`codec_charges`.
        settings : CodecSettings
            Public sizes.
        noise : NoiseSource
            Where the noise comes from.

        Returns
        -------
        codec : Codec
        ran : tuple of PlannedCharge
            The charges that were run, taken from the plan and checked against what was measured.
        """
        buyer = _Buyer(table, plan, settings, noise)
        codec = buyer.buy()
        return codec, buyer.ran()

    def encode(self, table: Table) -> CodeArray:
        """Return codes, shape (n_rows, n_modelled_columns)."""
        columns = [codes.encode(table.values[name]) for name, codes in self.codes.items()]  # type: ignore[arg-type]
        return np.stack(columns, axis=1).astype(np.int32) if columns else np.zeros((0, 0), "i4")

    def decode(self, codes: CodeArray, rng: np.random.Generator) -> pd.DataFrame:
        """Return a table in the schema's column order; keys are numbered afresh from 1."""
        position = {name: index for index, name in enumerate(self.codes)}
        frame: dict[str, object] = {}
        for column in self.schema.columns:
            if column.kind == Kind.KEY:
                frame[column.name] = np.arange(1, len(codes) + 1)
                continue
            kind = self.codes[column.name]
            values = kind.decode(codes[:, position[column.name]].astype(np.int64), rng)
            frame[column.name] = _typed(values, column, nullable=bool(kind.usable[-1]))
        return pd.DataFrame(frame)

    def state(self) -> dict[str, Any]:
        """Return what is stored with a model: public facts and noisy counts."""
        return {
            "rows": self.rows,
            "columns": {
                name: {**codes.state(), "counts": self.counts[name].tolist()}
                for name, codes in self.codes.items()
            },
        }

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any]) -> Codec:
        """Rebuild from :meth:`state`."""
        columns = state["columns"]
        return cls(
            schema=schema,
            codes={name: codes_from_state(part) for name, part in columns.items()},
            counts={name: np.array(part["counts"]) for name, part in columns.items()},
            rows=float(state["rows"]),
        )

    def __repr__(self) -> str:
        return f"Codec({len(self.codes)} columns, block sizes {self.sizes})"


def _typed(values: npt.NDArray[Any], column: Column, *, nullable: bool) -> object:
    if column.kind == Kind.INTEGER:
        numbers = pd.array(values, dtype="Float64").astype("Int64")
        return numbers if nullable else numbers.astype("int64")
    if column.kind == Kind.REAL:
        return values if column.decimals is None else np.round(values, column.decimals)
    if column.kind == Kind.DATETIME:
        code = {"day": "D", "hour": "h", "minute": "m", "second": "s"}[column.unit or "day"]
        whole = np.where(np.isnan(values), 0, values).astype(np.int64)
        stamps = whole.astype(f"datetime64[{code}]").astype("datetime64[s]")
        stamps[np.isnan(values)] = np.datetime64("NaT")
        return stamps
    if column.kind == Kind.BOOLEAN and column.levels[:2] == ("false", "true"):
        if set(values) <= {"false", "true", None}:
            flags = pd.array([None if v is None else v == "true" for v in values], "boolean")
            return flags if nullable else flags.astype(bool)
    return values


class _Buyer:
    """Runs the codec's charges in order and keeps a tally of what was measured."""

    def __init__(
        self, table: Table, plan: Plan, settings: CodecSettings, noise: NoiseSource
    ) -> None:
        self.table, self.plan, self.settings, self.noise = table, plan, settings, noise
        self.schema = table.schema
        self.measured: dict[str, int] = {}

    def buy(self) -> Codec:
        bounds = self._bounds()
        grids = {name: grid_of(self.schema.column(name), pair) for name, pair in bounds.items()}
        top: dict[str, IntArray] = {}
        levels: dict[str, tuple[str, ...]] = {}
        for column in self.schema.modelled:
            if column.is_numeric:
                top[column.name] = self._numeric_counts(column, grids[column.name])
            elif column.categories == "discover":
                levels[column.name], top[column.name] = self._discovered(column)
            else:
                levels[column.name] = column.levels
                top[column.name] = self._discrete_counts(column)
        rows = self._rows(top)
        codes: dict[str, ColumnCodes] = {}
        counts: dict[str, FloatArray] = {}
        for column in self.schema.modelled:
            name = column.name
            if column.is_numeric:
                codes[name], counts[name] = self._numeric(column, grids[name], top[name], rows)
            else:
                codes[name], counts[name] = self._discrete(column, levels[name], top[name], rows)
        return Codec(schema=self.schema, codes=codes, counts=counts, rows=rows)

    def ran(self) -> tuple[PlannedCharge, ...]:
        """Return the plan's charges after checking that exactly those were run.

        What one unit of this table moves is compared too, not the number of histograms alone.
        """
        charges = []
        for charge in self.plan.charges:
            if charge.step not in self.measured:
                continue
            mechanism = charge.mechanism
            assert isinstance(mechanism, DiscreteGaussian | PartitionSelection)
            stated = histogram_event(
                sigma=mechanism.sigma, histograms=self.measured[charge.step], unit=self.schema.unit
            )
            moved = [(m.relation, m.sensitivity, m.count) for m in (stated, mechanism)]
            if moved[0] != moved[1]:
                raise IntegrityError(
                    f"the codec measured other histograms in {charge.step!r} than the plan booked.",
                    code="DPS110",
                )
            charges.append(charge)
        return tuple(charges)

    # -- measurements: the only places that read rows -----------------------------------------

    @contextmanager
    def _histogram(self, step: str) -> Iterator[float]:
        """Open one histogram of a step; yield the noise parameter of its cells."""
        mechanism = self.plan.mechanism(step)
        assert isinstance(mechanism, DiscreteGaussian | PartitionSelection)
        self.measured[step] = self.measured.get(step, 0) + 1
        one = histogram_event(sigma=mechanism.sigma, histograms=1, unit=self.schema.unit)
        if isinstance(mechanism, PartitionSelection):
            moved = {"sensitivity": one.sensitivity, "count": one.count}
            one = replace(mechanism, **moved)
        with self.noise.declaring(one):
            yield mechanism.sigma

    def _bounds(self) -> dict[str, tuple[float, float]]:
        bounds = {}
        for column in self.schema.modelled:
            if not column.is_numeric:
                continue
            if column.bounds == "discover" or column.bounds is None:
                values = self.table.values[column.name]
                cells = bound_cells(values[np.isfinite(values.astype(float))].astype(float))
                exact = np.bincount(cells, minlength=BOUND_CELLS)
                with self._histogram(BOUNDS) as sigma:
                    noisy = release_counts(exact, sigma=sigma, noise=self.noise)
                bounds[column.name] = bounds_from_counts(noisy, sigma=sigma)
            else:
                bounds[column.name] = (float(column.bounds[0]), float(column.bounds[1]))
        return bounds

    def _positions(self, column: Column, grid: Grid) -> tuple[IntArray, int]:
        values = self.table.values[column.name].astype(float)
        present = ~np.isnan(values)
        return grid.positions(values[present]), int((~present).sum())

    def _numeric_counts(self, column: Column, grid: Grid) -> IntArray:
        width = self._widths(column, grid)[0]
        positions, nulls = self._positions(column, grid)
        exact = np.bincount(positions // width, minlength=-(-grid.size // width))
        with self._histogram(COUNTS) as sigma:
            return release_counts(np.append(exact, nulls), sigma=sigma, noise=self.noise)

    def _discrete_counts(self, column: Column) -> IntArray:
        levels = column.levels
        code = DiscreteCodes(
            levels=levels,
            other=levels.index(column.other or levels[-1]),
            capacity=len(levels),
            usable=np.ones(len(levels) + 1, dtype=bool),
        )
        codes = code.encode(self.table.values[column.name])
        exact = np.bincount(codes, minlength=code.size)
        with self._histogram(COUNTS) as sigma:
            return release_counts(exact, sigma=sigma, noise=self.noise)

    def _discovered(self, column: Column) -> tuple[tuple[str, ...], IntArray]:
        step = LEVELS.format(column.name)
        event = self.plan.mechanism(step)
        assert isinstance(event, PartitionSelection)
        values = self.table.values[column.name]
        null = np.array([value is None for value in values], dtype=bool)
        # Null is a cell of the same histogram; it is always shown, so it needs no threshold.
        with self._histogram(step) as sigma:
            nulls = release_counts([int(null.sum())], sigma=sigma, noise=self.noise)
            levels, counts = discover_levels(
                values[~null], event=event, noise=self.noise, most=self.settings.discovered_levels
            )
        return levels, np.concatenate([counts, nulls])

    def _refined(self, column: Column, grid: Grid, segments: Segments) -> Segments:
        widths = self._widths(column, grid)
        positions, _ = self._positions(column, grid)
        for parent, width in pairwise(widths):
            with self._histogram(COUNTS) as sigma:
                segments = refine(
                    segments,
                    positions,
                    parent_width=parent,
                    width=width,
                    sigma=sigma,
                    noise=self.noise,
                )
        # Levels that were paid for but that a small discovered grid does not have.
        for _ in range(_depth(column, self.settings) - len(widths)):
            with self._histogram(COUNTS):
                pass
        return segments

    # -- post-processing of noisy counts -------------------------------------------------------

    def _widths(self, column: Column, grid: Grid) -> tuple[int, ...]:
        return grid.widths(_depth(column, self.settings))

    def _rows(self, top: Mapping[str, IntArray]) -> float:
        """Combine the totals of all complete histograms, each weighted by its precision."""
        complete = {
            name: counts
            for name, counts in top.items()
            if self.schema.column(name).categories != "discover"
        } or top
        weights = np.array([1.0 / counts.size for counts in complete.values()])
        totals = np.array([float(counts.sum()) for counts in complete.values()])
        return max(1.0, float((weights * totals).sum() / weights.sum()))

    def _numeric(
        self, column: Column, grid: Grid, noisy: IntArray, rows: float
    ) -> tuple[NumericCodes, FloatArray]:
        sigma = self._plan_sigma(COUNTS)
        width = self._widths(column, grid)[0]
        cells = project_counts(noisy, rows)
        if not column.missing:
            cells = np.append(project_counts(noisy[:-1], rows), 0.0)
        segments = Segments(
            starts=np.arange(noisy.size - 1) * width, masses=cells[:-1], size=grid.size
        )
        segments = self._refined(column, grid, segments)
        codes = choose_codes(
            segments,
            grid,
            capacity=_capacity(column, self.settings),
            sigma=sigma,
            null_allowed=column.missing,
        )
        masses = np.zeros(codes.size)
        masses[: codes.lows.size] = codes.masses()
        masses[-1] = cells[-1]
        return codes, masses

    def _discrete(
        self, column: Column, levels: tuple[str, ...], noisy: IntArray, rows: float
    ) -> tuple[DiscreteCodes, FloatArray]:
        capacity = _capacity(column, self.settings)
        counts = np.zeros(capacity + 1)
        usable = np.zeros(capacity + 1, dtype=bool)
        if column.categories == "discover":
            sigma = self._plan_sigma(LEVELS.format(column.name))
            kept = np.maximum(noisy.astype(float), 0.0)
            kept[-1] *= column.missing
            rest = max(0.0, rows - kept.sum())
            name = _RESERVED_OTHER
            while name in levels:
                name += "_"
            levels = (*levels, name)
            counts[: len(levels)] = [*kept[:-1], rest]
            counts[-1] = kept[-1]
            counts *= rows / max(counts.sum(), 1.0)
            reserved = True
        else:
            sigma = self._plan_sigma(COUNTS)
            allowed = noisy if column.missing else noisy[:-1]
            counts[: allowed.size] = project_counts(allowed, rows)
            reserved = column.other is None
        other = len(levels) - 1 if reserved else levels.index(str(column.other))
        usable[: len(levels)] = True
        usable[-1] = column.missing
        if reserved and not (levels[:-1] == () or counts[other] > HEAVY * sigma):
            # The reserved level is shown only where rows clearly fell into it.
            usable[other] = False
            counts[other] = 0.0
        codes = DiscreteCodes(levels=levels, other=other, capacity=capacity, usable=usable)
        return codes, counts

    def _plan_sigma(self, step: str) -> float:
        mechanism = self.plan.mechanism(step)
        assert isinstance(mechanism, DiscreteGaussian | PartitionSelection)
        return mechanism.sigma
