"""DP-SGD, white-box: a unit whose gradient is larger than the clip norm, in a known direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dpsynth.neural.dpsgd import TrainingSettings, UnitRows, train
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Mechanism, PoissonSampledGaussian
from privacy_audits.games.game import recorded

FloatArray = npt.NDArray[np.float64]

_SIMULATED = 2**22
"""Draws of a simulation that are held at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingGame:
    """A table without a unit, and one with a single unit, through the real loop.

    Parameters
    ----------
    event : PoissonSampledGaussian
        What is booked.
    copies : int
        Copies of the game in one run: each has a unit, or none, and a parameter of its own. Their
        gradients are orthogonal, their samples and their noise independent, so that the scores are
        exactly those of as many runs, unless the code lets units meddle with each other.
    gradient_norm : float
        Norm of the unit's gradient over the clip norm, above 1.
    trainer : callable
        Loop under test, with the arguments of :func:`dpsynth.neural.dpsgd.train`.

    Notes
    -----
    A step shows x = b + σz for the coordinate of the unit, in units of the clip norm, where b is
    1 if the unit was drawn. With Poisson sampling at rate q the log-likelihood ratio of a step is
    log(1 − q + q exp((2x − 1)/2σ²)); steps add up, since the gradient never changes. For q ≪ 1 the
    scores are no normals and their d′ is below the μ of a Gaussian mechanism with the same ε.

    References
    ----------
    Nasr et al., "Tight Auditing of Differentially Private Machine Learning", arXiv 2302.07956.
    """

    event: PoissonSampledGaussian
    copies: int = 1
    gradient_norm: float = 5.0
    trainer: Callable[..., PoissonSampledGaussian] = train

    @property
    def name(self) -> str:
        """Name of the game."""
        return f"DP-SGD at rate {self.event.sampling_probability:g}"

    @property
    def claim(self) -> tuple[Mechanism, ...]:
        """The event."""
        return (self.event,)

    def run(self, noise: NoiseSource, *, inside: bool) -> FloatArray:
        """Train once; return the score of each copy, shape (copies,)."""
        units = self.copies if inside else 0
        codes = np.arange(units, dtype=np.int32)[:, None]
        net = nn.Linear(self.copies, 1, bias=False, device="meta").to_empty(device="cpu")
        nn.init.zeros_(net.weight)
        settings = TrainingSettings(
            sampling_probability=self.event.sampling_probability,
            steps=self.event.steps,
            expected_units=float(self.copies),
            learning_rate=0.01,
        )

        def row_loss(rows: Tensor) -> Tensor:
            own = nn.functional.one_hot(rows[:, 0], self.copies).float()
            return self.gradient_norm * settings.clip_norm * net(own)[:, 0]

        self.trainer(
            net,
            row_loss,
            UnitRows.arrange(codes, np.arange(units), max_rows=1, device=torch.device("cpu")),
            settings=settings,
            mechanism=self.event,
            noise=noise,
        )
        steps = np.stack([release.released for release in recorded(noise)])
        return self._scores(steps / settings.clip_norm)

    def simulate(self, runs: int, rng: np.random.Generator, *, inside: bool) -> FloatArray:
        """Return scores of sampled Gaussian sums of norm 1, shape (runs,)."""
        steps, at_once = self.event.steps, max(1, _SIMULATED // self.event.steps)
        parts = []
        for first in range(0, runs, at_once):
            shape = (steps, min(at_once, runs - first))
            shown = self.event.noise_multiplier * rng.standard_normal(shape)
            if inside:
                shown += rng.random(shape) < self.event.sampling_probability
            parts.append(self._scores(shown))
        return np.concatenate(parts)

    def _scores(self, shown: FloatArray) -> FloatArray:
        """Return the sum over steps of the log-likelihood ratios, shape (copies,)."""
        rate, sigma = self.event.sampling_probability, self.event.noise_multiplier
        drawn = (2 * shown - 1) / (2 * sigma**2)
        if rate == 1:
            return drawn.sum(axis=0)
        return np.logaddexp(np.log1p(-rate), np.log(rate) + drawn).sum(axis=0)
