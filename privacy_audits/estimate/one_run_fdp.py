"""μ from one run: correct guesses against a Gaussian trade-off curve.

The recursion bounds, from the last guess to the first, how much probability the curve lets the
event "at least so many are right" have.

References
----------
Mahloujifar, Melis and Chaudhuri, "Auditing f-Differential Privacy in One Run", arXiv 2410.22235,
algorithm 3.
"""

from __future__ import annotations

from scipy.special import ndtr, ndtri

from privacy_audits.estimate.bisection import crossing
from privacy_audits.estimate.bound import Bound, check_level
from privacy_audits.estimate.guesses import Guesses
from privacy_audits.estimate.one_run import COINS
from privacy_audits.estimate.one_run_order import order_point


def one_run_fdp(guesses: Guesses, *, alpha: float) -> Bound:
    """Bound μ from below for mechanisms with a Gaussian trade-off curve.

    Parameters
    ----------
    guesses : Guesses
        Outcome of one run.
    alpha : float
        One-sided level.

    Returns
    -------
    Bound
        On μ.
    """
    check_level(alpha)
    return Bound(
        quantity="mu",
        lower=_lower(guesses, alpha),
        point=order_point(guesses),
        ceiling=_lower(guesses.perfect, alpha),
        method="one run, f-DP (Mahloujifar, Melis and Chaudhuri)",
        assumptions=(*COINS, "Gaussian trade-off curve"),
        confidence=1 - alpha,
    )


def rejects(guesses: Guesses, *, mu: float, alpha: float) -> bool:
    """Return whether so many correct guesses refute ``mu``-GDP at level ``alpha``."""
    made, right, canaries = guesses.made, guesses.correct, guesses.canaries
    reach = alpha * right / canaries
    missed = alpha * (made - right) / canaries
    for left in range(right - 1, -1, -1):
        grown = float(ndtr(ndtri(reach) - mu))
        if grown <= missed:
            break
        reach = min(1.0, reach + left / (made - left) * (grown - missed))
        missed = grown
    return reach + missed > made / canaries


def _lower(guesses: Guesses, alpha: float) -> float:
    if not rejects(guesses, mu=0.0, alpha=alpha):
        return 0.0
    return crossing(lambda mu: not rejects(guesses, mu=mu, alpha=alpha))
