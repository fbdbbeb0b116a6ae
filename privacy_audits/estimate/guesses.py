"""Guesses about the coins of one run: how many were made, and how many were right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError
from privacy_audits.estimate.confusion import finite


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Guesses:
    """Outcome of guessing which canaries were in.

    Parameters
    ----------
    canaries : int
        Canaries or audit records, each in or out by a fair coin of its own.
    made : int
        Guesses; fixed before the scores were seen.
    correct : int
        Guesses that were right.
    """

    canaries: int
    made: int
    correct: int

    def __post_init__(self) -> None:
        if not (0 <= self.correct <= self.made <= self.canaries and self.made > 0):
            raise UsageError("guesses need 0 ≤ correct ≤ made ≤ canaries and at least one guess.")

    @classmethod
    def by_rank(
        cls,
        scores: npt.NDArray[np.floating],
        inside: npt.NDArray[np.bool_],
        *,
        made: int,
        rng: np.random.Generator,
    ) -> Guesses:
        """Guess "in" at the highest half of ``made`` scores and "out" at the lowest half.

        Parameters
        ----------
        scores : ndarray of shape (m,)
            Higher means in. Any scale: only the order counts.
        inside : ndarray of bool of shape (m,)
            The coins.
        made : int
            Number of guesses, declared beforehand.
        rng : numpy.random.Generator
            Breaks ties: the order of the rows may tell who was in.
        """
        scores, inside = _checked(scores, inside, made)
        order = _ranked(scores, rng)
        below = made // 2
        above = made - below
        right = (
            int(inside[order[len(order) - above :]].sum())
            + below
            - int(inside[order[:below]].sum())
        )
        return cls(canaries=len(scores), made=made, correct=right)

    @classmethod
    def by_confidence(
        cls,
        log_ratios: npt.NDArray[np.floating],
        inside: npt.NDArray[np.bool_],
        *,
        made: int,
        rng: np.random.Generator,
    ) -> Guesses:
        """Guess the sign of the ``made`` log-likelihood ratios that are largest in magnitude.

        Parameters
        ----------
        log_ratios : ndarray of shape (m,)
            log P(score | in) − log P(score | out): 0 means undecided.
        inside : ndarray of bool of shape (m,)
            The coins.
        made : int
            Number of guesses, declared beforehand.
        rng : numpy.random.Generator
            Breaks ties and guesses where a ratio is 0.
        """
        ratios, inside = _checked(log_ratios, inside, made)
        chosen = _ranked(np.abs(ratios), rng)[len(ratios) - made :]
        undecided = rng.random(made) < 0.5
        guess = np.where(ratios[chosen] == 0, undecided, ratios[chosen] > 0)
        return cls(canaries=len(ratios), made=made, correct=int(np.sum(guess == inside[chosen])))

    @property
    def perfect(self) -> Guesses:
        """As many guesses, all right."""
        return Guesses(canaries=self.canaries, made=self.made, correct=self.made)


def _ranked(scores: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    return np.lexsort((rng.random(len(scores)), scores))


def _checked(
    scores: npt.ArrayLike, inside: npt.ArrayLike, made: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    vector, coins = finite(scores), np.asarray(inside)
    if coins.dtype != np.bool_ or coins.shape != vector.shape:
        raise UsageError("there must be one coin, true or false, per score.")
    if not 0 < made <= len(vector):
        raise UsageError("the number of guesses must lie between 1 and the number of canaries.")
    return vector, coins
