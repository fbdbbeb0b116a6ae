"""The vote of teachers: one unit moves every margin by as much as it can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from dpsynth.neural.voting import KEY_BYTES, Questions, Teachers, release_margins, sensitivity
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Mechanism, PATEVote

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteGame:
    """Margins of a tie in all votes, and margins that one unit moved.

    Parameters
    ----------
    event : PATEVote
        What is booked.
    release : callable
        Release under test, with the arguments of :func:`dpsynth.neural.voting.release_margins`.

    Notes
    -----
    A released margin is the exact one plus a rounded normal, so that it is y with probability
    Φ((y − m + ½)/σ) − Φ((y − m − ½)/σ): the score is the exact log-likelihood ratio.
    """

    event: PATEVote
    release: Callable[..., npt.ArrayLike] = release_margins

    @property
    def name(self) -> str:
        """Name of the game."""
        return f"votes, {self.event.relation}"

    @property
    def claim(self) -> tuple[Mechanism, ...]:
        """The event."""
        return (self.event,)

    @property
    def mu(self) -> float:
        """μ of the event."""
        return float(np.sqrt(self.event.votes)) / self.event.noise_multiplier

    def margins(self, *, inside: bool) -> IntArray:
        """Return the exact margins, shape (votes,)."""
        moved = int(sensitivity(self.event.relation))
        return np.full(self.event.votes, moved if inside else 0, dtype=np.int64)

    def run(self, noise: NoiseSource, *, inside: bool) -> FloatArray:
        """Release all margins once; return the score, shape (1,)."""
        released = self.release(self.margins(inside=inside), event=self.event, noise=noise)
        return self.scores(np.asarray(released)[None])

    def simulate(self, runs: int, rng: np.random.Generator, *, inside: bool) -> FloatArray:
        """Return scores of rounded normals, shape (runs,)."""
        draws = rng.standard_normal((runs, self.event.votes)) * self._sigma
        return self.scores(self.margins(inside=inside) + np.rint(draws))

    @property
    def _sigma(self) -> float:
        return self.event.noise_multiplier * sensitivity(self.event.relation)

    def scores(self, released: npt.NDArray[Any]) -> FloatArray:
        """Return the log-likelihood ratios of released margins, shape (runs, votes)."""
        moved = sensitivity(self.event.relation)
        ratio = _log_mass(released - moved, self._sigma) - _log_mass(released, self._sigma)
        return ratio.sum(axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleGame:
    """A table without a unit and one with a single unit, dealt to teachers that vote.

    Parameters
    ----------
    event : PATEVote
        What is booked, under ``add_remove``.
    teachers : int
        Number of teachers.
    ensemble : type
        Teachers under test.
    release : callable
        Release under test.

    Notes
    -----
    The unit agrees with every question, so that the teacher to which it is dealt votes for it and
    the others, which hold nothing, abstain: each margin moves from 0 to 1, whatever the key.
    """

    event: PATEVote
    teachers: int = 10
    ensemble: type[Teachers] = Teachers
    release: Callable[..., npt.ArrayLike] = release_margins

    @property
    def name(self) -> str:
        """Name of the game."""
        return f"an ensemble of {self.teachers} teachers"

    @property
    def claim(self) -> tuple[Mechanism, ...]:
        """The event."""
        return (self.event,)

    def run(self, noise: NoiseSource, *, inside: bool) -> FloatArray:
        """Deal, vote and release once; return the score, shape (1,)."""
        codes = np.zeros((int(inside), 2), dtype=np.int32)
        group = self.ensemble(
            codes,
            np.arange(len(codes)),
            teachers=self.teachers,
            key=noise.generator.bytes(KEY_BYTES),
        )
        margins = group.margins(self._questions())
        released = self.release(margins, event=self.event, noise=noise)
        return self._votes.scores(np.asarray(released)[None])

    def simulate(self, runs: int, rng: np.random.Generator, *, inside: bool) -> FloatArray:
        """Return scores of the vote alone, shape (runs,)."""
        return self._votes.simulate(runs, rng, inside=inside)

    @property
    def _votes(self) -> VoteGame:
        return VoteGame(event=self.event)

    def _questions(self) -> Questions:
        """Return questions about the first codes of two columns: in both like halves or in none."""
        side = np.where(np.arange(self.event.votes) % 2, 1, -1).astype(np.int8)
        like = np.stack([side, -side], axis=1)
        columns = np.tile(np.array([[0, 1]]), (self.event.votes, 1))
        return Questions(columns=columns, first=like, second=like)


def _log_mass(distance: npt.NDArray[Any], sigma: float) -> FloatArray:
    """Return log P of a rounded normal at whole numbers; in the lower tail, where Φ is exact."""
    away = -np.abs(np.asarray(distance, dtype=np.float64))
    upper, lower = log_ndtr((away + 0.5) / sigma), log_ndtr((away - 0.5) / sigma)
    return upper + np.log1p(-np.exp(lower - upper))
