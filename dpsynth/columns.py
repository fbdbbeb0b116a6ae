"""One column's codes: what each integer code stands for, and the way back to values.

Codes of a discrete column are its levels; codes of a numeric column are values of their own
("atoms") and bins. The last code of every column is null. Block sizes follow from public facts
alone, so that a network's shape never depends on the rows; codes without a meaning are marked as
not usable and are never emitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.density import HEAVY, MonotoneDensity, Segments
from dpsynth.grid import Grid
from dpsynth.schema import Column, Kind

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ObjectArray = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteCodes:
    """Codes of a categorical, ordinal or boolean column.

    Parameters
    ----------
    levels : tuple of str
        Level of each code, ``other`` included.
    other : int
        Code of everything that is not a level.
    capacity : int
        Codes before null; those past ``levels`` have no meaning.
    usable : ndarray of bool, shape (capacity + 1,)
        Codes that may be emitted.
    """

    levels: tuple[str, ...]
    other: int
    capacity: int
    usable: BoolArray

    @property
    def size(self) -> int:
        """Block size: capacity and null."""
        return self.capacity + 1

    def encode(self, values: ObjectArray) -> IntArray:
        """Return codes of canonical text, shape (n_rows,); ``None`` is null."""
        codes = {level: code for code, level in enumerate(self.levels)}
        null, other = self.capacity, self.other
        return np.fromiter(
            (null if value is None else codes.get(value, other) for value in values),
            dtype=np.int64,
            count=len(values),
        )

    def decode(self, codes: IntArray, rng: np.random.Generator) -> ObjectArray:
        """Return text for codes; null is ``None``."""
        del rng  # levels need no position inside a bin
        table = np.full(self.size, None, dtype=object)
        table[: len(self.levels)] = self.levels
        return table[codes]

    def state(self) -> dict[str, Any]:
        """Return what is stored with a model."""
        return {
            "codes": "discrete",
            "levels": list(self.levels),
            "other": self.other,
            "capacity": self.capacity,
            "usable": self.usable.tolist(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> DiscreteCodes:
        """Rebuild from :meth:`state`."""
        return cls(
            levels=tuple(state["levels"]),
            other=int(state["other"]),
            capacity=int(state["capacity"]),
            usable=np.array(state["usable"], dtype=bool),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericCodes:
    """Codes of a numeric column.

    Codes are sorted by position: code ``c`` covers ``lows[c] .. highs[c] - 1`` minus the atoms of
    other codes. A code that covers a single position is an atom.

    Parameters
    ----------
    grid : Grid
        Public positions.
    segments : Segments
        Noisy density of the whole column, atoms included.
    sigma : float
        Noise parameter of the density.
    lows, highs : ndarray of int64, shape (n_codes,)
        Range of each code.
    capacity : int
        Codes before null.
    usable : ndarray of bool, shape (capacity + 1,)
        Codes that may be emitted.
    """

    grid: Grid
    segments: Segments
    sigma: float
    lows: IntArray
    highs: IntArray
    capacity: int
    usable: BoolArray

    @property
    def size(self) -> int:
        """Block size: capacity and null."""
        return self.capacity + 1

    @property
    def is_atom(self) -> BoolArray:
        """Which codes cover one position, shape (n_codes,)."""
        return (self.highs - self.lows) == 1

    def encode(self, values: FloatArray) -> IntArray:
        """Return codes of numbers, shape (n_rows,); NaN is null."""
        null = np.isnan(values)
        codes = self.encode_positions(self.grid.positions(np.where(null, self.grid.low, values)))
        codes[null] = self.capacity
        return codes

    def encode_positions(self, positions: IntArray) -> IntArray:
        """Return codes of grid positions."""
        atoms = np.flatnonzero(self.is_atom)
        bins = np.flatnonzero(~self.is_atom)
        if not bins.size:
            bins = atoms
        codes = bins[np.searchsorted(self.lows[bins], positions, side="right") - 1]
        if atoms.size:
            nearest = np.minimum(np.searchsorted(self.lows[atoms], positions), atoms.size - 1)
            is_atom = self.lows[atoms][nearest] == positions
            codes = np.where(is_atom, atoms[nearest], codes)
        return codes

    def decode(self, codes: IntArray, rng: np.random.Generator) -> FloatArray:
        """Return values for codes; null is NaN.

        Inside a bin the position follows the monotone interpolation of the noisy density.
        """
        null = codes == self.capacity
        code = np.where(null, 0, codes)
        lows, highs = self.lows[code].astype(float), self.highs[code].astype(float)
        density = MonotoneDensity(self.segments.without(self.lows[self.is_atom]), sigma=self.sigma)
        below, above = density.mass_below(lows), density.mass_below(highs)
        positions = density.position_of(below + rng.random(codes.size) * (above - below))
        positions = np.clip(positions, lows, np.nextafter(highs, lows))
        positions = np.where(self.is_atom[code] & ~self._spread_atoms, lows, positions)
        values = self.grid.values(positions)
        return np.where(null, np.nan, values)

    def masses(self) -> FloatArray:
        """Return the noisy rows of each code, shape (n_codes,)."""
        atoms = self.lows[self.is_atom]
        density = MonotoneDensity(self.segments.without(atoms), sigma=self.sigma)
        masses = density.mass_below(self.highs) - density.mass_below(self.lows)
        cumulative = np.append(0.0, np.cumsum(self.segments.masses))
        share = np.interp(np.append(atoms, atoms + 1), self.segments.edges, cumulative)
        masses[self.is_atom] = share[atoms.size :] - share[: atoms.size]
        return masses

    @property
    def _spread_atoms(self) -> bool:
        # A cell of a continuous grid is an interval: its code is spread over it.
        return self.grid.continuous

    def state(self) -> dict[str, Any]:
        """Return what is stored with a model: noisy counts, never exact ones."""
        grid = self.grid
        return {
            "codes": "numeric",
            "grid": [grid.low, grid.step, grid.size, grid.continuous],
            "starts": self.segments.starts.tolist(),
            "masses": self.segments.masses.tolist(),
            "sigma": self.sigma,
            "lows": self.lows.tolist(),
            "highs": self.highs.tolist(),
            "capacity": self.capacity,
            "usable": self.usable.tolist(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> NumericCodes:
        """Rebuild from :meth:`state`."""
        low, step, size, continuous = state["grid"]
        return cls(
            grid=Grid(low=low, step=step, size=size, continuous=continuous),
            segments=Segments(
                starts=np.array(state["starts"], dtype=np.int64),
                masses=np.array(state["masses"], dtype=np.float64),
                size=size,
            ),
            sigma=float(state["sigma"]),
            lows=np.array(state["lows"], dtype=np.int64),
            highs=np.array(state["highs"], dtype=np.int64),
            capacity=int(state["capacity"]),
            usable=np.array(state["usable"], dtype=bool),
        )


ColumnCodes = DiscreteCodes | NumericCodes


def codes_from_state(state: dict[str, Any]) -> ColumnCodes:
    """Rebuild either kind of codes."""
    kind = DiscreteCodes if state["codes"] == "discrete" else NumericCodes
    return kind.from_state(state)


def numeric_capacity(column: Column, most: int) -> int:
    """Return the number of codes of a numeric column, from public facts alone."""
    if isinstance(column.bounds, str) or column.bounds is None:
        return most
    return min(most, grid_of(column, column.bounds).size)


def grid_of(column: Column, bounds: tuple[float, float]) -> Grid:
    """Return the grid of a column between declared or bought bounds."""
    return Grid.between(
        float(bounds[0]),
        float(bounds[1]),
        integer=column.kind in (Kind.INTEGER, Kind.DATETIME),
        decimals=column.decimals,
    )


def choose_codes(
    segments: Segments,
    grid: Grid,
    *,
    capacity: int,
    sigma: float,
    null_allowed: bool,
) -> NumericCodes:
    """Choose atoms and quantile bins from a noisy density.

    Parameters
    ----------
    segments : Segments
        Noisy density of the column.
    grid : Grid
        Its grid.
    capacity : int
        Number of codes.
    sigma : float
        Noise parameter of the density.
    null_allowed : bool
        Whether null may be emitted.

    Notes
    -----
    A position is an atom when it holds more mass than half a bin and stands clear of the noise.
    The other codes are quantile bins of the remaining mass.
    """
    usable = np.zeros(capacity + 1, dtype=bool)
    usable[-1] = null_allowed
    if grid.size <= capacity:
        lows = np.arange(grid.size)
        highs = lows + 1
    else:
        total = segments.masses.sum()
        least = max(total / (2 * capacity), HEAVY * sigma)
        atoms = segments.values_of_their_own(least)
        masses = segments.masses[np.searchsorted(segments.starts, atoms)]
        atoms = np.sort(atoms[np.argsort(-masses, kind="stable")][: capacity // 2])
        rest = MonotoneDensity(segments.without(atoms), sigma=sigma)
        edges = _quantile_edges(rest, grid.size, bins=capacity - atoms.size)
        # A bin of one position is an atom already; the same position must not be two codes.
        bins = [
            (low, high)
            for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
            if high - low > 1 or low not in atoms
        ]
        ranges = sorted(bins + [(atom, atom + 1) for atom in atoms.tolist()], key=_middle)
        lows = np.array([low for low, _ in ranges], dtype=np.int64)
        highs = np.array([high for _, high in ranges], dtype=np.int64)
    usable[: lows.size] = True
    return NumericCodes(
        grid=grid,
        segments=segments,
        sigma=sigma,
        lows=lows,
        highs=highs,
        capacity=capacity,
        usable=usable,
    )


def _middle(span: tuple[int, int]) -> float:
    return (span[0] + span[1]) / 2


def _quantile_edges(density: MonotoneDensity, size: int, *, bins: int) -> IntArray:
    low, high = density.mass_below([0, size])
    cuts = density.position_of(np.linspace(low, high, bins + 1)[1:-1])
    inner = np.clip(np.rint(cuts).astype(np.int64), 1, size - 1)
    return np.unique(np.concatenate([[0], inner, [size]]))
