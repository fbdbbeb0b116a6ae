"""Ensembles: one privacy unit is at one teacher, in all rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
