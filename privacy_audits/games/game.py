"""Playing a game, and what its scores say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Mechanism
from dpsynth.transcript import Release, Transcript
from privacy_audits.conformance.result import ALPHA, Conformance
from privacy_audits.estimate import (
    Bound,
    Confusion,
    clopper_pearson,
    d_prime,
    gaussian,
    threshold_on_half,
)
from privacy_audits.estimate.d_prime import upper_tail

FloatArray = npt.NDArray[np.float64]
Noise = Callable[[Transcript], NoiseSource]
"""Makes the noise of a run that is recorded in a transcript."""


class Game(Protocol):
    """Two neighbouring tables, a data path and the statistic that tells them apart best."""

    @property
    def name(self) -> str:
        """Name of the game."""
        ...

    @property
    def claim(self) -> tuple[Mechanism, ...]:
        """The events that a run books."""
        ...

    def run(self, noise: NoiseSource, *, inside: bool) -> FloatArray:
        """Run the real code once and return the scores of independent copies of the game.

        Parameters
        ----------
        noise : NoiseSource
            Noise of the run, with a transcript.
        inside : bool
            Whether the target is in the table.

        Returns
        -------
        ndarray of float64, shape (n_copies,)
            Log-likelihood ratios, in nats, under what was booked; higher means inside.
        """
        ...

    def simulate(self, runs: int, rng: np.random.Generator, *, inside: bool) -> FloatArray:
        """Return what a correct implementation would score, shape (runs,): formulas only."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GameResult:
    """Scores of a game.

    Parameters
    ----------
    name : str
        Name of the game.
    claim : tuple of Mechanism
        What a run booked.
    inside, outside : ndarray of float64, shape (n,), (k,)
        Log-likelihood ratios of runs with and without the target.
    """

    name: str
    claim: tuple[Mechanism, ...]
    inside: FloatArray
    outside: FloatArray

    def d_prime(self, *, alpha: float) -> Bound:
        """Bound μ by all scores; exact if they are normal, as without sampling."""
        return d_prime(self.inside, self.outside, alpha=alpha)

    def gaussian(self, *, alpha: float, rng: np.random.Generator) -> Bound:
        """Bound μ by the errors of one threshold.

        Parameters
        ----------
        alpha : float
            One-sided level.
        rng : numpy.random.Generator
            Draws the half of the scores on which the threshold is chosen; the other half counts.
            Scores of broken code may lie anywhere, so that none can be declared beforehand.
        """
        return self._best(lambda confusion: gaussian(confusion, alpha=alpha), rng)

    def clopper_pearson(self, *, alpha: float, delta: float, rng: np.random.Generator) -> Bound:
        """Bound ε at ``delta`` in the same way, without an assumption about the scores."""
        return self._best(lambda c: clopper_pearson(c, delta=delta, alpha=alpha), rng)

    def _best(self, estimate: Callable[[Confusion], Bound], rng: np.random.Generator) -> Bound:
        counted = threshold_on_half(estimate, inside=self.inside, outside=self.outside, rng=rng)
        return estimate(counted)

    def __repr__(self) -> str:
        return f"GameResult({self.name}: {self.inside.size} inside, {self.outside.size} outside)"


def play(game: Game, *, runs: int, noise: Noise = NoiseSource.audited) -> GameResult:
    """Play a game with the real code.

    Parameters
    ----------
    game : Game
        What is played.
    runs : int
        Scores a side; a run may give several.
    noise : callable, optional
        Makes the noise of each run: keyed by the operating system by default, :func:`seeded` for
        a result that can be repeated.
    """
    return GameResult(
        name=game.name,
        claim=game.claim,
        inside=_scores(game, runs, noise, inside=True),
        outside=_scores(game, runs, noise, inside=False),
    )


