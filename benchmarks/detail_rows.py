"""Reading rows of details: what is missing or not finite is None, never an error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchmarks.charts import digits

if TYPE_CHECKING:
    from benchmarks.report import Row


def number_in(row: Row, name: str) -> float | None:
    """Return a number; None where there is none."""
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def known_in(row: Row, name: str) -> bool:
    """Return whether there is a number."""
    return number_in(row, name) is not None


def share_in(row: Row, name: str) -> float:
    """Return a number of which none is nothing."""
    return number_in(row, name) or 0.0


def digits_in(row: Row, name: str) -> str:
    """Return a number as it is shown."""
    return digits(number_in(row, name))


def text_in(row: Row, name: str) -> str:
    """Return a text; empty where there is none."""
    return str(row.get(name, ""))
