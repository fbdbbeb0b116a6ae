"""Calibration: on the safe side, and hardly beyond it."""

from __future__ import annotations

import math

import pytest

from dpsynth.accountant import Accountant
from dpsynth.calibration import AttackRisk, calibrate
from dpsynth.errors import BudgetError, UsageError
from dpsynth.privacy import (
    ZCDP,
    Budget,
    DiscreteGaussian,
    Gaussian,
    Mechanism,
    PoissonSampledGaussian,
)

FIXED: list[Mechanism] = [DiscreteGaussian(relation="add_remove", sigma=70.0, count=20)]


def gaussians(scale: float) -> list[Mechanism]:
    return [Gaussian(relation="add_remove", noise_multiplier=scale)]


def training(scale: float) -> list[Mechanism]:
    return [
        *FIXED,
        PoissonSampledGaussian(
            relation="add_remove", noise_multiplier=scale, sampling_probability=0.05, steps=600
        ),
    ]


@pytest.mark.parametrize("make", [gaussians, training])
@pytest.mark.parametrize(
    "budget", [Budget(epsilon=1.0, delta=1e-5), Budget(epsilon=8.0, delta=1e-7)]
)
def test_the_target_is_met_and_nearly_used_up(make: object, budget: Budget) -> None:
    scale = calibrate(make, budget)
    assert Accountant(make(scale)).certificate(budget.delta) <= budget.epsilon
    wasteful = Accountant(make(scale / 1.005)).certificate(budget.delta)
    assert wasteful > budget.epsilon


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 40.0])
def test_extreme_targets(epsilon: float) -> None:
    scale = calibrate(gaussians, Budget(epsilon=epsilon, delta=1e-6))
    assert 0.97 * epsilon <= Accountant(gaussians(scale)).epsilon(1e-6) <= epsilon


def test_advantage_as_target() -> None:
    scale = calibrate(gaussians, AttackRisk(advantage=0.1))
    # 2Φ(μ/2) - 1 = 0.1 at μ = 0.2513
    assert scale == pytest.approx(1 / 0.25132, rel=5e-3)
    assert Accountant(gaussians(scale)).advantage() <= 0.1


def test_true_positive_rate_as_target() -> None:
    risk = AttackRisk(true_positive_rate=0.05, false_positive_rate=0.01)
    scale = calibrate(gaussians, risk)
    # Φ(Φ⁻¹(0.01) + μ) = 0.05 at μ = 0.6815
    assert scale == pytest.approx(1 / 0.68149, rel=1e-2)
    assert Accountant(gaussians(scale)).true_positive_rate(0.01) <= 0.05


def test_a_target_that_the_fixed_part_exceeds_is_refused() -> None:
    with pytest.raises(BudgetError, match="DPS103") as refusal:
        calibrate(training, Budget(epsilon=0.05, delta=1e-6))
    assert refusal.value.exit_code == 4
    assert math.isfinite(Accountant(FIXED).epsilon(1e-6))


@pytest.mark.parametrize(
    "risk",
    [
        {},
        {"advantage": 0.1, "true_positive_rate": 0.2, "false_positive_rate": 0.1},
        {"true_positive_rate": 0.2},
        {"advantage": 1.5},
        {"true_positive_rate": 0.1, "false_positive_rate": 0.2},
    ],
)
def test_contradictory_risks_are_refused(risk: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        AttackRisk(**risk)


def test_targets_far_from_the_first_guess() -> None:
    def annealed(scale: float) -> list[Mechanism]:
        return [ZCDP(relation="add_remove", rho=1000 / scale**2)]

    for target in (Budget(epsilon=150.0, delta=1e-5), AttackRisk(advantage=0.1)):
        accountant = Accountant(annealed(calibrate(annealed, target)))
        if isinstance(target, Budget):
            assert 149 < accountant.certificate(1e-5) <= 150
        else:
            assert accountant.advantage() <= 0.1
