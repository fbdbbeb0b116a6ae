"""What a page can draw: places of marks, in parts of a figure. Drawing is the template's work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Shape = Literal["circle", "square", "diamond", "tick", "cross"]
"""What tells one series from another, beside its colour."""

STEPS = 5
"""Shades of a map, beside none."""

_TICKS = 4
_LONGEST = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A scale.

    Parameters
    ----------
    low, high : float
        Ends; positive where the scale is logarithmic.
    log : bool
        Whether equal ways are equal ratios.
    turned : bool
        Whether the high end stands on the left.
    """

    low: float
    high: float
    log: bool = False
    turned: bool = False

    def place(self, value: float) -> float:
        """Return where a value stands, in [0, 1]; what lies beyond an end stands on it."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        if high <= low:
            return 0.5
        if self.log and value <= 0:
            return 0.0
        place = min(1.0, max(0.0, (self._scaled(value) - low) / (high - low)))
        return 1.0 - place if self.turned else place

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return places and texts of round numbers."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            values = [10.0**power for power in range(first, last + 1)]
        else:
            step = _round_step((self.high - self.low) / _TICKS)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            values = [round(step * k, 12) for k in range(first, last + 1)]
        return tuple((self.place(value), f"{value:g}") for value in values)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark of a lane.

    Parameters
    ----------
    shape : str
        Its shape, which stands for a series.
    place : float
        In [0, 1].
    """

    shape: Shape
    place: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A row with a horizontal axis.

    Parameters
    ----------
    label : str
        What it is about.
    value : str
        Its figure in digits.
    bar : pair of float or None
        Places of the ends of an interval or bar.
    marks : tuple of Mark
        Its marks.
    link : pair of float or None
        Places of two marks that a line joins.
    """

    label: str
    value: str
    bar: tuple[float, float] | None
    marks: tuple[Mark, ...]
    link: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """Rows under one axis.

    Parameters
    ----------
    lanes : tuple of Lane
        The rows.
    ticks : tuple of (float, str)
        Of the axis.
    legend : tuple of (str, str)
        Shape and what it stands for.
    rule : float or None
        Place of a line through all rows.
    band : pair of float or None
        Places of the ends of a band behind all rows.
    band_name : str
        What it stands for.
    interval : str
        What the bars stand for.
    note : str
        What the axis is.
    """

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    legend: tuple[tuple[Shape, str], ...]
    rule: float | None = None
    band: tuple[float, float] | None = None
    band_name: str = ""
    interval: str = "95 % interval"
    note: str = ""
    kind: str = "lanes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A cell of a map.

    Parameters
    ----------
    row, column : int
        Its place.
    step : int
        Shade, from 0 to :data:`STEPS`.
    sign : {"plus", "minus"}
        Which of two colours.
    text : str
        Its figure, in hundredths.
    """

    row: int
    column: int
    step: int
    sign: Literal["plus", "minus"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The lower triangle of a map over pairs of columns.

    Parameters
    ----------
    names : tuple of str
        Columns, shortened.
    tiles : tuple of Tile
        Its cells.
    legend : tuple of (int, str, str)
        Shade, sign and what it stands for.
    """

    names: tuple[str, ...]
    tiles: tuple[Tile, ...]
    legend: tuple[tuple[int, str, str], ...]
    kind: str = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Two distributions over the same bins.

    Parameters
    ----------
    title, note : str
        What is shown, and a figure of it.
    real, synthetic : tuple of float
        Heights, in [0, 1].
    first, last : str
        What stands under the ends of the axis.
    """

    title: str
    note: str
    real: tuple[float, ...]
    synthetic: tuple[float, ...]
    first: str
    last: str

    def outline(self, width: float, height: float) -> str:
        """Return the synthetic distribution as a line of steps for an SVG path."""
        step = width / max(1, len(self.synthetic))
        parts = [f"M0,{height:.1f}"]
        for number, share in enumerate(self.synthetic):
            parts.append(f"V{height * (1 - share):.1f}H{step * (number + 1):.1f}")
        return "".join(parts) + f"V{height:.1f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panels:
    """Small pictures of one form.

    Parameters
    ----------
    panels : tuple of Bars
        The pictures.
    names : pair of str
        What filled bars and the line stand for.
    """

    panels: tuple[Bars, ...]
    names: tuple[str, str]
    kind: str = "panels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Points on two equal axes.

    Parameters
    ----------
    points : tuple of (float, float)
        Places, in [0, 1].
    ticks : tuple of (float, str)
        Of both axes.
    upper, lower : tuple of (float, float)
        Corners of the band within which points are expected.
    names : pair of str
        What the axes stand for.
    """

    points: tuple[tuple[float, float], ...]
    ticks: tuple[tuple[float, str], ...]
    upper: tuple[tuple[float, float], ...]
    lower: tuple[tuple[float, float], ...]
    names: tuple[str, str]
    kind: str = "cloud"


Drawing = Lanes | Grid | Panels | Cloud


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawing, what to read off it, and the same as a table.

    Parameters
    ----------
    name : str
        Its anchor on the page.
    title : str
        Title.
    question : str
        The question that it answers.
    take_away : str
        The answer, in a sentence.
    drawing : Drawing
        The drawing.
    head : tuple of str
        Head of the table.
    rows : tuple of tuple of str
        Its rows.
    """

    name: str
    title: str
    question: str
    take_away: str
    drawing: Drawing
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def shade(size: float, largest: float) -> int:
    """Return the shade of a size; none for nothing."""
    if largest <= 0 or size <= 0:
        return 0
    return min(STEPS, max(1, math.ceil(STEPS * size / largest)))


def short(name: str) -> str:
    """Return a name that fits beside a map; the table has the whole one."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def digits(number: float | None, places: int = 3) -> str:
    """Return a figure with so many decimals; a dash where it is not defined."""
    if number is None or not math.isfinite(number):
        return "–"
    return f"{round(number, places) + 0.0:.{places}f}"  # no negative zero


def between(ends: tuple[float | None, float | None] | None) -> str:
    """Return an interval; a dash where an end is not defined."""
    if ends is None or None in ends:
        return "–"
    return f"[{digits(ends[0])}, {digits(ends[1])}]"


def span(values: Sequence[float], *, room: float = 0.05) -> tuple[float, float]:
    """Return ends of an axis that hold all values, with some room."""
    low, high = min(values), max(values)
    more = room * (high - low or abs(high) or 1.0)
    return low - more, high + more


def _round_step(rough: float) -> float:
    """Return 1, 2 or 5 times a power of ten, at least as large."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
