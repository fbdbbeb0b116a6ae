"""Numbers as reports print them, and the bars of the waterfall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from dpsynth.certificate.lines import StatementCharge
from dpsynth.certificate.statement import Statement

MAX_BARS = 24
"""Most bars of a waterfall that can be told apart on one page."""

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGE_FACTOR = 1e6


def up(value: float, places: int = 3) -> str:
    """Print what was spent, never rounded down."""
    return _rounded(value, places, ROUND_CEILING)


def down(value: float, places: int = 3) -> str:
    """Print what remains, never rounded up."""
    return _rounded(value, places, ROUND_FLOOR)


def percent(share: float) -> str:
    """Print a share in per cent with one decimal, never rounded down."""
    # A share is a quotient of floats: its last bits must not turn 25% into 25.1%.
    return f"{_rounded(round(100 * share, 9), 1, ROUND_CEILING)}%"


def chance(probability: float) -> str:
    """Print a bound on a probability in per cent, two decimals, never rounded down."""
    return f"{_rounded(round(100 * probability, 9), 2, ROUND_CEILING)}%"


def power(value: float) -> str:
    """Print a small number as a decimal power, three digits, never rounded down."""
    if value == 0:
        return "0"
    exact = Decimal(repr(value))
    exponent = exact.adjusted()
    scaled = exact.scaleb(-exponent).quantize(Decimal("0.01"), rounding=ROUND_CEILING)
    if scaled == 10:
        scaled, exponent = Decimal(1), exponent + 1
    mantissa = _plain(scaled)
    if -3 <= exponent <= 2:
        return _plain(scaled.scaleb(exponent))
    ten = f"10{str(exponent).translate(_SUPERSCRIPT)}"
    return ten if mantissa == "1" else f"{mantissa} × {ten}"


def factor(value: float) -> str:
    """Print a factor with three significant digits, never rounded down."""
    if value > _LARGE_FACTOR:
        return "more than 1,000,000"
    exact = Decimal(repr(value))
    places = max(0, 2 - exact.adjusted())
    return f"{exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_CEILING):,f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of the waterfall.

    Parameters
    ----------
    label : str
        What it stands for.
    start, end : float
        Where it begins and ends, as parts of the capacity in [0, 1].
    open : bool
        Whether the run has not ended yet.
    """

    label: str
    start: float
    end: float
    open: bool

    @property
    def share(self) -> float:
        """Part of the capacity."""
        return self.end - self.start


def waterfall(statement: Statement) -> tuple[Bar, ...]:
    """Return the bars of a statement: a step each, or a charge, or several charges.

    Charges carry the numbers that they have in the table of charges. Aborted ones take nothing
    and have no bar.
    """
    counted = [(n, c) for n, c in enumerate(statement.charges, start=1) if c.counts]
    pieces = [piece for number, charge in counted for piece in _steps(number, charge)]
    if len(pieces) > MAX_BARS:
        pieces = [(_label(n, c), c.share, _open(c)) for n, c in counted]
    if len(pieces) > MAX_BARS:
        size = math.ceil(len(counted) / MAX_BARS)
        pieces = [_group(counted[i : i + size]) for i in range(0, len(counted), size)]
    bars: list[Bar] = []
    for i, (label, _, is_open) in enumerate(pieces):
        start = bars[-1].end if bars else 0.0
        # Sums from the beginning, so that rounding does not add up along the bars.
        end = min(1.0, math.fsum(share for _, share, _ in pieces[: i + 1]))
        bars.append(Bar(label=label, start=start, end=max(start, end), open=is_open))
    return tuple(bars)


def _steps(number: int, charge: StatementCharge) -> list[tuple[str, float, bool]]:
    if charge.step_shares is None or len(charge.mechanisms) < 2:
        return [(_label(number, charge), charge.share, _open(charge))]
    steps = [step for step, _ in charge.mechanisms]
    return [
        (f"{_label(number, charge)}: {step}", share, _open(charge))
        for step, share in zip(steps, charge.step_shares, strict=True)
    ]


def _group(members: list[tuple[int, StatementCharge]]) -> tuple[str, float, bool]:
    numbers = [number for number, _ in members]
    methods = dict.fromkeys(charge.method for _, charge in members)
    what = next(iter(methods)) if len(methods) == 1 else f"{len(methods)} methods"
    span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"
    share = math.fsum(charge.share for _, charge in members)
    return f"{span} · {what}", share, any(_open(charge) for _, charge in members)


def _label(number: int, charge: StatementCharge) -> str:
    return f"{number} · {charge.method}"


def _open(charge: StatementCharge) -> bool:
    return charge.state in ("reserved", "touched")


def _rounded(value: float, places: int, mode: str) -> str:
    exact = Decimal(repr(float(value)))
    return f"{exact.quantize(Decimal(1).scaleb(-places), rounding=mode):,f}"


def _plain(value: Decimal) -> str:
    shown = f"{value:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
