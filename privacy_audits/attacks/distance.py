"""Typed distances: squared differences of normal scores, plus Hamming distance of levels.

All of them go row block by row block through buffers that stay in the cache. Equal rows are at
distance zero exactly, hence ties are ties.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from privacy_audits.attacks.coding import Block

Float32 = npt.NDArray[np.float32]

_BUFFER = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Metric:
    """Columns that count, and how much.

    Parameters
    ----------
    numeric, discrete : ndarray of int
        Places of the columns.
    numeric_weight : float
        Factor of every squared difference of numbers.
    discrete_weights : ndarray of float32
        What each discrete column adds where two rows differ.
    """

    numeric: npt.NDArray[np.intp]
    discrete: npt.NDArray[np.intp]
    numeric_weight: float = 1.0
    discrete_weights: Float32

    @classmethod
    def plain(cls, block: Block) -> Metric:
        """All columns, each with weight one."""
        q = block.discrete.shape[1]
        return cls(
            numeric=np.arange(block.numeric.shape[1]),
            discrete=np.arange(q),
            discrete_weights=np.ones(q, dtype=np.float32),
        )


def squared_distances(
    rows: Block, columns: Block, metric: Metric
) -> Iterator[tuple[slice, Float32]]:
    """Yield squared distances of blocks of ``rows`` from all of ``columns``.

    Yields
    ------
    place : slice
        Which rows.
    distances : ndarray of float32, shape (rows in the block, len(columns))
        A buffer: the next block overwrites it.
    """
    width = len(columns)
    height = max(1, min(len(rows), _BUFFER // max(1, width)))
    total = np.empty((height, width), dtype=np.float32)
    part = np.empty_like(total)
    equal = np.empty((height, width), dtype=bool)
    theirs = [np.ascontiguousarray(columns.numeric[:, j]) for j in metric.numeric]
    levels = [np.ascontiguousarray(columns.discrete[:, j]) for j in metric.discrete]
    scale = np.float32(metric.numeric_weight)
    for start in range(0, len(rows), height):
        place = slice(start, min(start + height, len(rows)))
        size = place.stop - place.start
        out, scratch, same = total[:size], part[:size], equal[:size]
        out[:] = 0
        for j, values in zip(metric.numeric, theirs, strict=True):
            np.subtract(rows.numeric[place, j, None], values, out=scratch)
            np.multiply(scratch, scratch, out=scratch)
            np.add(out, scratch, out=out)
        if metric.numeric_weight != 1:
            np.multiply(out, scale, out=out)
        for j, values, weight in zip(metric.discrete, levels, metric.discrete_weights, strict=True):
            np.not_equal(rows.discrete[place, j, None], values, out=same)
            np.multiply(same, weight, out=scratch)
            np.add(out, scratch, out=out)
        yield place, out


def nearest(rows: Block, columns: Block, *, count: int, metric: Metric | None = None) -> Float32:
    """Return the smallest squared distances in ascending order, shape (n_rows, count)."""
    metric = metric or Metric.plain(rows)
    count = min(count, len(columns))
    out = np.empty((len(rows), count), dtype=np.float32)
    for place, distances in squared_distances(rows, columns, metric):
        if count == 1:
            out[place, 0] = distances.min(axis=1)
        else:
            out[place] = np.sort(np.partition(distances, count - 1, axis=1)[:, :count], axis=1)
    return out


def nearest_rows(
    rows: Block, columns: Block, *, count: int, metric: Metric | None = None
) -> npt.NDArray[np.intp]:
    """Return the places of the nearest rows, in no order, shape (n_rows, count)."""
    metric = metric or Metric.plain(rows)
    count = min(count, len(columns))
    out = np.empty((len(rows), count), dtype=np.intp)
    for place, distances in squared_distances(rows, columns, metric):
        if count == 1:
            out[place, 0] = distances.argmin(axis=1)
        else:
            out[place] = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return out
