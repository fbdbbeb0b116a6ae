"""What every stop rule offers: measures that go in, and one decision that comes out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from dpsynth.errors import UsageError
from dpsynth.filters.gaussian import gaussian_epsilon
from dpsynth.privacy import Budget

FAILURE_SHARE = 0.2
"""Share of δ that a ledger sets aside for failures. It costs a filter about 1% of ε."""

COMMON_ORDERS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 32.0, 48.0, 64.0)
"""Orders at which every charge keeps its Rényi cost, besides the order of the filter itself."""


class FilterKind(StrEnum):
    """Measure in which a population's plans are added up."""

    RDP = "rdp"
    """Rényi divergence at one order; every mechanism is admissible."""
    ZCDP = "zcdp"
    """ρ of zero-concentrated differential privacy; no subsampling."""
    GDP = "gdp"
    """μ² of Gaussian differential privacy; mechanisms with a proven μ only."""
    MIXTURE = "rdp_mixture"
    """Rényi divergence at several orders with fixed weights; every mechanism is admissible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Cost of one plan in every measure that a stop rule may ask for.

    Parameters
    ----------
    rdp : tuple of float
        Rényi cost at the orders of the rule, in nats; it bounds both directions of the
        neighbouring relation.
    rho : float or None
        Cost in zCDP, where there is one.
    mu_squared : float or None
        Cost in Gaussian differential privacy, where there is one.
    """

    rdp: tuple[float, ...]
    rho: float | None
    mu_squared: float | None

    def at_most(self, booked: Measures) -> Measures:
        """Return the smaller of both bounds wherever both exist.

        A part of a plan costs no more than the plan, also where another machine or another version
        of the libraries comes to a figure that is larger in its last digits.
        """
        return Measures(
            rdp=tuple(map(min, self.rdp, booked.rdp)),
            rho=_smaller(self.rho, booked.rho),
            mu_squared=_smaller(self.mu_squared, booked.mu_squared),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule(ABC):
    """The stop rule of one population, fixed before anything is touched.

    A rule decides by sums: of costs in its own measure, and of failure probabilities. What it has
    admitted may be taken away again, and sums that are smaller in every entry are admitted too.
    The proofs are in ``docs/filters.md``.

    Parameters
    ----------
    budget : Budget
        The (ε, δ) of the population.
    failure_delta : float
        Part of δ set aside for failure probabilities.
    orders : tuple of float
        Rényi orders at which every charge keeps its cost, whether the rule reads it or not: reports
        and later compositions need the curve.
    """

    kind: ClassVar[FilterKind]
    is_curve: ClassVar[bool] = False
    """Whether a cost is a whole Rényi curve instead of one number."""
    closes_with_first_plan: ClassVar[bool]
    """Whether a plan that is alone on its population may be admitted by its own certificate."""

    budget: Budget
    failure_delta: float
    orders: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.failure_delta < self.budget.delta:
            raise UsageError("failure_delta must be at least 0 and below delta.")
        if not self.orders or not all(math.isfinite(a) and a > 1 for a in self.orders):
            raise UsageError("the orders of a filter must be above 1.")
        if any(a >= b for a, b in zip(self.orders, self.orders[1:], strict=False)):
            raise UsageError("the orders of a filter must ascend.")

    @property
    def main_delta(self) -> float:
        """δ that is left to the privacy loss."""
        return self.budget.delta - self.failure_delta

    def spec(self) -> dict[str, Any]:
        """Return the JSON description of everything that is fixed at creation.

        The budget is not part of it: the population states it.
        """
        return {
            "kind": str(self.kind),
            "failure_delta": self.failure_delta,
            "orders": list(self.orders),
        }

    @abstractmethod
    def cost(self, measures: Measures) -> tuple[float, ...]:
        """Return the cost of a plan in the rule's measure.

        Returns
        -------
        tuple of float
            One number, or one per order if :attr:`is_curve`; infinite where nothing is known.
        """

    def main_cost(self, cost: tuple[float, ...]) -> float:
        """Return the one number of a cost that a table of charges shows."""
        return cost[0]

    @abstractmethod
    def admits(self, costs: Iterable[tuple[float, ...]], failures: Iterable[float]) -> bool:
        """Tell whether plans of these costs and failure probabilities fit together."""

    @abstractmethod
    def certified_epsilon(
        self, costs: Iterable[tuple[float, ...]], *, delta: float | None = None
    ) -> float:
        """Return ε at δ of everything booked, however it was chosen.

        Valid at every moment of an adaptive sequence, also for whoever stops because of what was
        seen. Zero if nothing was booked.

        Parameters
        ----------
        costs : iterable of tuple of float
            What is booked.
        delta : float, optional
            By default that of the population. Each δ has a proof of its own: pairs may be listed,
            but no δ may be chosen by what was seen.
        """

    @abstractmethod
    def largest_gaussian(self, costs: Iterable[tuple[float, ...]]) -> float:
        """Return the largest ε, at δ and on its own, of Gaussian noise that would still fit."""

    @abstractmethod
    def used(self, costs: Iterable[tuple[float, ...]]) -> float:
        """Return the share of the limit that is used: above 1 if the costs do not fit.

        Infinite if they would not fit however much they were scaled down.
        """

    def _main_delta(self, delta: float | None) -> float:
        """Return what δ leaves to the privacy loss."""
        rest = (self.budget.delta if delta is None else delta) - self.failure_delta
        if not 0 < rest < 1:
            raise UsageError("delta must be above what is set aside for failures, and below 1.")
        return rest

    def _failures_fit(self, failures: Iterable[float]) -> bool:
        return math.fsum(failures) <= self.failure_delta


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarRule(StopRule):
    """A stop rule that compares one sum with one limit."""

    @property
    @abstractmethod
    def limit(self) -> float:
        """Most that all plans may cost together, in the rule's measure."""

    @abstractmethod
    def _rho(self, cost: float) -> float:
        """Return ρ of the Gaussian noise that costs this much."""

    def admits(self, costs: Iterable[tuple[float, ...]], failures: Iterable[float]) -> bool:
        """Tell whether plans of these costs and failure probabilities fit together."""
        return _total(costs) <= self.limit and self._failures_fit(failures)

    def largest_gaussian(self, costs: Iterable[tuple[float, ...]]) -> float:
        """Return the largest ε, at δ and on its own, of Gaussian noise that would still fit."""
        room = self.limit - _total(costs)
        return gaussian_epsilon(self._rho(room), self.budget.delta) if room > 0 else 0.0

    def used(self, costs: Iterable[tuple[float, ...]]) -> float:
        """Return the share of the limit that is used."""
        total = _total(costs)
        if total == 0:
            return 0.0
        return total / self.limit if self.limit > 0 else math.inf


def _smaller(one: float | None, other: float | None) -> float | None:
    return one if one is None or other is None else min(one, other)


def finite_or_inf(cost: float | None) -> float:
    """Return a cost, infinite where there is none."""
    return math.inf if cost is None or math.isnan(cost) else cost


def _total(costs: Iterable[tuple[float, ...]]) -> float:
    return math.fsum(cost for (cost,) in costs)
