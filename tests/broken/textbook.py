"""Textbook parts for what dpsynth does not do itself, so that its famous slips have a home.

Data-dependent moments of a vote under Laplace noise: dpsynth books data-independent costs, as such
an ε is itself private; public implementations of PATE-GAN do otherwise.
"""

from __future__ import annotations

import math


def other_shown(gap: int, rate: float) -> float:
    """Chance that the class with fewer votes is shown: tail of a difference of two Laplaces."""
    return (2 + rate * gap) / (4 * math.exp(rate * gap))


def moment(gap: int, order: int, *, rate: float) -> float:
    """Papernot et al., arXiv 1610.05755, theorems 2 and 3."""
    q, growth = other_shown(gap, rate), math.exp(2 * rate)
    independent = 2 * rate * rate * order * (order + 1)
    if q >= (growth - 1) / (growth**2 - 1):
        return independent
    clear = (1 - q) * math.pow((1 - q) / (1 - growth * q), order) + q * math.exp(2 * rate * order)
    return min(independent, math.log(clear))
