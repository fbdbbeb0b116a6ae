"""Noisy counts: the mechanism that buys one-way histograms, and its event.

One release measures ``histograms`` histograms of the same rows. Every row falls into exactly one
cell of each histogram, so that a unit with at most ``k`` rows moves the cells of one histogram by
absolute changes that add up to at most ``k``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.noise import NoiseSource
from dpsynth.privacy import (
    DiscreteGaussian,
    NeighbouringRelation,
    PartitionSelection,
    PrivacyUnit,
)

IntArray = npt.NDArray[np.int64]


def histogram_event(*, sigma: float, histograms: int, unit: PrivacyUnit) -> DiscreteGaussian:
    """Return the event of ``histograms`` noisy histograms over the same rows.

    Parameters
    ----------
    sigma : float
        Noise parameter on every cell, in rows.
    histograms : int
        Number of histograms; each row counts once in each.
    unit : PrivacyUnit
        Who is protected.

    Privacy
    -------
    Under ``add_remove`` a unit's rows raise or lower the cells of one histogram by at most
    ``max_rows`` in total; under ``replace_one`` the old rows leave and the new ones arrive, which
    is the same as twice as many histograms.
    """
    exchanged = 2 if unit.relation == NeighbouringRelation.REPLACE_ONE else 1
    return DiscreteGaussian(
        relation=unit.relation,
        sigma=sigma,
        sensitivity=unit.max_rows,
        count=histograms * exchanged,
    )


def release_counts(
    counts: Sequence[int] | IntArray, *, sigma: float, noise: NoiseSource
) -> IntArray:
    """Add discrete Gaussian noise to every cell, zeros included.

    Parameters
    ----------
    counts : array of int, shape (n_cells,)
        Exact counts over a list of cells that does not depend on the rows (or depends only on
        what was already released).
    sigma : float
        Noise parameter of the event that was booked.
    noise : NoiseSource
        Where the noise comes from.

    Returns
    -------
    ndarray of int64, shape (n_cells,)
        May be negative.

    Privacy
    -------
    One histogram of :func:`histogram_event`.
    """
    exact = np.asarray(counts, dtype=np.int64)
    noisy = exact + noise.discrete_gaussian(sigma=sigma, size=exact.size)
    if noise.transcript is not None:
        noise.transcript.write("release_counts", query=exact, released=noisy, sigma=sigma)
    return noisy


def selection_event(*, sigma: float, failure_delta: float, unit: PrivacyUnit) -> PartitionSelection:
    """Return the event of discovering the levels of one column.

    Parameters
    ----------
    sigma : float
        Noise parameter on every level's count, in rows.
    failure_delta : float
        Probability that a level carried by a single unit is revealed.
    unit : PrivacyUnit
        Who is protected.
    """
    exchanged = 2 if unit.relation == NeighbouringRelation.REPLACE_ONE else 1
    return PartitionSelection(
        relation=unit.relation,
        sigma=sigma,
        failure_delta=failure_delta,
        sensitivity=unit.max_rows,
        count=exchanged,
    )


def selection_threshold(event: PartitionSelection) -> float:
    """Return the noisy count above which a level may be shown.

    Privacy
    -------
    A neighbour can bring at most ``sensitivity * count`` rows in levels that nobody else has, that
    is at most as many new levels, each with at most ``sensitivity`` rows. The discrete Gaussian
    has sub-Gaussian tails, P(Z ≥ t) ≤ exp(-t²/2σ²), so with a union bound the threshold
    ``sensitivity + σ sqrt(2 log(sensitivity·count/δ))`` is passed by any of them with
    probability at most δ.

    References
    ----------
    Canonne, Kamath, Steinke, arXiv 2004.00010, Corollary 20.
    """
    newcomers = event.sensitivity * event.count
    return event.sensitivity + event.sigma * math.sqrt(
        2 * math.log(newcomers / event.failure_delta)
    )


def discover_levels(
    values: npt.NDArray[np.object_],
    *,
    event: PartitionSelection,
    noise: NoiseSource,
    most: int,
) -> tuple[tuple[str, ...], IntArray]:
    """Find the levels of a column that many units share.

    Parameters
    ----------
    values : ndarray of object, shape (n_rows,)
        Canonical text; nulls left out.
    event : PartitionSelection
        The event that was booked.
    noise : NoiseSource
        Where the noise comes from.
    most : int
        Most levels that are kept, those with the largest noisy counts.

    Returns
    -------
    levels : tuple of str
        Sorted, so that their order says nothing about the rows.
    counts : ndarray of int64, shape (len(levels),)
        Their noisy counts.

    Privacy
    -------
    Only levels that occur receive noise; the others cannot pass, which is what ``failure_delta``
    pays for.
    """
    # Not an array of text, in which one long cell would widen those of all rows.
    tally = Counter(values.tolist())
    levels = sorted(tally)
    exact = np.array([tally[level] for level in levels], dtype=np.int64)
    noisy = exact + noise.discrete_gaussian(sigma=event.sigma, size=exact.size)
    kept = np.flatnonzero(noisy > selection_threshold(event))
    kept = np.sort(kept[np.argsort(-noisy[kept], kind="stable")][:most])
    if noise.transcript is not None:
        shown = np.full(exact.size, np.nan)
        shown[kept] = noisy[kept]
        noise.transcript.write("discover_levels", query=exact, released=shown, sigma=event.sigma)
    return tuple(levels[place] for place in kept), noisy[kept]
