"""Noisy counts: sensitivity against brute force, thresholds against their tail."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dpsynth.counts import (
    discover_levels,
    histogram_event,
    release_counts,
    selection_event,
    selection_threshold,
)
from dpsynth.noise import NoiseSource
from dpsynth.privacy import PrivacyUnit


def histograms(rows: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Two one-way histograms over two columns with two cells each."""
    cells = np.zeros((2, 2), dtype=int)
    for row in rows:
        for column, value in enumerate(row):
            cells[column, value] += 1
    return cells


ROWS = list(itertools.product(range(2), repeat=2))


@pytest.mark.parametrize("max_rows", [1, 2, 3])
def test_the_event_covers_the_worst_unit_that_is_added(max_rows: int) -> None:
    unit = PrivacyUnit(column="id", max_rows=max_rows)
    event = histogram_event(sigma=1.0, histograms=2, unit=unit)
    stated = event.sensitivity**2 * event.count
    moves = [
        histograms(rows)
        for k in range(1, max_rows + 1)
        for rows in itertools.product(ROWS, repeat=k)
    ]
    assert max((m**2).sum() for m in moves) == stated
    assert all(m[c].sum() <= event.sensitivity for m in moves for c in range(2))


@pytest.mark.parametrize("max_rows", [1, 2])
def test_the_event_covers_the_worst_unit_that_is_replaced(max_rows: int) -> None:
    unit = PrivacyUnit(column="id", max_rows=max_rows, relation="replace_one")
    event = histogram_event(sigma=1.0, histograms=2, unit=unit)
    units = list(itertools.product(ROWS, repeat=max_rows))
    worst = max(
        ((histograms(a) - histograms(b)) ** 2).sum() for a, b in itertools.product(units, units)
    )
    assert worst == event.sensitivity**2 * event.count


def test_zero_cells_are_noised_too() -> None:
    noisy = release_counts(np.zeros(400, dtype=int), sigma=20.0, noise=NoiseSource.from_entropy())
    assert 300 < (noisy != 0).sum()
    assert abs(noisy.mean()) < 6


@pytest.mark.parametrize(("max_rows", "delta"), [(1, 0.01), (4, 0.05)])
def test_a_level_of_one_unit_passes_with_at_most_the_stated_probability(
    max_rows: int, delta: float
) -> None:
    unit = PrivacyUnit(column="id", max_rows=max_rows)
    event = selection_event(sigma=2.0, failure_delta=delta, unit=unit)
    noise = NoiseSource.seeded(11)
    draws = noise.discrete_gaussian(sigma=event.sigma, size=400_000)
    threshold = selection_threshold(event)
    # The worst spread of one unit's rows over new levels, by the union of its levels.
    for levels in range(1, max_rows + 1):
        count = max_rows - levels + 1
        passing = levels * np.mean(count + draws > threshold)
        assert passing <= delta


def test_common_levels_are_found_and_rare_ones_are_not() -> None:
    unit = PrivacyUnit()
    event = selection_event(sigma=5.0, failure_delta=1e-6, unit=unit)
    values = np.array(["b"] * 500 + ["a"] * 300 + ["only me"], dtype=object)
    levels, counts = discover_levels(values, event=event, noise=NoiseSource.from_entropy(), most=9)
    assert levels == ("a", "b")
    assert np.all(np.abs(counts - [300, 500]) < 50)
    top, _ = discover_levels(values, event=event, noise=NoiseSource.from_entropy(), most=1)
    assert top == ("b",)


def test_one_long_cell_does_not_fill_the_memory() -> None:
    event = selection_event(sigma=5.0, failure_delta=1e-6, unit=PrivacyUnit())
    values = np.array(["a"] * 100_000 + ["b" * 900_000], dtype=object)  # 335 GiB side by side
    levels, _ = discover_levels(values, event=event, noise=NoiseSource.from_entropy(), most=9)
    assert levels == ("a",)


def test_discovery_of_nothing_is_empty() -> None:
    event = selection_event(sigma=5.0, failure_delta=1e-6, unit=PrivacyUnit())
    levels, counts = discover_levels(
        np.array([], dtype=object), event=event, noise=NoiseSource.from_entropy(), most=9
    )
    assert levels == ()
    assert counts.size == 0
