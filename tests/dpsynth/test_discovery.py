"""Discovered bounds: cells are ordered, bounds hold what was clearly there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.discovery import BOUND_CELLS, FALLBACK, bound_cells, bounds_from_counts
from dpsynth.noise import NoiseSource


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=30))
def test_cells_are_monotone_and_in_range(values: list[float]) -> None:
    cells = bound_cells(np.sort(np.array(values)))
    assert np.all(np.diff(cells) >= 0)
    assert cells.min() >= 0
    assert cells.max() < BOUND_CELLS


@pytest.mark.parametrize(
    ("low", "high"), [(0, 100), (-40, 70), (3, 5), (1000, 2_000_000), (-9, -2), (0, 0)]
)
def test_bounds_hold_the_bulk(low: float, high: float) -> None:
    values = np.random.default_rng(1).uniform(low, high, 50_000)
    counts = np.bincount(bound_cells(values), minlength=BOUND_CELLS)
    sigma = 10.0
    noisy = counts + NoiseSource.seeded(2).discrete_gaussian(sigma=sigma, size=BOUND_CELLS)
    found_low, found_high = bounds_from_counts(noisy, sigma=sigma)
    assert found_low < found_high
    assert np.mean((values >= found_low) & (values <= found_high)) > 0.99
    assert found_high <= max(2.1 * abs(high), 2)


def test_pure_noise_gives_the_public_fallback() -> None:
    noisy = np.zeros(BOUND_CELLS, dtype=np.int64)
    assert bounds_from_counts(noisy, sigma=10.0) == FALLBACK
