"""Twins of the accountant, of plans and of moments: something else is booked than runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from dpsynth.accountant import Accountant
from dpsynth.neural.pategan import PATEGAN
from dpsynth.privacy import (
    Budget,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Mechanism,
    PATEVote,
    PlannedCharge,
    PoissonSampledGaussian,
)
from tests.broken import textbook


def _priced(change: Callable[[Mechanism], Mechanism | None]) -> Callable:
    def cost(mechanisms: Sequence[Mechanism], delta: float) -> float:
        kept = [changed for m in mechanisms if (changed := change(m)) is not None]
        return Accountant(kept).epsilon(delta)

    return cost


def _half_rate(mechanism: Mechanism) -> Mechanism:
    """The rate of one of two devices, or of batches counted in pairs."""
    if isinstance(mechanism, PoissonSampledGaussian):
        q = mechanism.sampling_probability / 2
        return dataclasses.replace(mechanism, sampling_probability=q)
    return mechanism


def _epochs(mechanism: Mechanism) -> Mechanism:
    """As many steps as epochs."""
    if isinstance(mechanism, PoissonSampledGaussian):
        steps = math.ceil(mechanism.steps * mechanism.sampling_probability)
        return dataclasses.replace(mechanism, steps=steps)
    return mechanism


def _once(mechanism: Mechanism) -> Mechanism:
    """A repeated mechanism is charged once, as in a known under-count of a library."""
    if isinstance(mechanism, Gaussian | DiscreteGaussian):
        return dataclasses.replace(mechanism, count=1)
    return mechanism


def _no_choice(mechanism: Mechanism) -> Mechanism | None:
    """Selection is "only preparation"."""
    return None if isinstance(mechanism, Exponential) else mechanism


def _double_noise(mechanism: Mechanism) -> Mechanism:
    """Takes the multiplier for one over a diameter of two, although one unit moves one."""
    if isinstance(mechanism, PATEVote):
        return dataclasses.replace(mechanism, noise_multiplier=2 * mechanism.noise_multiplier)
    return mechanism


half_rate = _priced(_half_rate)
epochs_for_steps = _priced(_epochs)
counts_charged_once = _priced(_once)
choice_left_out = _priced(_no_choice)
votes_at_half_their_price = _priced(_double_noise)


class WrongLambda(PATEGAN):
    """λ = √(2 log(1.25 · 10^δ)) / ε: the power where a quotient belongs, and one vote for all."""

    def _plan_charges(
        self, budget: Budget, units: int, codec: Any
    ) -> tuple[tuple[PlannedCharge, ...], dict[str, Any]]:
        charges, parameters = super()._plan_charges(budget, units, codec)
        scale = math.sqrt(2 * math.log(1.25 * 10**budget.delta)) / budget.epsilon
        return tuple(_rescaled(charge, scale) for charge in charges), parameters


class LambdaForOneVote(PATEGAN):
    """λ = √(2 log(1.25/δ)) / ε, right for one vote, for all of them."""

    def _plan_charges(
        self, budget: Budget, units: int, codec: Any
    ) -> tuple[tuple[PlannedCharge, ...], dict[str, Any]]:
        charges, parameters = super()._plan_charges(budget, units, codec)
        scale = math.sqrt(2 * math.log(1.25 / budget.delta)) / budget.epsilon
        return tuple(_rescaled(charge, scale) for charge in charges), parameters


def _rescaled(charge: PlannedCharge, scale: float) -> PlannedCharge:
    if not isinstance(charge.mechanism, PATEVote):
        return charge
    return dataclasses.replace(
        charge, mechanism=dataclasses.replace(charge.mechanism, noise_multiplier=scale)
    )


def _clear_moment(gap: int, order: int, rate: float, power: float) -> float:
    q, growth = textbook.other_shown(gap, rate), math.exp(2 * rate)
    return (1 - q) * ((1 - q) / (1 - growth * q)) ** order + q * math.exp(power)


def moments_without_log(gap: int, order: int, *, rate: float) -> float:
    """Adds up moments themselves where their logarithms belong."""
    if textbook.moment(gap, order, rate=rate) == 2 * rate * rate * order * (order + 1):
        return textbook.moment(gap, order, rate=rate)
    return _clear_moment(gap, order, rate, 2 * rate * order)


def moments_with_a_slipped_bracket(gap: int, order: int, *, rate: float) -> float:
    """``exp(2λl + 1)`` for ``exp(2λ(l + 1))``, where orders are counted from 0."""
    independent = 2 * rate * rate * order * (order + 1)
    q, growth = textbook.other_shown(gap, rate), math.exp(2 * rate)
    if q >= (growth - 1) / (growth**2 - 1):
        return independent
    clear = _clear_moment(gap, order, rate, 2 * rate * (order - 1) + 1)
    return min(independent, math.log(clear))
