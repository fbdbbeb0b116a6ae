"""The number of trials of a private selection: its law, and an exact draw from it.

The truncated negative binomial law with shape η > -1 and halting probability γ in (0, 1):

    P(K = k) ∝ (1 - γ)^k · Π_{0 < l < k} (l + η)/(l + 1),  k = 1, 2, …

η = 1 is the geometric law, η = 0 the logarithmic one. With L = log(1/γ) and φ(x) = (e^x - 1)/x,
P(K = 1) = (1 - γ)/(L φ(ηL)) and E[K] = (1 - γ)/(γ L φ(-ηL)) for every η, 0 included.

References
----------
Papernot and Steinke, "Hyperparameter Tuning with Renyi Differential Privacy", arXiv 2110.03620,
definition 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache

from scipy.optimize import brentq

from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource

_LARGEST_LOG = 34.0
"""Largest log(1/γ); beyond it 1 - γ and γ no longer fit into one float64."""

_RANDOM_BYTES = 24
_DIGITS = 80
"""Decimal digits of a draw: far more than the 192 random bits that it reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLaw:
    """A truncated negative binomial law.

    Parameters
    ----------
    shape : float
        η.
    log_inverse_halting : float
        log(1/γ), above 0.
    """

    shape: float
    log_inverse_halting: float

    @classmethod
    def of_mean(cls, mean: float, *, shape: float) -> TrialLaw:
        """Return the law with this expected number of trials.

        Raises
        ------
        UsageError
            If the halting probability would be below 2e-15, as for a large mean with a shape near
            -1.
        """
        return _solved(float(mean), float(shape))

    @property
    def mean(self) -> float:
        """E[K]."""
        return _mean(self.log_inverse_halting, self.shape)

    def probabilities(self, most: int) -> list[float]:
        """Return P(K = k) for k = 1 … ``most``."""
        terms = self._terms()
        with localcontext(prec=_DIGITS):
            return [float(next(terms)) for _ in range(most)]

    def draw(self, noise: NoiseSource) -> int:
        """Draw a number of trials by inversion.

        Privacy
        -------
        One uniform number of 192 bits is compared with sums of 80 digits, so that the law is met
        up to 2^-191 in total variation. The number is as secret as the noise: it is part of the
        mechanism. How long the draw and the trials take tells it, and is not hidden.
        """
        with localcontext(prec=_DIGITS):
            bits = int.from_bytes(noise.generator.bytes(_RANDOM_BYTES), "big")
            uniform = Decimal(bits) / Decimal(1 << 8 * _RANDOM_BYTES)
            below, trials = Decimal(0), 0
            for term in self._terms():
                below, trials = below + term, trials + 1
                if uniform < below:
                    break
        return trials

    def _terms(self) -> Iterator[Decimal]:
        """Yield P(K = 1), P(K = 2), …; call it at the precision that is wanted."""
        log, shape = Decimal(self.log_inverse_halting), Decimal(self.shape)
        stay = 1 - (-log).exp()
        term, k = stay / (log * _growth(shape * log)), 1
        while True:
            yield term
            term *= stay * (k + shape) / (k + 1)
            k += 1


def _growth(x: Decimal) -> Decimal:
    """Return (e^x - 1)/x, also at and near 0, where the subtraction would lose all digits."""
    if abs(x) > 1:
        return (x.exp() - 1) / x
    total, term, n = Decimal(1), Decimal(1), 1
    while abs(term) > Decimal(10) ** -_DIGITS:
        n += 1
        term *= x / n
        total += term
    return total


def _mean(log: float, shape: float) -> float:
    x = -shape * log
    growth = math.expm1(x) / x if x else 1.0
    return math.expm1(log) / (log * growth)


@lru_cache(maxsize=64)
def _solved(mean: float, shape: float) -> TrialLaw:
    if not (mean > 1 and shape > -1):
        raise UsageError("the mean number of trials must be above 1, and the shape above -1.")
    if _mean(_LARGEST_LOG, shape) < mean:
        raise UsageError(
            "this law has so heavy a tail that the number of trials cannot be computed.",
            fix="lower mean_trials, or take a shape further from -1.",
        )
    # E[K] grows with log(1/γ), from 1 at 0.
    log = brentq(
        lambda at: math.log(_mean(at, shape) if at else 1.0) - math.log(mean),
        0.0,
        _LARGEST_LOG,
        xtol=1e-15,
        rtol=1e-15,
    )
    if not log:
        raise UsageError("a mean number of trials so near 1 cannot be computed.")
    return TrialLaw(shape=shape, log_inverse_halting=log)
