"""ε from the errors of one threshold: Clopper–Pearson in both directions.

An (ε, δ)-DP mechanism has 1 − FNR ≤ e^ε FPR + δ and 1 − FPR ≤ e^ε FNR + δ. Upper limits of both
rates, each at half the level, hold together and give a lower bound on ε from both.

References
----------
Kairouz, Oh and Viswanath, arXiv 1311.0776. Jagielski, Ullman and Oprea, arXiv 2006.07709.
"""

from __future__ import annotations

import math

from privacy_audits.estimate.bound import Bound, check_delta, check_level
from privacy_audits.estimate.confusion import Confusion, upper_rate

ASSUMPTIONS = ("independent runs or records", "threshold fixed before the counted scores were seen")


def clopper_pearson(
    confusion: Confusion, *, delta: float, alpha: float, either_sign: bool = False
) -> Bound:
    """Bound ε from below.

    Parameters
    ----------
    confusion : Confusion
        Errors of a threshold that was fixed beforehand.
    delta : float
        δ of the claim, in [0, 1).
    alpha : float
        Joint one-sided level: the bound is above ε with at most this probability. Half of it goes
        to each rate.
    either_sign : bool
        Whether the opposite guess was tried as well after the counts were seen; each then has half
        the level.

    Returns
    -------
    Bound
        On ε.
    """
    check_level(alpha)
    check_delta(delta)
    level = alpha / 4 if either_sign else alpha / 2
    candidates = [confusion, confusion.flipped] if either_sign else [confusion]
    return Bound(
        quantity="epsilon",
        lower=max(_epsilon(*each.upper_rates(level), delta) for each in candidates),
        point=max(_epsilon(*_rates(each), delta) for each in candidates),
        ceiling=_epsilon(*confusion.perfect.upper_rates(level), delta),
        method="Clopper–Pearson",
        assumptions=ASSUMPTIONS,
        confidence=1 - alpha,
        delta=delta,
    )


def multi_run_ceiling(runs: int, *, alpha: float, delta: float = 0.0) -> float:
    """Return the largest ε that ``runs`` perfect runs a side can certify at level ``alpha``."""
    check_level(alpha)
    check_delta(delta)
    limit = upper_rate(0, runs, alpha / 2)
    return _epsilon(limit, limit, delta)


def _rates(confusion: Confusion) -> tuple[float, float]:
    return (
        confusion.false_positives / confusion.negatives,
        confusion.false_negatives / confusion.positives,
    )


def _epsilon(false_positive: float, false_negative: float, delta: float) -> float:
    """Return the least ε ≥ 0 that allows both error rates."""
    return max(
        0.0,
        _log_ratio(1 - false_negative - delta, false_positive),
        _log_ratio(1 - false_positive - delta, false_negative),
    )


def _log_ratio(over: float, under: float) -> float:
    if over <= 0:
        return -math.inf
    return math.log(over) - math.log(under) if under > 0 else math.inf
