r"""The mixture filter: Rényi costs at several orders, with weights fixed when the ledger is made.

A single order must be chosen before anybody knows what will run, and DP-SGD at a small sampling
rate has a tiny cost at low orders and a huge one at high orders. Here every order a has a weight
:math:`w_a`, and costs with the sums S(a) are admitted if for all L > ε

.. math:: 1 - e^{ε-L} \le δ' \sum_a w_a e^{(a-1)(L-S(a))}.

**Why it holds.** Each :math:`e^{(a-1)(L_t - S_t(a))}` is a supermartingale that starts at 1, so the
weighted sum is one, and the hockey-stick divergence is at most δ' times its expectation. An order
at which a plan costs infinitely much only loses its weight. Weights that were chosen afterwards
would be a maximum over orders: see :mod:`dpsynth.filters.renyi`, also for the plan that is alone.

**How it is computed.** The condition is the same as :math:`φ(L) = L + \log(1 - δ' \sum_a w_a
e^{(a-1)(L-S(a))}) \le ε` for every L at which the logarithm is defined, and φ is concave. Its
maximum is the certified ε; bisection encloses it, and a tangent bounds it from above.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from dpsynth.errors import UsageError
from dpsynth.filters.base import FilterKind, Measures, StopRule, finite_or_inf
from dpsynth.filters.gaussian import gaussian_epsilon

MAIN_WEIGHT = 0.9
"""Weight of the order that is best for Gaussian noise; the other orders share the rest evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureRule(StopRule):
    """Rényi costs at all orders together leave (ε, δ) intact.

    Parameters
    ----------
    weights : tuple of float
        Weight of each of :attr:`orders`, above 0; they add up to at most 1.
    """

    kind: ClassVar[FilterKind] = FilterKind.MIXTURE
    is_curve: ClassVar[bool] = True
    closes_with_first_plan: ClassVar[bool] = True

    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        StopRule.__post_init__(self)
        if len(self.weights) != len(self.orders) or not all(w > 0 for w in self.weights):
            raise UsageError("every order of a mixture needs a weight above 0.")
        if not math.fsum(self.weights) <= 1:
            raise UsageError("the weights of a mixture must add up to at most 1.")

    def spec(self) -> dict[str, Any]:
        """Return the JSON description of everything that is fixed at creation."""
        return {**StopRule.spec(self), "weights": list(self.weights)}

    def cost(self, measures: Measures) -> tuple[float, ...]:
        """Return the Rényi curve."""
        if len(measures.rdp) != len(self.orders):
            raise UsageError("a Rényi curve must have one cost per order of the filter.")
        return tuple(finite_or_inf(cost) for cost in measures.rdp)

    def main_cost(self, cost: tuple[float, ...]) -> float:
        """Return the cost at the order with the largest weight."""
        return cost[max(range(len(cost)), key=lambda k: self.weights[k])]

    def admits(self, costs: Iterable[tuple[float, ...]], failures: Iterable[float]) -> bool:
        """Tell whether plans of these costs and failure probabilities fit together."""
        return self._fits(self._curve(costs)) and self._failures_fit(failures)

    def certified_epsilon(
        self, costs: Iterable[tuple[float, ...]], *, delta: float | None = None
    ) -> float:
        """Return ε at δ of everything booked, however it was chosen.

        Notes
        -----
        The first plan pays the part that does not depend on its size.
        """
        curve = self._curve(costs)
        return self._epsilon(curve, self._main_delta(delta)) if any(curve) else 0.0

    def largest_gaussian(self, costs: Iterable[tuple[float, ...]]) -> float:
        """Return the largest ε, at δ and on its own, of Gaussian noise that would still fit."""
        curve = self._curve(costs)

        def fits(rho: float) -> bool:
            return self._fits([s + rho * a for s, a in zip(curve, self.orders, strict=True)])

        rho = _largest(fits)
        return gaussian_epsilon(rho, self.budget.delta) if rho > 0 else 0.0

    def used(self, costs: Iterable[tuple[float, ...]]) -> float:
        """Return the share of the limit that is used: what the curve must be divided by to fit."""
        curve = self._curve(costs)
        if not any(curve):
            return 0.0
        scale = _largest(lambda factor: self._fits([factor * s for s in curve]))
        return 1 / scale if scale > 0 else math.inf

    def _curve(self, costs: Iterable[tuple[float, ...]]) -> list[float]:
        booked = list(costs)
        return [math.fsum(cost[k] for cost in booked) for k in range(len(self.orders))]

    def _fits(self, curve: Sequence[float]) -> bool:
        return self._epsilon(curve, self.main_delta) <= self.budget.epsilon

    def _epsilon(self, curve: Sequence[float], delta: float) -> float:
        """Return the maximum of φ, rounded up; infinite if no order has a finite cost."""
        terms = [
            (a - 1, math.log(w) + math.log(delta) - (a - 1) * s)
            for a, w, s in zip(self.orders, self.weights, curve, strict=True)
            if math.isfinite(s)
        ]
        return max(0.0, _highest(terms)) if terms else math.inf


def _highest(terms: Sequence[tuple[float, float]]) -> float:
    """Return an upper bound of max φ; ``terms`` are slopes and intercepts of the exponents."""

    def value_and_slope(loss: float) -> tuple[float, float]:
        exponents = [slope * loss + intercept for slope, intercept in terms]
        top = max(exponents)
        parts = [math.exp(exponent - top) for exponent in exponents]
        total = math.fsum(parts)
        log_sum = top + math.log(total)
        if log_sum >= 0:
            return -math.inf, -math.inf
        rise = math.fsum(p * slope for p, (slope, _) in zip(parts, terms, strict=True)) / total
        rest = -math.expm1(log_sum)
        return loss + math.log(rest), 1 - rise * math.exp(log_sum) / rest

    low, step = 0.0, 1.0
    while value_and_slope(low)[1] <= 0:
        low, step = low - step, 2 * step
    high, step = low + 1, 1.0
    while value_and_slope(high)[1] > 0:
        low, high, step = high, high + 2 * step, 2 * step
    while high - low > 1e-11 * max(1.0, abs(low)):
        middle = (low + high) / 2
        low, high = (middle, high) if value_and_slope(middle)[1] > 0 else (low, middle)
    value, slope = value_and_slope(low)
    # φ is concave, so that the tangent at the lower end lies above it; then what rounding may cost.
    above = value + slope * (high - low)
    return above + 1e-12 * (1 + abs(above))


def _largest(fits: Callable[[float], bool]) -> float:
    """Return the largest factor that fits, rounded down, or 0 if none does."""
    if not fits(0.0):
        return 0.0
    high = 1.0
    while fits(high):
        high *= 2
    low = high / 2 if high > 1 else 0.0
    while high - low > 1e-9 * high and high > 1e-300:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
