"""Copies and rare values: what averages over all records do not see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dpsynth.privacy import Budget
from privacy_audits.attacks.coding import group_rows
from privacy_audits.attacks.comparison import Comparison
from privacy_audits.attacks.result import Gap, gap
from privacy_audits.estimate.roc import Rate

EXACT = "exact-copies"
"""Name of the comparison of exact copies."""

NEAR = 0.05
"""Distance below which a released row is a near copy, in local distances of the population."""

IntArray = npt.NDArray[np.int64]


def exact_copies(
    synthetic: IntArray, fitted: IntArray, held_out: IntArray, *, claim: Budget | None
) -> Gap | None:
    """Compare how often unique fitted and unique held-out rows occur in the released table.

    Parameters
    ----------
    synthetic, fitted, held_out : ndarray of int, shape (n_i, p)
        Codes of exact values, equal where the values are.
    claim : Budget or None
        What the release claims.

    Returns
    -------
    Gap or None
        None where a side has no row that occurs once in both tables together. Unique there, not
        in the fitted table alone: then being unique says nothing about the side.
    """
    released, mine, theirs = group_rows([synthetic, fitted, held_out])
    numbers = int(max(part.max(initial=0) for part in (released, mine, theirs))) + 1
    single = np.bincount(np.concatenate([mine, theirs]), minlength=numbers) == 1
    there = np.bincount(released, minlength=numbers) > 0
    rates = []
    for part in (mine, theirs):
        rare = part[single[part]]
        if not len(rare):
            return None
        rates.append(Rate(successes=int(there[rare].sum()), trials=len(rare)))
    return gap(EXACT, rates[0], rates[1], claim=claim, hard=True)


def near_copies(
    comparison: Comparison,
    inside: npt.NDArray[np.bool_],
    groups: IntArray,
    *,
    claim: Budget | None,
) -> Gap | None:
    """Compare how often members and non-members have a released row right beside them.

    Parameters
    ----------
    comparison : Comparison
        The tables.
    inside : ndarray of bool, shape (m,)
        Which targets were members.
    groups : ndarray of int, shape (m,)
        Equal rows have equal numbers; only targets that no other target equals count.
    claim : Budget or None
        What the release claims.

    Returns
    -------
    Gap or None
        Share of targets to which a released row is nearer than a twentieth of the mean distance
        to the five nearest reference rows. None where a side has no target of its own.
    """
    single = np.bincount(groups)[groups] == 1
    near = comparison.to_synthetic[:, 0] < NEAR * comparison.to_reference.mean(axis=1)
    rates = []
    for side in (inside, ~inside):
        if not (side & single).any():
            return None
        rates.append(
            Rate(successes=int(near[side & single].sum()), trials=int((side & single).sum()))
        )
    return gap("near-copies", rates[0], rates[1], claim=claim, hard=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RareCombinations:
    """Combinations of three columns that one target alone has, and that occur in the release.

    Parameters
    ----------
    columns : ndarray of int, shape (k, 3)
        Places of the columns of each combination.
    """

    columns: npt.NDArray[np.intp]
    name: ClassVar[str] = "rare-combinations"

    @classmethod
    def draw(cls, width: int, *, count: int, rng: np.random.Generator) -> RareCombinations:
        """Draw ``count`` different sets of three of ``width`` columns, or fewer if there are."""
        size = min(3, width)
        drawn = {tuple(sorted(rng.permutation(width)[:size].tolist())) for _ in range(2 * count)}
        return cls(
            columns=np.array(sorted(drawn), dtype=np.intp)[rng.permutation(len(drawn))][:count]
        )

    def scores(self, comparison: Comparison) -> npt.NDArray[np.float64]:
        """Return one score per target; higher means member.

        A combination counts for the target that alone has it among targets and reference rows, by
        how much more often than expected it is in the released table.
        """
        tables = [b.cells for b in (comparison.targets, comparison.reference, comparison.synthetic)]
        out = np.zeros(len(comparison.targets))
        for chosen in self.columns:
            target, reference, released = group_rows([table[:, chosen] for table in tables])
            numbers = int(max(part.max(initial=0) for part in (target, reference, released))) + 1
            counts = np.bincount(np.concatenate([target, reference]), minlength=numbers)
            there = np.bincount(released, minlength=numbers) > 0
            single = counts[target] == 1
            if single.any():
                found = there[target[single]]
                out[single] += found - found.mean()
        return out
