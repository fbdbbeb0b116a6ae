"""What a guarantee means for an attacker: odds, best guess, advantage, detection rates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from dpsynth.certificate._checks import each, exact, malformed, number

_LARGEST = 700.0  # e^ε stays a finite float up to here; far beyond, no figure differs from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """Bounds on what anybody can learn about whether one privacy unit is in the data.

    Parameters
    ----------
    odds_factor : float
        e^ε ≥ 1: the most by which the odds of any outcome change (outside an event of
        probability δ).
    best_guess : float
        Largest probability, in [0.5, 1], of guessing correctly whether a unit is in the data, for
        somebody who knows everything else and thought both cases equally likely.
    advantage : float
        Largest true positive minus false positive rate, in [0, 1].
    tpr_at_1_percent : float
        Largest true positive rate at a false positive rate of 1%, in [0.01, 1].
    tpr_at_0_1_percent : float
        The same at 0.1%, in [0.001, 1].
    """

    odds_factor: float
    best_guess: float
    advantage: float
    tpr_at_1_percent: float
    tpr_at_0_1_percent: float

    def __post_init__(self) -> None:
        limits = {
            "odds_factor": (1.0, math.inf),
            "best_guess": (0.5, 1.0),
            "advantage": (0.0, 1.0),
            "tpr_at_1_percent": (0.01, 1.0),
            "tpr_at_0_1_percent": (0.001, 1.0),
        }
        for name, (low, high) in limits.items():
            object.__setattr__(self, name, number(name, getattr(self, name), low, high))

    @classmethod
    def of(cls, curve: Iterable[tuple[float, float]], *, epsilon: float) -> Self:
        """Work out the bounds that (ε, δ) pairs imply, taking the best of them for each.

        Parameters
        ----------
        curve : iterable of (float, float)
            Pairs (ε, δ) that were certified; at least one.
        epsilon : float
            The ε whose factor e^ε is reported; beyond ε = 700 the factor stays at e^700.

        Returns
        -------
        Meaning

        References
        ----------
        Kairouz, Oh, Viswanath, *The composition theorem for differential privacy*, ICML 2015:
        under (ε, δ) a test with false positive rate α detects with probability at most
        min(δ + e^ε α, 1 - e^-ε (1 - δ - α)), and no test has an advantage above
        (e^ε - 1 + 2δ)/(e^ε + 1).
        """
        pairs = [(min(float(e), _LARGEST), float(d)) for e, d in curve]
        if not pairs:
            malformed("curve", "at least one pair of ε and δ")

        def detected(alpha: float) -> float:
            rates = (
                min(d + math.exp(e) * alpha, 1 - math.exp(-e) * (1 - d - alpha)) for e, d in pairs
            )
            return min(1.0, max(alpha, min(rates)))

        advantage = min(
            1.0, min(1 - 2 * (1 - d) * math.exp(-e) / (1 + math.exp(-e)) for e, d in pairs)
        )
        return cls(
            odds_factor=math.exp(min(epsilon, _LARGEST)),
            best_guess=(1 + advantage) / 2,
            advantage=advantage,
            tpr_at_1_percent=detected(0.01),
            tpr_at_0_1_percent=detected(0.001),
        )

    def to_dict(self) -> dict[str, float]:
        """Return a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Rebuild from :meth:`to_dict`; other fields are refused."""
        return cls(**exact(document, [f.name for f in fields(cls)], "meaning"))


def pair(name: str, value: Any) -> tuple[float, float]:  # noqa: ANN401 - it is what is checked
    """Return a checked pair (ε, δ)."""
    members = each(name, value, lambda _, item: item)
    if len(members) != 2:
        malformed(name, "made of pairs of ε and δ")
    return number(f"ε of {name}", members[0]), number(f"δ of {name}", members[1], 0.0, 1.0)
