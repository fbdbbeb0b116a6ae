"""Errors of one threshold, and exact upper limits of their rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from dpsynth.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Confusion:
    """Errors of an attack whose threshold does not depend on the scores that are counted here.

    Parameters
    ----------
    false_positives : int
        Runs or records without the target that the attack takes for members.
    negatives : int
        Runs or records without the target.
    false_negatives : int
        Runs or records with the target that the attack takes for non-members.
    positives : int
        Runs or records with the target.
    """

    false_positives: int
    negatives: int
    false_negatives: int
    positives: int

    def __post_init__(self) -> None:
        for errors, of in (
            (self.false_positives, self.negatives),
            (self.false_negatives, self.positives),
        ):
            if not (0 <= errors <= of and of > 0):
                raise UsageError("a confusion matrix has 0 ≤ errors ≤ trials and some trials.")

    @classmethod
    def at(
        cls,
        threshold: float,
        *,
        inside: npt.NDArray[np.floating],
        outside: npt.NDArray[np.floating],
    ) -> Confusion:
        """Count the errors of guessing "member" at scores of at least ``threshold``.

        Parameters
        ----------
        threshold : float
            Fixed before these scores were seen.
        inside, outside : ndarray of shape (n,), (k,)
            Scores of members and of non-members; higher means member.
        """
        inside, outside = finite(inside), finite(outside)
        return cls(
            false_positives=int(np.count_nonzero(outside >= threshold)),
            negatives=len(outside),
            false_negatives=int(np.count_nonzero(inside < threshold)),
            positives=len(inside),
        )

    @property
    def flipped(self) -> Confusion:
        """The errors of guessing the opposite."""
        return Confusion(
            false_positives=self.negatives - self.false_positives,
            negatives=self.negatives,
            false_negatives=self.positives - self.false_negatives,
            positives=self.positives,
        )

    @property
    def perfect(self) -> Confusion:
        """As many trials without an error."""
        return Confusion(
            false_positives=0,
            negatives=self.negatives,
            false_negatives=0,
            positives=self.positives,
        )

    def upper_rates(self, level: float) -> tuple[float, float]:
        """Return upper limits of the false positive and false negative rate, each at ``level``."""
        return (
            upper_rate(self.false_positives, self.negatives, level),
            upper_rate(self.false_negatives, self.positives, level),
        )


def upper_rate(events: int, trials: int, level: float) -> float:
    """Return the Clopper–Pearson upper limit of a rate.

    Parameters
    ----------
    events, trials : int
        Observed counts.
    level : float
        The rate is above the limit with at most this probability.

    References
    ----------
    Clopper and Pearson, Biometrika 26 (1934).
    """
    if events == trials:
        return 1.0
    return float(betaincinv(events + 1, trials - events, 1 - level))


def finite(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return scores as a float vector; refuse what is empty or is not a number."""
    vector = np.asarray(scores, dtype=np.float64)
    if vector.ndim != 1 or not len(vector):
        raise UsageError("scores must be a vector with at least one entry.")
    if not np.isfinite(vector).all():
        raise UsageError(
            "a score is not a finite number.", fix="give such targets the lowest score, on purpose."
        )
    return vector
