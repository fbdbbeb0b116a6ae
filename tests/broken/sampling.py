"""Twins of the Poisson sampler; each instance keeps the state that a real one would keep."""

from __future__ import annotations

import numpy as np

from dpsynth.neural.dpsgd import poisson_sample


class Shuffled:
    """Epochs: every unit once before any comes twice."""

    def __init__(self) -> None:
        self.waiting = np.zeros(0, dtype=int)

    def __call__(self, units: int, probability: float, rng: np.random.Generator) -> np.ndarray:
        size = round(probability * units)
        if self.waiting.size < size:
            self.waiting = rng.permutation(units)
        batch, self.waiting = self.waiting[:size], self.waiting[size:]
        return batch


class FixedSize:
    """Draws without replacement: the size is exact."""

    def __call__(self, units: int, probability: float, rng: np.random.Generator) -> np.ndarray:
        return rng.choice(units, size=round(probability * units), replace=False)


class RateTooHigh:
    """The rate is a tenth above the booked one."""

    def __call__(self, units: int, probability: float, rng: np.random.Generator) -> np.ndarray:
        return poisson_sample(units, 1.1 * probability, rng)


class InGroups:
    """Whole blocks of ten units, such as files or pages, enter together."""

    def __call__(self, units: int, probability: float, rng: np.random.Generator) -> np.ndarray:
        blocks = poisson_sample(units // 10, probability, rng)
        return (10 * blocks[:, None] + np.arange(10)).ravel()


class UsedTwice:
    """Every batch serves two steps."""

    def __init__(self) -> None:
        self.again: np.ndarray | None = None

    def __call__(self, units: int, probability: float, rng: np.random.Generator) -> np.ndarray:
        batch, self.again = self.again, None
        if batch is None:
            batch = self.again = poisson_sample(units, probability, rng)
        return batch
