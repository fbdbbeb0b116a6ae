"""Naive simulations of what a right implementation shows: NumPy alone, one formula at a time.

Nothing is shared with the mechanisms under audit nor with the scores of the other files, so that a
figure that agrees was computed twice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Simulated = tuple[FloatArray, BoolArray]
"""Scores and coins, shape (m,) each."""


def sampled_gaussian(
    rng: np.random.Generator, *, canaries: int, steps: int, rate: float, sigma: float
) -> Simulated:
    """Simulate canaries of DP-SGD that do not meet: one coordinate each, under Poisson sampling."""
    bits = rng.random(canaries) < 0.5
    scores = np.zeros(canaries)
    for _ in range(steps):
        sampled = rng.random(canaries) < rate
        x = 1.0 * (bits & sampled) + sigma * rng.standard_normal(canaries)
        scores += np.log(1 - rate + rate * np.exp((2 * x - 1) / (2 * sigma**2)))
    return scores, bits


def counted(
    rng: np.random.Generator, *, canaries: int, histograms: int, sigma: float
) -> Simulated:
    """Simulate canaries that have a cell of their own in every histogram."""
    bits = rng.random(canaries) < 0.5
    cells = bits[:, None] + sigma * rng.standard_normal((canaries, histograms))
    return ((2 * cells - 1) / (2 * sigma**2)).sum(axis=1), bits


def voted(rng: np.random.Generator, *, canaries: int, votes: int, sigma: float) -> Simulated:
    """Simulate canaries that each move every vote by one, up or down at random.

    Notes
    -----
    All of them move the same margins. The score is the coin's mean given all margins if coins were
    normal: ridge regression.
    """
    bits = rng.random(canaries) < 0.5
    opinions = rng.choice([-1.0, 1.0], (votes, canaries))
    margins = opinions @ bits + sigma * rng.standard_normal(votes)
    centred = np.rint(margins) - opinions.sum(axis=1) / 2
    gram = opinions.T @ opinions + 4 * sigma**2 * np.eye(canaries)
    return np.linalg.solve(gram, opinions.T @ centred), bits
