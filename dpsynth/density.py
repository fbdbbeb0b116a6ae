"""The noisy one-way density of a numeric column: bought level by level, kept as segments.

Post-processing of noisy counts: nothing in this file reads rows except :func:`refine`, which
releases the next level of the histogram tree through :mod:`dpsynth.counts`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from dpsynth.counts import release_counts
from dpsynth.noise import NoiseSource

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

HEAVY = 4.5
"""A cell is opened, or kept as a value of its own, above this many noise deviations: among ten
thousand empty cells 3 in 100 tables show a false one."""

RELIABLE = 3.0
"""Knots of the interpolation gather at least this many noise deviations of mass."""

_SUBDIVISIONS = 32


def project_counts(noisy: npt.NDArray[np.int64] | FloatArray, total: float) -> FloatArray:
    """Return the non-negative counts nearest to noisy ones that add up to ``total``.

    Parameters
    ----------
    noisy : ndarray, shape (n_cells,)
        Noisy counts, possibly negative.
    total : float
        What they must add up to, at least 0.

    Returns
    -------
    ndarray of float, shape (n_cells,)

    Notes
    -----
    Euclidean projection on the scaled simplex. Unlike setting negative counts to zero it does not
    lift the mass of many empty cells above that of the full ones.

    References
    ----------
    Held, Wolfe, Crowder, "Validation of subgradient optimization", Math. Programming 1974.
    """
    values = np.asarray(noisy, dtype=np.float64)
    if total <= 0:
        return np.zeros_like(values)
    descending = np.sort(values)[::-1]
    excess = (np.cumsum(descending) - total) / np.arange(1, values.size + 1)
    active = np.flatnonzero(descending >= excess)[-1]
    return np.maximum(values - excess[active], 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """A partition of the positions of a grid with the (noisy) mass of each part.

    Parameters
    ----------
    starts : ndarray of int64, shape (n_segments,)
        First position of each segment; the first is 0.
    masses : ndarray of float64, shape (n_segments,)
        Rows in each segment, spread evenly.
    size : int
        Positions of the grid.
    """

    starts: IntArray
    masses: FloatArray
    size: int

    @property
    def edges(self) -> IntArray:
        """Starts and end, shape (n_segments + 1,)."""
        return np.append(self.starts, self.size)

    @property
    def widths(self) -> IntArray:
        """Positions in each segment."""
        return np.diff(self.edges)

    def values_of_their_own(self, least: float) -> IntArray:
        """Return the positions of single-position segments with at least ``least`` mass."""
        return self.starts[(self.widths == 1) & (self.masses >= least)]

    def without(self, positions: IntArray) -> Segments:
        """Return the same partition with the mass of some single positions removed."""
        masses = np.where(np.isin(self.starts, positions) & (self.widths == 1), 0.0, self.masses)
        return Segments(starts=self.starts, masses=masses, size=self.size)


def refine(
    segments: Segments,
    positions: IntArray,
    *,
    parent_width: int,
    width: int,
    sigma: float,
    noise: NoiseSource,
) -> Segments:
    """Buy the next level of the tree and open the heavy cells.

    Parameters
    ----------
    segments : Segments
        Result of the level above.
    positions : ndarray of int64, shape (n_rows,)
        Positions of the rows that are not null.
    parent_width, width : int
        Cell width of the level above and of this one; the second divides the first.
    sigma : float
        Noise parameter of the booked histogram.
    noise : NoiseSource
        Where the noise comes from.

    Returns
    -------
    Segments
        Heavy cells of this level stand alone; what a parent has left is spread evenly over its
        light cells.

    Privacy
    -------
    One histogram over all cells of this width. Only cells below a heavy parent are looked at;
    which parents are heavy was released before.
    """
    starts: list[int] = []
    masses: list[float] = []
    for start, mass, extent in zip(
        segments.starts.tolist(), segments.masses.tolist(), segments.widths.tolist(), strict=True
    ):
        is_cell = extent == min(parent_width, segments.size - start)
        if not is_cell or width >= parent_width or mass < HEAVY * sigma:
            starts.append(start)
            masses.append(mass)
            continue
        cells = -(-extent // width)
        inside = positions[(positions >= start) & (positions < start + extent)]
        exact = np.bincount((inside - start) // width, minlength=cells)
        noisy = release_counts(exact, sigma=sigma, noise=noise).astype(np.float64)
        _open(start, mass, extent, width, noisy, HEAVY * sigma, starts, masses)
    return Segments(
        starts=np.array(starts, dtype=np.int64), masses=np.array(masses), size=segments.size
    )


def _open(
    start: int,
    mass: float,
    extent: int,
    width: int,
    noisy: FloatArray,
    heavy_at: float,
    starts: list[int],
    masses: list[float],
) -> None:
    heavy = np.flatnonzero(noisy >= heavy_at)
    kept = noisy[heavy] * min(1.0, mass / noisy[heavy].sum()) if heavy.size else noisy[:0]
    light_positions = extent - sum(min(width, extent - int(cell) * width) for cell in heavy)
    per_position = max(0.0, mass - kept.sum()) / light_positions if light_positions else 0.0
    at = 0
    for cell, cell_mass in zip(heavy.tolist(), kept.tolist(), strict=True):
        begin = cell * width
        if begin > at:
            starts.append(start + at)
            masses.append(per_position * (begin - at))
        starts.append(start + begin)
        masses.append(cell_mass)
        at = min(begin + width, extent)
    if at < extent:
        starts.append(start + at)
        masses.append(per_position * (extent - at))


class MonotoneDensity:
    """A smooth monotone distribution function through noisy segments.

    Parameters
    ----------
    segments : Segments
        Noisy density; positions that are codes of their own have no mass here.
    sigma : float
        Noise parameter of the counts: knots are set where enough mass has gathered.

    Notes
    -----
    Monotone cubic interpolation (Fritsch and Carlson 1980, as in SciPy) of the cumulative mass.
    Single positions with much mass keep knots on both sides, so that the mass of a whole number is
    what was measured; elsewhere the density is continuous and shows no staircase.
    """

    def __init__(self, segments: Segments, *, sigma: float) -> None:
        edges, cumulative = _knots(segments, least=RELIABLE * sigma)
        # A trace of uniform mass keeps the function strictly increasing, hence invertible.
        trace = 1e-6 * max(cumulative[-1], 1.0)
        cumulative = cumulative + trace * edges / segments.size
        interpolation = PchipInterpolator(edges, cumulative)
        fine = np.unique(
            np.concatenate(
                [edges[:-1, None] + np.diff(edges)[:, None] * np.linspace(0, 1, _SUBDIVISIONS + 1)]
            ).ravel()
        )
        self._at = fine
        self._mass = np.maximum.accumulate(interpolation(fine))

    def mass_below(self, positions: npt.ArrayLike) -> FloatArray:
        """Return the mass below fractional positions."""
        return np.interp(np.asarray(positions, dtype=np.float64), self._at, self._mass)

    def position_of(self, mass: npt.ArrayLike) -> FloatArray:
        """Return the fractional position below which ``mass`` lies."""
        return np.interp(np.asarray(mass, dtype=np.float64), self._mass, self._at)


def _knots(segments: Segments, *, least: float) -> tuple[FloatArray, FloatArray]:
    edges: list[float] = [0.0]
    cumulative: list[float] = [0.0]
    gathered = 0.0
    ends = segments.edges[1:].tolist()
    for index, (end, mass) in enumerate(zip(ends, segments.masses.tolist(), strict=True)):
        if mass >= least and index and edges[-1] < segments.starts[index]:
            # What is reliable by itself is not smeared over the light positions before it.
            edges.append(float(segments.starts[index]))
            cumulative.append(cumulative[-1] + gathered)
            gathered = 0.0
        gathered += mass
        last = index == len(ends) - 1
        if gathered >= least or last:
            edges.append(float(end))
            cumulative.append(cumulative[-1] + gathered)
            gathered = 0.0
    return np.array(edges), np.array(cumulative)
