"""Numeric columns by themselves, uncut: distribution functions, distances and tails.

Bins hide what happens inside of them and at the ends. Figures are in parts of the declared range,
so that columns can be averaged; where bounds were discovered, of the range of the fitted rows.
Intervals cover in 92 to 100 of 100 simulated samples. Those of maxima over columns, and those of
tails, where a quantile lies between few rows, are approximate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from benchmarks.discretise import Conformed, Tables
from benchmarks.replicates import Replicated
from benchmarks.report import Metric, Section, Tier, Worst

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TAILS = (0.01, 0.05, 0.5, 0.95, 0.99)
DISTANCES = ("ks", "wasserstein", "tails")

_TIERS: MappingProxyType[str, Tier] = MappingProxyType({"tails": "B"})
_SHOWN = 5


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare every numeric column; the floor is what as many held-out rows give.

    Parameters
    ----------
    tables : Tables
        Three tables on the schema's terms.
    rng : numpy.random.Generator
        Draws the rows of the matched comparison.
    """
    places = [place for place, column in enumerate(tables.columns) if column.is_numeric]
    if not places:
        return Section()
    matched = min(len(tables.synthetic), len(tables.holdout))
    cut = {
        name: getattr(tables, name).draw(matched, rng)
        for name in ("synthetic", "holdout", "independent", "uniform")
    }
    found = {
        name: [distances(tables, place, table) for place in places] for name, table in cut.items()
    }
    metrics: list[Metric] = []
    worst: dict[str, tuple[Worst, ...]] = {}
    for number, name in enumerate(DISTANCES):
        beside = {
            label: np.array([column.whole[number] for column in columns])
            for label, columns in found.items()
        }
        value, floor = beside.pop("synthetic"), beside["holdout"]
        sides = tuple(
            np.array([column.sides[side][:, number] for column in found["synthetic"]]).T
            for side in (0, 1)
        )
        for label, of in (("mean", _mean), ("max", _most)):
            metrics.append(
                Replicated(whole=value, sides=sides).metric(
                    f"{name}.{label}",
                    of,
                    floor=floor,
                    references=beside,
                    landmark="uniform",
                    n=matched,
                    bounds=(0.0, 1.0 if name == "ks" else np.inf),
                    tier=_TIERS.get(name, "A"),
                )
            )
        order = [k for k in np.argsort(floor - value, kind="stable") if np.isfinite(value[k])]
        worst[name] = tuple(
            Worst(
                columns=tables.names([places[k]]),
                value=float(value[k]),
                floor=float(floor[k]) if np.isfinite(floor[k]) else None,
            )
            for k in order[:_SHOWN]
        )
    return Section(metrics=tuple(metrics), worst=worst)


def distances(tables: Tables, place: int, other: Conformed) -> Replicated:
    """Return the distances of one numeric column of another table from the fitted rows.

    Parameters
    ----------
    tables : Tables
        Holds the fitted rows.
    place : int
        The column.
    other : Conformed
        The other table.

    Returns
    -------
    Replicated
        Items are those of :data:`DISTANCES`; NaN where a side is all null or the range is a point.
    """
    sample = [_Sample.of(table, place) for table in (tables.fit, other)]
    real, made = sample
    bounds = tables.columns[place].bounds
    if isinstance(bounds, tuple) or not len(real.values):
        low, high = bounds if isinstance(bounds, tuple) else (0.0, 0.0)
    else:
        low, high = real.values.min(), real.values.max()
    with np.errstate(over="ignore"):
        width = float(high) - float(low)
    if not len(real.values) or not len(made.values) or not 0 < width < np.inf:
        return _undefined(len(real.labels), len(made.labels))
    pooled = (np.concatenate([real.values, made.values]) - float(low)) / width
    points, codes = np.unique(pooled, return_inverse=True)
    codes = codes.reshape(-1)
    real_cdf, made_cdf = (
        _Cumulative(part, side, len(points))
        for part, side in zip(np.split(codes, [len(real.values)]), sample, strict=True)
    )
    whole = _compare(points, real_cdf.whole, made_cdf.whole)
    return Replicated(
        whole=whole,
        sides=(
            np.array([_compare(points, left, made_cdf.whole) for left in real_cdf.left_out()]),
            np.array([_compare(points, left, real_cdf.whole) for left in made_cdf.left_out()]),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Sample:
    """Numbers of one column that are not null, their groups, and all groups of the table."""

    values: FloatArray
    groups: IntArray
    labels: IntArray

    @classmethod
    def of(cls, table: Conformed, place: int) -> _Sample:
        values = table.features[:, place]
        present = np.isfinite(values)
        return cls(
            values=values[present],
            groups=table.groups[present],
            labels=np.flatnonzero(np.bincount(table.groups)),
        )


class _Cumulative:
    """Cumulative counts over pooled points, whole and with one group left out."""

    def __init__(self, codes: IntArray, sample: _Sample, size: int) -> None:
        self._codes = codes
        self._sample = sample
        self._size = size
        self.whole = np.cumsum(np.bincount(codes, minlength=size))

    def left_out(self) -> Iterator[IntArray]:
        # One group at a time: all at once would take twenty times the memory of the column.
        for group in self._sample.labels:
            codes = self._codes[self._sample.groups == group]
            own = np.bincount(codes, minlength=self._size)
            yield self.whole - np.cumsum(own, out=own)


def _compare(points: FloatArray, a: IntArray, b: IntArray) -> FloatArray:
    """Return all distances of two cumulative counts over ``points``, shape (3,)."""
    if not a[-1] or not b[-1]:
        return np.full(len(DISTANCES), np.nan)
    gap = a / a[-1]
    gap -= b / b[-1]
    np.abs(gap, out=gap)
    tails = np.abs(_quantiles(points, a) - _quantiles(points, b))
    return np.array([gap.max(), gap[:-1] @ np.diff(points), tails.mean()])


def _quantiles(points: FloatArray, cumulative: IntArray) -> FloatArray:
    """Return quantiles of a sample given by its cumulative counts, linear between its values."""
    at = (int(cumulative[-1]) - 1) * np.array(TAILS)
    below = np.floor(at).astype(np.int64)
    above = np.minimum(below + 1, int(cumulative[-1]) - 1)
    lower, upper = (
        points[np.searchsorted(cumulative, rank, side="right")] for rank in (below, above)
    )
    return lower + (upper - lower) * (at - below)


def _undefined(*n_groups: int) -> Replicated:
    k = len(DISTANCES)
    return Replicated(
        whole=np.full(k, np.nan), sides=tuple(np.full((n, k), np.nan) for n in n_groups)
    )


def _mean(values: FloatArray) -> FloatArray:
    """Return the mean over columns for which a distance is defined; NaN without one."""
    defined = np.isfinite(values)
    n = defined.sum(axis=-1)
    return np.where(n > 0, np.where(defined, values, 0.0).sum(axis=-1) / np.maximum(1, n), np.nan)


def _most(values: FloatArray) -> FloatArray:
    """Return the maximum over columns for which a distance is defined; NaN without one."""
    found = np.where(np.isfinite(values), values, -np.inf).max(axis=-1)
    return np.where(np.isfinite(found), found, np.nan)
