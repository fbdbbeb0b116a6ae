r"""The Gaussian filter: μ² adds up, and all that ran is as private as one Gaussian.

**Why it holds.** Let R be what is left of the limit. :math:`F_t = δ_{\sqrt{R_t}}(ε - L_t)`, the
hockey-stick divergence that is left if all of R went into one Gaussian, is a supermartingale: a
step that is μ-GDP is no better at telling neighbours apart than Gaussian noise with this μ, at any
ε, and two Gaussians together are the Gaussian of the summed μ². At the end :math:`F \ge (1 -
e^{ε-L})_+`; at the start it is δ' by the choice of the limit.

**What it cannot say.** How much was used so far is no certificate: whoever stops when the loss came
out high and goes on when it came out low spends δ' in both cases
(``tests/dpsynth/filters/test_gdp.py`` does so). From the first charge on the certificate is the
whole budget. The proofs are in ``docs/filters.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from scipy.special import erfinv, log_expit, ndtri_exp

from dpsynth.filters.base import FilterKind, Measures, ScalarRule, finite_or_inf
from dpsynth.filters.gaussian import gaussian_capacity, gaussian_epsilon
from dpsynth.privacy import Exponential, Gaussian, Laplace, Mechanism, PATEVote


@dataclass(frozen=True, slots=True, kw_only=True)
class GDPRule(ScalarRule):
    """The sum of μ² is at most the μ² of the Gaussian that is (ε, δ)-private.

    A plan is never admitted by its own certificate: all that ran is then μ-GDP (but for failures),
    a statement that composes with other releases.

    References
    ----------
    Smith and Thakurta, arXiv 2210.17520; Koskela, Tobaben, Honkela, arXiv 2209.15596.
    """

    kind: ClassVar[FilterKind] = FilterKind.GDP
    closes_with_first_plan: ClassVar[bool] = False

    @property
    def limit(self) -> float:
        """Largest sum of μ²."""
        return gaussian_capacity(self.budget.epsilon, self.main_delta)

    def cost(self, measures: Measures) -> tuple[float, ...]:
        """Return μ²."""
        return (finite_or_inf(measures.mu_squared),)

    def certified_epsilon(
        self, costs: Iterable[tuple[float, ...]], *, delta: float | None = None
    ) -> float:
        """Return ε at δ of everything booked, however it was chosen.

        Notes
        -----
        The whole budget as soon as anything is booked: see the module's text.
        """
        total = math.fsum(cost for (cost,) in costs)
        if total == 0:
            return 0.0
        if total > self.limit:
            return math.inf
        if delta is None:
            return self.budget.epsilon
        return gaussian_epsilon(self.limit / 2, self._main_delta(delta))

    def _rho(self, cost: float) -> float:
        return cost / 2


def gdp_mu_squared(mechanisms: Iterable[Mechanism]) -> float | None:
    """Return μ² of all mechanisms together, or ``None`` if one of them has no proven μ.

    Notes
    -----
    A discrete Gaussian is not Gaussian-private with the μ of the continuous one, however close the
    two are: at σ = 0.3 it tells neighbours apart far better. So it has none here, and neither has
    partition selection, which adds it. Subsampling and mechanisms of which only ρ is known have
    none either.
    """
    parts = [_mu_squared(mechanism) for mechanism in mechanisms]
    known = [part for part in parts if part is not None]
    return math.fsum(known) if len(known) == len(parts) else None


def _mu_squared(mechanism: Mechanism) -> float | None:
    match mechanism:
        case Gaussian(noise_multiplier=sigma, count=count):
            return count / sigma**2
        case PATEVote(noise_multiplier=sigma, votes=votes):
            return votes / sigma**2
        case Laplace(noise_multiplier=scale, count=count):
            # As any mechanism that is pure ε-DP, hence of a range of at most 2ε.
            return count * _bounded_range_mu(2 / scale) ** 2
        case Exponential(epsilon=epsilon, count=count):
            return count * _bounded_range_mu(epsilon) ** 2
        case _:
            return None


def _bounded_range_mu(epsilon: float) -> float:
    """Return μ = 2 Φ⁻¹(1 / (1 + exp(-ε/2))), attained by the symmetric pair of two points."""
    if epsilon < 1:
        # Near one half a probability has too few digits for its quantile.
        return 2 * math.sqrt(2) * float(erfinv(math.tanh(epsilon / 4)))
    return -2 * float(ndtri_exp(log_expit(-epsilon / 2)))
