"""Bounds of a numeric column from noisy counts over a public logarithmic grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpsynth.density import HEAVY

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_LEAST_EXPONENT, _MOST_EXPONENT = -20, 60
_SPAN = _MOST_EXPONENT - _LEAST_EXPONENT

BOUND_CELLS = 2 * _SPAN + 1
"""Cells of the public grid: zero, and both signs of 2^-20 .. 2^60 by powers of two."""

FALLBACK = (-1.0, 1.0)
"""Bounds where no cell stands clear of the noise; the fit must not fail because of the rows."""


def bound_cells(values: FloatArray) -> IntArray:
    """Return the cell of each finite value, shape (n_rows,); cells are ordered like values."""
    exponent = np.floor(np.log2(np.maximum(np.abs(values), 2.0**_LEAST_EXPONENT)))
    magnitude = np.clip(exponent - _LEAST_EXPONENT, 0, _SPAN - 1).astype(np.int64) + 1
    magnitude[np.abs(values) < 2.0**_LEAST_EXPONENT] = 0
    return _SPAN + np.where(values < 0, -magnitude, magnitude)


def bounds_from_counts(noisy: IntArray, *, sigma: float) -> tuple[float, float]:
    """Return bounds that hold every cell whose noisy count stands clear of the noise.

    Parameters
    ----------
    noisy : ndarray of int64, shape (BOUND_CELLS,)
        Released counts.
    sigma : float
        Their noise parameter.

    Returns
    -------
    low, high : float
        Powers of two with sign, or zero; ``low < high``.

    Privacy
    -------
    Post-processing.
    """
    clear = np.flatnonzero(noisy > HEAVY * sigma)
    if not clear.size:
        return FALLBACK
    low, high = _edge(int(clear[0]), upper=False), _edge(int(clear[-1]), upper=True)
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _edge(cell: int, *, upper: bool) -> float:
    magnitude = abs(cell - _SPAN)
    if magnitude == 0:
        return 0.0
    sign = 1 if cell > _SPAN else -1
    outward = upper == (sign > 0)
    return sign * 2.0 ** (_LEAST_EXPONENT + magnitude - (0 if outward else 1))
