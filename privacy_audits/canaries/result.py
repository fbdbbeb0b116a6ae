"""What a canary audit says: bounds against the claim, the ceiling of each, and a p-value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from dpsynth.accountant import Accountant
from dpsynth.errors import UsageError
from dpsynth.privacy import Mechanism
from privacy_audits.canaries.reference import separation
from privacy_audits.estimate import (
    Bound,
    Guesses,
    best_of,
    confirmed,
    d_prime,
    epsilon_of_mu,
    numbers_of_guesses,
    one_run,
    one_run_fdp,
    one_run_order,
)

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

Mode = Literal["surrogate", "in-situ"]

ALPHA = 0.01
"""Level of the test of the claim, for an audit and its confirmation together."""

REPORTED = 0.05
"""Level of every bound that is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryAudit:
    """Result of one run with canaries.

    Parameters
    ----------
    mechanism : Mechanism
        The event under audit, as it was booked.
    mode : {"surrogate", "in-situ"}
        Whether the other rows were a released table or the sensitive one.
    canaries : int
        Number of canaries m; each was in or out by a fair coin.
    guesses : tuple of int
        Numbers of guesses r of the one-run estimators, declared beforehand.
    claim : float
        ε of ``mechanism`` at ``delta`` by the accountant.
    delta : float
        δ of the claim.
    conformance : Bound
        By d′, as ε at ``delta``: tight, under the normal law that the right mechanism has.
    bounds : tuple of Bound
        By the one-run estimators, as ε at ``delta``; the first assumes nothing but the coins.
    expected : float
        d′ of a right implementation on this instrument, by simulation, as ε at ``delta``: what the
        canaries can show at best. Far below the claim the instrument is weak.
    p_value : float
        Chance of a d′ at least as large if the code is the mechanism that was booked; of a
        confirmation and the audit before it together, if there was one.
    runs : int
        Runs behind ``p_value``: 1, or 2 after a confirmation.
    """

    mechanism: Mechanism
    mode: Mode
    canaries: int
    guesses: tuple[int, ...]
    claim: float
    delta: float
    conformance: Bound
    bounds: tuple[Bound, ...]
    expected: float
    p_value: float
    runs: int = 1

    def violates(self, *, alpha: float = ALPHA) -> bool:
        """Return whether it is refuted, at level ``alpha``, that the code is what was booked."""
        return self.p_value < alpha

    @property
    def ceiling(self) -> float:
        """Largest ε that the estimator without assumptions could certify."""
        return self.bounds[0].ceiling

    def sentences(self) -> tuple[str, ...]:
        """Return what may be said: one sentence for each estimator, then one of the test."""
        runs = "one run" if self.runs == 1 else "two runs"
        return (
            *(self._sentence(bound) for bound in (self.conformance, *self.bounds)),
            f"The booked mechanism shows ε = {self.expected:.2f} by d′ on these canaries in "
            f"simulation, the code showed {self.conformance.point:.2f}: p = {self.p_value:.2g} "
            f"({runs}).",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; in ``surrogate`` mode none comes from real rows."""
        return {
            "mechanism": self.mechanism.spec(),
            "mode": self.mode,
            "canaries": self.canaries,
            "guesses": list(self.guesses),
            "claim": self.claim,
            "delta": self.delta,
            "conformance": self.conformance.to_dict(),
            "bounds": [bound.to_dict() for bound in self.bounds],
            "expected": self.expected,
            "p_value": self.p_value,
            "runs": self.runs,
        }

    def _sentence(self, bound: Bound) -> str:
        most = (
            "it has no ceiling"
            if np.isinf(bound.ceiling)
            else f"it could certify at most {bound.ceiling:.2f}"
        )
        return (
            f"{bound.method}: ε ≥ {bound.lower:.2f} at δ = {self.delta:g} with "
            f"{100 * bound.confidence:g}% confidence; {most}; claimed {self.claim:.2f} "
            f"({self.canaries} canaries, {self.mode}; assumes: {'; '.join(bound.assumptions)})."
        )


def assess(
    scores: FloatArray,
    bits: BoolArray,
    *,
    mechanism: Mechanism,
    delta: float,
    mode: Mode,
    reference: FloatArray,
    rng: np.random.Generator,
) -> CanaryAudit:
    """Turn the scores of one run into bounds.

    Parameters
    ----------
    scores : ndarray, shape (m,)
        Log-likelihood ratios of "in" against "out".
    bits : ndarray of bool, shape (m,)
        The coins.
    mechanism : Mechanism
        The event under audit.
    delta : float
        δ of the claim.
    mode : {"surrogate", "in-situ"}
        What the other rows were.
    reference : ndarray, shape (runs,)
        d′ of simulated runs of the booked mechanism on this instrument.
    rng : numpy.random.Generator
        Breaks ties.

    Notes
    -----
    The p-value places d′ among those of the simulated runs, by a t law for one more draw. It is
    sharper than a comparison with the claim: under Poisson sampling, and where canaries meet, a
    right implementation shows less than the claimed ε (``docs/audits-tightness.md``).
    """
    inside, outside = scores[bits], scores[~bits]
    numbers = numbers_of_guesses(bits.size)
    guesses = [Guesses.by_confidence(scores, bits, made=made, rng=rng) for made in numbers]

    return CanaryAudit(
        mechanism=mechanism,
        mode=mode,
        canaries=bits.size,
        guesses=numbers,
        claim=_claim(mechanism, delta),
        delta=delta,
        conformance=d_prime(inside, outside, alpha=REPORTED).at(delta),
        bounds=_bounds(tuple(guesses), delta),
        expected=epsilon_of_mu(max(0.0, float(reference.mean())), delta),
        p_value=p_value_among(separation(scores, bits), reference),
    )


def _bounds(guesses: tuple[Guesses, ...], delta: float) -> tuple[Bound, ...]:
    """Return the best of the declared numbers of guesses by each one-run estimator."""

    def best(estimate: Callable[[Guesses, float, float], Bound]) -> Bound:
        return best_of(lambda guess, alpha: estimate(guess, delta, alpha), guesses, alpha=REPORTED)

    return best(_steinke), best(_f_dp), best(_order)


# Bounds of the same counts recur between the audits of a study.


@lru_cache(maxsize=4096)
def _steinke(guess: Guesses, delta: float, alpha: float) -> Bound:
    return one_run(guess, delta=delta, alpha=alpha)


@lru_cache(maxsize=4096)
def _f_dp(guess: Guesses, delta: float, alpha: float) -> Bound:
    return one_run_fdp(guess, alpha=alpha).at(delta)


@lru_cache(maxsize=4096)
def _order(guess: Guesses, delta: float, alpha: float) -> Bound:
    return one_run_order(guess, alpha=alpha).at(delta)


@lru_cache(maxsize=64)
def _claim(mechanism: Mechanism, delta: float) -> float:
    return Accountant((mechanism,)).epsilon(delta)


def p_value_among(observed: float, reference: FloatArray) -> float:
    """Return the chance that one more draw from the law of ``reference`` is at least as large."""
    spread = reference.std(ddof=1) * np.sqrt(1 + 1 / reference.size)
    return float(stats.t.sf((observed - reference.mean()) / spread, reference.size - 1))


def audit_twice(run: Callable[[], CanaryAudit], *, alpha: float = ALPHA) -> CanaryAudit:
    """Audit once; where the claim is refuted, once more with fresh canaries and no third time.

    Parameters
    ----------
    run : callable
        One audit with coins, canaries and noise of its own.
    alpha : float
        Level of both together.

    Returns
    -------
    CanaryAudit
        The first one, or the one with the smaller p-value, doubled.

    Notes
    -----
    p = 2 min(p₁, p₂), Bonferroni: a second run cannot wash out the first, and an audit that is
    repeated until it passes has no level.
    """
    first = run()
    if not first.violates(alpha=alpha):
        return first
    second = run()
    if (first.mechanism, first.delta) != (second.mechanism, second.delta):
        raise UsageError("a confirmation audits the same mechanism at the same delta.")
    worse = min(first, second, key=lambda audit: audit.p_value)
    return replace(worse, p_value=confirmed(first.p_value, second.p_value), runs=2)
