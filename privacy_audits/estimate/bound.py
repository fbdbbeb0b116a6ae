"""What an estimator says: a lower bound with its ceiling, its method and its assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from dpsynth.errors import UsageError
from privacy_audits.estimate.conversion import epsilon_of_mu

Quantity = Literal["epsilon", "mu"]

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One-sided confidence bound from below on how much a mechanism leaks.

    Parameters
    ----------
    quantity : {"epsilon", "mu"}
        What is bounded: ε at ``delta``, or μ of Gaussian differential privacy.
    lower : float
        The leakage is at least this with probability ``confidence``; 0 says nothing.
    point : float
        The plain estimate, without a safety margin; may be infinite.
    ceiling : float
        The largest lower bound that a perfect attack could have reached with as many observations;
        infinite if none.
    method : str
        Name of the estimator.
    assumptions : tuple of str
        What must hold for the bound to be one; nothing else is assumed.
    confidence : float
        One-sided, in (0.5, 1).
    delta : float, optional
        δ at which ε is bounded; None for μ.

    Raises
    ------
    UsageError
        If the lower bound is above the point estimate or the ceiling: then it is not a bound.
    """

    quantity: Quantity
    lower: float
    point: float
    ceiling: float
    method: str
    assumptions: tuple[str, ...]
    confidence: float
    delta: float | None = None

    def __post_init__(self) -> None:
        limit = min(self.point, self.ceiling)
        if not 0 <= self.lower <= limit + _ROUNDING * max(1.0, abs(limit)):
            raise UsageError(
                f"the lower bound of {self.method!r} is not between 0 and its point estimate and "
                "its ceiling.",
                code="DPS401",
                fix="do not use this estimator; report it as a bug.",
            )
        if (self.quantity == "epsilon") != (self.delta is not None):
            raise UsageError("a bound on epsilon states its delta, a bound on mu has none.")

    def at(self, delta: float) -> Bound:
        """Return this as a bound on ε at ``delta``.

        Raises
        ------
        UsageError
            If it is a bound on ε at another δ, which cannot be moved.
        """
        if self.quantity == "epsilon":
            if delta != self.delta:
                raise UsageError(
                    "a bound on epsilon holds at the delta it was made for only.",
                    fix="estimate again with this delta.",
                )
            return self
        return replace(
            self,
            quantity="epsilon",
            lower=epsilon_of_mu(self.lower, delta),
            point=epsilon_of_mu(self.point, delta),
            ceiling=epsilon_of_mu(self.ceiling, delta),
            delta=delta,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is infinite is None."""
        return {
            "quantity": self.quantity,
            "lower": self.lower,
            "point": _finite(self.point),
            "ceiling": _finite(self.ceiling),
            "method": self.method,
            "assumptions": list(self.assumptions),
            "confidence": self.confidence,
            "delta": self.delta,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def check_level(alpha: float) -> None:
    """Refuse a level outside (0, 0.5): from there on a lower bound may exceed its estimate."""
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha must lie in (0, 0.5), got {alpha}.")


def check_delta(delta: float) -> None:
    """Refuse a δ outside [0, 1)."""
    if not (math.isfinite(delta) and 0 <= delta < 1):
        raise UsageError(f"delta must lie in [0, 1), got {delta}.")
