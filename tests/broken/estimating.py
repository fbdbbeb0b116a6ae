"""Twins of the estimators whose bounds are none, beside the real ones with the same signature.

They return the bare lower bound: a :class:`Bound` refuses some of what the twins say.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import betaincinv, ndtr, ndtri

from privacy_audits.estimate import (
    Confusion,
    Guesses,
    best_of,
    clopper_pearson,
    d_prime,
    gaussian,
    one_run,
    threshold_on_half,
)
from privacy_audits.estimate.bisection import crossing

# The same counts come up again and again in thousands of simulations.
_clopper_pearson = lru_cache(maxsize=None)(clopper_pearson)
_one_run = lru_cache(maxsize=None)(one_run)

# -- the real ones ---------------------------------------------------------------------------------


def real_gaussian(confusion: Confusion, *, alpha: float) -> float:
    return gaussian(confusion, alpha=alpha).lower


def real_clopper_pearson(confusion: Confusion, *, delta: float, alpha: float) -> float:
    return clopper_pearson(confusion, delta=delta, alpha=alpha).lower


def real_threshold(
    inside: np.ndarray, outside: np.ndarray, *, alpha: float, rng: np.random.Generator
) -> float:
    counts = threshold_on_half(
        lambda c: _clopper_pearson(c, delta=0.0, alpha=alpha),
        inside=inside,
        outside=outside,
        rng=rng,
    )
    return clopper_pearson(counts, delta=0.0, alpha=alpha).lower


def real_d_prime(inside: np.ndarray, outside: np.ndarray, *, alpha: float) -> float:
    return d_prime(inside, outside, alpha=alpha).lower


def real_one_run(guesses: Guesses, *, delta: float, alpha: float) -> float:
    return one_run(guesses, delta=delta, alpha=alpha).lower


def real_best_number(declared: list[Guesses], *, alpha: float) -> float:
    return best_of(
        lambda g, level: _one_run(g, delta=0.0, alpha=level), declared, alpha=alpha
    ).lower


# -- μ from a confusion matrix ---------------------------------------------------------------------


def trade_off(mu: float, alpha: float) -> float:
    """Least false negative rate of ``mu``-GDP at the false positive rate ``alpha``."""
    return float(ndtr(ndtri(1 - alpha) - mu))


def swapped_arguments(confusion: Confusion, *, alpha: float) -> float:
    """The curve is defined as (μ, rate) and called as (rate, μ): found in a published artefact."""
    false_positive, false_negative = confusion.upper_rates(alpha / 2)
    return crossing(lambda mu: mu >= 1 or trade_off(false_positive, mu) <= false_negative)


def level_not_halved(confusion: Confusion, *, alpha: float) -> float:
    """Both rates have the whole level."""
    return gaussian(confusion, alpha=2 * alpha).lower


# -- ε from a confusion matrix ---------------------------------------------------------------------


def epsilon_level_not_halved(confusion: Confusion, *, delta: float, alpha: float) -> float:
    """Both rates have the whole level."""
    return clopper_pearson(confusion, delta=delta, alpha=2 * alpha).lower


def epsilon_without_limits(confusion: Confusion, *, delta: float, alpha: float) -> float:
    """The point estimate, called a bound."""
    return clopper_pearson(confusion, delta=delta, alpha=alpha).point


def epsilon_without_delta(confusion: Confusion, *, delta: float, alpha: float) -> float:
    """What δ lets through is put down to ε."""
    del delta
    return clopper_pearson(confusion, delta=0.0, alpha=alpha).lower


def wald_limits(confusion: Confusion, *, delta: float, alpha: float) -> float:
    """Normal limits for exact ones: rates of few errors are underestimated."""
    reach = -float(ndtri(alpha / 2))

    def limit(errors: int, trials: int) -> float:
        rate = errors / trials
        return rate + reach * np.sqrt(rate * (1 - rate) / trials)

    fp = limit(confusion.false_positives, confusion.negatives)
    fn = limit(confusion.false_negatives, confusion.positives)
    return max(0.0, float(np.log((1 - fn - delta) / fp)), float(np.log((1 - fp - delta) / fn)))


def threshold_on_the_same_scores(
    inside: np.ndarray, outside: np.ndarray, *, alpha: float, rng: np.random.Generator
) -> float:
    """The threshold is chosen among all scores, and its errors are counted on the same ones."""
    del rng
    thresholds = np.unique(np.concatenate([inside, outside]))
    missed = np.searchsorted(np.sort(inside), thresholds)
    false = len(outside) - np.searchsorted(np.sort(outside), thresholds)

    def limits(errors: np.ndarray, trials: int) -> np.ndarray:
        inner = np.minimum(errors, trials - 1)
        at = betaincinv(inner + 1.0, trials - inner, 1 - alpha / 2)
        return np.where(errors < trials, at, 1.0)

    fn, fp = limits(missed, len(inside)), limits(false, len(outside))
    with np.errstate(divide="ignore"):
        return max(0.0, float(np.log((1 - fn) / fp).max()), float(np.log((1 - fp) / fn).max()))


# -- μ from scores ---------------------------------------------------------------------------------


def normal_for_t(inside: np.ndarray, outside: np.ndarray, *, alpha: float) -> float:
    """A normal quantile, and the standard error as if the spread were known."""
    pooled = np.sqrt((inside.var(ddof=1) + outside.var(ddof=1)) / 2)
    effect = float((inside.mean() - outside.mean()) / pooled)
    return max(0.0, effect + float(ndtri(alpha)) * np.sqrt(2 / len(inside)))


# -- ε from one run --------------------------------------------------------------------------------


def one_run_without_delta(guesses: Guesses, *, delta: float, alpha: float) -> float:
    """What δ lets through is put down to ε."""
    del delta
    return one_run(guesses, delta=0.0, alpha=alpha).lower


def one_run_off_by_one(guesses: Guesses, *, delta: float, alpha: float) -> float:
    """P(more correct guesses) for P(at least as many)."""
    more = Guesses(
        canaries=guesses.canaries,
        made=guesses.made,
        correct=min(guesses.made, guesses.correct + 1),
    )
    return one_run(more, delta=delta, alpha=alpha).lower


def best_number_at_the_whole_level(declared: list[Guesses], *, alpha: float) -> float:
    """The best of three numbers of guesses, each at the level of one."""
    return max(_one_run(each, delta=0.0, alpha=alpha).lower for each in declared)
