r"""Stop rules: whether one more plan may run on a population whose budget is (ε, δ).

Plans may be chosen after looking at earlier outputs, and a bound that is valid for parameters fixed
in advance (a privacy loss distribution) is then no longer valid as a stop rule (arXiv 2602.06756,
2602.15815). A plan is admitted if one of two things holds:

(A) it is the only plan on the population, and its own certified ε at δ is within the budget; or
(B) the single-order Rényi filter (Feldman and Zrnic, arXiv 2008.11193) admits all plans, this one
    included: :math:`S = \sum \mathrm{rdp}(a) \le B` at one order ``a``, with
    :math:`B = ε - \log(1 - 1/a) + \log(δ' a)/(a - 1)`, and the failure probabilities add up to at
    most ``failure_delta``, where ``δ' = δ - failure_delta``.

**Why (B) holds.** Let L be the privacy loss of a transcript. :math:`N_t = e^{(a-1)(L_t - S_t)}` is
a supermartingale that starts at 1, because the cost of a mechanism is settled before it runs; so
E[N] ≤ 1 at the end. B is the largest S with :math:`(1 - e^{ε-L})_+ \le δ' e^{(a-1)(L-S)}` for every
L (the two sides touch where :math:`e^{L-ε} = a/(a-1)`). Hence the hockey-stick divergence E[(1 -
e^{ε-L})_+] is at most δ'. Failures happen with probability at most ``failure_delta`` in all and add
to that.

**Why (A) or (B) together hold.** The plan that runs first is chosen without seeing any output. If
it satisfies (B), then so does everything that is admitted beside or after it, and the argument for
(B) covers all transcripts: on those that stop after the first plan the integrand :math:`(1 -
e^{ε-L})_+` is pointwise at most :math:`δ' e^{(a-1)(L-S)}` with the S of that plan, on those that go
on with the S of all their plans, and the two parts together are at most δ'. If it satisfies only
(A), its S exceeds B by itself and (B) never admits another plan, while (A) is closed as long as it
stands; it is then all that ever runs, and its own certificate is the guarantee. A plan that was
aborted has touched no data and is no part of a transcript. It follows that the cost of a plan that
was admitted by (A) must never be lowered to let others in: runs that stop early and runs that do
not would each spend δ.

**Why the order and δ' are fixed when a ledger is made.** With an order chosen at the end the
integrand is bounded by a maximum of supermartingales, whose expectation may exceed 1. With δ' taken
as δ minus the failures booked *so far*, whoever sees the outputs spends δ on failures where the
loss came out low and δ on the Rényi bound where it came out high: nearly 2δ together
(``tests/dpsynth/test_filters.py`` runs both attacks).

The zCDP filter (Whitehouse et al., arXiv 2203.05481) is (B) with ρ in place of rdp(a) and B/a in
place of B, for mechanisms with a finite ρ. It never uses (A): all that ran is then ρ-zCDP with ρ at
most the limit (but for failures), a statement that composes with other releases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dpsynth.errors import UsageError
from dpsynth.privacy import (
    ZCDP,
    Budget,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    PartitionSelection,
    PATEVote,
)

FAILURE_SHARE = 0.2
"""Share of δ that a ledger sets aside for failures. It costs the filter about 1% of ε."""

_COMMON_ORDERS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 32.0, 48.0, 64.0)
"""Orders at which every charge keeps its Rényi cost, besides the order of the filter itself."""

# Whole orders above 11: at these the cost of subsampling is a finite sum that always converges.
_GRID = (
    *(1 + k / 10 for k in range(1, 100)),
    *(float(a) for a in sorted({round(11 * 2 ** (k / 16)) for k in range(16 * 14)})),
)


class FilterKind(StrEnum):
    """Measure in which a population's plans are added up."""

    RDP = "rdp"
    """Rényi divergence at one order; every mechanism is admissible."""
    ZCDP = "zcdp"
    """ρ of zero-concentrated differential privacy; no subsampling."""
    GDP = "gdp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    rdp: tuple[float, ...]
    rho: float | None
    mu_squared: float | None


