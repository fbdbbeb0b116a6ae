"""ε from one run: correct guesses about many independent coins.

If the mechanism is (ε, δ)-DP, each guess is right with probability at most e^ε/(1 + e^ε) whatever
the others were, up to what δ adds: the number of correct guesses is stochastically below a binomial
one, and P(V ≥ v) ≤ β + 2mδ · max_i P(v > B ≥ v − i)/i with β = P(B ≥ v).

References
----------
Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run", arXiv 2305.08846,
theorem 5.2 and appendix D.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaincc, expit

from privacy_audits.estimate.bisection import crossing
from privacy_audits.estimate.bound import Bound, check_delta, check_level
from privacy_audits.estimate.guesses import Guesses

COINS = (
    "one fair, independent coin per record",
    "number of guesses declared beforehand",
)

_FAR = 12.0
"""Standard deviations beyond which nothing is left of a binomial law in float64."""


def one_run(guesses: Guesses, *, delta: float, alpha: float) -> Bound:
    """Bound ε from below, whatever the mechanism.

    Parameters
    ----------
    guesses : Guesses
        Outcome of one run.
    delta : float
        δ of the claim, in [0, 1).
    alpha : float
        One-sided level.

    Returns
    -------
    Bound
        On ε.
    """
    check_level(alpha)
    check_delta(delta)
    return Bound(
        quantity="epsilon",
        lower=_lower(guesses, delta, alpha),
        point=_point(guesses),
        ceiling=_lower(guesses.perfect, delta, alpha),
        method="one run (Steinke, Nasr and Jagielski)",
        assumptions=COINS,
        confidence=1 - alpha,
        delta=delta,
    )


def one_run_p_value(guesses: Guesses, *, epsilon: float, delta: float) -> float:
    """Return a bound on the chance of as many correct guesses if the claim (ε, δ) holds."""
    made, right, wrong = guesses.made, guesses.correct, guesses.made - guesses.correct
    if right == 0:
        return 1.0
    miss = expit(-epsilon)
    # P(B ≥ k) from the small error rate: at a large ε the rate of success rounds to 1.
    beta = float(betaincc(wrong + 1, right, miss))
    if delta == 0:
        return beta
    # No step reaches further down than where all of the binomial law lies above: 1/i only falls.
    mean, spread = made * (1 - miss), math.sqrt(made * miss * (1 - miss))
    floor = max(1, min(right - 1, math.floor(mean - _FAR * (spread + 1))))
    reached = np.arange(right - 1, floor - 1, -1)
    steps = right - reached
    reach = betaincc(made - reached + 1, reached, miss)
    if floor == 1:
        steps, reach = np.append(steps, right), np.append(reach, 1.0)
    share = float(np.max((reach - beta) / steps))
    return min(1.0, beta + 2 * guesses.canaries * delta * max(0.0, share))


def one_run_ceiling(made: int, *, alpha: float) -> float:
    """Return the largest ε that ``made`` correct guesses can certify at δ = 0."""
    check_level(alpha)
    log_accuracy = math.log(alpha) / made
    return max(0.0, log_accuracy - math.log(-math.expm1(log_accuracy)))


def _lower(guesses: Guesses, delta: float, alpha: float) -> float:
    return crossing(lambda eps: one_run_p_value(guesses, epsilon=eps, delta=delta) > alpha)


def _point(guesses: Guesses) -> float:
    wrong = guesses.made - guesses.correct
    if wrong == 0:
        return math.inf
    return math.log(max(guesses.correct / wrong, 1.0))
