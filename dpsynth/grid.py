"""Public grids: the positions that a numeric column can take, and how they nest.

A grid is a function of the schema (or of bounds that were bought), never of the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FANOUT = 128
"""Most cells that one level of the histogram tree opens below a cell."""

CONTINUOUS_CELLS = 2**16
"""Positions of a real column whose schema names no decimals, or more than a number holds."""

MOST_POSITIONS = 2**53
"""Beyond it neighbouring positions are the same float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Positions ``0 .. size - 1`` with value ``low + position * step``.

    Parameters
    ----------
    low : float
        Value of position 0.
    step : float
        Distance of neighbouring positions.
    size : int
        Number of positions.
    continuous : bool
        Whether values fill a cell evenly (a real without decimals) rather than sit on the position.
    """

    low: float
    step: float
    size: int
    continuous: bool = False

    @classmethod
    def between(cls, low: float, high: float, *, integer: bool, decimals: int | None) -> Grid:
        """Return the grid of a column with these bounds.

        Parameters
        ----------
        low, high : float
            Bounds, both included.
        integer : bool
            Whether only whole numbers occur.
        decimals : int or None
            Decimal places of a real column; ``None`` for as many as there are.
        """
        step = 10.0 ** -(decimals or 0)
        if integer or (decimals is not None and (high - low) / step < MOST_POSITIONS):
            return cls(low=low, step=step, size=max(1, math.floor((high - low) / step + 0.5) + 1))
        return cls(
            low=low, step=(high - low) / CONTINUOUS_CELLS, size=CONTINUOUS_CELLS, continuous=True
        )

    def positions(self, values: FloatArray) -> IntArray:
        """Return the position of each value, shape like ``values``; outer values are clipped."""
        steps = (values - self.low) / self.step
        rounded = np.floor(steps) if self.continuous else np.rint(steps)
        return np.clip(rounded, 0, self.size - 1).astype(np.int64)

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the value at fractional positions in ``[0, size)``."""
        steps = positions if self.continuous else np.floor(positions)
        return self.low + np.clip(steps, 0, self.size) * self.step

    def widths(self, levels: int | None = None) -> tuple[int, ...]:
        """Return the cell widths of the histogram tree, coarse first.

        Parameters
        ----------
        levels : int, optional
            Number of levels that were paid for; by default as many as :attr:`levels`.

        Notes
        -----
        The last width is 1 unless fewer levels were paid for than the grid needs.
        """
        depth = min(self.levels, levels or self.levels)
        fanout = math.ceil((self.size / FANOUT) ** (1 / (depth - 1))) if depth > 1 else 1
        fanout = min(fanout, FANOUT)
        widths = [fanout**power for power in range(depth)]
        # A grid that is larger than the paid levels resolve starts from wider leaves.
        leaf = math.ceil(self.size / (FANOUT * widths[-1]))
        return tuple(leaf * width for width in reversed(widths))

    @property
    def levels(self) -> int:
        """Levels that resolve single positions."""
        depth = 1
        while FANOUT**depth < self.size:
            depth += 1
        return depth
