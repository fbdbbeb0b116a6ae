"""Places of marks: axes, shades and ticks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.charts import STEPS, Axis, Bars, between, digits, shade, short, span

ends = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(low=ends, width=st.floats(1e-3, 1e6), value=ends)
def test_places_lie_on_the_axis_and_keep_the_order(low: float, width: float, value: float) -> None:
    axis = Axis(low=low, high=low + width)
    place = axis.place(value)
    assert 0.0 <= place <= 1.0
    assert axis.place(value - width / 10) <= place
    turned = Axis(low=low, high=low + width, turned=True)
    assert turned.place(value) == pytest.approx(1.0 - place)


@given(low=ends, width=st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    ticks = Axis(low=low, high=low + width).ticks()
    assert 1 <= len(ticks) <= 6
    assert all(0.0 <= place <= 1.0 for place, _ in ticks)
    assert [place for place, _ in ticks] == sorted(place for place, _ in ticks)


def test_logarithmic_axes_have_powers_of_ten_and_a_place_for_nothing() -> None:
    axis = Axis(low=1e-3, high=1.0, log=True)
    assert [text for _, text in axis.ticks()] == ["0.001", "0.01", "0.1", "1"]
    assert axis.place(0.1) == pytest.approx(2 / 3)
    assert axis.place(0.0) == 0.0


@given(size=st.floats(0, 10), largest=st.floats(0.1, 10))
def test_shades_grow_and_only_nothing_has_none(size: float, largest: float) -> None:
    step = shade(size, largest)
    assert 0 <= step <= STEPS
    assert (step == 0) == (size == 0)
    assert shade(size / 2, largest) <= step


def test_shades_of_nothing_at_all() -> None:
    assert shade(0.0, 0.0) == 0
    assert shade(3.0, 3.0) == STEPS


@given(st.lists(ends, min_size=1, max_size=5))
def test_an_axis_holds_all_values_with_room(values: list[float]) -> None:
    low, high = span(values)
    assert low < min(values)
    assert high > max(values)


def test_numbers_have_three_decimals_and_no_negative_zero() -> None:
    assert [digits(x) for x in (0.12345, -1e-9, None, math.nan)] == ["0.123", "0.000", "–", "–"]
    assert digits(0.5, 2) == "0.50"
    assert between((0.1, 0.2)) == "[0.100, 0.200]"
    assert between(None) == between((0.1, None)) == "–"
    assert len(short("x" * 99)) == 18


def test_the_outline_follows_the_shares() -> None:
    bars = Bars(title="", note="", real=(1.0, 0.0), synthetic=(0.5, 1.0), first="", last="")
    assert bars.outline(10, 100) == "M0,100.0V50.0H5.0V0.0H10.0V100.0"
