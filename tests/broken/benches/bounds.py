"""Bench of the estimators: golden values, bound ≤ point, coverage."""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from privacy_audits.conformance import ALPHA, Conformance
from privacy_audits.estimate import Confusion
from tests.broken.benches.bench import Results, bench
from tests.broken.bounding import REAL, Estimators

LEVEL = 0.05
LENIENT = 0.24
"""Level at which luck in choosing shows: a strict bound has room for some."""
EPSILON, RUNS, SIMULATIONS = 4.0, 10_000, 4000
STEEP, SCORES, CHOICES = 2.0, 500, 1000

PUBLISHED = Confusion(false_positives=949, negatives=2000, false_negatives=743, positives=2000)
"""Errors behind a published μ ≥ 0.43, above its own point estimate 0.39."""


def perfect(runs: int) -> Confusion:
    return Confusion(false_positives=0, negatives=runs, false_negatives=0, positives=runs)


@bench(real=REAL, runs="5 golden values; 4,000 + 1,000 simulated audits")
def estimators(part: Estimators, seed: int) -> Results:
    rng = np.random.default_rng([13, seed])
    off = [
        abs(part.epsilon(perfect(400), 0.05)[0] - 4.682),
        abs(part.epsilon(perfect(400), 0.01)[0] - 4.317),
        abs(part.epsilon(perfect(1000), 0.05)[0] - 5.601),
        10 * abs(part.mu(PUBLISHED, 0.10)[0] - 0.2974),
        10 * abs(part.mu(PUBLISHED, 0.05)[0] - 0.2796),
    ]
    yield Conformance(
        name="golden values",
        statistic=max(off) / 5e-4,
        threshold=1.0,
        meaning="largest distance from a published figure, over half of its last digit",
    )
    rate = float(special.expit(-EPSILON))
    flips = [
        Confusion(
            false_positives=int(rng.binomial(RUNS, rate)),
            negatives=RUNS,
            false_negatives=int(rng.binomial(RUNS, rate)),
            positives=RUNS,
        )
        for _ in range(SIMULATIONS)
    ]
    epsilons = [part.epsilon(counts, LEVEL) for counts in flips]
    # Laplace noise: many thresholds attain the same ε, so that the best one is luck.
    laplace = rng.laplace(scale=1 / STEEP, size=(CHOICES, 2, SCORES))
    chosen = [
        part.epsilon(part.choose(inside + 1, outside, LENIENT, rng), LENIENT)
        for inside, outside in laplace
    ]
    mus = [part.mu(counts, LEVEL) for counts in (PUBLISHED, *flips[:20])]
    above = sum(lower > point for lower, point in [*epsilons, *chosen, *mus])
    yield Conformance(
        name="bound below point",
        statistic=float(above),
        threshold=0.0,
        meaning="lower bounds above their own point estimate",
    )
    yield _coverage("coverage", epsilons, EPSILON, level=LEVEL)
    yield _coverage("coverage of a choice", chosen, STEEP, level=LENIENT)


def _coverage(
    name: str, bounds: list[tuple[float, float]], truth: float, *, level: float
) -> Conformance:
    missed = sum(lower > truth for lower, _ in bounds)
    return Conformance(
        name=name,
        statistic=1 - missed / len(bounds),
        p_value=float(stats.binom.sf(missed - 1, len(bounds), level)),
        threshold=ALPHA,
        meaning="share of bounds at most the truth; below the stated confidence it is no bound",
    )
