"""A published estimator that the suite does not use, to reproduce a published figure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri

from privacy_audits.estimate import Confusion
from privacy_audits.estimate.bisection import crossing

Curve = Callable[[np.ndarray | float, np.ndarray | float], np.ndarray]


def trade_off(rate: np.ndarray | float, mu: np.ndarray | float) -> np.ndarray:
    """Least false negative rate of ``mu``-GDP at a false positive rate."""
    return ndtr(-ndtri(rate) - mu)


def joint_beta(confusion: Confusion, *, alpha: float, curve: Curve, nodes: int = 20_000) -> float:
    """The α-quantile of μ when both rates have their Jeffreys posteriors.

    A mixture over the false positive rate of the chance that the false negative rate is below
    ``curve``: with what probability the curve of this μ is violated.
    """
    quantiles = (np.arange(nodes) + 0.5) / nodes
    c = confusion
    rate = stats.beta.ppf(quantiles, c.false_positives + 0.5, c.negatives - c.false_positives + 0.5)
    missed = stats.beta(c.false_negatives + 0.5, c.positives - c.false_negatives + 0.5)
    return crossing(lambda mu: mu >= 1 or float(missed.cdf(curve(rate, mu)).mean()) < 1 - alpha)
