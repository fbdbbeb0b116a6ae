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
from dpsynth.schema import Kind

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_GROUPS = 32
"""Most groups of a column."""

_MEAN_STEP = 0.1


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
        masses = np.bincount(self.of_code, weights=self.shares, minlength=self.size)
        return masses.astype(np.float64)

    @property
    def codes(self) -> IntArray:
        """Number of codes in each group, shape (size,)."""
        return np.bincount(self.of_code, minlength=self.size)

    def within(self, usable: npt.NDArray[np.bool_]) -> FloatArray:
        """Return weights of the codes that a group stands for, shape (size, block size).

        Parameters
        ----------
        usable : ndarray of bool, shape (block size,)
            Codes that may be emitted.

        Notes
        -----
        Noise gives rows to groups whose codes have none. Then all usable codes of the group weigh
        the same; where it has none either, the column's own shares stand in.
        """
        members = self.of_code == np.arange(self.size)[:, None]
        weights = members * self.shares
        for instead in (members * usable, np.broadcast_to(self.shares, members.shape)):
            without = weights.sum(axis=1) == 0
            weights[without] = instead[without]
        return weights


def group_codes(
    codec: Codec, *, sigma: float, least_ordered: float, least_level: float
) -> tuple[Groups, ...]:
    """Return the groups of every column.

    Parameters
    ----------
    codec : Codec
        Fitted.
    sigma : float
        Noise of a table's cell.
    least_ordered, least_level : float
        Rows below which a group is merged, in a column with an order and in one without, in units
        of ``sigma`` times the mean number of groups of a column.

    Notes
    -----
    A group has a cell for every group of the other column, so that the error that a table is rid
    of by one group less is ``sigma`` times the number of those; this is what the threshold follows.
    More groups raise the threshold, and a higher threshold leaves fewer groups: the two meet in one
    number, which is searched for.

    Codes that have an order are merged with a neighbour: always the lightest group with the
    lighter of the two, so that a heavy value stays alone. Levels without an order that are rare
    become one group.
    """

    def grouped(mean: float) -> tuple[Groups, ...]:
        return tuple(
            _ordered(codec, column.name, least_ordered * sigma * mean)
            if column.is_numeric or column.kind == Kind.ORDINAL
            else _unordered(codec, column.name, least_level * sigma * mean)
            for column in codec.schema.modelled
        )

    few, many = 1.0, float(MOST_GROUPS)
    while many - few > _MEAN_STEP:
        middle = (few + many) / 2
        if np.mean([part.size for part in grouped(middle)]) >= middle:
            few = middle
        else:
            many = middle
    return grouped(few)


def _ordered(codec: Codec, name: str, least: float) -> Groups:
    shares = code_shares(codec, name)
    values = _neighbours(shares[:-1], least, MOST_GROUPS - 1)
    # Null has no neighbour: alone, or with the lightest group.
    lightest = int(np.argmin(np.bincount(values, shares[:-1])))
    null = values.max() + 1 if shares[-1] >= least else lightest
    return Groups(of_code=np.append(values, null), shares=shares)


def _unordered(codec: Codec, name: str, least: float) -> Groups:
    shares = code_shares(codec, name)
    by_mass = np.argsort(-shares, kind="stable")[: MOST_GROUPS - 1]
    kept = np.sort(by_mass[shares[by_mass] >= least])
    of_code = np.full(shares.size, kept.size, dtype=np.int64)
    of_code[kept] = np.arange(kept.size)
    return Groups(of_code=of_code, shares=shares)


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
