"""From scores of a membership attack to bounds, caps and p-values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dpsynth.privacy import Budget
from privacy_audits.attacks.result import Membership
from privacy_audits.estimate.bound import Bound
from privacy_audits.estimate.caps import auc_cap
from privacy_audits.estimate.guesses import Guesses
from privacy_audits.estimate.one_run import one_run, one_run_p_value
from privacy_audits.estimate.roc import auc, curve, rate_at

TOP_SHARES = (0.01, 0.025, 0.1)
"""Shares of the targets, from the top, that are guessed to be members: declared beforehand."""

BOTH_SHARE = 0.5
"""Share of the targets that is guessed from both ends."""

FALSE_POSITIVE_RATES = (0.1, 0.01, 0.001)

_LEAST_GUESSES = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Judge:
    """Judges membership attacks on one set of targets.

    Parameters
    ----------
    inside : ndarray of bool, shape (m,)
        Who was a member.
    groups : ndarray of int, shape (m,)
        Equal rows have equal numbers.
    claim : Budget or None
        What the release claims.
    assumptions : tuple of str
        What the one-run bound takes for granted.
    alpha : float
        Level of the one-run bound, shared among the numbers of guesses.
    """

    inside: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]
    claim: Budget | None
    assumptions: tuple[str, ...]
    alpha: float

    def among(self, chosen: npt.NDArray[np.intp]) -> Judge:
        """Return the judge of some of the targets."""
        return replace(self, inside=self.inside[chosen], groups=self.groups[chosen])

    @property
    def two_sided(self) -> bool:
        """Whether there are members and non-members."""
        return 0 < int(self.inside.sum()) < len(self.inside)

    def __call__(
        self, name: str, scores: npt.NDArray[np.floating], *, rng: np.random.Generator
    ) -> Membership:
        """Judge one attack.

        Parameters
        ----------
        name : str
            The attack.
        scores : ndarray of shape (m,)
            Higher means member.
        rng : numpy.random.Generator
            Breaks ties.
        """
        inside, claim = self.inside, self.claim
        mine, theirs = scores[inside], scores[~inside]
        area = auc(
            mine, theirs, member_groups=self.groups[inside], other_groups=self.groups[~inside]
        )
        guesses = declared_guesses(scores, inside, rng=rng)
        delta = 0.0 if claim is None else claim.delta
        bounds = [one_run(g, delta=delta, alpha=self.alpha / len(guesses)) for g in guesses]
        cap = p_value = p_exact = None
        if claim is not None:
            cap = auc_cap(epsilon=claim.epsilon, delta=claim.delta)
            by_guess = _p_of(guesses, epsilon=claim.epsilon, delta=claim.delta)
            p_value = min(1.0, 2 * min(by_guess, area.p_above(cap)))
            p_exact = min(1.0, 2 * min(by_guess, area.p_above_exact(cap)))
        by_guess = _p_of(guesses, epsilon=0.0, delta=0.0)
        return Membership(
            name=name,
            auc=area,
            curve=curve(mine, theirs),
            rates={
                level: rate_at(mine, theirs, false_positive_rate=level)
                for level in FALSE_POSITIVE_RATES
            },
            one_run=_best(bounds, assumptions=self.assumptions, alpha=self.alpha),
            auc_cap=cap,
            p_value=p_value,
            p_exact=p_exact,
            p_no_influence=min(1.0, 2 * min(by_guess, area.p_above(0.5))),
        )


def declared_guesses(
    scores: npt.NDArray[np.floating],
    inside: npt.NDArray[np.bool_],
    *,
    rng: np.random.Generator,
) -> list[Guesses]:
    """Return the guesses of the declared numbers: from the top only, then from both ends."""
    m = len(scores)
    top = np.lexsort((rng.random(m), scores))[::-1]
    numbers = {min(m, max(_LEAST_GUESSES, round(share * m))) for share in TOP_SHARES}
    out = [
        Guesses(canaries=m, made=made, correct=int(inside[top[:made]].sum()))
        for made in sorted(numbers)
    ]
    both = min(m, max(_LEAST_GUESSES, round(BOTH_SHARE * m)))
    return [*out, Guesses.by_rank(scores, inside, made=both, rng=rng)]


def _p_of(guesses: list[Guesses], *, epsilon: float, delta: float) -> float:
    smallest = min(one_run_p_value(g, epsilon=epsilon, delta=delta) for g in guesses)
    return min(1.0, len(guesses) * smallest)


def _best(bounds: list[Bound], *, assumptions: tuple[str, ...], alpha: float) -> Bound:
    best = max(bounds, key=lambda bound: bound.lower)
    return replace(
        best,
        assumptions=assumptions,
        confidence=1 - alpha,
        ceiling=max(bound.ceiling for bound in bounds),
        method=f"{best.method}, best of {len(bounds)} declared numbers of guesses",
    )
