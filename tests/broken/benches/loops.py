"""Benches of the DP-SGD loop: its sampler, its steps, its noise, what it tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dpsynth.neural.dpsgd import noisy_sum, poisson_sample, train
from dpsynth.noise import NoiseSource, NormalsAhead
from privacy_audits.conformance import (
    difficult_units,
    event_equality,
    noise_in_every_step,
    noise_independence,
    noise_reuse,
    noise_scale,
    poisson_sampler,
    replay,
    transcript_sensitivity,
)
from tests.broken.benches.bench import Results, bench
from tests.privacy_audits import rigs


@bench(real=lambda: poisson_sample, runs="400 batches of 1,000 units")
def sampler(make: Callable[[], Callable], seed: int) -> Results:
    del seed
    rng, sample = NoiseSource.from_entropy().generator, make()
    yield from poisson_sampler(
        lambda: sample(1000, 0.05, rng), units=1000, probability=0.05, rounds=400
    )


@bench(real=lambda: poisson_sample, runs="1 run of 300 steps")
def sampler_in_the_loop(make: Callable[[], Callable], seed: int) -> Results:
    del seed
    run = rigs.loop(
        units=500, probability=0.05, steps=300, width=2, rows_per_unit=2, poisson_sample=make()
    )
    batches = iter(run.batches)
    yield from poisson_sampler(lambda: next(batches), units=500, probability=0.05, rounds=300)


@bench(real=noisy_sum, runs="1 run of 50 steps")
def tiny_loop(noisy: Callable, seed: int) -> Results:
    del seed
    yield from _loop(noisy_sum=noisy)


@bench(real=NormalsAhead, runs="1 run of 50 steps")
def ahead(normals: type[NormalsAhead], seed: int) -> Results:
    del seed
    yield from _loop(NormalsAhead=normals)


@bench(real=train, runs="1 run of 50 steps")
def trainer(trains: Callable, seed: int) -> Results:
    del seed
    yield from _loop(trainer=trains)


def _loop(**parts: Any) -> Results:
    run = rigs.loop(units=3, probability=0.01, steps=50, width=400, **parts)
    released = np.concatenate(run.released)
    yield event_equality([run.planned], [run.taken])
    yield noise_in_every_step(run.released, steps=50)
    yield noise_scale(lambda exact: exact + released, np.zeros(released.size), sigma=1.5)
    two = iter(run.released)
    yield noise_independence(lambda exact: exact + next(two), np.zeros(400))


@bench(real=NoiseSource.from_entropy, runs="2 runs of 8 steps")
def loop_twice(make: Callable[[], NoiseSource], seed: int) -> Results:
    """Two runs with the same public settings: no step of either has noise of another."""
    del seed
    runs = [rigs.loop(units=3, probability=0.01, steps=8, width=400, make=make) for _ in range(2)]
    yield noise_reuse([step for run in runs for step in run.released])


@bench(real=dict, runs="8 pairs of runs")
def loop_replay(make: Callable[[], dict[str, Any]], seed: int) -> Results:
    units = difficult_units(np.random.default_rng([3, seed]), rows=4, columns=5)
    for left_out in (0, 7):
        neighbour = [*units[:left_out], *units[left_out + 1 :]]
        for probability in (0.5, 1.0):
            run = rigs.train_run(probability=probability, rows_per_unit=4, seed=3 + seed, **make())
            yield replay(run, units, neighbour)
        yield transcript_sensitivity(run, units, neighbour, bound=np.sqrt(6) / 1.2)


@bench(real=train, runs="16 pairs of runs")
def course_replay(trains: Callable, seed: int) -> Results:
    """Neighbouring tables of ordinary rows in small batches, where a loss moves with each unit."""
    rng = np.random.default_rng([4, seed])
    units = [*rng.standard_normal((12, 2, 5))]
    for number in range(8):
        run = rigs.train_run(
            probability=0.3,
            rows_per_unit=2,
            steps=12,
            seed=8 * seed + number,
            loss=rigs.squared,
            train=trains,
        )
        # One that raises the loss wherever it is, and one that lowers it.
        for newcomer in (200.0, 0.0):
            yield replay(run, [*units, np.full((2, 5), newcomer)], units)