def reference(game: Game, *, runs: int, rng: np.random.Generator) -> GameResult:
    """Simulate what a correct implementation would show in a game.

    Parameters
    ----------
    game : Game
        What is simulated.
    runs : int
        Scores a side.
    rng : numpy.random.Generator
        Draws them.
    """
    return GameResult(
        name=f"{game.name}, reference",
        claim=game.claim,
        inside=game.simulate(runs, rng, inside=True),
        outside=game.simulate(runs, rng, inside=False),
    )


def seeded(seed: int) -> Noise:
    """Return a maker of noise whose runs are different and repeatable."""
    seeds = np.random.default_rng(seed)
    return lambda transcript: NoiseSource.audited(transcript, seed=int(seeds.integers(2**63)))


def leaks_as_booked(
    result: GameResult, reference: GameResult, *, alpha: float = ALPHA
) -> Conformance:
    """Tell whether the code can be told apart better than a correct implementation.

    Parameters
    ----------
    result : GameResult
        Of :func:`play`.
    reference : GameResult
        Of :func:`reference`; its own error is allowed for, and small with a hundred times as many
        scores.
    alpha : float
        Chance of a false alarm.

    Notes
    -----
    Both d′ are compared, one-sided. Of normal scores d′ follows a non-central t law, which is used
    with the d′ of the reference. Where units are sampled scores are a mixture: the law is taken for
    that many scores at which it has the variance that the reference's own moments give d′. With D
    the difference of the means and s² the mean of the two variances, d′ = D/s has variance
    Var D/s² + d′² Var(s²)/(4s⁴) − d′ Cov(D, s²)/s³ to first order, which is (2 + d′²/4)/n for
    normal scores.
    """
    least = min(result.inside.size, result.outside.size)
    if least < 100:
        raise UsageError("a game is compared with its reference from 100 scores a side on.")
    seen, expected = _effect(result)[0], _effect(reference)
    share = 1 / least + 1 / min(reference.inside.size, reference.outside.size)
    alike = (2 + expected[0] ** 2 / 4) / (expected[1] * share)
    scale = math.sqrt(alike / 2)
    p_value = upper_tail(
        seen * scale, freedom=round(2 * alike - 2), noncentrality=expected[0] * scale
    )
    return Conformance(
        name=f"game: {result.name}",
        statistic=seen / expected[0],
        p_value=p_value,
        threshold=alpha,
        meaning="d′ of the code over that of a correct implementation",
    )


def recorded(noise: NoiseSource) -> tuple[Release, ...]:
    """Return what a run with this noise wrote into its transcript."""
    releases = () if noise.transcript is None else noise.transcript.releases
    if not releases:
        raise UsageError("this run wrote nothing into a transcript.")
    return releases


def _scores(game: Game, runs: int, noise: Noise, *, inside: bool) -> FloatArray:
    parts: list[FloatArray] = []
    missing = runs
    while missing > 0:
        scores = game.run(noise(Transcript()), inside=inside)[:missing]
        if not scores.size:
            raise UsageError("a run of this game gave no score.")
        parts.append(scores)
        missing -= scores.size
    return np.concatenate(parts)


def _effect(result: GameResult) -> tuple[float, float]:
    """Return d′, and its variance times the number of scores a side."""
    sides = [part - part.mean() for part in (result.inside, result.outside)]
    (v1, m1, k1), (v0, m0, k0) = (
        (float(np.mean(x**2)), float(np.mean(x**3)), float(np.mean(x**4))) for x in sides
    )
    square = (v1 + v0) / 2
    spread = math.sqrt(square)
    difference = float(result.inside.mean() - result.outside.mean())
    pooled = math.sqrt((result.inside.var(ddof=1) + result.outside.var(ddof=1)) / 2)
    effect = difference / pooled
    of_square = (k1 - v1**2 + k0 - v0**2) / 4
    covariance = (m1 - m0) / 2
    variance = 2 + effect**2 * of_square / (4 * square**2) - effect * covariance / spread**3
    return effect, variance
