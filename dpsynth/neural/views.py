"""Views: which two columns of a generated row are looked at, and which codes are like its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.neural.voting import Questions, SignArray

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_JITTER = 0.2
"""Random part of the likeness of two codes of an ordered column."""


class ViewMaker:
    """Draws views of generated rows. Reads noisy shares and public facts only.

    Parameters
    ----------
    shares : sequence of ndarray, one per column
        Noisy one-way shares of the codes.
    basis : sequence of ndarray, shape (block size, functions)
        Functions of the rank of every column (:mod:`dpsynth.neural.ordinal`); no functions for a
        column without an order.
    chances : mapping of (int, int) to float
        How often each pair of columns is drawn; a column paired with itself stands for that column
        alone.
    """

    def __init__(
        self,
        shares: Sequence[FloatArray],
        basis: Sequence[npt.NDArray[np.float32]],
        chances: Mapping[tuple[int, int], float],
    ) -> None:
        self._shares, self._basis = shares, basis
        self._pairs = np.array(list(chances), dtype=np.int64)
        self._chances = np.array(list(chances.values()))
        self._width = max(share.size for share in shares)

    def make(self, rows: IntArray, rng: np.random.Generator) -> Questions:
        """Return one question per generated row, shape (n, n_columns)."""
        views = rng.choice(len(self._pairs), size=len(rows), p=self._chances)
        first = np.full((len(rows), self._width), -1, dtype=np.int8)
        second = first.copy()
        for view in np.unique(views).tolist():
            some = np.flatnonzero(views == view)
            a, b = self._pairs[view].tolist()
            first[some, : self._shares[a].size] = self._like(a, rows[some, a], rng)
            if a == b:
                second[some] = 1
            else:
                second[some, : self._shares[b].size] = self._like(b, rows[some, b], rng)
        return Questions(columns=self._pairs[views], first=first, second=second)

    def _like(self, column: int, own: IntArray, rng: np.random.Generator) -> SignArray:
        """Return 1 for codes like ``own``, taken in random order of likeness up to half of all.

        Half of the generated rows, as nearly as codes allow, lies on either side: a vote about even
        parts tells most. An ordered column compares by its basis, with random weights.
        """
        share, basis = self._shares[column], self._basis[column].astype(np.float64)
        weights = rng.exponential(size=(own.size, basis.shape[1]))
        likeness = (basis[own] * weights) @ basis.T
        likeness += _JITTER * rng.random((own.size, share.size))
        likeness[np.arange(own.size), own] = np.inf
        order = np.argsort(-likeness, axis=1)
        mass = share[order]
        before = np.cumsum(mass, axis=1) - mass
        taken = np.abs(before + mass - 0.5) <= np.abs(before - 0.5)
        taken[:, 0] = True
        taken = np.logical_and.accumulate(taken, axis=1)
        signs = np.empty((own.size, share.size), dtype=np.int8)
        np.put_along_axis(signs, order, np.where(taken, 1, -1).astype(np.int8), axis=1)
        return signs
