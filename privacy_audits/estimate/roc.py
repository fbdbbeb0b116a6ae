"""Areas under ROC curves, rates and their differences, with exact or conservative bounds.

An area is a mean over pairs. Its variance comes from DeLong's components, summed over groups of
records that are not independent (Obuchowski); its bounds from a Clopper–Pearson interval with as
many trials as a proportion of that variance would have (Korn and Graubard), which stays inside
[0, 1] and does not collapse where an attack separates a few records without an error.

References
----------
DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988).
Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53 (1997).
Korn and Graubard, Survey Methodology 24 (1998).
Hoeffding, J. American Statistical Association 58 (1963), section 5.
Newcombe, Statistics in Medicine 17 (1998), method 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import betainc, betaincinv

from dpsynth.errors import UsageError
from privacy_audits.estimate.bound import check_level
from privacy_audits.estimate.confusion import finite

LEAST_BEYOND = 100
"""Non-members expected beyond a threshold for a rate at a false positive rate to be stated."""

_MOST_PER_GROUP = 3.0
"""An area cannot be known better than a proportion of thrice the smaller side's trials."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Auc:
    """An area under a ROC curve: the chance that a member scores above a non-member, ties ½.

    Parameters
    ----------
    point : float
        The area.
    variance : float
        Clustered DeLong variance.
    groups : int
        Independent groups of records on the smaller side.
    """

    point: float
    variance: float
    groups: int

    @property
    def trials(self) -> float:
        """Trials of a proportion that is known as well as this area."""
        spread = self.point * (1 - self.point)
        if spread == 0:
            return float(self.groups)
        most = _MOST_PER_GROUP * self.groups
        return min(most, spread / self.variance) if self.variance > 0 else most

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower confidence limit at level ``alpha``."""
        check_level(alpha)
        wins, losses = self.point * self.trials, (1 - self.point) * self.trials
        return float(betaincinv(wins, losses + 1, alpha)) if wins > 0 else 0.0

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper confidence limit at level ``alpha``."""
        check_level(alpha)
        wins, losses = self.point * self.trials, (1 - self.point) * self.trials
        return float(betaincinv(wins + 1, losses, 1 - alpha)) if losses > 0 else 1.0

    def p_above(self, cap: float) -> float:
        """Return the p-value of the hypothesis that the area is at most ``cap``."""
        if not 0 < cap < 1:
            return 1.0
        wins, losses = self.point * self.trials, (1 - self.point) * self.trials
        return float(betainc(wins, losses + 1, cap)) if wins > 0 else 1.0

    def p_above_exact(self, cap: float) -> float:
        """Return a bound on the p-value of the same hypothesis that estimates no variance.

        A mean over all pairs is a mean of averages over disjoint pairs, hence obeys their
        Chernoff bound. Weaker, and right however far out in the tail.
        """
        if not 0 < cap < 1 or self.point <= cap:
            return 1.0
        return math.exp(-self.groups * _divergence(self.point, cap))

    def __repr__(self) -> str:
        return "Auc(confidential)"


def auc(
    members: npt.ArrayLike,
    others: npt.ArrayLike,
    *,
    member_groups: npt.ArrayLike | None = None,
    other_groups: npt.ArrayLike | None = None,
) -> Auc:
    """Compare the scores of members with those of non-members.

    Parameters
    ----------
    members, others : array of shape (m,), (n,)
        Scores; higher means member.
    member_groups, other_groups : array of int of shape (m,), (n,), optional
        Equal numbers mark records that are not independent, for example copies of one row, also
        across the two sides. Both or none.

    Raises
    ------
    UsageError
        If a side is empty, a score is not finite or groups do not fit the scores.
    """
    above, below = finite(members), finite(others)
    first, second = _groups(len(above), len(below), member_groups, other_groups)
    member_wins = _placements(below, above)
    other_wins = 1 - _placements(above, below)
    point = float(member_wins.mean())
    total = int(max(first.max(), second.max())) + 1
    mine = np.bincount(first, member_wins - point, total)
    theirs = np.bincount(second, other_wins - point, total)
    inside, outside = np.unique(first).size, np.unique(second).size
    both = np.union1d(first, second).size
    variance = (
        _spread(mine, mine, inside) / len(above) ** 2
        + _spread(theirs, theirs, outside) / len(below) ** 2
        + 2 * _spread(mine, theirs, both) / (len(above) * len(below))
    )
    return Auc(point=point, variance=max(0.0, float(variance)), groups=min(inside, outside))


def _placements(ranked: npt.NDArray, values: npt.NDArray) -> npt.NDArray[np.float64]:
    """Return for each value the share of ``ranked`` below it, ties ½."""
    order = np.sort(ranked)
    left = np.searchsorted(order, values, side="left")
    right = np.searchsorted(order, values, side="right")
    return (left + right) / (2 * len(order))


def _spread(first: npt.NDArray, second: npt.NDArray, groups: int) -> float:
    return float(first @ second) * groups / (groups - 1) if groups > 1 else 0.0


