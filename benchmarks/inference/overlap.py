"""How near two fits of one formula are: overlap of intervals, sign, significance, distance.

Every function compares the fit on real rows with another one, coefficient by coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

FloatArray = npt.NDArray[np.float64]

NORMAL = float(ndtri(0.975))
"""Half the width of a 95 % interval, in standard errors."""

_QUANTILES = ndtri((np.arange(1_000) + 0.5) / 1_000)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Agreement:
    """How each coefficient fares. What the other table does not determine is not recovered.

    Parameters
    ----------
    overlap : ndarray of float, shape (..., n_coefficients)
        Mean part of the two 95 % intervals that they share; 0 if not recovered.
    sign : ndarray of float, shape (..., n_coefficients)
        1 if the estimates have the same sign, else 0.
    significance : ndarray of float, shape (..., n_coefficients)
        1 if both, or neither, differ from zero at the 5 % level, else 0.
    distance : ndarray of float, shape (..., n_coefficients)
        |β_S − β_F| in standard errors of the real rows; NaN if not recovered.
    """

    overlap: FloatArray
    sign: FloatArray
    significance: FloatArray
    distance: FloatArray


def overlap(
    real: FloatArray, real_errors: FloatArray, other: FloatArray, other_errors: FloatArray
) -> FloatArray:
    """Return the mean part of two 95 % intervals that they share.

    Parameters
    ----------
    real, other : ndarray of float, shape (...)
        Estimates.
    real_errors, other_errors : ndarray of float, shape (...)
        Their standard errors: of the *estimates*, positive. With standard deviations of the rows
        in their place everything overlaps.

    Returns
    -------
    ndarray of float, shape (...)
        In [0, 1]; 1 for equal intervals, 0 for intervals that do not meet. NaN where an argument
        is.

    Notes
    -----
    Karr's figure is negative for intervals that lie apart, the more so the narrower they are; a few
    of them would decide every mean. It is cut at 0: how far apart they are is what the distance
    says.

    References
    ----------
    Karr, Kohnen, Oganian, Reiter & Sanil 2006, The American Statistician 60(3).
    """
    half, other_half = NORMAL * real_errors, NORMAL * other_errors
    low = np.maximum(real - half, other - other_half)
    high = np.minimum(real + half, other + other_half)
    shared = np.maximum(high - low, 0.0)
    return 0.5 * (shared / (2.0 * half) + shared / (2.0 * other_half))


def agreement(
    real: FloatArray, real_errors: FloatArray, other: FloatArray, other_errors: FloatArray
) -> Agreement:
    """Compare two fits whose real side determines every coefficient.

    Parameters
    ----------
    real, other : ndarray of float, shape (..., n_coefficients)
        Estimates; NaN in ``other`` where its rows do not determine one.
    real_errors, other_errors : ndarray of float, shape (..., n_coefficients)
        Standard errors.
    """
    missing = np.isnan(other) | np.isnan(other_errors)
    with np.errstate(invalid="ignore"):
        shared = overlap(real, real_errors, other, other_errors)
        significant = np.abs(real) > NORMAL * real_errors
        other_significant = np.abs(other) > NORMAL * other_errors
        same_sign = np.sign(real) == np.sign(other)
    return Agreement(
        overlap=np.where(missing, 0.0, shared),
        sign=np.where(missing, 0.0, same_sign),
        significance=np.where(missing, 0.0, significant == other_significant),
        distance=np.where(missing, np.nan, np.abs(other - real) / real_errors),
    )


def expected(real: FloatArray, real_errors: FloatArray, other_errors: FloatArray) -> Agreement:
    """Return what fresh rows of the same law would give on average: the floor.

    Parameters
    ----------
    real, real_errors : ndarray of float, shape (n_coefficients,)
        Fit on real rows. The estimates stand for the unknown truth, which matters for sign and
        significance only and makes both look a little better than they would be.
    other_errors : ndarray of float, shape (n_coefficients,)
        Standard errors of a perfect table.

    Notes
    -----
    Both estimates are normal around the truth and independent. Sign, significance and distance are
    closed forms; the overlap is averaged over 1,000 quantiles of the difference.
    """
    apart = np.hypot(real_errors, other_errors)
    differences = _QUANTILES[:, None] * apart
    shared = overlap(differences * 0.0, real_errors, differences, other_errors).mean(axis=0)
    up, other_up = ndtr(real / real_errors), ndtr(real / other_errors)
    power, other_power = (
        ndtr(-NORMAL + real / errors) + ndtr(-NORMAL - real / errors)
        for errors in (real_errors, other_errors)
    )
    return Agreement(
        overlap=shared,
        sign=up * other_up + (1.0 - up) * (1.0 - other_up),
        significance=power * other_power + (1.0 - power) * (1.0 - other_power),
        distance=np.sqrt(2.0 / np.pi) * apart / real_errors,
    )
