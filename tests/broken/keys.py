"""Twins of the source of noise: keys that others have, or that serve twice."""

from __future__ import annotations

import numpy as np

from dpsynth.noise import NoiseSource


def published_seed() -> NoiseSource:
    """The seed is part of the public settings, "for reproducibility"."""
    return NoiseSource.seeded(0)


class OneKeyForAll(NoiseSource):
    """A fresh key per fit, but every release begins at the start of its stream."""

    def __init__(self) -> None:
        super().__init__(seed=None)
        self.key = self.public_seed()

    def discrete_gaussian(self, *, sigma: float, size: int) -> np.ndarray:
        return NoiseSource.seeded(self.key).discrete_gaussian(sigma=sigma, size=size)
