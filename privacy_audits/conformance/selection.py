"""Partition selection: a level that one unit brought is hardly ever shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from privacy_audits.conformance.result import ALPHA, Conformance

Select = Callable[[npt.NDArray[np.object_]], Sequence[str]]
"""From the values of all rows to the levels that are shown."""


def selection_failure(
    select: Select,
    others: Sequence[str],
    newcomer: Sequence[str],
    *,
    failure_delta: float,
    rounds: int,
    alpha: float = ALPHA,
) -> Conformance:
    """Count how often a level is shown that only one unit carries.

    Parameters
    ----------
    select : callable
        Mechanism under test.
    others : sequence of str
        Values of everybody else's rows.
    newcomer : sequence of str
        Values of one unit's rows.
    failure_delta : float
        Declared chance of showing any of them.
    rounds : int
        How often the selection is run.
    alpha : float
        Chance of a false alarm.
    """
    values = np.array([*others, *newcomer], dtype=object)
    new = set(newcomer) - set(others)
    failures = sum(1 for _ in range(rounds) if new & set(select(values)))
    return Conformance(
        name="selection failure",
        statistic=failures / rounds,
        p_value=float(stats.binom.sf(failures - 1, rounds, failure_delta)),
        threshold=alpha,
        meaning="share of runs that showed a level of one unit; more than δ is not paid for",
    )