def gdp_mu_squared(mechanisms):
    return None


def stop_rule(budget, *, kind="rdp", failure_share=None):
    return _Shim(StopRule.for_budget(budget, kind=kind, failure_share=FAILURE_SHARE if failure_share is None else failure_share))


def rule_from_spec(spec, budget):
    return _Shim(StopRule(kind=FilterKind(spec["kind"]), budget=budget, failure_delta=float(spec["failure_delta"]), order=float(spec["order"]), orders=tuple(float(x) for x in spec["orders"])))


class _Shim:
    is_curve = False
    def __init__(self, rule): self._r = rule
    def __getattr__(self, name): return getattr(self._r, name)
    @property
    def closes_with_first_plan(self): return self._r.kind is FilterKind.RDP
    def spec(self): return {"kind": str(self._r.kind), "failure_delta": self._r.failure_delta, "order": self._r.order, "orders": self._r.orders}
    def cost(self, m): return (self._r.cost(m.rdp, m.rho),)
    def main_cost(self, c): return c[0]
    def admits(self, costs, failures): return self._r.admits([c[0] for c in costs], failures)
    def certified_epsilon(self, costs): return self._r.certified_epsilon([c[0] for c in costs])
    def largest_gaussian(self, costs): return self._r.largest_gaussian([c[0] for c in costs])
    def used(self, costs): return math.fsum(c[0] for c in costs) / self._r.limit if self._r.limit > 0 else float(bool(costs))


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """The stop rule of one population, fixed before anything is touched.

    Parameters
    ----------
    kind : FilterKind
        Measure in which plans are added up.
    budget : Budget
        The (ε, δ) of the population.
    failure_delta : float
        Part of δ set aside for failure probabilities.
    order : float
        Rényi order of the filter, above 1.
    orders : tuple of float
        Orders at which every charge keeps its Rényi cost; ``order`` is among them.
    """

    kind: FilterKind
    budget: Budget
    failure_delta: float
    order: float
    orders: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FilterKind(self.kind))
        if not 0 <= self.failure_delta < self.budget.delta:
            raise UsageError("failure_delta must be at least 0 and below delta.")
        if not (math.isfinite(self.order) and self.order > 1):
            raise UsageError("the order of a filter must be above 1.")
        if self.order not in self.orders:
            raise UsageError("a charge must keep its cost at the order of the filter.")

    @classmethod
    def for_budget(
        cls,
        budget: Budget,
        *,
        kind: FilterKind | str = FilterKind.RDP,
        failure_share: float = FAILURE_SHARE,
    ) -> StopRule:
        """Choose the order that leaves most room for Gaussian noise.

        Parameters
        ----------
        budget : Budget
            The (ε, δ) of the population.
        kind : FilterKind
            Measure in which plans are added up.
        failure_share : float
            Share of δ set aside for failure probabilities, in [0, 1).

        Raises
        ------
        UsageError
            If a parameter is wrong, or a zCDP filter could never admit anything.
        """
        if kind not in set(FilterKind):
            raise UsageError(f"filter must be one of {', '.join(FilterKind)}.")
        if not 0 <= failure_share < 1:
            raise UsageError(f"failure_share must lie in [0, 1), got {failure_share}.")
        failure_delta = failure_share * budget.delta
        main = budget.delta - failure_delta
        order = max(_GRID, key=lambda a: _capacity(a, budget.epsilon, main) / a)
        rule = cls(
            kind=FilterKind(kind),
            budget=budget,
            failure_delta=failure_delta,
            order=order,
            orders=tuple(sorted({*_COMMON_ORDERS, order})),
        )
        if rule.kind is FilterKind.ZCDP and rule.limit <= 0:
            raise UsageError(
                "this budget is too small for a zCDP filter: it would admit nothing.",
                fix="raise epsilon or delta, or take the rdp filter.",
            )
        return rule

    @property
    def main_delta(self) -> float:
        """δ that is left to the privacy loss."""
        return self.budget.delta - self.failure_delta

    @property
    def limit(self) -> float:
        """Most that all plans may cost together, in the filter's measure."""
        capacity = _capacity(self.order, self.budget.epsilon, self.main_delta)
        return capacity if self.kind is FilterKind.RDP else capacity / self.order

    def cost(self, rdp: Iterable[float], rho: float | None) -> float:
        """Return the cost of a plan in the filter's measure.

        Parameters
        ----------
        rdp : iterable of float
            Rényi cost at :attr:`orders`, in nats.
        rho : float or None
            Cost in zCDP, where there is one.

        Returns
        -------
        float
            Infinite if the plan is not admissible.
        """
        if self.kind is FilterKind.ZCDP:
            return math.inf if rho is None else rho
        cost = dict(zip(self.orders, rdp, strict=True))[self.order]
        return math.inf if math.isnan(cost) else cost

    def admits(self, costs: Iterable[float], failures: Iterable[float]) -> bool:
        """Tell whether plans of these costs and failure probabilities fit together: rule (B)."""
        return math.fsum(costs) <= self.limit and math.fsum(failures) <= self.failure_delta

    def certified_epsilon(self, costs: Iterable[float]) -> float:
        """Return ε at the population's δ of everything booked, however it was chosen.

        Notes
        -----
        Valid at every moment of an adaptive sequence, because the order was fixed beforehand. The
        first plan pays the part that does not depend on its size.
        """
        total = math.fsum(costs)
        if total == 0:
            return 0.0
        divergence = total if self.kind is FilterKind.RDP else total * self.order
        return max(0.0, divergence - _capacity(self.order, 0.0, self.main_delta))

    def largest_gaussian(self, costs: Iterable[float]) -> float:
        """Return the largest ε, at δ and on its own, of Gaussian noise that would still fit."""
        room = self.limit - math.fsum(costs)
        if not room > 0:
            return 0.0
        rho = room / self.order if self.kind is FilterKind.RDP else room
        return gaussian_epsilon(rho, self.budget.delta)


