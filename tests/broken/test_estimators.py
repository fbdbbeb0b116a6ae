"""Every broken estimator is caught by a check that the real one passes.

Three checks: no bound above its point estimate, coverage of at least 94 % at nominal 95 % in 2,000
simulations, and figures known from elsewhere. All draws are seeded, so that a verdict does not
change from run to run; the weakest twin lies four standard errors below 94 %.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest

from privacy_audits.estimate import Confusion, Guesses, gaussian
from privacy_audits.estimate.coverage import binary_guesses, flips, normal_scores
from tests.broken import estimating

ALPHA = 0.05
SIMULATIONS = 2000
LEAST_COVERAGE = 0.94


# -- checks: an estimator to whether it passes -----------------------------------------------------


def never_above_its_point_estimate(estimate: Callable) -> bool:
    rng = np.random.default_rng(1)
    for _ in range(200):
        fp, fn = rng.integers(1, 1500, 2)
        counts = Confusion(
            false_positives=int(fp), negatives=2000, false_negatives=int(fn), positives=2000
        )
        if estimate(counts, alpha=0.1) > gaussian(counts, alpha=0.1).point + 1e-9:
            return False
    return True


def gives_the_known_mu(estimate: Callable) -> bool:
    counts = Confusion(false_positives=949, negatives=2000, false_negatives=743, positives=2000)
    known = {0.1: 0.2974, 0.05: 0.2796}
    return all(abs(estimate(counts, alpha=a) - mu) < 5e-5 for a, mu in known.items())


def gives_the_known_epsilon(estimate: Callable) -> bool:
    known = {(400, 0.05): 4.682, (400, 0.01): 4.317, (1000, 0.05): 5.601}
    return all(
        abs(
            estimate(
                Confusion(false_positives=0, negatives=n, false_negatives=0, positives=n),
                delta=0.0,
                alpha=alpha,
            )
            - epsilon
        )
        < 5e-4
        for (n, alpha), epsilon in known.items()
    )


def covers(truth: float, simulate: Callable[[np.random.Generator], Callable]) -> Callable:
    """Return a check that bounds are at most ``truth`` often enough.

    ``simulate`` draws one audit and returns what applies an estimator to it.
    """

    def check(estimate: Callable) -> bool:
        rng = np.random.default_rng(0)
        estimate = lru_cache(maxsize=None)(estimate) if _takes_counts(estimate) else estimate
        lower = [simulate(rng)(estimate) for _ in range(SIMULATIONS)]
        return float(np.mean(np.array(lower) <= truth)) >= LEAST_COVERAGE

    return check


def _takes_counts(estimate: Callable) -> bool:
    return next(iter(inspect.signature(estimate).parameters)) in {"confusion", "guesses"}


def of_flips(*, epsilon: float, delta: float, runs: int) -> Callable:
    def simulate(rng: np.random.Generator) -> Callable:
        counts = flips(rng, epsilon=epsilon, delta=delta, runs=runs)
        return lambda estimate: estimate(counts, delta=delta, alpha=ALPHA)

    return covers(epsilon, simulate)


def of_laplace_scores(*, epsilon: float, runs: int) -> Callable:
    """Beyond both centres every threshold shows ε, and none shows more."""

    def simulate(rng: np.random.Generator) -> Callable:
        inside, outside = rng.laplace(epsilon, 1, runs), rng.laplace(0, 1, runs)
        return lambda estimate: estimate(inside, outside, alpha=ALPHA, rng=rng)

    return covers(epsilon, simulate)


def of_normal_scores(*, mu: float, runs: int) -> Callable:
    def simulate(rng: np.random.Generator) -> Callable:
        inside, outside = normal_scores(rng, mu=mu, runs=runs)
        return lambda estimate: estimate(inside, outside, alpha=ALPHA)

    return covers(mu, simulate)


def of_guesses(*, epsilon: float, delta: float, made: int) -> Callable:
    def simulate(rng: np.random.Generator) -> Callable:
        guesses = binary_guesses(rng, epsilon=epsilon, delta=delta, canaries=1000, made=made)
        return lambda estimate: estimate(guesses, delta=delta, alpha=ALPHA)

    return covers(epsilon, simulate)


def of_declared_numbers(*, epsilon: float) -> Callable:
    """Each number of guesses takes in the guesses of the smaller ones."""
    made = (100, 250, 500)

    def simulate(rng: np.random.Generator) -> Callable:
        rate = 1 / (1 + np.exp(-epsilon))
        right = np.cumsum(rng.random(max(made)) < rate)
        declared = [Guesses(canaries=1000, made=r, correct=int(right[r - 1])) for r in made]
        return lambda estimate: estimate(declared, alpha=ALPHA)

    return covers(epsilon, simulate)


# -- twins -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    real: Callable[..., Any]
    broken: Callable[..., Any]
    check: Callable[[Callable], bool]
    named: str

    def __str__(self) -> str:
        return f"{self.broken.__name__}: {self.named}"


def twins() -> Iterator[Twin]:
    mu = partial(Twin, real=estimating.real_gaussian)
    yield mu(
        broken=estimating.swapped_arguments,
        check=never_above_its_point_estimate,
        named="above its point estimate",
    )
    for broken in (estimating.swapped_arguments, estimating.level_not_halved):
        yield mu(broken=broken, check=gives_the_known_mu, named="known figures")

    epsilon = partial(Twin, real=estimating.real_clopper_pearson)
    for broken in (estimating.epsilon_level_not_halved, estimating.epsilon_without_limits):
        yield epsilon(broken=broken, check=gives_the_known_epsilon, named="known figures")
        yield epsilon(
            broken=broken, check=of_flips(epsilon=4.0, delta=0.0, runs=20_000), named="coverage"
        )
    yield epsilon(
        broken=estimating.epsilon_without_delta,
        check=of_flips(epsilon=1.0, delta=0.2, runs=1000),
        named="coverage",
    )
    yield epsilon(
        broken=estimating.wald_limits,
        check=of_flips(epsilon=5.0, delta=0.0, runs=4000),
        named="coverage",
    )
    yield Twin(
        real=estimating.real_threshold,
        broken=estimating.threshold_on_the_same_scores,
        check=of_laplace_scores(epsilon=2.0, runs=400),
        named="coverage",
    )
    yield Twin(
        real=estimating.real_d_prime,
        broken=estimating.normal_for_t,
        check=of_normal_scores(mu=3.0, runs=10),
        named="coverage",
    )
    one_run = partial(Twin, real=estimating.real_one_run, named="coverage")
    yield one_run(
        broken=estimating.one_run_without_delta,
        check=of_guesses(epsilon=1.0, delta=0.03, made=100),
    )
    yield one_run(
        broken=estimating.one_run_off_by_one,
        check=of_guesses(epsilon=1.0, delta=0.0, made=25),
    )
    yield Twin(
        real=estimating.real_best_number,
        broken=estimating.best_number_at_the_whole_level,
        check=of_declared_numbers(epsilon=1.0),
        named="coverage",
    )


TWINS = list(twins())


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_the_broken_estimator_is_caught_and_the_real_one_is_not(twin):
    assert twin.check(twin.real)
    assert not twin.check(twin.broken)


def test_every_broken_estimator_is_tried():
    helpers = {"trade_off", "crossing"}
    written = {
        name
        for name, value in vars(estimating).items()
        if inspect.isfunction(value)
        and value.__module__ == estimating.__name__
        and not name.startswith("real_")
    }
    assert written - helpers == {twin.broken.__name__ for twin in TWINS}
