"""Twins of the DP-SGD loop as a whole."""

from __future__ import annotations

import dataclasses

import numpy as np
from torch import Tensor

from dpsynth.neural.dpsgd import poisson_sample, train
from dpsynth.privacy import PoissonSampledGaussian


class RealisedDivisor:
    """Divides the noisy sum by the size of the batch that was drawn.

    Two parts of the loop have to conspire: hand :meth:`sample` and :meth:`divide` to the loop.
    """

    def __init__(self, *, expected: float) -> None:
        self.expected = expected
        self.drawn = 0

    def sample(self, units: int, probability: float, rng: np.random.Generator) -> np.ndarray:
        chosen = poisson_sample(units, probability, rng)
        self.drawn = chosen.size
        return chosen

    def divide(self, released: list[Tensor]) -> list[Tensor]:
        # The loop divides by the expected size afterwards.
        return [part * (self.expected / max(self.drawn, 1)) for part in released]


def one_step_more(*args, mechanism: PoissonSampledGaussian, **kw) -> PoissonSampledGaussian:
    """Takes a step that nobody booked."""
    train(*args, mechanism=dataclasses.replace(mechanism, steps=mechanism.steps + 1), **kw)
    return mechanism


def another_event(*args, mechanism: PoissonSampledGaussian, **kw) -> PoissonSampledGaussian:
    """Reports a rate that it did not use."""
    return dataclasses.replace(train(*args, mechanism=mechanism, **kw), sampling_probability=0.5)
