"""Codes of one column: encode and decode are inverse up to the bin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.columns import DiscreteCodes, NumericCodes, choose_codes, codes_from_state
from dpsynth.density import Segments
from dpsynth.grid import Grid

RNG = np.random.default_rng(0)


def codes_of(values: np.ndarray, *, size: int, capacity: int, sigma: float = 1.0) -> NumericCodes:
    """Codes from exact counts: what noise-free money would buy."""
    masses = np.bincount(values.astype(int), minlength=size).astype(float)
    segments = Segments(starts=np.arange(size), masses=masses, size=size)
    grid = Grid(low=0.0, step=1.0, size=size)
    return choose_codes(segments, grid, capacity=capacity, sigma=sigma, null_allowed=True)


def slow_code(codes: NumericCodes, position: int) -> int:
    """The definition: an atom at this very position, else the bin that covers it."""
    covering = [
        c
        for c, (low, high) in enumerate(zip(codes.lows, codes.highs, strict=True))
        if low <= position < high
    ]
    atoms = [c for c in covering if codes.is_atom[c]]
    return (atoms or covering)[0]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(2, 300),
    capacity=st.integers(2, 40),
    heavy=st.lists(st.integers(0, 299), max_size=6),
)
def test_every_position_has_the_code_of_the_definition(
    seed: int, size: int, capacity: int, heavy: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.integers(0, size, 400), np.repeat([h % size for h in heavy], 150)])
    codes = codes_of(values, size=size, capacity=capacity)
    fast = codes.encode(np.arange(size, dtype=float))
    assert fast.tolist() == [slow_code(codes, p) for p in range(size)]
    assert codes.lows.size <= capacity
    assert codes.size == capacity + 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(3, 200), capacity=st.integers(3, 30))
def test_decoding_stays_inside_the_code(seed: int, size: int, capacity: int) -> None:
    rng = np.random.default_rng(seed)
    codes = codes_of(rng.integers(0, size, 500), size=size, capacity=min(capacity, size))
    drawn = rng.integers(0, codes.lows.size, 300)
    values = codes.decode(drawn, rng)
    assert np.all((values >= codes.lows[drawn]) & (values < codes.highs[drawn]))
    assert np.array_equal(values, np.round(values))


def test_atoms_come_back_exactly() -> None:
    values = np.concatenate([np.zeros(5000), RNG.integers(0, 1000, 2000), np.full(900, 40)])
    codes = codes_of(values, size=1000, capacity=16)
    assert {0, 40} <= set(codes.lows[codes.is_atom].tolist())
    again = codes.decode(codes.encode(np.array([0.0, 40.0])), RNG)
    assert again.tolist() == [0.0, 40.0]


def test_masses_follow_the_density() -> None:
    values = RNG.integers(0, 200, 20_000)
    codes = codes_of(values, size=200, capacity=10)
    exact = np.bincount(codes.encode(values.astype(float)), minlength=10)[: codes.lows.size]
    assert codes.masses() == pytest.approx(exact, rel=0.02, abs=20)


def test_null_is_the_last_code() -> None:
    codes = codes_of(RNG.integers(0, 50, 100), size=50, capacity=8)
    encoded = codes.encode(np.array([np.nan, 3.0]))
    assert encoded[0] == codes.capacity
    assert np.isnan(codes.decode(encoded, RNG)[0])


def test_discrete_codes() -> None:
    codes = DiscreteCodes(
        levels=("a", "b", "other"), other=2, capacity=3, usable=np.array([True, True, True, False])
    )
    values = np.array(["b", "zzz", None, "a"], dtype=object)
    assert codes.encode(values).tolist() == [1, 2, 3, 0]
    assert codes.decode(codes.encode(values), RNG).tolist() == ["b", "other", None, "a"]


def test_state_round_trip() -> None:
    numeric = codes_of(RNG.integers(0, 90, 400), size=90, capacity=12)
    discrete = DiscreteCodes(levels=("x",), other=0, capacity=4, usable=np.ones(5, dtype=bool))
    for codes in (numeric, discrete):
        assert codes_from_state(codes.state()).state() == codes.state()
