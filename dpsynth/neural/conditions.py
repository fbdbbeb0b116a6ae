"""Conditions of a conditional generator: one code of one column, drawn from bought counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_MARGIN = 2.0**-30
"""Keeps draws away from the ends of the unit interval, whatever the rounding of sums."""

FloatArray = npt.NDArray[np.float64]


class Conditions:
    """A law over places (:mod:`dpsynth.neural.generator`): a column, then one of its codes.

    Parameters
    ----------
    counts : sequence of ndarray of float64
        Noisy rows per code of every column.
    usable : sequence of ndarray of bool
        Codes that may be drawn, per column.
    weights : sequence of float
        How often each column is the one that is given, up to a factor.

    Privacy
    -------
    Holds counts that were bought. CTGAN draws its conditions from exact ones.
    """

    def __init__(
        self,
        counts: Sequence[FloatArray],
        usable: Sequence[npt.NDArray[np.bool_]],
        weights: Sequence[float],
    ) -> None:
        sizes = [len(part) for part in counts]
        shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
        laws = [
            share * _law(part, codes)
            for part, codes, share in zip(counts, usable, shares, strict=True)
        ]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._starts = torch.from_numpy(starts)
        self._columns = torch.from_numpy(np.cumsum(shares))
        self._places = torch.from_numpy(np.cumsum(np.concatenate(laws)))

    def draw(self, uniform: Tensor) -> Tensor:
        """Return places, shape (n_rows,), of as many numbers in [0, 1)."""
        return _invert(self._places, uniform)

    def read(self, codes: Tensor, uniform: Tensor) -> Tensor:
        """Return places that rows of codes, shape (n_rows, n_columns), have themselves.

        The column is drawn as in :meth:`draw`; the code is the row's own.
        """
        columns = _invert(self._columns, uniform)
        own = codes.gather(1, columns.unsqueeze(1)).squeeze(1)
        return own + self._starts.to(codes.device)[columns]


def _law(counts: FloatArray, usable: npt.NDArray[np.bool_]) -> FloatArray:
    weights = np.where(usable, counts, 0.0)
    if weights.sum() <= 0:
        weights = usable.astype(np.float64)
    return weights / weights.sum()


def _invert(cumulative: Tensor, uniform: Tensor) -> Tensor:
    cumulative = cumulative.to(uniform.device)
    # Codes of probability 0 are never hit: the first place that reaches the number is taken.
    inside = _MARGIN + (1.0 - 2 * _MARGIN) * uniform.double()
    return torch.searchsorted(cumulative, inside * cumulative[-1])
