"""What a conformance check says."""

from __future__ import annotations

from dataclasses import dataclass

ALPHA = 1e-6
"""Chance that a statistical check fails a mechanism that is what it says it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """Result of one check.

    Parameters
    ----------
    name : str
        What was checked.
    statistic : float
        What was computed: a test statistic, a worst ratio, or a number of differences.
    threshold : float
        Least p-value that passes, or, for a check that draws nothing at random, the largest
        statistic.
    meaning : str
        One sentence: what the statistic is and what a failure would mean.
    p_value : float, optional
        Chance of a statistic at least this extreme if the code is what it says it is.
    """

    name: str
    statistic: float
    threshold: float
    meaning: str
    p_value: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the code may be what it says it is; a statistic that is no number fails."""
        if self.p_value is not None:
            return self.p_value >= self.threshold
        return self.statistic <= self.threshold
