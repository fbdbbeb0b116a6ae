"""How often each bound is at most the truth, and how near it comes: simulations of known leaks.

Run as a command, it prints two Markdown tables::

    python -m privacy_audits.estimate.coverage --simulations 2000

The truths are mechanisms on which an estimator has nothing to spare: randomised response for the
bounds on ε, normal scores for the bounds on μ. Elsewhere it can only be more careful. Nothing here
reads data.
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from scipy.special import expit

from privacy_audits.estimate.bound import Bound
from privacy_audits.estimate.channels import SampledGaussianChannel
from privacy_audits.estimate.clopper_pearson import clopper_pearson
from privacy_audits.estimate.confusion import Confusion
from privacy_audits.estimate.conversion import mu_of_epsilon
from privacy_audits.estimate.d_prime import d_prime
from privacy_audits.estimate.declared import (
    best_of,
    best_threshold,
    numbers_of_guesses,
    threshold_on_half,
)
from privacy_audits.estimate.gaussian import gaussian
from privacy_audits.estimate.guesses import Guesses
from privacy_audits.estimate.one_run import one_run
from privacy_audits.estimate.one_run_fdp import one_run_fdp
from privacy_audits.estimate.one_run_order import one_run_order, one_run_order_sampled

ALPHA = 0.05
DELTA = 1e-5
SIMULATIONS = 2000

Simulate = Callable[[np.random.Generator], Bound]
Scores = np.ndarray

# Few different counts occur in thousands of simulations of one setting.
_clopper_pearson = lru_cache(maxsize=100_000)(clopper_pearson)
_gaussian = lru_cache(maxsize=100_000)(gaussian)
_one_run = lru_cache(maxsize=100_000)(one_run)
_one_run_fdp = lru_cache(maxsize=100_000)(one_run_fdp)
_one_run_order = lru_cache(maxsize=100_000)(one_run_order)
_one_run_order_sampled = lru_cache(maxsize=100_000)(one_run_order_sampled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One estimator on one known mechanism.

    Parameters
    ----------
    estimator : str
        What is called.
    setting : str
        The mechanism and the size of the audit.
    truth : float
        Its ε or μ.
    simulate : callable
        From a generator to the bound of one audit.
    """

    estimator: str
    setting: str
    truth: float
    simulate: Simulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What simulations of one cell gave: the share of bounds at most the truth, and their mean."""

    coverage: float
    error: float
    mean: float


def measure(cell: Cell, *, simulations: int, seed: int = 0) -> Measured:
    """Simulate a cell; its draws depend on its name and ``seed`` only."""
    name = f"{cell.estimator} {cell.setting}".encode()
    rng = np.random.default_rng([seed, zlib.crc32(name)])
    lower = np.array([cell.simulate(rng).lower for _ in range(simulations)])
    covered = float(np.mean(lower <= cell.truth))
    return Measured(
        coverage=covered,
        error=math.sqrt(covered * (1 - covered) / simulations),
        mean=float(lower.mean()),
    )


# -- known mechanisms ------------------------------------------------------------------------------


def flips(
    rng: np.random.Generator, *, epsilon: float, delta: float = 0.0, runs: int = 1000
) -> Confusion:
    """Randomised response: with probability δ a bit is sent as it is, else flipped or not by ε."""
    rate = (1 - delta) * float(expit(-epsilon))
    return Confusion(
        false_positives=int(rng.binomial(runs, rate)),
        negatives=runs,
        false_negatives=int(rng.binomial(runs, rate)),
        positives=runs,
    )


def normal_scores(rng: np.random.Generator, *, mu: float, runs: int) -> tuple[Scores, Scores]:
    """Scores of members N(μ, 1) and of non-members N(0, 1)."""
    return rng.normal(mu, 1, runs), rng.normal(0, 1, runs)


def normal_canaries(rng: np.random.Generator, *, mu: float, canaries: int) -> tuple[Scores, Scores]:
    """Scores and coins of one run whose canaries do not interfere; a score of 0 says nothing."""
    inside = rng.random(canaries) < 0.5
    return rng.normal(np.where(inside, mu / 2, -mu / 2), 1), inside


def sampled_canaries(
    rng: np.random.Generator, *, mu: float, rate: float, canaries: int
) -> tuple[Scores, Scores]:
    """Log-likelihood ratios and coins of one Poisson-sampled Gaussian release."""
    inside = rng.random(canaries) < 0.5
    taken = inside & (rng.random(canaries) < rate)
    seen = rng.normal(np.where(taken, mu, 0.0), 1)
    return np.logaddexp(math.log1p(-rate), math.log(rate) + mu * seen - mu**2 / 2), inside


def binary_guesses(
    rng: np.random.Generator, *, epsilon: float, delta: float, canaries: int, made: int
) -> Guesses:
    """Randomised response on every coin; coins sent as they are, each with δ, are guessed first."""
    known = min(made, int(rng.binomial(canaries, delta)))
    return Guesses(
        canaries=canaries,
        made=made,
        correct=known + int(rng.binomial(made - known, float(expit(epsilon)))),
    )


def all_or_nothing(
    rng: np.random.Generator, *, epsilon: float, delta: float, canaries: int, made: int
) -> Guesses:
    """Randomised response on every coin; with probability δ all coins are sent as they are."""
    if rng.random() < delta:
        return Guesses(canaries=canaries, made=made, correct=made)
    return binary_guesses(rng, epsilon=epsilon, delta=0.0, canaries=canaries, made=made)


# -- cells -----------------------------------------------------------------------------------------


def cells() -> Iterator[Cell]:
    """Yield the grid: every estimator, and every way of choosing beforehand, on its hard cases."""
    yield from _many_runs()
    yield from _one_run_cells()
    yield from _choices()


def _many_runs() -> Iterator[Cell]:
    for epsilon, delta in ((0.0, 0.0), (1.0, 0.0), (1.0, 0.05), (2.0, 0.0), (4.0, 0.0)):
        for either in (False, True):

            def simulate(
                rng: np.random.Generator, e: float = epsilon, d: float = delta, s: bool = either
            ) -> Bound:
                counts = flips(rng, epsilon=e, delta=d)
                return _clopper_pearson(counts, delta=d, alpha=ALPHA, either_sign=s)

            yield Cell(
                estimator="clopper_pearson" + (", either sign" if either else ""),
                setting=f"randomised response, δ = {delta:g}, 1,000 runs a side",
                truth=epsilon,
                simulate=simulate,
            )
    for mu in (0.0, 0.5, 1.0, 2.0):
        for threshold in (mu / 2, 1.5):

            def at(rng: np.random.Generator, m: float = mu, t: float = threshold) -> Bound:
                inside, outside = normal_scores(rng, mu=m, runs=500)
                return _gaussian(Confusion.at(t, inside=inside, outside=outside), alpha=ALPHA)

            yield Cell(
                estimator="gaussian",
                setting=f"normal scores, threshold {threshold:g}, 500 runs a side",
                truth=mu,
                simulate=at,
            )
        for runs in (10, 500):

            def effect(rng: np.random.Generator, m: float = mu, n: int = runs) -> Bound:
                inside, outside = normal_scores(rng, mu=m, runs=n)
                return d_prime(inside, outside, alpha=ALPHA)

            yield Cell(
                estimator="d_prime",
                setting=f"normal scores, {runs} runs a side",
                truth=mu,
                simulate=effect,
            )


def _one_run_cells(canaries: int = 1000) -> Iterator[Cell]:
    size = f"of {canaries:,} canaries"
    for draw, kind in ((binary_guesses, "each coin"), (all_or_nothing, "all coins")):
        for epsilon, delta in ((0.0, 0.0), (1.0, 0.0), (4.0, 0.0), (1.0, 1e-4), (1.0, 0.03)):
            if draw is all_or_nothing and not delta:
                continue
            for made in (100, 500):

                def binary(
                    rng: np.random.Generator,
                    law: Callable[..., Guesses] = draw,
                    e: float = epsilon,
                    d: float = delta,
                    r: int = made,
                ) -> Bound:
                    guesses = law(rng, epsilon=e, delta=d, canaries=canaries, made=r)
                    return _one_run(guesses, delta=d, alpha=ALPHA)

                leak = f", {kind} leaked with δ = {delta:g}" if delta else ", δ = 0"
                yield Cell(
                    estimator="one_run",
                    setting=f"randomised response{leak}; {made} guesses {size}",
                    truth=epsilon,
                    simulate=binary,
                )
    for name, estimate in (("one_run_fdp", _one_run_fdp), ("one_run_order", _one_run_order)):
        for mu in (0.0, 0.5, 1.0, 2.0):
            for made in (100, 500, canaries):

                def by_confidence(
                    rng: np.random.Generator,
                    bound: Callable[..., Bound] = estimate,
                    m: float = mu,
                    r: int = made,
                ) -> Bound:
                    ratios, inside = normal_canaries(rng, mu=m, canaries=canaries)
                    guesses = Guesses.by_confidence(ratios, inside, made=r, rng=rng)
                    return bound(guesses, alpha=ALPHA)

                yield Cell(
                    estimator=name,
                    setting=f"normal scores; {made} guesses {size}",
                    truth=mu,
                    simulate=by_confidence,
                )
    for mu, made in ((1.0, 100), (2.0, 100), (2.0, 500)):

        def sampled(rng: np.random.Generator, m: float = mu, r: int = made) -> Bound:
            ratios, inside = sampled_canaries(rng, mu=m, rate=0.2, canaries=canaries)
            guesses = Guesses.by_confidence(ratios, inside, made=r, rng=rng)
            return _one_run_order_sampled(guesses, rate=0.2, delta=DELTA, alpha=ALPHA)

        yield Cell(
            estimator="one_run_order_sampled",
            setting=f"one release, μ = {mu:g}, rate .2; {made} guesses {size}",
            truth=SampledGaussianChannel(rate=0.2).epsilon(mu, DELTA),
            simulate=sampled,
        )


def _choices() -> Iterator[Cell]:
    def half(rng: np.random.Generator) -> Bound:
        inside, outside = normal_scores(rng, mu=1.0, runs=500)
        counts = threshold_on_half(
            partial(_gaussian, alpha=ALPHA), inside=inside, outside=outside, rng=rng
        )
        return _gaussian(counts, alpha=ALPHA)

    def grid(rng: np.random.Generator) -> Bound:
        inside, outside = normal_scores(rng, mu=1.0, runs=500)
        return best_threshold(
            lambda counts, level: _gaussian(counts, alpha=level),
            [-1.0, 0.0, 0.5, 1.0, 2.0],
            inside=inside,
            outside=outside,
            alpha=ALPHA,
        )

    yield Cell(
        estimator="gaussian on the other half",
        setting="normal scores, threshold chosen on 250 a side",
        truth=1.0,
        simulate=half,
    )
    yield Cell(
        estimator="gaussian, best of 5 thresholds",
        setting="normal scores, 500 runs a side",
        truth=1.0,
        simulate=grid,
    )
    for name, estimate in (("one_run_fdp", _one_run_fdp), ("one_run_order", _one_run_order)):

        def declared(rng: np.random.Generator, bound: Callable[..., Bound] = estimate) -> Bound:
            ratios, inside = normal_canaries(rng, mu=1.0, canaries=1000)
            return _declared(bound, ratios, inside, rng)

        yield Cell(
            estimator=f"{name}, best of 3 numbers",
            setting="normal scores; 100, 250 or 500 guesses of 1,000 canaries",
            truth=1.0,
            simulate=declared,
        )


def _declared(
    bound: Callable[..., Bound], ratios: Scores, inside: Scores, rng: np.random.Generator
) -> Bound:
    return best_of(
        lambda guesses, level: bound(guesses, alpha=level),
        [
            Guesses.by_confidence(ratios, inside, made=made, rng=rng)
            for made in numbers_of_guesses(len(ratios))
        ],
        alpha=ALPHA,
    )


# -- power -----------------------------------------------------------------------------------------


def mean_bounds(
    epsilon: float, canaries: int, *, simulations: int, seed: int = 0
) -> tuple[float, ...]:
    """Return the mean bound on ε of one run with normal scores, per estimator.

    In the order one_run, one_run_fdp, one_run_order (each the best of the three declared numbers of
    guesses), gaussian at the threshold halfway, d_prime.
    """
    mu = mu_of_epsilon(epsilon, DELTA)
    rng = np.random.default_rng([seed, canaries, round(1000 * epsilon)])
    rows = []
    for _ in range(simulations):
        ratios, inside = normal_canaries(rng, mu=mu, canaries=canaries)
        split = {"inside": ratios[inside], "outside": ratios[~inside]}
        bounds = (
            _declared(partial(_one_run, delta=DELTA), ratios, inside, rng),
            _declared(_one_run_fdp, ratios, inside, rng),
            _declared(_one_run_order, ratios, inside, rng),
            _gaussian(Confusion.at(0.0, **split), alpha=ALPHA),
            d_prime(**split, alpha=ALPHA),
        )
        rows.append([bound.at(DELTA).lower for bound in bounds])
    return tuple(np.mean(rows, axis=0).tolist())


# -- tables ----------------------------------------------------------------------------------------


def coverage_row(cell: Cell, *, simulations: int, seed: int = 0) -> str:
    """Return one line of the coverage table."""
    seen = measure(cell, simulations=simulations, seed=seed)
    return (
        f"| {cell.estimator} | {cell.setting} | {cell.truth:.3f} | {1 - ALPHA:.2f} "
        f"| {seen.coverage:.4f} ± {seen.error:.4f} | {seen.mean:.3f} |"
    )


def power_row(epsilon: float, canaries: int, *, simulations: int, seed: int = 0) -> str:
    """Return one line of the power table."""
    means = mean_bounds(epsilon, canaries, simulations=simulations, seed=seed)
    return f"| {epsilon:g} | {canaries:,} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |"


def tables(*, simulations: int, seed: int = 0) -> Iterator[str]:
    """Yield the lines of both tables."""
    yield "| estimator | setting | truth | nominal | coverage ± standard error | mean bound |"
    yield "|---|---|---|---|---|---|"
    for cell in cells():
        yield coverage_row(cell, simulations=simulations, seed=seed)
    yield ""
    yield "| true ε | canaries | one_run | one_run_fdp | one_run_order | gaussian | d_prime |"
    yield "|---|---|---|---|---|---|---|"
    for epsilon in (1.0, 4.0, 8.0):
        for canaries in (100, 1000, 10_000):
            yield power_row(epsilon, canaries, simulations=max(1, simulations // 10), seed=seed)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m privacy_audits.estimate.coverage")
    parser.add_argument("--simulations", type=int, default=SIMULATIONS, help="per cell")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    for line in tables(simulations=chosen.simulations, seed=chosen.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
