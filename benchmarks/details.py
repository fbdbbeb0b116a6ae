"""What a person looks at after the summary: columns, pairs, histograms of the worst, single cells.

No metric and no finding comes from here. Tables are whole, not cut to one size: a distance is that
of the rows that are released, beside the floor for as many.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from benchmarks.association import strengths
from benchmarks.counting import Counter, Marginal, subsets
from benchmarks.discretise import Tables
from benchmarks.marginals import MOST_PAIRS, pooled_floor, total_variation
from benchmarks.numbers import distances
from benchmarks.report import Row, Section, finite
from dpsynth.schema import SECONDS, Column, Kind

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WORST_COLUMNS = 9
MOST_BARS = 40
"""Cells of a histogram; smaller ones are put together."""
MOST_CELLS = 400

_TABLES = ("fit", "synthetic", "holdout", "independent")


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """List columns, pairs (up to 500), the worst columns cell by cell and a sample of cells.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws pairs and cells.

    Notes
    -----
    ``columns``: total variation and its floor, distances of numbers, shares of null and of values
    outside the schema. ``pairs``: total variation, its floor and that of independent columns, and
    dependence by table. ``histograms``: shares in each cell of the nine columns furthest above
    their floor. ``cells``: up to 400 two-way cells that some row is in, drawn evenly over pairs,
    with the band in which 95 % of fresh samples lie.

    Privacy
    -------
    Shares are those of real rows, and ends of cells are quantiles of real values.
    """
    counter = Counter({name: getattr(tables, name) for name in _TABLES}, sizes=tables.sizes)
    d = len(tables.columns)
    single = [counter.marginal((place,)) for place in range(d)]
    pairs = subsets(d, 2, MOST_PAIRS, rng)
    columns = [_column(tables, place, marginal) for place, marginal in enumerate(single)]
    excess = np.array([float(row["tvd"] or 0.0) - float(row["floor"] or 0.0) for row in columns])
    worst = np.argsort(-excess, kind="stable")[:WORST_COLUMNS]
    listed, cells = _pairs(tables, counter, pairs, rng)
    return Section(
        tables={
            "columns": tuple(columns),
            "pairs": tuple(listed),
            "histograms": tuple(
                bar for place in worst for bar in _bars(tables, place, single[place])
            ),
            "cells": tuple(cells),
        }
    )


def _column(tables: Tables, place: int, marginal: Marginal) -> Row:
    column = tables.columns[place]
    fit, synthetic = (_all_cells(tables, place, marginal, name) for name in ("fit", "synthetic"))
    ks, wasserstein, tails = (
        map(finite, distances(tables, place, tables.synthetic).whole)
        if column.is_numeric
        else (None, None, None)
    )
    return {
        "column": column.name,
        "kind": str(column.kind),
        "tvd": float(total_variation(fit, synthetic)),
        "floor": pooled_floor(marginal, "holdout", len(tables.synthetic)),
        "ks": ks,
        "wasserstein": wasserstein,
        "tails": tails,
        "null_fit": float(fit[-2]),
        "null_synthetic": float(synthetic[-2]),
        "outside_synthetic": float(synthetic[-1]),
    }


def _pairs(
    tables: Tables, counter: Counter, pairs: list[tuple[int, ...]], rng: np.random.Generator
) -> tuple[list[Row], list[Row]]:
    if not pairs:
        return [], []
    numeric = [column.is_numeric for column in tables.columns]
    depends = {
        name: strengths(getattr(tables, name), pairs, numeric, tables.sizes).whole
        for name in ("fit", "synthetic", "holdout")
    }
    each = math.ceil(MOST_CELLS / len(pairs))
    listed: list[Row] = []
    cells: list[Row] = []
    for k, pair in enumerate(pairs):
        marginal = counter.marginal(pair)
        fit, synthetic = marginal.shares("fit"), marginal.shares("synthetic")
        a, b = tables.names(pair)
        listed.append(
            {
                "a": a,
                "b": b,
                "tvd": float(total_variation(fit, synthetic)),
                "floor": pooled_floor(marginal, "holdout", len(tables.synthetic)),
                "independent": float(total_variation(fit, marginal.shares("independent"))),
                **{f"dependence_{name}": float(found[k]) for name, found in depends.items()},
            }
        )
        occupied = np.flatnonzero((fit > 0) | (synthetic > 0))
        for cell in np.sort(rng.permutation(occupied)[:each]):
            cells.append(
                {"a": a, "b": b, **_cell(tables, float(fit[cell]), float(synthetic[cell]))}
            )
    kept = np.sort(rng.permutation(len(cells))[:MOST_CELLS])
    return listed, [cells[i] for i in kept]


def _cell(tables: Tables, fit: float, synthetic: float) -> Row:
    n, m = len(tables.fit), len(tables.synthetic)
    share = max(fit, 1.0 / n)  # a cell without a row is rare, not impossible
    half = 1.96 * math.sqrt(share * (1.0 - min(1.0, share)) * (1.0 / n + 1.0 / m))
    return {
        "fit": fit,
        "synthetic": synthetic,
        "low": max(0.0, fit - half),
        "high": min(1.0, fit + half),
    }


def _bars(tables: Tables, place: int, marginal: Marginal) -> list[Row]:
    column = tables.columns[place]
    fit, synthetic = (_all_cells(tables, place, marginal, name) for name in ("fit", "synthetic"))
    larger = np.maximum(fit, synthetic)
    shown = larger > 0
    shown[np.argsort(-larger, kind="stable")[MOST_BARS:]] = False
    bars = [
        (_label(tables, place, int(cell)), float(fit[cell]), float(synthetic[cell]))
        for cell in np.flatnonzero(shown)
    ]
    if (larger[~shown] > 0).any():
        bars.append(("all others", float(fit[~shown].sum()), float(synthetic[~shown].sum())))
    return [
        {"column": column.name, "place": k, "cell": cell, "fit": real, "synthetic": made}
        for k, (cell, real, made) in enumerate(bars)
    ]


def _all_cells(tables: Tables, place: int, marginal: Marginal, table: str) -> FloatArray:
    """Return shares in all cells of a column, also where only those with a row were counted."""
    out = np.zeros(tables.sizes[place])
    out[marginal.cells] = marginal.shares(table)
    return out


def _label(tables: Tables, place: int, cell: int) -> str:
    column, cells = tables.columns[place], tables.cells[place]
    if cell == cells.inner:
        return "missing"
    if cell == cells.inner + 1:
        return "outside the schema"
    if cells.levels:
        level = cells.levels[cell]
        # A level that was discovered is a value of somebody's row.
        return level if level in column.levels else f"discovered level {cell + 1}"
    edges = cells.edges
    if not len(edges):
        return "all"
    if cell == 0:
        return f"below {_number(column, edges[0])}"
    low = edges[cell - 1]
    # The cell after that of a single value begins with the next number that a machine has.
    above = cell > 1 and low == np.nextafter(edges[cell - 2], np.inf)
    text = f"above {_number(column, edges[cell - 2])}" if above else _number(column, low)
    if cell == len(edges):
        return text if above else f"{text} and above"
    if edges[cell] == np.nextafter(low, np.inf):
        return text
    return f"{text} to {_number(column, edges[cell])}"


def _number(column: Column, x: float) -> str:
    if column.kind == Kind.DATETIME:
        unit = column.unit or "day"
        stamp = str(np.datetime64(round(x * SECONDS[unit]), "s"))
        return stamp[:10] if unit == "day" else stamp
    if column.kind == Kind.INTEGER:
        return f"{x:.15g}"
    return f"{x:.4g}"
