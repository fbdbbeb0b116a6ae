"""Intervals that leave out groups of people."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.discretise import GROUPS, spread
from benchmarks.jackknife import interval, leave_out, variance


def test_what_is_left_out_is_one_group() -> None:
    cells, groups = np.array([0, 1, 1, 2, 0]), np.array([0, 0, 1, 2, 2])
    assert leave_out(cells, groups, 4).tolist() == [[1, 1, 1, 0], [2, 1, 1, 0], [1, 2, 0, 0]]
    # a group without rows tells nothing
    assert len(leave_out(cells, groups + 3, 4)) == 3


def _mean_interval(x: np.ndarray, y: np.ndarray, units: np.ndarray, rng) -> tuple[float, float]:
    sides = []
    groups = spread(int(units.max()) + 1, rng)[units], spread(len(y), rng)
    for own, group, sign in ((x, groups[0], 1.0), (y, groups[1], -1.0)):
        other = (y if sign > 0 else x).mean()
        sides.append(np.array([sign * (own[group != g].mean() - other) for g in range(GROUPS)]))
    return interval(float(x.mean() - y.mean()), *sides)


@pytest.mark.parametrize("rows_per_unit", [1, 4])
def test_intervals_cover_as_often_as_they_say(rows_per_unit: int) -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        level = rng.normal(size=200)
        units = np.repeat(np.arange(200), rows_per_unit)
        x = level[units] + 0.1 * rng.normal(size=len(units))
        low, high = _mean_interval(x, rng.normal(1.0, 1.0, 300), units, rng)
        covered += low <= -1.0 <= high
    assert 0.91 <= covered / 400 <= 0.98


def test_undefined_where_nothing_can_be_left_out() -> None:
    assert np.isnan(variance(np.ones((1, 2)))).all()
    assert np.isnan(interval(1.0, np.ones(1))).all()
    assert interval(0.5, np.array([0.0, 1.0]), bounds=(0.0, 1.0)) == (0.0, 1.0)
