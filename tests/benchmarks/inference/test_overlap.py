from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.inference.overlap import NORMAL, agreement, expected, overlap

POINT = st.floats(-5, 5)
ERROR = st.floats(0.01, 10)


def of(*numbers: float) -> float:
    return float(overlap(*(np.array(number) for number in numbers)))


@given(POINT, ERROR)
def test_equal_intervals_overlap_wholly(point: float, error: float) -> None:
    assert of(point, error, point, error) == pytest.approx(1.0)


@given(POINT, ERROR, POINT, ERROR)
def test_it_is_symmetric_and_a_share(a: float, ea: float, b: float, eb: float) -> None:
    assert of(a, ea, b, eb) == pytest.approx(of(b, eb, a, ea))
    assert 0.0 <= of(a, ea, b, eb) <= 1.0 + 1e-12


@given(POINT, ERROR, ERROR, st.floats(0, 3), st.floats(0, 3))
def test_it_falls_as_the_estimate_moves_away(
    point: float, ea: float, eb: float, near: float, further: float
) -> None:
    assert of(point, ea, point + near + further, eb) <= of(point, ea, point + near, eb) + 1e-12


def test_golden_values() -> None:
    # [-1, 1] and [0, 4]: they share 1, half of the one and a quarter of the other.
    half = 1.0 / NORMAL
    assert of(0.0, half, 2.0, 2.0 * half) == pytest.approx((1 / 2 + 1 / 4) / 2)
    # One inside the other: all of the small one, a tenth of the large one.
    assert of(0.0, half, 0.3, 10 * half) == pytest.approx((1.0 + 0.1) / 2)
    # Karr's formula would give -1 here: they lie apart by a whole width.
    assert of(0.0, half, 4.0, half) == 0.0


def test_standard_deviations_in_place_of_errors_are_caught() -> None:
    # The mistake that a published tool makes: a mean that is 20 standard errors off overlaps
    # almost wholly if the interval is built from the spread of the rows.
    rng = np.random.default_rng(0)
    real, made = rng.normal(0.0, 1.0, 10_000), rng.normal(0.2, 1.0, 10_000)
    points = float(real.mean()), float(made.mean())
    spreads = float(real.std()), float(made.std())
    errors = spreads[0] / 100.0, spreads[1] / 100.0
    mistaken = of(points[0], spreads[0], points[1], spreads[1])
    right = of(points[0], errors[0], points[1], errors[1])
    assert mistaken > 0.9
    assert right == 0.0


def test_what_is_not_recovered_counts_against() -> None:
    real, errors = np.array([1.0, 2.0]), np.array([0.1, 0.1])
    found = agreement(real, errors, np.array([np.nan, 2.0]), np.array([np.nan, 0.1]))
    assert found.overlap.tolist() == [0.0, 1.0]
    assert found.sign.tolist() == [0.0, 1.0]
    assert found.significance.tolist() == [0.0, 1.0]
    assert np.isnan(found.distance[0])
    assert found.distance[1] == 0.0


def test_sign_and_significance() -> None:
    real, errors = np.array([1.0, 1.0, 0.1]), np.array([0.1, 0.1, 0.1])
    other = np.array([-1.0, 0.1, -0.1])
    found = agreement(real, errors, other, errors)
    assert found.sign.tolist() == [0.0, 1.0, 0.0]
    assert found.significance.tolist() == [1.0, 0.0, 1.0]
    assert found.distance.tolist() == pytest.approx([20.0, 9.0, 2.0])


def test_the_floor_is_what_simulated_fresh_rows_give() -> None:
    rng = np.random.default_rng(3)
    truth, errors, other = np.array([0.0, 1.0, 2.5]), np.ones(3), np.array([1.0, 0.5, 2.0])
    n = 200_000
    simulated = agreement(
        rng.normal(truth, errors, (n, 3)),
        np.broadcast_to(errors, (n, 3)),
        rng.normal(truth, other, (n, 3)),
        np.broadcast_to(other, (n, 3)),
    )
    floor = expected(truth, errors, other)
    for name in ("overlap", "sign", "significance", "distance"):
        # Standard errors of the simulation are below 0.004.
        assert getattr(floor, name) == pytest.approx(
            getattr(simulated, name).mean(axis=0), abs=0.015
        )