def _groups(
    m: int, n: int, first: npt.ArrayLike | None, second: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    if first is None or second is None:
        if first is not second:
            raise UsageError("groups are given for both sides or for none.")
        numbers = np.arange(m + n)
        return numbers[:m], numbers[m:]
    joined = np.concatenate([np.asarray(first), np.asarray(second)])
    if joined.shape != (m + n,) or len(np.asarray(first)) != m:
        raise UsageError("there must be one group per score.")
    compact = np.unique(joined, return_inverse=True)[1].reshape(-1)
    return compact[:m], compact[m:]


def _divergence(p: float, q: float) -> float:
    """Return the Kullback–Leibler divergence of two coins in nats."""
    out = 0.0
    for a, b in ((p, q), (1 - p, 1 - q)):
        out += a * math.log(a / b) if a > 0 else 0.0
    return out


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Rate:
    """Successes of independent attempts.

    Parameters
    ----------
    successes, trials : int
        Counts; at least one trial.

    Raises
    ------
    UsageError
        If they are not counts.
    """

    successes: int
    trials: int

    def __post_init__(self) -> None:
        if not (0 <= self.successes <= self.trials and self.trials > 0):
            raise UsageError("a rate has 0 ≤ successes ≤ trials and some trials.")

    @property
    def point(self) -> float:
        """The share of successes."""
        return self.successes / self.trials

    def lower(self, alpha: float) -> float:
        """Return the Clopper–Pearson lower limit at level ``alpha``."""
        check_level(alpha)
        if not self.successes:
            return 0.0
        return float(betaincinv(self.successes, self.trials - self.successes + 1, alpha))

    def upper(self, alpha: float) -> float:
        """Return the Clopper–Pearson upper limit at level ``alpha``."""
        check_level(alpha)
        if self.successes == self.trials:
            return 1.0
        return float(betaincinv(self.successes + 1, self.trials - self.successes, 1 - alpha))

    def wilson(self, alpha: float) -> tuple[float, float]:
        """Return the Wilson limits, ``alpha`` in each tail."""
        check_level(alpha)
        z = float(stats.norm.isf(alpha))
        middle = self.successes + z * z / 2
        half = z * math.sqrt(self.successes * (1 - self.point) + z * z / 4)
        size = self.trials + z * z
        return max(0.0, (middle - half) / size), min(1.0, (middle + half) / size)

    def __repr__(self) -> str:
        return "Rate(confidential)"


def newcombe(first: Rate, second: Rate, *, alpha: float) -> tuple[float, float]:
    """Return limits of the difference ``first - second``, ``alpha`` in each tail."""
    (low, high), (low_2, high_2) = first.wilson(alpha), second.wilson(alpha)
    difference = first.point - second.point
    down = math.hypot(first.point - low, high_2 - second.point)
    up = math.hypot(high - first.point, second.point - low_2)
    return max(-1.0, difference - down), min(1.0, difference + up)


def rate_at(
    members: npt.ArrayLike,
    others: npt.ArrayLike,
    *,
    false_positive_rate: float,
    least_beyond: int = LEAST_BEYOND,
) -> Rate | None:
    """Return the true positive rate at a false positive rate, None where it is too uncertain.

    Parameters
    ----------
    members, others : array of shape (m,), (n,)
        Scores; higher means member.
    false_positive_rate : float
        Largest share of non-members above the threshold.
    least_beyond : int
        Non-members that must be expected beyond the threshold. The bounds of the returned rate
        take the threshold as fixed, which is wrong by a relative error of one over the square
        root of this number.

    Raises
    ------
    UsageError
        If the false positive rate is not in (0, 1).
    """
    above, below = finite(members), finite(others)
    if not 0 < false_positive_rate < 1:
        raise UsageError(f"false_positive_rate must lie in (0, 1), got {false_positive_rate}.")
    allowed = math.floor(false_positive_rate * len(below) + 1e-9)
    if allowed < max(1, least_beyond):
        return None
    threshold = np.sort(below)[len(below) - allowed - 1]
    return Rate(successes=int(np.sum(above > threshold)), trials=len(above))


def curve(
    members: npt.NDArray[np.floating], others: npt.NDArray[np.floating], *, corners: int = 100
) -> tuple[tuple[float, float], ...]:
    """Return corners of the ROC curve, dense at low false positive rates.

    Parameters
    ----------
    members, others : ndarray, shape (n_i,)
        Scores; higher means member.
    corners : int
        Most corners besides the two ends.

    Returns
    -------
    tuple of (false positive rate, true positive rate)
        Ascending, from (0, 0) to (1, 1). Equal scores are passed in one step.
    """
    scores = np.concatenate([members, others])
    inside = np.arange(len(scores)) < len(members)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    true = np.cumsum(inside[order])[last] / max(1, len(members))
    false = np.cumsum(~inside[order])[last] / max(1, len(others))
    wanted = np.geomspace(1 / max(1, len(others)), 1.0, corners)
    # The last corner at or before each wanted rate: no point is invented between two.
    chosen = np.unique(np.searchsorted(false, wanted * (1 + 1e-12), side="right") - 1)
    chosen = chosen[chosen >= 0]
    kept = zip(false[chosen].tolist(), true[chosen].tolist(), strict=True)
    return tuple(dict.fromkeys([(0.0, 0.0), *kept, (1.0, 1.0)]))
