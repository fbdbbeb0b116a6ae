"""Sensitivity: how far one privacy unit, with all its rows, moves a sum before noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from privacy_audits.conformance.result import Conformance

T = TypeVar("T")

FloatArray = npt.NDArray[np.float64]
Units = Sequence[npt.NDArray]
"""A table: one array of rows, shape (n_rows, n_columns), per privacy unit."""

Value = npt.ArrayLike | Mapping[str, float]
"""An exact answer: an array, or numbers by name where absent names are 0."""


def removals(units: Units) -> Iterator[tuple[Units, Units]]:
    """Yield the table with, and the table without, each unit."""
    for index in range(len(units)):
        yield units, [*units[:index], *units[index + 1 :]]


def sensitivity(
    query: Callable[[T], Value],
    pairs: Iterable[tuple[T, T]],
    *,
    bound: float,
    order: int = 2,
    tolerance: float = 1e-9,
) -> Conformance:
    """Return the largest distance of answers on neighbours over the declared bound.

    Parameters
    ----------
    query : callable
        From a table to its exact answer.
    pairs : iterable of pairs
        Neighbouring tables, for example :func:`removals`.
    bound : float
        Declared sensitivity.
    order : int
        1 or 2, the norm.
    tolerance : float
        Relative excess that is put down to the subtraction of the two answers.
    """
    worst = 0.0
    base: tuple[T, Value] | None = None
    for a, b in pairs:
        if base is None or base[0] is not a:
            base = a, query(a)
        worst = max(worst, distance(base[1], query(b), order=order))
    return Conformance(
        name="sensitivity",
        statistic=worst / bound,
        threshold=1 + tolerance,
        meaning="largest move by one unit over the declared bound; the noise is scaled to 1",
    )


def distance(a: Value, b: Value, *, order: int = 2) -> float:
    """Return the l1 or l2 distance of two answers; infinite where it is no number."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        names = sorted({*a, *b})
        a, b = [a.get(name, 0.0) for name in names], [b.get(name, 0.0) for name in names]
    # NaN on both sides is no agreement: the noisy release would be NaN, which tells a fact.
    moved = np.ravel(np.asarray(a, dtype=np.float64)) - np.ravel(np.asarray(b, dtype=np.float64))
    return float(np.linalg.norm(moved, order)) if np.isfinite(moved).all() else float("inf")


def difficult_units(rng: np.random.Generator, *, rows: int, columns: int) -> list[FloatArray]:
    """Return units of real features on which clipping goes wrong if it can.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the ordinary values.
    rows, columns : int
        Shape of every unit.

    Returns
    -------
    list of ndarray, shape (rows, columns)
        Ordinary, large (1e6, 1e15), tiny, denormal, zero, not finite, and equal rows.
    """
    ordinary = rng.standard_normal((rows, columns))
    units = [ordinary * scale for scale in (1.0, 1e6, -1e15, 1e-6, 1e-300, 5e-324, 0.0)]
    for poison in (np.nan, np.inf, -np.inf, 1e308):
        poisoned = rng.standard_normal((rows, columns))
        poisoned[0, 0] = poison
        units.append(poisoned)
    units.append(np.tile(rng.standard_normal(columns), (rows, 1)) * 1e3)
    units.append(np.full((rows, columns), np.nan))
    return units


def cancelling_units(
    rng: np.random.Generator, *, columns: int, size: float, count: int
) -> list[FloatArray]:
    """Return units of two rows that are large and nearly opposite.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the rows.
    columns : int
        Number of features.
    size : float
        Magnitude of each row; what is left of their sum is about ``1e-9 * size``.
    count : int
        How many units.

    Notes
    -----
    For a loss that is linear in the rows the unit's gradient is the small difference of two large
    ones: a norm that is computed as a sum of products of rows loses it to rounding.
    """
    units = []
    for _ in range(count):
        row = rng.standard_normal(columns)
        opposite = -row
        row[-1], opposite[-1] = 1e-9 * rng.standard_normal(), 0.0
        units.append(np.stack([row, opposite]) * size)
    return units
