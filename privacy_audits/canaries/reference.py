"""Naive simulations of what a right implementation shows: NumPy alone, one formula at a time.

Nothing is shared with the mechanisms under audit nor with the scores of the other files, so that a
figure that agrees was computed twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Simulated = tuple[FloatArray, BoolArray]
"""Scores and coins, shape (m,) each."""

REPLICATES = 40
"""Simulated runs with which an audit is compared."""


def separation(scores: FloatArray, bits: BoolArray) -> float:
    """Return d′: the difference of the means over the pooled standard deviation."""
    inside, outside = scores[bits], scores[~bits]
    squares = (len(inside) - 1) * inside.var(ddof=1) + (len(outside) - 1) * outside.var(ddof=1)
    pooled = np.sqrt(squares / (len(scores) - 2))
    return float((inside.mean() - outside.mean()) / pooled)


def separations(simulate: Callable[[], Simulated], *, runs: int = REPLICATES) -> FloatArray:
    """Return the d′ of so many simulated runs, shape (runs,)."""
    return np.array([separation(*simulate()) for _ in range(runs)])


def sampled_gaussian(
    rng: np.random.Generator,
    *,
    canaries: int,
    steps: int,
    rate: float,
    sigma: float,
    exchanged: bool = False,
) -> Simulated:
    """Simulate canaries of DP-SGD that do not meet: one coordinate each, under Poisson sampling.

    Parameters
    ----------
    rng : numpy.random.Generator
    canaries, steps : int
    rate : float
        Chance of a canary to be in a step.
    sigma : float
        Noise over the clip norm.
    exchanged : bool
        A canary that is not "in" enters with the opposite direction instead of staying away.
    """
    bits = rng.random(canaries) < 0.5
    moves = np.where(bits, 1.0, -1.0 if exchanged else 0.0)
    scores = np.zeros(canaries)
    for _ in range(steps):
        sampled = rng.random(canaries) < rate
        x = moves * sampled + sigma * rng.standard_normal(canaries)
        scores += np.log(1 - rate + rate * np.exp((2 * x - 1) / (2 * sigma**2)))
        if exchanged:
            scores -= np.log(1 - rate + rate * np.exp((-2 * x - 1) / (2 * sigma**2)))
    return scores, bits


def counted(
    rng: np.random.Generator,
    *,
    canaries: int,
    histograms: int,
    sigma: float,
    rows: int = 1,
    exchanged: bool = False,
) -> Simulated:
    """Simulate canaries of so many rows that have a cell of their own in every histogram.

    A canary of which ``exchanged`` holds has two cells, and its rows are in one or the other.
    """
    bits = rng.random(canaries) < 0.5
    shape = (canaries, histograms)
    cells = rows * bits[:, None] + sigma * rng.standard_normal(shape)
    scores = (rows * (2 * cells - rows) / (2 * sigma**2)).sum(axis=1)
    if exchanged:
        cells = rows * ~bits[:, None] + sigma * rng.standard_normal(shape)
        scores -= (rows * (2 * cells - rows) / (2 * sigma**2)).sum(axis=1)
    return scores, bits


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
