"""Who the groups of an evaluation are: parts of protected columns and of pairs of them.

Each level of a discrete column is a part, null one of its own. A numeric column is cut into four
parts of neighbouring cells with about as many fitted rows each.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from benchmarks.discretise import Conformed, Tables

IntArray = npt.NDArray[np.int64]

FEWEST_ROWS = 50
"""Fitted rows of a group that is looked at."""
MOST_GROUPS = 200
"""Groups; of more, those with the most fitted rows are kept."""

_PARTS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Partition:
    """Groups that one or two protected columns make.

    Parameters
    ----------
    places : tuple of int
        Places of the columns.
    columns : tuple of str
        Their names.
    labels : tuple of str
        What the groups are called.
    parts : tuple of ndarray of int
        Part of each cell, by column.
    groups : ndarray of int
        Group of each combination of parts; -1 for those that are not looked at.
    """

    places: tuple[int, ...]
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    parts: tuple[IntArray, ...]
    groups: IntArray

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, table: Conformed) -> IntArray:
        """Return the group of each row, shape (n_rows,); -1 for none."""
        return self.groups[_combined(self.places, self.parts, table)]

    def counts(self, table: Conformed) -> IntArray:
        """Return the rows of each group."""
        return np.bincount(self.of(table) + 1, minlength=len(self) + 1)[1:]

    def __repr__(self) -> str:
        return f"Partition({', '.join(self.columns)})"


def protected(tables: Tables) -> list[int]:
    """Return the places of protected columns: listed by the schema, or with that role."""
    return [
        place
        for place, column in enumerate(tables.columns)
        if column.role == "protected" or column.name in tables.schema.protected
    ]


def partitions(tables: Tables) -> tuple[list[Partition], bool]:
    """Return partitions by each protected column and by each pair of them.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.

    Returns
    -------
    partitions : list of Partition
        Those with a group that is large enough; columns alone first.
    cut : bool
        Whether groups were left out because there are too many.
    """
    places = protected(tables)
    cuts = {place: _parts(tables, place) for place in places}
    chosen = [*combinations(places, 1), *combinations(places, 2)]
    counts = []
    for some in chosen:
        parts = tuple(cuts[place][0] for place in some)
        size = int(np.prod([len(cuts[place][1]) for place in some]))
        counts.append(np.bincount(_combined(some, parts, tables.fit), minlength=size))
    sizes = np.sort(np.concatenate(counts))[::-1] if counts else np.empty(0)
    fewest = max(FEWEST_ROWS, int(sizes[MOST_GROUPS]) + 1 if len(sizes) > MOST_GROUPS else 0)
    found = []
    for some, rows in zip(chosen, counts, strict=True):
        kept = np.flatnonzero(rows >= fewest)
        if not len(kept):
            continue
        groups = np.full(len(rows), -1, dtype=np.int64)
        groups[kept] = np.arange(len(kept))
        names = [cuts[place][1] for place in some]
        found.append(
            Partition(
                places=some,
                columns=tables.names(some),
                labels=tuple(_label(names, int(code)) for code in kept),
                parts=tuple(cuts[place][0] for place in some),
                groups=groups,
            )
        )
    return found, fewest > FEWEST_ROWS


def _combined(places: tuple[int, ...], parts: tuple[IntArray, ...], table: Conformed) -> IntArray:
    out = np.zeros(len(table), dtype=np.int64)
    for place, part in zip(places, parts, strict=True):
        out = out * (int(part.max()) + 1) + part[table.codes[:, place]]
    return out


def _parts(tables: Tables, place: int) -> tuple[IntArray, list[str]]:
    """Return the part of each cell of a column, and what the parts are called."""
    name, cells = tables.columns[place].name, tables.cells[place]
    rest = [f"{name}: null", f"{name}: outside"]
    if not tables.columns[place].is_numeric:
        return np.arange(cells.size), [*(f"{name} = {level}" for level in cells.levels), *rest]
    rows = np.bincount(tables.fit.codes[:, place], minlength=cells.size)[: cells.inner]
    middle = (np.cumsum(rows) - rows / 2) / max(1, rows.sum())
    quarter = np.minimum((_PARTS * middle).astype(np.int64), _PARTS - 1)
    parts = np.concatenate([quarter, [_PARTS, _PARTS + 1]])
    return parts, [*(f"{name}: part {i + 1} of {_PARTS}" for i in range(_PARTS)), *rest]


def _label(names: list[list[str]], code: int) -> str:
    out: list[str] = []
    for some in reversed(names):
        code, part = divmod(code, len(some))
        out.append(some[part])
    return ", ".join(reversed(out))
