"""A shared basis over the ordered codes of a column, for the inputs and outputs of networks.

Neighbouring bins of an ordered column mean nearly the same. A few functions of the rank, the same
for all its codes, let them share gradients, so that noise hurts less than with one free weight per
code.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.columns import ColumnCodes, NumericCodes
from dpsynth.schema import Column, Kind

FloatArray = npt.NDArray[np.float32]

_THRESHOLDS = (-0.6, -0.2, 0.2, 0.6)
"""Ranks in [-1, 1] at which the step functions of a basis change sign."""

WIDTH = 1 + len(_THRESHOLDS)
"""Functions per ordered column: the rank, and a step at each threshold."""


def ordinal_basis(columns: Sequence[Column], codes: Sequence[ColumnCodes]) -> list[FloatArray]:
    """Return the basis of every column, shape (block size, WIDTH); width 0 for nominal columns.

    Parameters
    ----------
    columns : sequence of Column
        Modelled columns.
    codes : sequence of ColumnCodes
        Their codes.

    Notes
    -----
    The rank of a code is its place among the codes that have a meaning, scaled to [-1, 1]. Null,
    and levels that stand for everything else, have no rank: their entries are 0.

    Privacy
    -------
    A function of the schema and of the bins that were bought.
    """
    return [_basis(column, code) for column, code in zip(columns, codes, strict=True)]


def is_ordered(column: Column) -> bool:
    """Tell whether the codes of a column have an order."""
    return column.is_numeric or column.kind == Kind.ORDINAL


def _basis(column: Column, codes: ColumnCodes) -> FloatArray:
    if not is_ordered(column):
        return np.zeros((codes.size, 0), dtype=np.float32)
    ranked = codes.lows.size if isinstance(codes, NumericCodes) else len(codes.levels)
    if not isinstance(codes, NumericCodes) and codes.other == ranked - 1:
        ranked -= column.other is None
    basis = np.zeros((codes.size, WIDTH), dtype=np.float32)
    if ranked > 1:
        rank = np.linspace(-1.0, 1.0, ranked)
        basis[:ranked, 0] = rank
        basis[:ranked, 1:] = np.where(rank[:, None] > np.array(_THRESHOLDS), 1.0, -1.0)
    return basis
