"""Counting queries, such as how many people are female, between 30 and 50, and widowed.

Conjunctions over one to four columns, drawn once for all tables. A person who tabulates a release
asks such questions; the mean error says what to expect, the 95th percentile what to fear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.discretise import Tables
from benchmarks.report import Metric, Section

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

QUERIES = 1_000
MOST_COLUMNS = 4
LEAST_SHARE = 0.001
"""Shares below it count as this much in a relative error."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """A conjunction.

    Parameters
    ----------
    places : tuple of int
        Columns.
    allowed : tuple of ndarray of bool
        For each column the cells that count.
    """

    places: tuple[int, ...]
    allowed: tuple[npt.NDArray[np.bool_], ...]

    def share(self, codes: IntArray) -> float:
        """Return the share of rows that fulfil it."""
        kept = np.ones(len(codes), dtype=bool)
        for place, cells in zip(self.places, self.allowed, strict=True):
            kept &= cells[codes[:, place]]
        return float(kept.mean())


def draw_queries(tables: Tables, count: int, rng: np.random.Generator) -> list[Query]:
    """Draw conjunctions: half of the levels of a column, or an interval where there is an order.

    Parameters
    ----------
    tables : Tables
        Columns and their cells; no row is looked at.
    count : int
        How many.
    rng : numpy.random.Generator
        Draws them.
    """
    d = len(tables.columns)
    out = []
    for _ in range(count):
        size = int(rng.integers(1, min(MOST_COLUMNS, d) + 1))
        places = tuple(rng.permutation(d)[:size].tolist())
        out.append(
            Query(places=places, allowed=tuple(_cells(tables, place, rng) for place in places))
        )
    return out


def _cells(tables: Tables, place: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    column, size = tables.columns[place], tables.sizes[place]
    inner = size - 2  # null and outside stand last: nobody asks for them
    cells = np.zeros(size, dtype=bool)
    if column.is_numeric or column.kind == "ordinal":
        first, last = np.sort(rng.integers(0, inner, 2))
        cells[first : last + 1] = True
    else:
        cells[rng.permutation(inner)[: max(1, inner // 2)]] = True
    return cells


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare the answers to 1,000 counting queries.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws queries.
    """
    queries = draw_queries(tables, QUERIES, rng)
    real, synthetic, unrelated = (
        np.array([query.share(codes) for query in queries])
        for codes in (tables.fit.codes, tables.synthetic.codes, tables.independent.codes)
    )
    n, m = len(tables.fit), len(tables.synthetic)
    floor = np.sqrt(2 * real * (1 - real) * (1 / n + 1 / m) / math.pi)
    scale = np.maximum(real, LEAST_SHARE)
    found = {
        "queries.mean": (np.mean, 1.0),
        "queries.p95": (_high, 1.0),
        "queries.relative.mean": (np.mean, scale),
        "queries.relative.p95": (_high, scale),
    }
    return Section(
        metrics=tuple(
            Metric(
                name=name,
                value=float(of(np.abs(synthetic - real) / over)),
                floor=float(of(floor / over)),
                references={"independent": float(of(np.abs(unrelated - real) / over))},
                landmark="independent",
                direction="lower",
                n=min(n, m),
            )
            for name, (of, over) in found.items()
        )
    )


def _high(values: FloatArray) -> float:
    return float(np.quantile(values, 0.95))