def _capacity(order: float, epsilon: float, delta: float) -> float:
    """B(a): the largest Rényi divergence of this order that implies (ε, δ)."""
    return epsilon - math.log1p(-1 / order) + math.log(delta * order) / (order - 1)


def gaussian_epsilon(rho: float, delta: float) -> float:
    """Return the exact ε at δ of Gaussian noise that is ρ-zCDP (Balle and Wang 2018, theorem 8).

    Parameters
    ----------
    rho : float
        Half the squared ratio of sensitivity to noise, above 0.
    delta : float
        δ, in (0, 1).
    """
    mu = math.sqrt(2 * rho)
    low, high = 0.0, 1.0
    if gaussian_delta(mu, low) <= delta:
        return 0.0
    while gaussian_delta(mu, high) > delta:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(mu, middle) > delta else (low, middle)
    return low


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Return δ(ε) of Gaussian noise with sensitivity ``mu`` times its standard deviation."""
    upper = _normal_cdf(mu / 2 - epsilon / mu)
    lower = _normal_cdf(-mu / 2 - epsilon / mu)
    return upper if lower == 0 else upper - math.exp(epsilon + math.log(lower))


def _normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def zcdp_rho(mechanisms: Iterable[Mechanism]) -> float | None:
    """Return ρ of all mechanisms together, or ``None`` if one of them has none.

    Sampling and private selection have none: what they cost is not proportional to the order.

    References
    ----------
    Bun and Steinke (arXiv 1605.02065), lemma 2.4 and propositions 1.4 and 1.6; bounded range:
    Cesar and Rogers (arXiv 2010.09063).
    """
    total = 0.0
    for mechanism in mechanisms:
        rho = _rho(mechanism)
        if rho is None:
            return None
        total += rho
    return total


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
