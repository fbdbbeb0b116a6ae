"""Checks of the fields of a statement. A message names the field, never what it holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from typing import Any, NoReturn, TypeVar

from dpsynth.errors import DPSynthError, IntegrityError, UsageError

_T = TypeVar("_T")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

SLACK = 1e-6
"""Shares of a capacity are sums of rounded quotients: they agree up to this."""


def malformed(name: str, expected: str) -> NoReturn:
    """Refuse a field."""
    raise UsageError(f"statement: {name} must be {expected}.", code="DPS520") from None


def text(name: str, value: object) -> str:
    """Return a name that stays on one line and shows what it is made of."""
    if not (isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= 200):
        malformed(name, "1 to 200 printable characters")
    return value


def number(name: str, value: object, low: float = 0.0, high: float = math.inf) -> float:
    """Return a finite number of a closed interval as a float."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (math.isfinite(value) and low <= value <= high)
    ):
        malformed(name, f"a number from {low:g} to {high:g}" if high < math.inf else f"≥ {low:g}")
    return float(value)


def whole(name: str, value: object) -> int:
    """Return a whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        malformed(name, "a whole number ≥ 0")
    return value


def digest(name: str, value: object) -> str:
    """Return a SHA-256 in hexadecimal digits."""
    if not (isinstance(value, str) and _SHA256.fullmatch(value)):
        malformed(name, "64 lower-case hexadecimal digits")
    return value


def day(name: str, value: object) -> str:
    """Return an ISO 8601 date without a time of day."""
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            date.fromisoformat(value)
            return value
    except ValueError:
        pass
    malformed(name, "a date, YYYY-MM-DD")


def choice(name: str, value: object, allowed: Collection[str]) -> str:
    """Return one of a few words."""
    if not isinstance(value, str) or value not in allowed:
        malformed(name, f"one of {', '.join(allowed)}")
    return str(value)


def each(name: str, value: object, check: Callable[[str, Any], _T]) -> tuple[_T, ...]:
    """Return a sequence whose members were checked."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        malformed(name, "a sequence")
    return tuple(check(name, item) for item in value)


def exact(document: object, names: Collection[str], where: str) -> Mapping[str, Any]:
    """Return a JSON object that has these fields and no other."""
    if not isinstance(document, Mapping) or set(document) != set(names):
        malformed(where, f"an object made of {', '.join(names)}")
    return document


def array(value: object, where: str) -> list[Any]:
    """Return a JSON array."""
    if not isinstance(value, list | tuple):
        malformed(where, "an array")
    return list(value)


def refused(kind: str, error: Exception) -> IntegrityError:
    """Return the error for a document that is not of a kind."""
    detail = f": {error.message}" if isinstance(error, DPSynthError) else "."
    return IntegrityError(
        f"this is no {kind} document{detail}", code="DPS620", fix="export the statement anew."
    )
