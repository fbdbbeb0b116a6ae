r"""The Rényi filter: one order, fixed when the ledger is made.

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

**Why (A) or (B) together hold.** Sums only grow: what (B) admits, it admits with a plan left out.
If (B) ever admits a plan beside one that was admitted by (A), then the earlier one satisfied (B) by
itself, and the argument for (B) covers all transcripts. If not, then the plan that was admitted by
(A) was chosen without seeing any output, because nothing that ran before it can have been given
back, and it is all that ever runs: (A) is closed as long as it stands. Its own certificate is then
the guarantee. A plan that was aborted has touched no data and is no part of a transcript. It
follows that the cost of a plan that was admitted by (A) must never be lowered to let others in:
runs that stop early and runs that do not would each spend δ.

**Why the order and δ' are fixed when a ledger is made.** With an order chosen at the end the
integrand is bounded by a maximum of supermartingales, whose expectation may exceed 1. With δ' taken
as δ minus the failures booked *so far*, whoever sees the outputs spends δ on failures where the
loss came out low and δ on the Rényi bound where it came out high: nearly 2δ together
(``tests/dpsynth/filters`` runs both attacks).

``docs/filters.md`` says the same step by step, for all rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from dpsynth.errors import UsageError
from dpsynth.filters.base import FilterKind, Measures, ScalarRule, finite_or_inf
from dpsynth.privacy import Budget

# Whole orders above 11: at these the cost of subsampling is a finite sum that always converges.
_GRID = (
    *(1 + k / 10 for k in range(1, 100)),
    *(float(a) for a in sorted({round(11 * 2 ** (k / 16)) for k in range(16 * 14)})),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenyiRule(ScalarRule):
    """Rényi costs at one order add up to at most what that order allows for (ε, δ).

    Parameters
    ----------
    order : float
        Rényi order of the filter, above 1; one of :attr:`orders`.

    References
    ----------
    Feldman and Zrnic, arXiv 2008.11193; conversion: Canonne, Kamath, Steinke, arXiv 2004.00010.
    """

    kind: ClassVar[FilterKind] = FilterKind.RDP
    closes_with_first_plan: ClassVar[bool] = True

    order: float

    def __post_init__(self) -> None:
        ScalarRule.__post_init__(self)
        if self.order not in self.orders:
            raise UsageError("a charge must keep its cost at the order of the filter.")

    def spec(self) -> dict[str, Any]:
        """Return the JSON description of everything that is fixed at creation."""
        return {**ScalarRule.spec(self), "order": self.order}

    @property
    def limit(self) -> float:
        """Most that all plans may cost together at :attr:`order`, in nats."""
        return renyi_capacity(self.order, self.budget.epsilon, self.main_delta)

    def cost(self, measures: Measures) -> tuple[float, ...]:
        """Return the Rényi cost at the order of the filter."""
        at = dict(zip(self.orders, measures.rdp, strict=True))
        return (finite_or_inf(at[self.order]),)

    def certified_epsilon(
        self, costs: Iterable[tuple[float, ...]], *, delta: float | None = None
    ) -> float:
        """Return ε at δ of everything booked, however it was chosen.

        Notes
        -----
        The first plan pays the part that does not depend on its size.
        """
        total = math.fsum(cost for (cost,) in costs)
        if total == 0:
            return 0.0
        return max(0.0, total - renyi_capacity(self.order, 0.0, self._main_delta(delta)))

    def _rho(self, cost: float) -> float:
        return cost / self.order


def renyi_capacity(order: float, epsilon: float, delta: float) -> float:
    """B(a): the largest Rényi divergence of this order that implies (ε, δ)."""
    return epsilon - math.log1p(-1 / order) + math.log(delta * order) / (order - 1)


def best_order(budget: Budget, delta: float) -> float:
    """Return the order that leaves most room for Gaussian noise.

    Parameters
    ----------
    budget : Budget
        Its ε is used.
    delta : float
        δ that is left to the privacy loss.
    """
    return max(_GRID, key=lambda a: renyi_capacity(a, budget.epsilon, delta) / a)
