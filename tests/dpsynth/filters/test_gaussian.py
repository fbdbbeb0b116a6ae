"""The closed forms against published figures, quadrature and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dpsynth.filters import gaussian_delta, gaussian_epsilon
from dpsynth.filters.gaussian import gaussian_capacity


def test_twenty_releases_at_noise_multiplier_five():
    assert gaussian_epsilon(20 / (2 * 25), 1e-5) == pytest.approx(3.8486, abs=1e-4)


@pytest.mark.parametrize(("mu", "epsilon"), [(0.01, 0.03), (0.7, 1.0), (4.0, 12.0)])
def test_delta_and_epsilon_are_inverse(mu, epsilon):
    delta = gaussian_delta(mu, epsilon)
    assert gaussian_epsilon(mu**2 / 2, delta) == pytest.approx(epsilon, abs=1e-6)
    assert gaussian_delta(mu, gaussian_epsilon(mu**2 / 2, delta)) >= delta


@pytest.mark.parametrize("epsilon", [-2.0, -0.1, 0.0, 0.4, 3.0])
def test_delta_is_the_hockey_stick_of_two_normals(epsilon):
    mu = 0.8
    x = np.linspace(-12, 13, 500_001)
    p, q = (np.exp(-((x - at) ** 2) / 2) / math.sqrt(2 * math.pi) for at in (mu, 0.0))
    numeric = float(np.maximum(0, p - math.exp(epsilon) * q).sum() * (x[1] - x[0]))
    assert gaussian_delta(mu, epsilon) == pytest.approx(numeric, abs=1e-8)


def test_so_much_noise_that_delta_alone_suffices():
    assert gaussian_epsilon(1e-8, 0.1) == 0.0


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(1e-7, 1e-10), (0.01, 1e-10), (3, 1e-5), (40, 1e-9), (1000, 0.5)]
)
def test_capacity_is_the_largest_that_fits_and_never_above(epsilon, delta):
    capacity = gaussian_capacity(epsilon, delta)
    assert gaussian_delta(math.sqrt(capacity), epsilon) <= delta
    assert gaussian_delta(math.sqrt(capacity) * (1 + 1e-4), epsilon) > delta
