"""Support: combinations of two columns that were invented, and those that were dropped.

Total variation weighs a cell by its rows; a table may do well in it and still hold pairs that no
person has, or have lost a small group altogether. The floor is what held-out rows do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.discretise import Tables
from benchmarks.marginals import MOST_PAIRS, subsets
from benchmarks.report import Metric, Section, Worst

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

COMMON = 10
"""Rows from which on a level should not be lost."""

_SHOWN = 5


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Measure the mass of cells that the other table does not have, over up to 500 pairs.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws pairs and the rows of the matched comparison.
    """
    pairs = subsets(len(tables.columns), 2, MOST_PAIRS, rng)
    matched = min(len(tables.synthetic), len(tables.holdout))
    synthetic, holdout = (
        table.codes[rng.permutation(len(table))[:matched]]
        for table in (tables.synthetic, tables.holdout)
    )
    fit = tables.fit.codes
    rows = [_masses(tables, pair, fit, synthetic, holdout) for pair in pairs]
    metrics = [_recall(tables)]
    worst: dict[str, tuple[Worst, ...]] = {}
    for number, name in enumerate(("invented", "dropped")):
        if not rows:
            continue
        value, floor = np.array([row[number] for row in rows]).T
        metrics.append(
            Metric(
                name=f"support.{name}",
                value=float(value.mean()),
                floor=float(floor.mean()),
                direction="lower",
                n=matched,
            )
        )
        order = np.argsort(floor - value, kind="stable")[:_SHOWN]
        worst[f"support.{name}"] = tuple(
            Worst(columns=tables.names(pairs[k]), value=float(value[k]), floor=float(floor[k]))
            for k in order
        )
    return Section(metrics=tuple(metrics), worst=worst)


def _masses(
    tables: Tables, pair: tuple[int, ...], fit: IntArray, synthetic: IntArray, holdout: IntArray
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return (invented, its floor) and (dropped, its floor) of one pair of columns."""
    a, b = pair
    width = tables.sizes[b]
    total = tables.sizes[a] * width
    real, made, held = (
        np.bincount(codes[:, a] * width + codes[:, b], minlength=total)
        for codes in (fit, synthetic, holdout)
    )

    def missing(there: IntArray, here: IntArray) -> float:
        return float(there[here == 0].sum() / max(1, there.sum()))

    return (missing(made, real), missing(held, real)), (missing(real, made), missing(real, held))


def _recall(tables: Tables) -> Metric:
    """Share of levels with at least ten fitted rows that the synthetic table has at all."""
    kept = common = 0
    for place, size in enumerate(tables.sizes):
        real = np.bincount(tables.fit.codes[:, place], minlength=size)[: size - 1] >= COMMON
        made = np.bincount(tables.synthetic.codes[:, place], minlength=size)[: size - 1] > 0
        common += int(real.sum())
        kept += int((real & made).sum())
    return Metric(
        name="support.recall",
        value=kept / common if common else float("nan"),
        floor=1.0,
        direction="higher",
        n=min(len(tables.fit), len(tables.synthetic)),
    )
