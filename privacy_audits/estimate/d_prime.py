"""μ from scores that are Gaussian with one spread: d′ with the exact non-central t law.

The statistic uses every score and no threshold. With n members and k non-members whose scores are
normal with means μ standard deviations apart, √(nk/(n + k)) · d′ is non-central t with n + k − 2
degrees of freedom and non-centrality μ√(nk/(n + k)).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from scipy.stats import chi

from dpsynth.errors import UsageError
from privacy_audits.estimate.bisection import crossing
from privacy_audits.estimate.bound import Bound, check_level
from privacy_audits.estimate.confusion import finite

_NODES = 200
_CUT = 1e-17


def d_prime(
    inside: npt.NDArray[np.floating], outside: npt.NDArray[np.floating], *, alpha: float
) -> Bound:
    """Bound μ from below by the standardised difference of the means.

    Parameters
    ----------
    inside, outside : ndarray of shape (n,), (k,)
        Scores of members and of non-members, best a log-likelihood ratio; higher means member.
    alpha : float
        One-sided level.

    Returns
    -------
    Bound
        On μ. It has no ceiling: the assumption of normal scores carries it beyond what was seen.

    Raises
    ------
    UsageError
        If there are fewer than three scores, or if scores without any spread differ in the means.
    """
    check_level(alpha)
    effect, scale, freedom = _effect(inside, outside)
    statistic = effect * scale

    def not_rejected(mu: float) -> bool:
        return upper_tail(statistic, freedom=freedom, noncentrality=mu * scale) > alpha

    return Bound(
        quantity="mu",
        lower=crossing(not_rejected),
        point=max(0.0, effect),
        ceiling=math.inf,
        method="d′, exact non-central t",
        assumptions=("independent runs or canaries", "normal scores with one spread"),
        confidence=1 - alpha,
    )


def d_prime_p_value(
    inside: npt.NDArray[np.floating], outside: npt.NDArray[np.floating], *, mu: float
) -> float:
    """Return the chance of a d′ at least as large as the one seen if the separation is ``mu``."""
    effect, scale, freedom = _effect(inside, outside)
    return upper_tail(effect * scale, freedom=freedom, noncentrality=mu * scale)


def upper_tail(statistic: float, *, freedom: int, noncentrality: float) -> float:
    """Return P(T ≥ ``statistic``) of a non-central t variable.

    Notes
    -----
    T = (Z + noncentrality)/S with S = √(χ²/freedom): the normal tail is integrated over S by
    Gauss–Legendre quadrature. The result falls in ``statistic`` and grows in ``noncentrality`` by
    construction, so that bisection is safe.
    """
    spread, weight = _spread(freedom)
    return float(weight @ ndtr(noncentrality - statistic * spread))


@lru_cache(maxsize=64)
def _spread(freedom: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return nodes and weights of an integral over the law of √(χ²/freedom)."""
    law = chi(freedom, scale=1 / math.sqrt(freedom))
    low, high = float(law.ppf(_CUT)), float(law.isf(_CUT))
    at, weight = np.polynomial.legendre.leggauss(_NODES)
    nodes = low + (high - low) * (at + 1) / 2
    weights = weight * law.pdf(nodes)
    return nodes, weights / weights.sum()


def _effect(inside: npt.ArrayLike, outside: npt.ArrayLike) -> tuple[float, float, int]:
    """Return d′, √(nk/(n + k)) and the degrees of freedom."""
    members, others = finite(inside), finite(outside)
    freedom = len(members) + len(others) - 2
    if freedom < 1:
        raise UsageError("d′ needs at least three scores.")
    difference = float(members.mean() - others.mean())
    squares = np.square(members - members.mean()).sum() + np.square(others - others.mean()).sum()
    pooled = math.sqrt(float(squares) / freedom)
    scale = math.sqrt(len(members) * len(others) / (len(members) + len(others)))
    if pooled > 0:
        return difference / pooled, scale, freedom
    if difference == 0:
        return 0.0, scale, freedom
    raise UsageError(
        "scores without any spread are not normal: d′ does not apply.",
        fix="use clopper_pearson with a threshold that was fixed beforehand.",
    )
