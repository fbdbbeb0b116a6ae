"""Which records are at the highest risk: those that stand alone.

A membership attack is worth the risk of the record it is aimed at. Records far from all others are
told from a synthetic table much more often than records chosen at random, also where noise was
added; an audit that looks at average records misses them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError
from dpsynth.schema import Schema
from dpsynth.table import Source
from privacy_audits.typed import TypedSpace, nearest

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NEIGHBOURS = 5


def isolation(table: Source, schema: Schema, *, k: int = NEIGHBOURS) -> FloatArray:
    """Return how far each record stands from its nearest neighbours, shape (n_rows,).

    Parameters
    ----------
    table : path, DataFrame or Arrow table
        The records; every one is compared with all others.
    schema : Schema
        Public facts: they set the scale of every column.
    k : int
        Neighbours over whose distances the mean is taken.

    Notes
    -----
    The cost grows with the square of the number of records, memory does not: distances are worked
    out in blocks. Records that were entered twice are at distance 0 from each other, hence near the
    end of the ranking.

    Privacy
    -------
    A function of the records, as confidential as they are.

    References
    ----------
    Meeus, Guepin, Cretu, de Montjoye, "Achilles' Heels: Vulnerable Record Identification in
    Synthetic Data Publishing", ESORICS 2023, arXiv 2306.10308. Their distance is a cosine over
    one-hot columns; :func:`privacy_audits.typed.distances` uses public bounds instead.
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}.")
    rows = TypedSpace.of(schema, table).rows(table)
    return nearest(rows, rows, k=k, same=True).mean(axis=1)


def most_vulnerable(table: Source, schema: Schema, *, count: int, k: int = NEIGHBOURS) -> IntArray:
    """Return the positions of the records that stand most alone, the most isolated first.

    Parameters
    ----------
    table, schema, k
        As for :func:`isolation`.
    count : int
        How many; all where the table has fewer.

    Privacy
    -------
    Positions say who the outliers are: confidential.
    """
    if count < 1:
        raise UsageError(f"count must be at least 1, got {count}.")
    return np.argsort(-isolation(table, schema, k=k), kind="stable")[:count].astype(np.int64)
