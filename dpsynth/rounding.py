"""Rounding against the spender: what was spent upwards, what remains downwards."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_DECIMALS = Decimal("0.001")


def round_up(epsilon: float) -> float:
    """Round what was spent to three decimals, never down."""
    return _rounded(epsilon, ROUND_CEILING)


def round_down(epsilon: float) -> float:
    """Round what remains to three decimals, never up."""
    return _rounded(epsilon, ROUND_FLOOR)


def _rounded(value: float, mode: str) -> float:
    number = Decimal(repr(float(value)))
    return float(number.quantize(_DECIMALS, rounding=mode) if number.is_finite() else number)
