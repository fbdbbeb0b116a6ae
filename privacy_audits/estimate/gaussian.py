"""μ of Gaussian differential privacy from the errors of one threshold.

A μ-GDP mechanism has FNR ≥ Φ(Φ⁻¹(1 − FPR) − μ), thus μ ≥ Φ⁻¹(1 − FPR) − Φ⁻¹(FNR). Two upper
limits of the rates, each at half the level, give a lower bound on μ.

References
----------
Dong, Roth and Su, "Gaussian Differential Privacy", arXiv 1905.02383.
Nasr et al., "Tight Auditing of Differentially Private Machine Learning", arXiv 2302.07956.
"""

from __future__ import annotations

import math

from scipy.special import ndtri

from privacy_audits.estimate.bound import Bound, check_level
from privacy_audits.estimate.clopper_pearson import ASSUMPTIONS
from privacy_audits.estimate.confusion import Confusion


def gaussian(confusion: Confusion, *, alpha: float, either_sign: bool = False) -> Bound:
    """Bound μ from below.

    Parameters
    ----------
    confusion : Confusion
        Errors of a threshold that was fixed beforehand.
    alpha : float
        Joint one-sided level; half of it goes to each rate.
    either_sign : bool
        Whether the opposite guess was tried as well after the counts were seen; each then has half
        the level.

    Returns
    -------
    Bound
        On μ; :meth:`Bound.at` turns it into one on ε. As a bound on ε it concerns mechanisms whose
        trade-off curve is a Gaussian one: ε at δ is read from a curve of which one point was seen.
    """
    check_level(alpha)
    level = alpha / 4 if either_sign else alpha / 2
    candidates = [confusion, confusion.flipped] if either_sign else [confusion]
    return Bound(
        quantity="mu",
        lower=max(mu_of_rates(*each.upper_rates(level)) for each in candidates),
        point=max(
            mu_of_rates(
                each.false_positives / each.negatives, each.false_negatives / each.positives
            )
            for each in candidates
        ),
        ceiling=mu_of_rates(*confusion.perfect.upper_rates(level)),
        method="Clopper–Pearson, Gaussian curve",
        assumptions=(*ASSUMPTIONS, "Gaussian trade-off curve"),
        confidence=1 - alpha,
    )


def mu_of_rates(false_positive: float, false_negative: float) -> float:
    """Return the least μ ≥ 0 that allows both error rates; 0 for an attack that never decides."""
    separation = -float(ndtri(false_positive)) - float(ndtri(false_negative))
    return 0.0 if math.isnan(separation) else max(0.0, separation)
