"""What an attack on a mechanism that keeps its claim can reach at most.

All follow from the trade-off curve: the true positive rate at a false positive rate α is at most
1 − f(α), the area under the ROC curve at most ∫(1 − f), the advantage at most max(1 − f(α) − α).

References
----------
Dong, Roth and Su, arXiv 1905.02383. Kairouz, Oh and Viswanath, arXiv 1311.0776.
"""

from __future__ import annotations

import math

from scipy.special import expit, ndtr, ndtri

from dpsynth.errors import UsageError
from privacy_audits.estimate.bound import check_delta


def auc_cap(*, epsilon: float, delta: float) -> float:
    """Return the largest AUC under (ε, δ)-DP: 1 − (1 − δ)²/(1 + e^ε)."""
    _check_claim(epsilon, delta)
    return 1 - (1 - delta) ** 2 * float(expit(-epsilon))


def advantage_cap(*, epsilon: float, delta: float) -> float:
    """Return the largest TPR − FPR under (ε, δ)-DP: 1 − 2(1 − δ)/(1 + e^ε)."""
    _check_claim(epsilon, delta)
    return 1 - 2 * (1 - delta) * float(expit(-epsilon))


def tpr_cap(false_positive_rate: float, *, epsilon: float, delta: float) -> float:
    """Return the largest true positive rate at a false positive rate under (ε, δ)-DP."""
    _check_claim(epsilon, delta)
    _check_rate(false_positive_rate)
    # e^ε overflows where the cap is 1 anyway.
    steep = math.exp(min(epsilon, 700.0)) * false_positive_rate + delta
    flat = 1 - math.exp(-epsilon) * (1 - delta - false_positive_rate)
    return min(1.0, steep, flat)


def gaussian_auc_cap(mu: float) -> float:
    """Return the largest AUC under μ-GDP: Φ(μ/√2)."""
    _check_mu(mu)
    return float(ndtr(mu / math.sqrt(2)))


def gaussian_advantage_cap(mu: float) -> float:
    """Return the largest TPR − FPR under μ-GDP: 2Φ(μ/2) − 1."""
    _check_mu(mu)
    return 1 - 2 * float(ndtr(-mu / 2))


def gaussian_tpr_cap(false_positive_rate: float, mu: float) -> float:
    """Return the largest true positive rate at a false positive rate under μ-GDP."""
    _check_mu(mu)
    _check_rate(false_positive_rate)
    return float(ndtr(ndtri(false_positive_rate) + mu))


def _check_claim(epsilon: float, delta: float) -> None:
    check_delta(delta)
    if not epsilon >= 0:
        raise UsageError(f"epsilon must be at least 0, got {epsilon}.")


def _check_mu(mu: float) -> None:
    if not (math.isfinite(mu) and mu >= 0):
        raise UsageError(f"mu must be a finite number of at least 0, got {mu}.")


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise UsageError(f"a false positive rate lies in [0, 1], got {rate}.")
