"""The zCDP filter: ρ adds up, and all that ran is ρ-zCDP."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from dpsynth.errors import UsageError
from dpsynth.filters.base import FilterKind, Measures, ScalarRule, finite_or_inf
from dpsynth.filters.renyi import renyi_capacity
from dpsynth.privacy import (
    ZCDP,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    PartitionSelection,
    PATEVote,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZCDPRule(ScalarRule):
    """The sum of ρ is at most what one order allows for (ε, δ).

    It is the Rényi filter with a·ρ in place of the Rényi cost, for mechanisms with a finite ρ. A
    plan is never admitted by its own certificate: all that ran is then ρ-zCDP with ρ at most the
    limit (but for failures), a statement that composes with other releases.

    Parameters
    ----------
    order : float
        Rényi order at which ρ is converted, above 1; one of :attr:`orders`.

    References
    ----------
    Whitehouse, Ramdas, Rogers, Wu, arXiv 2203.05481.
    """

    kind: ClassVar[FilterKind] = FilterKind.ZCDP
    closes_with_first_plan: ClassVar[bool] = False

    order: float

    def __post_init__(self) -> None:
        ScalarRule.__post_init__(self)
        if self.order not in self.orders:
            raise UsageError("a charge must keep its cost at the order of the filter.")
        if not self.limit > 0:
            raise UsageError(
                "this budget is too small for a zCDP filter: it would admit nothing.",
                fix="raise epsilon or delta, or take the rdp filter.",
            )

    def spec(self) -> dict[str, Any]:
        """Return the JSON description of everything that is fixed at creation."""
        return {**ScalarRule.spec(self), "order": self.order}

    @property
    def limit(self) -> float:
        """Largest sum of ρ."""
        return renyi_capacity(self.order, self.budget.epsilon, self.main_delta) / self.order

    def cost(self, measures: Measures) -> tuple[float, ...]:
        """Return ρ."""
        return (finite_or_inf(measures.rho),)

    def certified_epsilon(
        self, costs: Iterable[tuple[float, ...]], *, delta: float | None = None
    ) -> float:
        """Return ε at δ of everything booked, however it was chosen."""
        total = math.fsum(cost for (cost,) in costs)
        if total == 0:
            return 0.0
        capacity = renyi_capacity(self.order, 0.0, self._main_delta(delta))
        return max(0.0, total * self.order - capacity)

    def _rho(self, cost: float) -> float:
        return cost


def zcdp_rho(mechanisms: Iterable[Mechanism]) -> float | None:
    """Return ρ of all mechanisms together, or ``None`` if one of them has none.

    References
    ----------
    Bun and Steinke (arXiv 1605.02065), lemma 2.4 and propositions 1.4 and 1.6; bounded range:
    Cesar and Rogers (arXiv 2010.09063).
    """
    parts = [_rho(mechanism) for mechanism in mechanisms]
    known = [rho for rho in parts if rho is not None]
    return math.fsum(known) if len(known) == len(parts) else None


def _rho(mechanism: Mechanism) -> float | None:
    match mechanism:
        case Gaussian(noise_multiplier=sigma, count=count):
            return count / (2 * sigma**2)
        case PATEVote(noise_multiplier=sigma, votes=votes):
            return votes / (2 * sigma**2)
        case DiscreteGaussian(sigma=sigma, sensitivity=moved, count=count):
            return count * moved**2 / (2 * sigma**2)
        case PartitionSelection(sigma=sigma, sensitivity=moved, count=count):
            return count * moved**2 / (2 * sigma**2)
        case Laplace(noise_multiplier=scale, count=count):
            return count / (2 * scale**2)
        case Exponential(epsilon=epsilon, count=count):
            return count * epsilon**2 / 8
        case ZCDP(rho=rho):
            return rho
        case _:
            return None
