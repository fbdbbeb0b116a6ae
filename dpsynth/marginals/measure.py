"""Noisy tables of pairs of columns: exact counts, their release, and the event."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.counts import histogram_event, release_counts
from dpsynth.marginals.select import Edge
from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, PrivacyUnit

IntArray = npt.NDArray[np.int64]


def pairs_event(*, multiplier: float, pairs: int, unit: PrivacyUnit) -> DiscreteGaussian:
    """Return the event of measuring tables of pairs.

    Parameters
    ----------
    multiplier : float
        Noise over the l2 distance by which one unit moves all tables together.
    pairs : int
        Number of tables; every row counts once in each.
    unit : PrivacyUnit
        Who is protected.

    Privacy
    -------
    The tables are histograms over the same rows (:func:`dpsynth.counts.histogram_event`), so that
    all of them together move by ``max_rows`` times the root of their number: the noise on a cell
    grows with that root.
    """
    moved = histogram_event(sigma=1.0, histograms=pairs, unit=unit)
    sigma = multiplier * moved.sensitivity * math.sqrt(moved.count)
    return histogram_event(sigma=sigma, histograms=pairs, unit=unit)


def count_pair(grouped: IntArray, edge: Edge, sizes: Sequence[int]) -> IntArray:
    """Return the exact table of one pair.

    Parameters
    ----------
    grouped : ndarray of int64, shape (n_rows, n_columns)
        Group of every cell.
    edge : (int, int)
        The two columns.
    sizes : sequence of int
        Number of groups of every column, from released facts.

    Returns
    -------
    ndarray of int64, shape (sizes[a], sizes[b])

    Privacy
    -------
    Sensitive. Every row is in exactly one cell.
    """
    a, b = edge
    cells = grouped[:, a] * sizes[b] + grouped[:, b]
    return np.bincount(cells, minlength=sizes[a] * sizes[b]).reshape(sizes[a], sizes[b])


def measure_pairs(
    grouped: IntArray,
    edges: Sequence[Edge],
    sizes: Sequence[int],
    *,
    event: DiscreteGaussian,
    unit: PrivacyUnit,
    noise: NoiseSource,
) -> dict[Edge, IntArray]:
    """Release the tables of some pairs.

    Parameters
    ----------
    grouped, sizes
        As in :func:`count_pair`.
    edges : sequence of (int, int)
        Which pairs, from public facts and earlier releases.
    event : DiscreteGaussian
        The event that was booked, for this number of pairs.
    unit : PrivacyUnit
        Who is protected.
    noise : NoiseSource
        Where the noise comes from.

    Returns
    -------
    dict of (int, int) to ndarray of int64, shape (sizes[a], sizes[b])
        Possibly negative.

    Privacy
    -------
    The event, spent in full.
    """
    exact = {edge: count_pair(grouped, edge, sizes) for edge in edges}
    with noise.declaring(histogram_event(sigma=event.sigma, histograms=len(exact), unit=unit)):
        return {
            edge: release_counts(table.ravel(), sigma=event.sigma, noise=noise).reshape(table.shape)
            for edge, table in exact.items()
        }
