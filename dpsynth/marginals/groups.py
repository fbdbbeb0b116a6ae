"""Groups of codes: what a pair of columns is counted by.

A table of two columns with all their codes has more cells than the noise leaves anything of. Codes
are merged until every group stands clear of the noise that the table will carry; inside a group
codes keep their one-way shares. Post-processing: groups follow from released counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.codec import Codec
from dpsynth.schema import Column, Kind

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_GROUPS = 32
"""Most groups of a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Groups of one column's codes.

    Parameters
    ----------
    of_code : ndarray of int64, shape (block size,)
        Group of each code.
    shares : ndarray of float64, shape (block size,)
        Noisy rows of each code; codes that are never emitted have none.
    """

    of_code: IntArray
    shares: FloatArray

    @property
    def size(self) -> int:
        """Number of groups."""
        return int(self.of_code.max()) + 1

    @property
    def masses(self) -> FloatArray:
        """Noisy rows of each group, shape (size,)."""
        return np.bincount(self.of_code, weights=self.shares, minlength=self.size)

    @property
    def codes(self) -> IntArray:
        """Number of codes in each group, shape (size,)."""
        return np.bincount(self.of_code, minlength=self.size)


def group_codes(codec: Codec, *, least: float) -> tuple[Groups, ...]:
    """Return the groups of every column.

    Parameters
    ----------
    codec : Codec
        Fitted.
    least : float
        Rows below which a group is merged with another.

    Notes
    -----
    Codes that have an order are merged with a neighbour: always the lightest group with the
    lighter of the two, so that a heavy value stays alone. Levels without an order that are rare
    become one group.
    """
    return tuple(_grouped(column, codec, least=least) for column in codec.schema.modelled)


def _grouped(column: Column, codec: Codec, *, least: float) -> Groups:
    shares = code_shares(codec, column.name)
    merge = _neighbours if column.is_numeric or column.kind == Kind.ORDINAL else _rare
    values = merge(shares[:-1], least, MOST_GROUPS - 1)
    # Null is a group of its own where it is not rare.
    null = values.max() + 1 if shares[-1] >= least else np.argmin(np.bincount(values, shares[:-1]))
    return Groups(of_code=np.append(values, null), shares=shares)


def code_shares(codec: Codec, name: str) -> FloatArray:
    """Return the noisy rows of a column's codes; codes that are never emitted have none."""
    usable = codec.codes[name].usable
    shares = np.where(usable, codec.counts[name], 0.0)
    return shares if shares.sum() > 0 else usable.astype(np.float64)


def _neighbours(shares: FloatArray, least: float, most: int) -> IntArray:
    masses = shares.tolist()
    ends = list(range(1, len(masses) + 1))
    while len(masses) > 1:
        lightest = int(np.argmin(masses))
        if masses[lightest] >= least and len(masses) <= most:
            break
        beside = [at for at in (lightest - 1, lightest + 1) if 0 <= at < len(masses)]
        other = min(beside, key=masses.__getitem__)
        first = min(lightest, other)
        masses[first : first + 2] = [masses[first] + masses[first + 1]]
        del ends[first]
    return np.searchsorted(ends, np.arange(shares.size), side="right").astype(np.int64)


def _rare(shares: FloatArray, least: float, most: int) -> IntArray:
    by_mass = np.argsort(-shares, kind="stable")
    kept = by_mass[: most - 1][shares[by_mass[: most - 1]] >= least]
    of_code = np.full(shares.size, kept.size, dtype=np.int64)
    of_code[np.sort(kept)] = np.arange(kept.size)
    return of_code
