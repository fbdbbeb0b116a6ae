"""What a plan costs, worked out from its mechanisms alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from dpsynth.accountant import Accountant
from dpsynth.filters import Measures, gdp_mu_squared, zcdp_rho
from dpsynth.privacy import ZCDP, Mechanism, PartitionSelection, mechanism_from_spec

_MOST_KINDS = 16
"""Different mechanisms that one composition may hold; each takes a tenth of a second or more."""

_REPEATS = ("count", "steps", "votes")
_ADDS = ("rho", "failure_delta", *_REPEATS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Cost of a plan in every measure that a ledger keeps.

    Parameters
    ----------
    measures : Measures
        What stop rules add up.
    failure_delta : float
        Sum of the failure probabilities.
    epsilon : float
        ε at the population's δ, with parameters fixed in advance.
    epsilon_as_planned : float
        ε at the δ that the plan was made for.
    """

    measures: Measures
    failure_delta: float
    epsilon: float
    epsilon_as_planned: float


@lru_cache(maxsize=64)
def price(
    mechanisms: tuple[Mechanism, ...],
    *,
    orders: tuple[float, ...],
    delta: float,
    planned_delta: float,
) -> Price:
    """Price mechanisms that run one after another."""
    accountant = Accountant(mechanisms)
    return Price(
        measures=measure(mechanisms, orders=orders),
        failure_delta=accountant.failure_delta,
        epsilon=float(accountant.epsilon(delta)),
        epsilon_as_planned=float(accountant.epsilon(planned_delta)),
    )


@lru_cache(maxsize=1024)
def measure(mechanisms: tuple[Mechanism, ...], *, orders: tuple[float, ...]) -> Measures:
    """Return what stop rules add up for mechanisms that run one after another."""
    return Measures(
        rdp=tuple(float(value) for value in Accountant(mechanisms).rdp(np.asarray(orders))),
        rho=zcdp_rho(mechanisms),
        mu_squared=gdp_mu_squared(mechanisms),
    )


def measures_to_json(measures: Measures) -> dict[str, Any]:
    """Return measures as entries hold them."""
    return {"rdp": measures.rdp, "rho": measures.rho, "mu_squared": measures.mu_squared}


@lru_cache(maxsize=4096)
def measures_from_json(text: str) -> Measures:
    """Read what :func:`measures_to_json` described, reals as strings."""
    value = json.loads(text)
    return Measures(
        rdp=tuple(float(part) for part in value["rdp"]),
        rho=None if value["rho"] is None else float(value["rho"]),
        mu_squared=None if value["mu_squared"] is None else float(value["mu_squared"]),
    )


def composed_epsilon(plans: Mapping[str, int], *, delta: float) -> float | None:
    """Return ε at δ of plans whose parameters were all fixed in advance.

    Parameters
    ----------
    plans : mapping of str to int
        Descriptions of plans (:meth:`dpsynth.privacy.Plan.spec`) in JSON, and how often each ran.
    delta : float
        δ of the population.

    Returns
    -------
    float or None
        ``None`` if there are too many different mechanisms to compose.
    """
    kept: dict[Mechanism, Mechanism] = {}
    for text, times in plans.items():
        for charge in json.loads(text)["charges"]:
            mechanism = _times(mechanism_from_spec(charge["mechanism"]), times)
            key = _single(mechanism)
            kept[key] = _joined(kept[key], mechanism) if key in kept else mechanism
    if len(kept) > _MOST_KINDS:
        return None
    return float(Accountant(kept.values()).epsilon(delta))


def _single(mechanism: Mechanism) -> Mechanism:
    """Return what mechanisms must share to be joined."""
    if isinstance(mechanism, ZCDP):
        return replace(mechanism, rho=1.0)
    if isinstance(mechanism, PartitionSelection):
        mechanism = replace(mechanism, failure_delta=1.0)
    return replace(mechanism, **{name: 1 for name in _REPEATS if hasattr(mechanism, name)})


def _joined(one: Mechanism, other: Mechanism) -> Mechanism:
    sums = {name: getattr(one, name) + getattr(other, name) for name in _ADDS if hasattr(one, name)}
    return replace(one, **sums)


def _times(mechanism: Mechanism, times: int) -> Mechanism:
    products = {n: times * getattr(mechanism, n) for n in _ADDS if hasattr(mechanism, n)}
    return replace(mechanism, **products)
