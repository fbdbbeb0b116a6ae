"""Benches of single releases: noise of a step, of counts, of levels, of votes, of scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dpsynth.counts import discover_levels, release_counts
from dpsynth.neural.dpsgd import GRID, noisy_sum
from dpsynth.neural.voting import release_margins
from dpsynth.scoring import TwoWayScore
from privacy_audits.conformance import (
    noise_grid,
    noise_independence,
    noise_law,
    noise_scale,
    selection_failure,
)
from tests.broken.benches.bench import Results, bench
from tests.privacy_audits import rigs, voting_rigs

DRAWS = 10_000


@bench(real=noisy_sum, runs="1 release of 10,000 values")
def step_release(noisy: Callable, seed: int) -> Results:
    release = rigs.sum_release(noisy, sigma=1.7, clip_norm=0.5)
    exact = np.full(DRAWS, seed + 1 / 3)
    yield noise_scale(release, exact, sigma=0.85)
    yield noise_law(release, exact, sigma=0.85, integer=False)
    yield noise_grid(release, exact, step=0.5 * GRID)
    yield noise_independence(release, exact)


@bench(real=release_counts, runs="1 release of 10,000 cells")
def count_release(released: Callable, seed: int) -> Results:
    release = rigs.count_release(released, sigma=6.0)
    exact = (np.arange(DRAWS) + seed) % 3
    yield noise_scale(release, exact, sigma=6.0)
    yield noise_law(release, exact, sigma=6.0, integer=True)
    yield noise_independence(release, exact)


@bench(real=discover_levels, runs="1 release of 2,000 levels; 1,400 selections")
def levels(discover: Callable, seed: int) -> Results:
    yield noise_scale(rigs.selected_counts(discover), np.full(2000, 60.0 + seed % 9), sigma=2.0)
    # All rows in one level: there a threshold that is too low shows.
    for newcomer, rounds in ((["x"], 200), (["x"] * 4, 1000), (["x", "y", "z", "w"], 200)):
        yield selection_failure(
            rigs.select(discover), ["common"] * 50, newcomer, failure_delta=0.05, rounds=rounds
        )


@bench(real=release_margins, runs="1 release of 10,000 margins")
def vote_release(released: Callable, seed: int) -> Results:
    release = voting_rigs.vote_release(released, multiplier=7.0)
    reach = 200 + seed
    for exact in (np.zeros(DRAWS), np.linspace(-reach, reach, DRAWS).round()):
        # Rounding to whole votes adds a twelfth to the variance.
        yield noise_scale(release, exact, sigma=np.sqrt(49 + 1 / 12))
        yield noise_independence(release, exact)


@bench(real=TwoWayScore, runs="1 release of 150 scores")
def score(twin: type[TwoWayScore], seed: int) -> Results:
    exact = np.linspace(0, 900 + seed, 150).round()
    yield noise_scale(rigs.score_release(twin(), sigma=30.0), exact, sigma=30.0)
