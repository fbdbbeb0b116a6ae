"""Two tables that stand for no effort: what a figure is when nothing, or only columns, are known.

A figure says little without them. ``independent`` has every column exactly as the fitted rows have
it and no dependence at all; ``uniform`` knows the schema only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from benchmarks.discretise import Cells, Conformed
    from dpsynth.schema import Column

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def independent(fit: Conformed, n: int, rng: np.random.Generator) -> Conformed:
    """Return ``n`` rows whose columns are drawn from the fitted rows, each by itself.

    Parameters
    ----------
    fit : Conformed
        Fitted rows.
    n : int
        Rows.
    rng : numpy.random.Generator
        Draws them.
    """
    d = fit.codes.shape[1]
    drawn = rng.integers(0, len(fit), (n, d))
    return _made(
        np.take_along_axis(fit.codes, drawn, axis=0),
        np.take_along_axis(fit.features, drawn, axis=0),
        rng,
    )


def uniform(
    columns: Sequence[Column],
    cells: Sequence[Cells],
    fit: Conformed,
    n: int,
    rng: np.random.Generator,
) -> Conformed:
    """Return ``n`` rows that are uniform over the schema's domain.

    Parameters
    ----------
    columns : sequence of Column
        Public facts. Where bounds are discovered, the range of the fitted rows takes their place.
    cells : sequence of Cells
        How each column is cut.
    fit : Conformed
        Fitted rows.
    n : int
        Rows.
    rng : numpy.random.Generator
        Draws them.
    """
    codes = np.empty((n, len(columns)), dtype=np.int64)
    features = np.empty((n, len(columns)))
    for place, (column, cut) in enumerate(zip(columns, cells, strict=True)):
        # The level that is reserved for what the schema does not list stands last.
        reserved = column.is_discrete and column.other is None and column.categories != "discover"
        choices = max(1, cut.inner - int(reserved))
        null = rng.random(n) < (1.0 / (choices + 1) if column.missing else 0.0)
        if column.is_numeric:
            numbers = _numbers(column, fit.features[:, place], n, rng)
            numbers[null] = np.nan
            features[:, place], codes[:, place] = numbers, cut.code(numbers)
        else:
            drawn = rng.integers(0, choices, n)
            drawn[null] = cut.inner
            features[:, place] = codes[:, place] = drawn
    return _made(codes, features, rng)


def _numbers(column: Column, seen: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    if isinstance(column.bounds, tuple):
        low, high = column.bounds
    else:
        present = seen[np.isfinite(seen)]
        low, high = (present.min(), present.max()) if len(present) else (0.0, 0.0)
    share = rng.random(n)
    numbers = low * (1.0 - share) + high * share
    if column.kind == "real" and column.decimals is None:
        return numbers
    return np.clip(np.round(numbers, column.decimals or 0), low, high) + 0.0


def _made(codes: IntArray, features: FloatArray, rng: np.random.Generator) -> Conformed:
    from benchmarks.discretise import Conformed, spread

    n = len(codes)
    return Conformed(features=features, codes=codes, units=np.arange(n), groups=spread(n, rng))
