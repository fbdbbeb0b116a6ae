"""The accountant: composition, ε(δ), δ(ε), trade-off curve and what an attacker gains.

Every figure is an upper bound on the privacy loss of mechanisms **whose parameters were fixed in
advance**. For plans chosen after looking at earlier results the ledger's filter decides
(:mod:`dpsynth.filters`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from dp_accounting.rdp import rdp_privacy_accountant as library_rdp

from dpsynth.errors import BudgetError, UsageError
from dpsynth.losses import (
    ORDERS,
    LossDistribution,
    dominating_distribution,
    failure_delta,
    is_exact,
    loss_distribution,
    privacy_profile,
    renyi,
    sum_renyi,
)
from dpsynth.privacy import MIN_DELTA, Mechanism, NeighbouringRelation
from dpsynth.rounding import round_up

FloatArray = npt.NDArray[np.float64]

DISCRETISATION = 1e-4
"""Grid of the privacy loss in reports, in nats."""

_FLOOR_PER_STEP = 2.0**-52
"""How far δ of a loss distribution may fall below the truth for each mechanism run in it. The error
of the Fourier transform grows with the number of runs: 7e-17 per run was the most that was measured
against the closed form, up to a million runs."""

_MOST_EPSILON = 100.0
"""Above this ε at MIN_DELTA the Rényi bound is used alone: a loss distribution would need gigabytes
to tell hopeless from nearly hopeless."""


_REPEATS = ("count", "steps", "votes")


@dataclass(frozen=True, slots=True)
class Accountant:
    """A composition of mechanisms.

    Parameters
    ----------
    mechanisms : iterable of Mechanism
        All for the same neighbouring relation.
    discretisation : float
        Grid of the privacy loss distribution, in nats; coarser is faster and more pessimistic.

    Examples
    --------
    >>> from dpsynth.privacy import Gaussian
    >>> Accountant([Gaussian(relation="add_remove", noise_multiplier=4.0)]).certificate(1e-5)
    0.95

    Privacy
    -------
    ε is the smaller of two valid bounds: Rényi costs of everything, and the loss distribution of
    the exact parts composed with one distribution that dominates all the others.
    """

    mechanisms: tuple[Mechanism, ...] = ()
    discretisation: float = DISCRETISATION

    def __init__(
        self, mechanisms: Iterable[Mechanism] = (), *, discretisation: float = DISCRETISATION
    ) -> None:
        mechanisms = tuple(mechanisms)
        relations = {mechanism.relation for mechanism in mechanisms}
        if len(relations) > 1:
            raise BudgetError(
                "mechanisms stated for different neighbouring relations cannot be composed.",
                code="DPS102",
                fix="state all of them for the relation of the privacy unit.",
            )
        if not (math.isfinite(discretisation) and discretisation > 0):
            raise UsageError(f"discretisation must be a positive number, got {discretisation}.")
        object.__setattr__(self, "mechanisms", mechanisms)
        object.__setattr__(self, "discretisation", float(discretisation))

    def compose(self, *mechanisms: Mechanism) -> Accountant:
        """Return an accountant of these mechanisms as well."""
        return Accountant((*self.mechanisms, *mechanisms), discretisation=self.discretisation)

    @property
    def relation(self) -> NeighbouringRelation | None:
        """The common neighbouring relation; ``None`` when nothing is composed."""
        return self.mechanisms[0].relation if self.mechanisms else None

    @property
    def failure_delta(self) -> float:
        """Sum of the failure probabilities, which are spent whatever ε is asked for."""
        return math.fsum(failure_delta(m) for m in self.mechanisms)

    def rdp(self, orders: npt.ArrayLike = ORDERS) -> FloatArray:
        """Return the Rényi cost at some orders above 1, in nats; failures are apart."""
        at = np.atleast_1d(np.asarray(orders, dtype=np.float64))
        if (at <= 1).any():
            raise UsageError("Rényi orders must be above 1.")
        return sum_renyi(self.mechanisms, at)

    def rdp_epsilon(self, delta: float) -> float:
        """Return ε at δ by Rényi costs alone."""
        rest = self._rest(delta)
        if rest <= 0:
            return math.inf
        if not self.mechanisms:
            return 0.0
        return max(0.0, float(library_rdp.compute_epsilon(ORDERS, self.rdp(), rest)[0]))

    def epsilon(self, delta: float) -> float:
        """Return the smallest ε that is known to hold at δ; infinite where none is."""
        rest = self._rest(delta)
        if rest <= 0 or not self.mechanisms:
            return math.inf if rest <= 0 else 0.0
        by_rdp = self.rdp_epsilon(delta)
        if rest <= self._floor or not self._tabulated(self.rdp()):
            return by_rdp
        return min(by_rdp, self._epsilon_by_loss(rest - self._floor))

    def certificate(self, delta: float) -> float:
        """Return ε at δ rounded up to three decimals: the figure for reports."""
        return round_up(self.epsilon(delta))

    def delta(self, epsilon: float) -> float:
        """Return the smallest δ that is known to hold at ε."""
        if not (math.isfinite(epsilon) and epsilon >= 0):
            raise UsageError(f"epsilon must be a number of at least 0, got {epsilon}.")
        if not self.mechanisms:
            return 0.0
        return float(self._profile(np.array([float(epsilon)]))[0])

    def advantage(self) -> float:
        """Return the most by which true and false positive rate of an attack can differ."""
        return self.delta(0.0)

    def tradeoff(self, false_positive_rate: npt.ArrayLike) -> FloatArray:
        """Return the least false negative rate of any membership attack.

        Parameters
        ----------
        false_positive_rate : array_like, shape (n,)
            In [0, 1].

        Returns
        -------
        ndarray, shape (n,)

        Notes
        -----
        f(α) = max over ε ≥ 0 of max(0, 1 - δ(ε) - e^ε α, e^-ε (1 - δ(ε) - α)).

        References
        ----------
        Dong, Roth, Su, "Gaussian Differential Privacy", arXiv 1905.02383, Proposition 6.
        """
        alpha = np.atleast_1d(np.asarray(false_positive_rate, dtype=np.float64))
        if ((alpha < 0) | (alpha > 1)).any():
            raise UsageError("false positive rates lie in [0, 1].")
        if not self.mechanisms:
            return 1 - alpha
        epsilons = np.concatenate([np.linspace(0, 5, 501), np.linspace(5, 60, 551)[1:]])
        deltas = self._profile(epsilons)[:, None]
        growth = np.exp(epsilons)[:, None]
        bounds = np.maximum(1 - deltas - growth * alpha, (1 - deltas - alpha) / growth)
        return np.maximum(0.0, bounds.max(axis=0))

    def true_positive_rate(self, false_positive_rate: float) -> float:
        """Return the most true positives of an attack at a false positive rate."""
        return float(1 - self.tradeoff([false_positive_rate])[0])

    def explain(self, delta: float) -> str:
        """Say in plain words what ε at δ means."""
        epsilon = self.certificate(delta)
        if math.isinf(epsilon):
            return f"At δ = {delta:g} there is no guarantee: δ is spent before any ε."
        if epsilon > _MOST_EPSILON:
            return f"At δ = {delta:g} ε is {epsilon:g}: this protects nobody in practice."
        advantage = self.advantage()  # of the whole curve: ε at one δ alone says much less
        changed = "Adding or removing" if self.relation != "replace_one" else "Exchanging"
        return (
            f"{changed} all rows of one privacy unit changes the probability of any released "
            f"outcome by at most a factor e^ε = {math.exp(epsilon):.3g}, except with probability "
            f"δ = {delta:g}. An attacker who knows everybody else's rows guesses whether a given "
            f"unit was included correctly at most {50 * (1 + advantage):.1f}% of the time (50% is "
            f"a coin flip): true positives exceed false positives by at most "
            f"{100 * advantage:.1f} percentage points; at 1% false positives at most "
            f"{100 * self.true_positive_rate(0.01):.1f}% of members are found."
        )

    def _rest(self, delta: float) -> float:
        if not MIN_DELTA <= delta < 1:
            raise UsageError(
                f"delta must lie in [{MIN_DELTA}, 1), got {delta}: below it numerical error is no "
                "longer on the safe side."
            )
        return delta - self.failure_delta

    def _epsilon_by_loss(self, delta: float) -> float:
        # The library walks down its grid by repeated subtraction, and the rounding errors of a
        # million subtractions add up to some 1e-9 nats, in either direction; its δ has no such
        # error. ε is therefore raised until δ there is met.
        distribution = self._distribution()
        epsilon = float(distribution.get_epsilon_for_delta(delta))
        step = 1e-10
        while math.isfinite(epsilon) and distribution.get_delta_for_epsilon(epsilon) > delta:
            epsilon += step
            step *= 2
        return epsilon

    @property
    def _floor(self) -> float:
        runs = (getattr(m, name, 0) for m in self.mechanisms for name in _REPEATS)
        return _FLOOR_PER_STEP * (len(self.mechanisms) + sum(runs))

    def _profile(self, epsilons: FloatArray) -> FloatArray:
        """Return δ at ascending ε ≥ 0, failures included."""
        rdp = self.rdp()
        deltas = privacy_profile(rdp, epsilons)
        if self._tabulated(rdp):
            by_loss = np.asarray(self._distribution().get_delta_for_epsilon(epsilons))
            deltas = np.minimum(deltas, by_loss + self._floor)
        return np.minimum(deltas + self.failure_delta, 1.0)

    @staticmethod
    def _tabulated(rdp: FloatArray) -> bool:
        return bool(library_rdp.compute_epsilon(ORDERS, rdp, MIN_DELTA)[0] <= _MOST_EPSILON)

    def _distribution(self) -> LossDistribution:
        return _distribution(self.mechanisms, self.discretisation)


@lru_cache(maxsize=16)
def _distribution(mechanisms: tuple[Mechanism, ...], discretisation: float) -> LossDistribution:
    # Kept: a certificate asks the same composition at many δ.
    exact = tuple(m for m in mechanisms if is_exact(m))
    others = [m for m in mechanisms if not is_exact(m)]
    total = loss_distribution(exact, discretisation)
    if not others:
        return total
    block = sum((renyi(m, ORDERS) for m in others), np.zeros_like(ORDERS))
    return total.compose(dominating_distribution(block, discretisation))
