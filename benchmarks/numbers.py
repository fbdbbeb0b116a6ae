"""Numeric columns by themselves, uncut: distribution functions, distances and tails.

Bins hide what happens inside of them and at the ends. Figures are in parts of the declared range,
so that columns can be averaged; where bounds were discovered, of the range of the fitted rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp, wasserstein_distance

from benchmarks.discretise import Tables
from benchmarks.report import Metric, Section, Worst

FloatArray = npt.NDArray[np.float64]

TAILS = (0.01, 0.05, 0.5, 0.95, 0.99)

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
    synthetic, holdout = (
        table.features[rng.permutation(len(table))[:matched]]
        for table in (tables.synthetic, tables.holdout)
    )
    metrics: list[Metric] = []
    worst: dict[str, tuple[Worst, ...]] = {}
    for name, distance in _DISTANCES.items():
        value, floor = (
            np.array([_of(tables, place, other, distance) for place in places])
            for other in (synthetic, holdout)
        )
        for label, of in (("mean", np.nanmean), ("max", np.nanmax)):
            defined = np.isfinite(value).any() and np.isfinite(floor).any()
            metrics.append(
                Metric(
                    name=f"{name}.{label}",
                    value=float(of(value)) if defined else float("nan"),
                    floor=float(of(floor)) if defined else float("nan"),
                    direction="lower",
                    n=matched,
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


def _of(
    tables: Tables,
    place: int,
    other: FloatArray,
    distance: Callable[[FloatArray, FloatArray], float],
) -> float:
    """Return one distance of one column; NaN where a side is all null or the range is a point."""
    real, made = tables.fit.features[:, place], other[:, place]
    real, made = real[np.isfinite(real)], made[np.isfinite(made)]
    if not len(real) or not len(made):
        return float("nan")
    bounds = tables.columns[place].bounds
    low, high = bounds if isinstance(bounds, tuple) else (real.min(), real.max())
    width = float(high) - float(low)
    if not width > 0:
        return float("nan")
    return distance((real - float(low)) / width, (made - float(low)) / width)


def _ks(real: FloatArray, made: FloatArray) -> float:
    return float(ks_2samp(real, made).statistic)


def _tails(real: FloatArray, made: FloatArray) -> float:
    return float(np.mean(np.abs(np.quantile(real, TAILS) - np.quantile(made, TAILS))))


_DISTANCES: dict[str, Callable[[FloatArray, FloatArray], float]] = {
    "ks": _ks,
    "wasserstein": lambda real, made: float(wasserstein_distance(real, made)),
    "tails": _tails,
}
