"""Distance attacks, and the distances that are printed as screening only.

References
----------
Chen et al., "GAN-Leaks", CCS 2020.
Meeus et al., "Achilles' heels: vulnerable record identification in synthetic data publishing",
ESORICS 2023 (choosing outlying records).
Yao et al., "The DCR delusion", ESORICS 2025: a passed distance screening is no evidence of
privacy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from privacy_audits.attacks.coding import Block
from privacy_audits.attacks.comparison import Comparison
from privacy_audits.attacks.distance import nearest

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proximity:
    """Closeness to the nearest released row."""

    name: ClassVar[str] = "dcr"

    def scores(self, comparison: Comparison) -> FloatArray:
        """Return one score per target; higher means member."""
        return -comparison.to_synthetic[:, 0].astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedProximity:
    """Closeness to the nearest released row beyond what the density of the population explains."""

    name: ClassVar[str] = "dcr-difference"

    def scores(self, comparison: Comparison) -> FloatArray:
        """Return one score per target; higher means member."""
        local = comparison.to_reference.mean(axis=1)
        return (local - comparison.to_synthetic[:, 0]).astype(np.float64)


def outlying(comparison: Comparison, *, share: float, least: int) -> npt.NDArray[np.intp]:
    """Return the places of the most outlying targets.

    Parameters
    ----------
    comparison : Comparison
        The tables.
    share : float
        Share of the targets.
    least : int
        Fewest targets.

    Notes
    -----
    A record is outlying by its mean distance from its five nearest reference rows: the same rule
    for members and non-members, which a coin cannot move.
    """
    count = min(len(comparison.targets), max(least, round(share * len(comparison.targets))))
    mean = comparison.to_reference.mean(axis=1)
    return np.argsort(-mean, kind="stable")[:count]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Screening:
    """Distance figures that are SCREENING only: no bound follows from them.

    Parameters
    ----------
    closer_to_members : float
        Share of released rows that are closer to the members than to as many non-members, ties ½.
    member_ratio, other_ratio : float
        Median ratio of the distances from a target to its nearest and its second nearest released
        row, of members and of non-members.
    """

    closer_to_members: float
    member_ratio: float
    other_ratio: float

    def __repr__(self) -> str:
        return "Screening(confidential)"


def screening(
    synthetic: Block, members: Block, others: Block, *, rng: np.random.Generator, most: int = 5_000
) -> Screening:
    """Compute DCR and NNDR between tables of equal size.

    Parameters
    ----------
    synthetic, members, others : Block
        Coded rows; the larger of the last two is cut at random.
    rng : numpy.random.Generator
        Draws the cut.
    most : int
        Most released rows that are looked at.
    """
    size = min(len(members), len(others))
    members, others = _cut(members, size, rng), _cut(others, size, rng)
    synthetic = _cut(synthetic, min(most, len(synthetic)), rng)
    mine = nearest(synthetic, members, count=1)[:, 0]
    theirs = nearest(synthetic, others, count=1)[:, 0]
    return Screening(
        closer_to_members=float(np.mean((mine < theirs) + 0.5 * (mine == theirs))),
        member_ratio=_ratio(members, synthetic),
        other_ratio=_ratio(others, synthetic),
    )


def _cut(block: Block, size: int, rng: np.random.Generator) -> Block:
    return block if len(block) == size else block.take(rng.choice(len(block), size, replace=False))


def _ratio(targets: Block, synthetic: Block) -> float:
    distances = np.sqrt(nearest(targets, synthetic, count=2))
    first, second = distances[:, 0], distances[:, -1]
    ratio = np.divide(first, second, out=np.ones_like(first), where=second > 0)
    return float(np.median(ratio))
