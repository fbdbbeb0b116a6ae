"""Twins that a canary audit must see in one run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from dpsynth.counts import release_counts
from dpsynth.neural.dpsgd import noisy_sum, poisson_sample
from dpsynth.neural.voting import Teachers, release_margins
from dpsynth.noise import NoiseSource
from dpsynth.privacy import PATEVote


def twice_the_rate(units: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    """The rate that was booked is half of the one that is used."""
    return poisson_sample(units, min(1.0, 2 * probability), rng)


class EverySumTwice:
    """Two releases of every step, and one of them is booked: double composition."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, sums: list[Tensor], *, noise, **kw) -> list[Tensor]:
        self.calls += 1
        again = NoiseSource.audited(noise.transcript, seed=self.calls)
        first, second = noisy_sum(sums, noise=noise, **kw), noisy_sum(sums, noise=again, **kw)
        return [(a + b) / 2 for a, b in zip(first, second, strict=True)]


def every_histogram_twice(counts: np.ndarray, *, sigma: float, noise: NoiseSource) -> np.ndarray:
    """Shows the mean of two releases, of which one is booked."""
    parts = [release_counts(counts, sigma=sigma, noise=noise) for _ in range(2)]
    return np.rint(np.mean(parts, axis=0)).astype(np.int64)


def every_vote_twice(margins: np.ndarray, *, event: PATEVote, noise: NoiseSource) -> np.ndarray:
    """Shows the mean of two releases, of which one is booked."""
    parts = [release_margins(margins, event=event, noise=noise) for _ in range(2)]
    return np.rint(np.mean(parts, axis=0)).astype(np.int64)


def half_noise_on_margins(
    margins: np.ndarray, *, event: PATEVote, noise: NoiseSource
) -> np.ndarray:
    """Takes the noise multiplier for that of two votes."""
    half = replace(event, noise_multiplier=event.noise_multiplier / 2)
    return release_margins(margins, event=half, noise=noise)


class ThreeTeachersEach(Teachers):
    """Overlapping teachers: every unit is heard at three."""

    def _votes(self, opinions: np.ndarray) -> np.ndarray:
        votes = super()._votes(opinions)
        return votes + np.roll(votes, 1) + np.roll(votes, 2)
