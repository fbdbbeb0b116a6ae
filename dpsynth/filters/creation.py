"""Making a stop rule from public numbers, and rebuilding it from its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dpsynth.errors import UsageError
from dpsynth.filters.base import COMMON_ORDERS, FAILURE_SHARE, FilterKind, StopRule
from dpsynth.filters.gdp import GDPRule
from dpsynth.filters.mixture import MAIN_WEIGHT, MixtureRule
from dpsynth.filters.renyi import RenyiRule, best_order
from dpsynth.filters.zcdp import ZCDPRule
from dpsynth.privacy import Budget

_RULES: dict[FilterKind, Callable[..., StopRule]] = {
    FilterKind.RDP: RenyiRule,
    FilterKind.ZCDP: ZCDPRule,
    FilterKind.GDP: GDPRule,
    FilterKind.MIXTURE: MixtureRule,
}


def stop_rule(
    budget: Budget,
    *,
    kind: FilterKind | str = FilterKind.RDP,
    failure_share: float = FAILURE_SHARE,
) -> StopRule:
    """Make the stop rule of a population; order and weights follow from public numbers alone.

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
    kind = _kind(kind)
    if not 0 <= failure_share < 1:
        raise UsageError(f"failure_share must lie in [0, 1), got {failure_share}.")
    failure_delta = failure_share * budget.delta
    order = best_order(budget, budget.delta - failure_delta)
    orders = tuple(sorted({*COMMON_ORDERS, order}))
    own: dict[str, Any] = {}
    if kind in (FilterKind.RDP, FilterKind.ZCDP):
        own = {"order": order}
    elif kind is FilterKind.MIXTURE:
        share = (1 - MAIN_WEIGHT) / len(COMMON_ORDERS)
        own = {
            "weights": tuple(
                share * (a in COMMON_ORDERS) + MAIN_WEIGHT * (a == order) for a in orders
            )
        }
    return _RULES[kind](budget=budget, failure_delta=failure_delta, orders=orders, **own)


def rule_from_spec(spec: Mapping[str, Any], budget: Budget) -> StopRule:
    """Rebuild a stop rule from :meth:`StopRule.spec`.

    Raises
    ------
    UsageError
        If the description is malformed.
    """
    make = _RULES[_kind(str(spec.get("kind")))]
    try:
        own = {
            name: tuple(map(float, value)) if isinstance(value, list | tuple) else float(value)
            for name, value in spec.items()
            if name != "kind"
        }
    except (TypeError, ValueError) as error:
        raise UsageError("the description of a stop rule is malformed.") from error
    try:
        return make(budget=budget, **own)
    except TypeError as error:
        raise UsageError("the description of a stop rule is malformed.") from error


def _kind(kind: FilterKind | str) -> FilterKind:
    if kind not in set(FilterKind):
        raise UsageError(f"filter must be one of {', '.join(FilterKind)}.")
    return FilterKind(kind)
