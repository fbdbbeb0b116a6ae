"""Ensembles: one privacy unit is at one teacher, in all rounds; moments of a noisy vote."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from privacy_audits.conformance.result import Conformance

T = TypeVar("T")


def touched_teachers(
    ballots: Callable[[T], npt.ArrayLike], pairs: Iterable[tuple[T, T]]
) -> Conformance:
    """Count the teachers whose votes one unit changes.

    Parameters
    ----------
    ballots : callable
        From a table to every teacher's vote on each question of all rounds, shape
        (n_questions, n_teachers), under one key.
    pairs : iterable of pairs
        Tables that differ by one unit.
    """
    worst = 0
    for a, b in pairs:
        changed = np.asarray(ballots(a)) != np.asarray(ballots(b))
        worst = max(worst, int(changed.any(axis=0).sum()))
    return Conformance(
        name="touched teachers",
        statistic=float(worst),
        threshold=1.0,
        meaning="teachers whose votes one unit changes; noise is scaled to one",
    )


def vote_moments(
    stated: Callable[[int, int], float],
    *,
    rate: float,
    gaps: Iterable[int],
    orders: Iterable[int],
    tolerance: float = 1e-9,
) -> Conformance:
    """Compare stated moments of a vote under Laplace noise with the exact ones. Nothing is drawn.

    Parameters
    ----------
    stated : callable
        From the gap between the two classes, in votes, and an order l ≥ 1 to the stated moment
        log E[(p/p')^l] of the class that is shown.
    rate : float
        λ: the counts of both classes get Laplace noise of scale 1/λ.
    gaps : iterable of int
        Votes for the leading class minus votes for the other, at least 0.
    orders : iterable of int
        Orders l.
    tolerance : float
        Relative error that is put down to rounding.

    Notes
    -----
    With two classes the chance that the other one is shown is (2 + λ gap) / (4 e^(λ gap)), exactly,
    and moving one vote changes the gap by two: the exact moment is a sum over two outcomes. What
    is stated must lie between it and the bound that is proved. For code that states data-dependent
    moments; dpsynth states data-independent ones (:func:`stated_cost`).

    References
    ----------
    Papernot, Abadi, Erlingsson, Goodfellow, Talwar, arXiv 1610.05755, theorems 2 and 3.
    """
    worst = 0.0
    for gap, order in product(list(gaps), list(orders)):
        value = stated(gap, order)
        exact = max(_exact_moment(gap, moved, order, rate) for moved in (gap - 2, gap + 2))
        proved = _proved_moment(gap, order, rate)
        if not (math.isfinite(value) and value > 0):
            worst = math.inf
        else:
            worst = max(worst, exact / value, value / proved)
    return Conformance(
        name="vote moments",
        statistic=worst,
        threshold=1 + tolerance,
        meaning="exact over stated, or stated over proved moment, whichever is larger",
    )


def _other_shown(gap: int, rate: float) -> float:
    wrong = (2 + rate * abs(gap)) / (4 * math.exp(rate * abs(gap)))
    return wrong if gap >= 0 else 1 - wrong


def _exact_moment(gap: int, moved: int, order: int, rate: float) -> float:
    p, other = _other_shown(gap, rate), _other_shown(moved, rate)
    return math.log((1 - p) * ((1 - p) / (1 - other)) ** order + p * (p / other) ** order)


def _proved_moment(gap: int, order: int, rate: float) -> float:
    q, growth = _other_shown(gap, rate), math.exp(2 * rate)
    independent = 2 * rate**2 * order * (order + 1)
    if q >= (growth - 1) / (growth**2 - 1):
        return independent
    clear = (1 - q) * ((1 - q) / (1 - growth * q)) ** order + q * growth**order
    return min(independent, math.log(clear))
