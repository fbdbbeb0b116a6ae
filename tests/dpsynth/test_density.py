"""Noisy densities: projection, refinement, interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

from dpsynth.density import MonotoneDensity, Segments, project_counts, refine
from dpsynth.noise import NoiseSource

COUNTS = arrays(float, st.integers(1, 40), elements=st.floats(-500, 500))


@given(noisy=COUNTS, total=st.floats(0, 2000))
def test_projection_is_non_negative_and_keeps_the_total(noisy: np.ndarray, total: float) -> None:
    projected = project_counts(noisy, total)
    assert projected.min() >= 0
    assert projected.sum() == pytest.approx(total, rel=1e-6, abs=1e-6)


def test_projection_is_the_nearest_point() -> None:
    noisy = np.array([30.0, -12.0, 4.0, 1.0, -3.0])
    found = minimize(
        lambda x: ((x - noisy) ** 2).sum(),
        np.full(5, 4.0),
        bounds=[(0, None)] * 5,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 20.0},
    )
    assert project_counts(noisy, 20.0) == pytest.approx(found.x, abs=1e-4)


def test_refinement_finds_a_heavy_value_and_keeps_the_mass() -> None:
    positions = np.concatenate([np.full(4000, 37), np.arange(0, 10_000, 5)])
    top = np.bincount(positions // 100, minlength=100).astype(float)
    segments = Segments(starts=np.arange(100) * 100, masses=top, size=10_000)
    refined = refine(
        segments, positions, parent_width=100, width=1, sigma=5.0, noise=NoiseSource.from_entropy()
    )
    assert refined.values_of_their_own(1000).tolist() == [37]
    assert refined.masses.sum() == pytest.approx(top.sum(), rel=0.01)
    assert refined.edges[-1] == 10_000
    assert np.all(refined.widths > 0)
    assert refined.without(np.array([37])).values_of_their_own(1000).size == 0


def test_light_cells_are_not_opened() -> None:
    positions = np.arange(1000)
    segments = Segments(starts=np.arange(10) * 100, masses=np.full(10, 100.0), size=1000)
    same = refine(
        segments, positions, parent_width=100, width=1, sigma=50.0, noise=NoiseSource.from_entropy()
    )
    assert np.array_equal(same.starts, segments.starts)


def test_interpolation_is_monotone_and_shows_no_staircase() -> None:
    masses = np.array([10.0, 60.0, 200.0, 380.0, 250.0, 80.0, 20.0])
    segments = Segments(starts=np.arange(7) * 10, masses=masses, size=70)
    density = MonotoneDensity(segments, sigma=1.0)
    at = np.linspace(0, 70, 701)
    mass = density.mass_below(at)
    slope = np.diff(mass)
    assert np.all(slope > 0)
    assert mass[-1] - mass[0] == pytest.approx(1000, rel=1e-3)
    # A staircase jumps at the seams; here the slope moves by little from step to step.
    assert np.abs(np.diff(slope)).max() < 0.2 * slope.max()
    assert density.position_of(mass) == pytest.approx(at, abs=0.05)


def test_a_reliable_single_value_is_not_smeared() -> None:
    segments = Segments(starts=np.array([0, 5, 6]), masses=np.array([2.0, 900.0, 98.0]), size=10)
    density = MonotoneDensity(segments, sigma=1.0)
    assert np.diff(density.mass_below([5, 6]))[0] == pytest.approx(900, rel=0.01)


def test_an_empty_column_is_uniform() -> None:
    segments = Segments(starts=np.array([0]), masses=np.array([0.0]), size=8)
    density = MonotoneDensity(segments, sigma=3.0)
    mass = density.mass_below([0, 2, 4, 8])
    assert np.diff(mass[:3])[0] == pytest.approx(np.diff(mass[:3])[1], rel=1e-6)
    assert mass[-1] > mass[0]
