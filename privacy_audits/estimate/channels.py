"""What one canary's bit is seen through: the pair of score laws of a known mechanism.

A canary is out or in by a fair coin, the log-likelihood ratio of its score is known, and its sign
is the guess. ``beyond`` is the chance that the ratio is more confident than some cut, ``wrong`` the
chance that it is and that the guess is wrong. The cut runs over [0, ∞) in units of the channel's
own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtr

from dpsynth.errors import UsageError
from privacy_audits.estimate.bisection import crossing
from privacy_audits.estimate.conversion import epsilon_of_mu

Vector = npt.NDArray[np.float64]


class Channel(Protocol):
    """A pair of score laws of known form, ordered by ``mu``."""

    def beyond(self, cut: Vector, mu: float) -> Vector:
        """Return the chance of a score more confident than ``cut``."""
        ...

    def wrong(self, cut: Vector, mu: float) -> Vector:
        """Return the chance of a score more confident than ``cut`` whose sign is wrong."""
        ...

    def epsilon(self, mu: float, delta: float) -> float:
        """Return ε of the mechanism at ``delta``."""
        ...


@dataclass(frozen=True, slots=True)
class GaussianChannel:
    """N(−μ/2, 1) when out, N(μ/2, 1) when in; the cut is in standard deviations."""

    def beyond(self, cut: Vector, mu: float) -> Vector:
        """Return P(|X| > cut)."""
        return ndtr(mu / 2 - cut) + ndtr(-mu / 2 - cut)

    def wrong(self, cut: Vector, mu: float) -> Vector:
        """Return P(X on the wrong side, beyond the cut)."""
        return ndtr(-mu / 2 - cut)

    def epsilon(self, mu: float, delta: float) -> float:
        """Return ε of μ-GDP."""
        return epsilon_of_mu(mu, delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledGaussianChannel:
    """N(0, 1) when out, and when in N(μ, 1) with probability ``rate``, else N(0, 1).

    One step of Poisson-sampled DP-SGD with noise multiplier 1/μ. The cut is in nats.
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise UsageError(f"the sampling rate must lie in (0, 1), got {self.rate}.")

    def beyond(self, cut: Vector, mu: float) -> Vector:
        """Return P(|L| > cut)."""
        if mu == 0:
            return np.where(cut > 0, 0.0, 1.0)
        above, below = self._edges(cut, mu)
        taken_in = (1 - self.rate) * (ndtr(-above) + ndtr(below)) + self.rate * (
            ndtr(mu - above) + ndtr(below - mu)
        )
        return (ndtr(-above) + ndtr(below) + taken_in) / 2

    def wrong(self, cut: Vector, mu: float) -> Vector:
        """Return P(L > cut, out) + P(L < −cut, in)."""
        if mu == 0:
            return self.beyond(cut, mu) / 2
        above, below = self._edges(cut, mu)
        missed = (1 - self.rate) * ndtr(below) + self.rate * ndtr(below - mu)
        return (ndtr(-above) + missed) / 2

    def epsilon(self, mu: float, delta: float) -> float:
        """Return the least ε that covers both directions at ``delta``."""
        if mu == 0 or math.isinf(mu):
            return mu
        return crossing(lambda epsilon: self._delta(mu, epsilon) <= delta)

    def _delta(self, mu: float, epsilon: float) -> float:
        above, below = (float(edge[0]) for edge in self._edges(np.array([epsilon]), mu))
        rate = self.rate
        # e^ε Φ(·) in one exponential: each factor alone over- or underflows at a large ε.
        removed = (
            rate * float(ndtr(mu - above))
            + (1 - rate) * float(ndtr(-above))
            - math.exp(epsilon + float(log_ndtr(-above)))
        )
        added = (
            float(ndtr(below))
            - (1 - rate) * math.exp(epsilon + float(log_ndtr(below)))
            - rate * math.exp(epsilon + float(log_ndtr(below - mu)))
        )
        return max(removed, added)

    def _edges(self, cut: Vector, mu: float) -> tuple[Vector, Vector]:
        """Return the outputs at which the log-likelihood ratio is +cut and −cut."""
        log_rate = math.log(self.rate)
        above = cut + np.log1p((self.rate - 1) * np.exp(-cut)) - log_rate
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.expm1(-cut) + self.rate
            below = np.where(low > 0, np.log(np.maximum(low, 0)) - log_rate, -np.inf)
        return above / mu + mu / 2, below / mu + mu / 2
