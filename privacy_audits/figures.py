"""Where the marks of the audit page's figures stand; drawing them is the template's work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from privacy_audits.estimate import tpr_cap

SIDE = 360
"""Side of the square of the ROC figure, in its own units."""

DECADES = 3
"""Decades of both axes of the ROC figure, down from 1."""

_STEPS = 60

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the ROC figure.

    Parameters
    ----------
    name : str
        What it stands for.
    points : str
        Corners, as an SVG polyline takes them.
    """

    name: str
    points: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A row of a figure with a horizontal axis; places are parts of its width, in [0, 1].

    Parameters
    ----------
    name : str
        What it stands for.
    low, high : float
        Ends of the bar.
    mark : float or None
        Point estimate; None where it lies beyond the axis.
    limit : float or None
        Cap or ceiling; None where it lies beyond the axis.
    claim : float or None
        What the row is held against; None where nothing is claimed.
    """

    name: str
    low: float
    high: float
    mark: float | None
    limit: float | None
    claim: float | None


def log_place(rate: float) -> float:
    """Return where a rate stands on a logarithmic axis, 0 at 10^-DECADES and 1 at 1."""
    if rate <= 0:
        return 0.0
    return min(1.0, max(0.0, 1 + math.log10(rate) / DECADES))


def roc_line(name: str, corners: Sequence[Point]) -> Line:
    """Return a ROC curve given by (false positive rate, true positive rate), ascending."""
    shown = [(log_place(x), log_place(y)) for x, y in corners]
    return Line(
        name=name, points=" ".join(f"{SIDE * x:.1f},{SIDE * (1 - y):.1f}" for x, y in shown)
    )


def cap_line(*, epsilon: float, delta: float) -> Line:
    """Return the curve that no attack on an (ε, δ)-DP release lies above."""
    rates = [10 ** (-DECADES * (1 - step / _STEPS)) for step in range(_STEPS + 1)]
    corners = [(rate, tpr_cap(rate, epsilon=epsilon, delta=delta)) for rate in rates]
    return roc_line("most that the claim allows", corners)


def span(
    name: str,
    *,
    low: float,
    high: float,
    mark: float,
    limit: float | None,
    axis: tuple[float, float],
    claim: float | None = None,
) -> Span:
    """Place a row on an axis.

    Parameters
    ----------
    name : str
        What it stands for.
    low, high, mark : float
        Interval and estimate.
    limit : float or None
        Cap or ceiling.
    axis : pair of float
        Ends of the axis.
    claim : float, optional
        What the row is held against.
    """

    def inside(value: float | None) -> float | None:
        if value is None or not axis[0] <= value <= axis[1]:
            return None
        return (value - axis[0]) / (axis[1] - axis[0])

    ends = [min(1.0, max(0.0, (end - axis[0]) / (axis[1] - axis[0]))) for end in (low, high)]
    return Span(
        name=name,
        low=ends[0],
        high=ends[1],
        mark=inside(mark),
        limit=inside(limit),
        claim=inside(claim),
    )
