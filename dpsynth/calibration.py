"""Calibration: the least noise at which a plan meets a target, never beyond it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dpsynth.accountant import Accountant
from dpsynth.errors import BudgetError, UsageError
from dpsynth.privacy import Budget, Mechanism

Make = Callable[[float], Sequence[Mechanism]]

_COARSE = 1e-3
_RELATIVE = 1e-3
_LARGEST = 2.0**30


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackRisk:
    """A target in terms of what a membership attack may achieve.

    Parameters
    ----------
    advantage : float, optional
        Most by which true and false positive rate may differ, in (0, 1).
    true_positive_rate, false_positive_rate : float, optional
        Most true positives at a false positive rate; both or neither.
    """

    advantage: float | None = None
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None

    def __post_init__(self) -> None:
        rates = (self.true_positive_rate, self.false_positive_rate)
        if (self.advantage is None) == (None in rates) or rates.count(None) == 1:
            raise UsageError(
                "give either an advantage, or a true and a false positive rate.",
            )
        if self.advantage is not None and not 0 < self.advantage < 1:
            raise UsageError(f"advantage must lie in (0, 1), got {self.advantage}.")
        if self.true_positive_rate is not None and self.false_positive_rate is not None:
            if not 0 < self.false_positive_rate < self.true_positive_rate < 1:
                raise UsageError(
                    "the true positive rate must lie above the false positive rate, both in (0, 1)."
                )

    def met_by(self, accountant: Accountant) -> bool:
        """Return whether no attack on these mechanisms does better."""
        if self.advantage is not None:
            return accountant.advantage() <= self.advantage
        assert self.false_positive_rate is not None
        assert self.true_positive_rate is not None
        found = accountant.true_positive_rate(self.false_positive_rate)
        return found <= self.true_positive_rate


def calibrate(make: Make, target: Budget | AttackRisk) -> float:
    """Return the smallest noise scale whose mechanisms meet a target.

    Parameters
    ----------
    make : callable
        Noise scale (above 0) to mechanisms; a larger scale must not cost more. Mechanisms whose
        noise is fixed may be among them.
    target : Budget or AttackRisk
        What must not be exceeded.

    Returns
    -------
    float
        Within 0.2% of the smallest scale, always on the safe side: the figure for reports
        (:meth:`Accountant.certificate`) is at most ε.

    Raises
    ------
    BudgetError
        If no scale meets the target, for example because the fixed mechanisms exceed it.
    """
    _refuse_impossible(make, target)
    low, high = _bracket(lambda scale: _met(make(scale), target, _COARSE, quick=True))
    # The quick bound is pessimistic: what it admits is safe, so only the lower end must be found.
    while _met(make(low), target, _COARSE):
        high, low = low, low / 1.5
    high, low = _bisect(lambda s: _met(make(s), target, _COARSE), low, high, relative=5e-3)
    # A finer grid is less pessimistic: the fine answer lies a little below the coarse one.
    fine = Accountant(make(1.0)).discretisation
    step = 1.02
    while _met(make(high / step), target, fine):
        high /= step
    high, _ = _bisect(lambda s: _met(make(s), target, fine), high / step, high, relative=_RELATIVE)
    while not _met(make(high), target, fine):
        high *= 1 + _RELATIVE
    return high


def _met(
    mechanisms: Sequence[Mechanism],
    target: Budget | AttackRisk,
    discretisation: float,
    *,
    quick: bool = False,
) -> bool:
    accountant = Accountant(mechanisms, discretisation=discretisation)
    if isinstance(target, AttackRisk):
        return target.met_by(accountant)
    if quick:
        return accountant.rdp_epsilon(target.delta) <= target.epsilon
    return accountant.certificate(target.delta) <= target.epsilon


def _refuse_impossible(make: Make, target: Budget | AttackRisk) -> None:
    if not _met(make(_LARGEST), target, _COARSE):
        raise BudgetError(
            "no amount of noise meets this target: the fixed mechanisms, or the failure "
            "probability of category discovery, exceed it already.",
            code="DPS103",
            fix="raise ε or δ, or leave less to discover.",
        )


def _bracket(met: Callable[[float], bool]) -> tuple[float, float]:
    high = 1.0
    while not met(high):
        high *= 2
        if high > _LARGEST:
            break
    low = high / 2
    while low > 1e-6 and met(low):
        high, low = low, low / 2
    return low, high


def _bisect(
    met: Callable[[float], bool], low: float, high: float, *, relative: float
) -> tuple[float, float]:
    """Return (smallest scale that was seen to meet the target, largest that was seen not to)."""
    while high / low > 1 + relative:
        middle = math.sqrt(low * high)
        if met(middle):
            high = middle
        else:
            low = middle
    return high, low
