"""Choices that were declared before the scores were seen, and what each costs.

A threshold or a number of guesses that is picked after looking at the scores makes the bound
invalid. Either it is chosen on other scores, or a list is declared and every entry has its share
of the level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError
from privacy_audits.estimate.bound import Bound, check_level
from privacy_audits.estimate.confusion import Confusion, finite
from privacy_audits.estimate.guesses import Guesses

MOST_THRESHOLDS = 64

Scores = npt.NDArray[np.floating]


def numbers_of_guesses(canaries: int) -> tuple[int, int, int]:
    """Return the numbers of guesses that an audit declares beforehand: m/10, m/4 and m/2."""
    if canaries < 10:
        raise UsageError("an audit in one run needs at least ten canaries.")
    return canaries // 10, canaries // 4, canaries // 2


def best_of(
    estimate: Callable[[Guesses, float], Bound], declared: Sequence[Guesses], *, alpha: float
) -> Bound:
    """Return the largest bound over a declared list of numbers of guesses.

    Parameters
    ----------
    estimate : callable
        From guesses and their level to a bound.
    declared : sequence of Guesses
        One entry per declared number of guesses about the same coins.
    alpha : float
        Joint one-sided level, split evenly.
    """
    return _best([lambda level, each=each: estimate(each, level) for each in declared], alpha)


def best_threshold(
    estimate: Callable[[Confusion, float], Bound],
    thresholds: Sequence[float],
    *,
    inside: Scores,
    outside: Scores,
    alpha: float,
) -> Bound:
    """Return the largest bound over a declared list of thresholds.

    Parameters
    ----------
    estimate : callable
        From a confusion matrix and its level to a bound.
    thresholds : sequence of float
        At most 64, none of them computed from these scores.
    inside, outside : ndarray of shape (n,), (k,)
        Scores of members and of non-members.
    alpha : float
        Joint one-sided level, split evenly.
    """
    if len(thresholds) > MOST_THRESHOLDS:
        raise UsageError(f"at most {MOST_THRESHOLDS} thresholds can be declared.")
    counts = [Confusion.at(each, inside=inside, outside=outside) for each in thresholds]
    return _best([lambda level, each=each: estimate(each, level) for each in counts], alpha)


def threshold_on_half(
    estimate: Callable[[Confusion], Bound],
    *,
    inside: Scores,
    outside: Scores,
    rng: np.random.Generator,
) -> Confusion:
    """Choose a threshold on a random half of the scores, count errors on the other half.

    Parameters
    ----------
    estimate : callable
        Its lower bound on the first half is what the threshold maximises.
    inside, outside : ndarray of shape (n,), (k,)
        Scores of members and of non-members, at least two each.
    rng : numpy.random.Generator
        Splits the scores.

    Returns
    -------
    Confusion
        Of the second half only.
    """
    inside_choice, inside_count = _halves(inside, rng)
    outside_choice, outside_count = _halves(outside, rng)
    pooled = np.concatenate([inside_choice, outside_choice])
    grid = np.unique(np.quantile(pooled, np.arange(1, MOST_THRESHOLDS + 1) / (MOST_THRESHOLDS + 1)))
    bounds = [
        estimate(Confusion.at(float(each), inside=inside_choice, outside=outside_choice)).lower
        for each in grid
    ]
    threshold = float(grid[int(np.argmax(bounds))])
    return Confusion.at(threshold, inside=inside_count, outside=outside_count)


def _best(estimates: Sequence[Callable[[float], Bound]], alpha: float) -> Bound:
    """Return the bound with the largest lower end, at the joint confidence."""
    check_level(alpha)
    if not estimates:
        raise UsageError("nothing was declared.")
    bounds = [estimate(alpha / len(estimates)) for estimate in estimates]
    best = max(bounds, key=lambda bound: bound.lower)
    return replace(
        best,
        ceiling=max(bound.ceiling for bound in bounds),
        confidence=1 - alpha,
        assumptions=(*best.assumptions, f"best of {len(bounds)} declared choices"),
    )


def _halves(scores: Scores, rng: np.random.Generator) -> tuple[Scores, Scores]:
    vector = finite(scores)
    if len(vector) < 2:
        raise UsageError("a threshold is chosen on a half of at least two scores a side.")
    shuffled = rng.permutation(vector)
    return shuffled[: len(vector) // 2], shuffled[len(vector) // 2 :]
