"""Twins of the estimators: bounds that are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from scipy import special, stats

from privacy_audits import estimate
from privacy_audits.estimate import Bound, Confusion
from privacy_audits.estimate.bisection import crossing

Lower = tuple[float, float]
"""A lower bound and its point estimate."""


@dataclass(frozen=True, kw_only=True)
class Estimators:
    """From counted errors to ε, to μ, and from scores to counted errors.

    Parameters
    ----------
    epsilon : callable
        From a confusion matrix and a level to a bound on ε at δ = 0.
    mu : callable
        From a confusion matrix and a level to a bound on μ.
    choose : callable
        From scores of members and of non-members, a level and a generator to a confusion matrix.
    """

    epsilon: Callable[[Confusion, float], Lower]
    mu: Callable[[Confusion, float], Lower]
    choose: Callable[[np.ndarray, np.ndarray, float, np.random.Generator], Confusion]


@lru_cache(maxsize=100_000)
def _clopper_pearson(confusion: Confusion, *, alpha: float) -> Bound:
    return estimate.clopper_pearson(confusion, delta=0.0, alpha=alpha)


def _epsilon(confusion: Confusion, alpha: float) -> Lower:
    bound = _clopper_pearson(confusion, alpha=alpha)
    return bound.lower, bound.point


def _mu(confusion: Confusion, alpha: float) -> Lower:
    bound = estimate.gaussian(confusion, alpha=alpha)
    return bound.lower, bound.point


def _choose(
    inside: np.ndarray, outside: np.ndarray, alpha: float, rng: np.random.Generator
) -> Confusion:
    by = partial(_clopper_pearson, alpha=alpha)
    return estimate.threshold_on_half(by, inside=inside, outside=outside, rng=rng)


REAL = Estimators(epsilon=_epsilon, mu=_mu, choose=_choose)


def _whole_level(confusion: Confusion, alpha: float) -> Lower:
    """Gives each of the two rates the whole level."""
    return _epsilon(confusion, 2 * alpha)


def _swapped(confusion: Confusion, alpha: float) -> Lower:
    """Asks the curve of μ for the rate and of the rate for μ, as behind a published figure."""
    shares = (np.arange(200) + 0.5) / 200
    c = confusion
    rate = stats.beta.ppf(shares, c.false_positives + 0.5, c.negatives - c.false_positives + 0.5)
    missed = stats.beta(c.false_negatives + 0.5, c.positives - c.false_negatives + 0.5)

    def is_refuted(mu: float) -> bool:
        curve = special.ndtr(-special.ndtri(mu) - rate)  # rate and mu stand in each other's place
        return float(missed.cdf(curve).mean()) < 1 - alpha

    return crossing(lambda mu: mu >= 1 or is_refuted(mu)), _mu(confusion, alpha)[1]


def _same_scores(
    inside: np.ndarray, outside: np.ndarray, alpha: float, rng: np.random.Generator
) -> Confusion:
    """Counts errors on the scores on which the threshold was chosen."""
    del rng
    grid = np.quantile(np.concatenate([inside, outside]), np.arange(1, 64) / 64)
    counts = [Confusion.at(float(at), inside=inside, outside=outside) for at in grid]
    return max(counts, key=lambda each: _epsilon(each, alpha)[0])


LEVEL_NOT_HALVED = Estimators(epsilon=_whole_level, mu=_mu, choose=_choose)
SWAPPED_ARGUMENTS = Estimators(epsilon=_epsilon, mu=_swapped, choose=_choose)
THRESHOLD_ON_THE_SAME_SCORES = Estimators(epsilon=_epsilon, mu=_mu, choose=_same_scores)
