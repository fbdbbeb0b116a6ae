"""Small tables for the tests of disclosure: given column by column, with no file in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np

import dpsynth as dp
from dpsynth.privacy import NeighbouringRelation, PrivacyUnit
from dpsynth.table import Table
from tests.benchmarks.conftest import schema_of

Row = tuple[str | None, float, str | None]

CELLS = 4


def small_schema(max_rows: int = 3, relation: str = "add_remove") -> dp.Schema:
    """A level, a number and the target."""
    schema = schema_of(
        {
            "id": {"kind": "key"},
            "g": {"kind": "categorical", "categories": ["a", "b", "c"], "other": "c"},
            "x": {"kind": "integer", "bounds": [0, 7], "missing": True},
            "y": {"kind": "boolean", "role": "target"},
        },
        unit={"id": "id", "max_rows": max_rows, "relation": relation},
    )
    expected = PrivacyUnit(column="id", max_rows=max_rows, relation=NeighbouringRelation(relation))
    assert schema.unit == expected
    return schema


def values(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Columns as a table holds them."""
    return {
        "g": np.array([row[0] for row in rows] + [None], dtype=object)[:-1],
        "x": np.array([row[1] for row in rows], dtype=float),
        "y": np.array([row[2] for row in rows] + [None], dtype=object)[:-1],
    }


def table(units: Sequence[Sequence[Row]], schema: dp.Schema) -> Table:
    """A table of units that are bounded already."""
    rows = [row for unit in units for row in unit]
    index = [number for number, unit in enumerate(units) for _ in unit]
    return Table(schema=schema, values=values(rows), unit_index=np.array(index, dtype=np.int64))


def naive(
    rows: Sequence[Row], synthetic: Sequence[Row], *, scaled_to: int, unit: int
) -> dict[str, Fraction]:
    """The figures before they are rounded down, with dictionaries and fractions.

    ``unit`` is what one privacy unit moves: rows, twice as many where units are exchanged.
    """

    def cell(row: Row) -> tuple[object, ...]:
        g, x, y = row
        # Eight whole numbers in four cells of two.
        return g, None if np.isnan(x) else int(x) // 2, y

    def error(places: tuple[int, ...]) -> Fraction:
        counts: dict[tuple, list[int]] = {}
        for side, part in enumerate((rows, synthetic)):
            for row in part:
                key = tuple(cell(row)[i] for i in places)
                counts.setdefault(key, [0, 0])[side] += 1
        return sum(
            (abs(c - Fraction(scaled_to * s, len(synthetic))) for c, s in counts.values()),
            Fraction(0),
        )

    ones = [error((i,)) for i in range(3)]
    twos = [error(pair) for pair in combinations(range(3), 2)]
    found: Mapping[str, Fraction] = {
        "mean.1": sum(ones, Fraction(0)) / 3,
        "max.1": max(ones),
        "mean.2": sum(twos, Fraction(0)) / 3,
        "mean.3": error((0, 1, 2)),
    }
    return {name: value / unit for name, value in found.items()}
