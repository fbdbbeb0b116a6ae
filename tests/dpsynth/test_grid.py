"""Grids: positions and values are inverse, the tree resolves every position."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.grid import CONTINUOUS_CELLS, FANOUT, Grid


@given(low=st.integers(-1000, 1000), span=st.integers(1, 5_000_000))
def test_whole_numbers_survive(low: int, span: int) -> None:
    grid = Grid.between(low, low + span, integer=True, decimals=None)
    values = np.array([low, low + span // 2, low + span], dtype=float)
    assert grid.size == span + 1
    assert np.array_equal(grid.values(grid.positions(values).astype(float)), values)


@given(decimals=st.integers(0, 4), ticks=st.lists(st.integers(0, 5000), min_size=1, max_size=9))
def test_decimals_survive(decimals: int, ticks: list[int]) -> None:
    grid = Grid.between(-2.5, 600.0, integer=False, decimals=decimals)
    values = -2.5 + np.array(ticks) * 10.0**-decimals
    again = grid.values(grid.positions(values).astype(float))
    assert np.allclose(again, np.minimum(values, 600.0), atol=10.0**-decimals / 2)


def test_reals_without_decimals_keep_their_cell() -> None:
    grid = Grid.between(0.0, 1.0, integer=False, decimals=None)
    values = np.linspace(0, 1, 1001)
    assert grid.size == CONTINUOUS_CELLS
    assert np.abs(grid.values(grid.positions(values) + 0.5) - values).max() <= grid.step


@pytest.mark.parametrize("high", [1e6, 2.0**60])
def test_digits_that_no_number_holds_are_not_resolved(high: float) -> None:
    grid = Grid.between(-high, high, integer=False, decimals=15)
    positions = grid.positions(np.array([-high, 0.0, high]))
    assert positions.tolist() == [0, CONTINUOUS_CELLS // 2, CONTINUOUS_CELLS - 1]


def test_values_outside_are_clipped() -> None:
    grid = Grid.between(0, 10, integer=True, decimals=None)
    assert grid.positions(np.array([-1e308, 1e308])).tolist() == [0, 10]


@given(size=st.integers(1, 10**9))
def test_the_tree_nests_and_opens_at_most_the_fanout(size: int) -> None:
    grid = Grid(low=0.0, step=1.0, size=size)
    widths = grid.widths()
    assert widths[-1] == 1
    assert len(widths) == grid.levels
    assert -(-size // widths[0]) <= FANOUT
    for parent, child in itertools.pairwise(widths):
        assert parent % child == 0
        assert 1 < parent // child <= FANOUT


@pytest.mark.parametrize("size", [10**7, 10**12])
def test_fewer_paid_levels_give_wider_leaves(size: int) -> None:
    widths = Grid(low=0.0, step=1.0, size=size).widths(3)
    assert len(widths) == 3
    assert -(-size // widths[0]) <= FANOUT
