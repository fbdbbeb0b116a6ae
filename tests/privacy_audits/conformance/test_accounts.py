"""The two independent accountants agree with closed forms, and see charges that are off."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from dpsynth.errors import UsageError
from dpsynth.privacy import (
    ZCDP,
    Budget,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    PartitionSelection,
    PoissonSampledGaussian,
)
from privacy_audits.conformance import stated_cost
from privacy_audits.conformance.accounts import attained_epsilon, renyi_epsilon

GAUSSIAN = Gaussian(relation="add_remove", noise_multiplier=4.0, count=16)  # type: ignore[arg-type]


def sampled(q: float, sigma: float, steps: int, relation: str = "add_remove") -> Mechanism:
    return PoissonSampledGaussian(
        relation=relation,  # type: ignore[arg-type]
        noise_multiplier=sigma,
        sampling_probability=q,
        steps=steps,
    )


def test_a_gaussian_is_the_closed_form() -> None:
    # μ = 1 at δ = 1e-5.
    assert attained_epsilon([GAUSSIAN], 1e-5) == pytest.approx(4.3772, abs=5e-5)


def test_sampling_everybody_is_the_gaussian() -> None:
    assert attained_epsilon([sampled(1.0, 4.0, 16)], 1e-5) == pytest.approx(4.3772, abs=2e-3)


def test_the_transform_agrees_with_one_step_by_hand() -> None:
    q, sigma, delta = 0.3, 1.0, 1e-3
    found = attained_epsilon([sampled(q, sigma, 1)], delta)
    # δ(ε) of the mixture against the normal, in closed form.
    cut = math.log((math.exp(found) - 1 + q) / q) * sigma**2 + 0.5
    inside = (1 - q) * stats.norm.sf(cut / sigma) + q * stats.norm.sf((cut - 1) / sigma)
    assert inside - math.exp(found) * stats.norm.sf(cut / sigma) == pytest.approx(delta, rel=1e-3)


def test_coins_are_binomial() -> None:
    coin = Exponential(relation="add_remove", epsilon=2.0, count=1)  # type: ignore[arg-type]
    # One coin with odds e: δ(0) is its advantage, so that ε at a larger δ is 0.
    advantage = (math.e - 1) / (math.e + 1)
    assert attained_epsilon([coin], advantage + 1e-3) == 0.0
    assert attained_epsilon([coin], 1e-9) == pytest.approx(1.0, abs=1e-3)


def test_the_attained_is_below_the_valid_bound() -> None:
    for parts in (
        [GAUSSIAN],
        [sampled(0.02, 1.1, 500)],
        [sampled(0.02, 1.1, 500), GAUSSIAN],
        [Exponential(relation="add_remove", epsilon=0.4, count=9), GAUSSIAN],  # type: ignore[arg-type]
        [ZCDP(relation="add_remove", rho=0.1)],  # type: ignore[arg-type]
    ):
        assert 0 < attained_epsilon(parts, 1e-5) < renyi_epsilon(parts, 1e-5)


@pytest.mark.parametrize(("factor", "failing"), [(1.0, None), (0.98, 0), (1.2, 1)])
def test_a_charge_that_is_off_is_seen(factor: float, failing: int | None) -> None:
    stated = Budget(epsilon=4.3772 * factor, delta=1e-5)
    results = stated_cost([GAUSSIAN], stated)
    assert [result.passed for result in results] == [failing != 0, failing != 1]


def test_failures_of_selections_are_taken_off() -> None:
    levels = PartitionSelection(relation="add_remove", sigma=8.0, failure_delta=9e-6)  # type: ignore[arg-type]
    counts = DiscreteGaussian(relation="add_remove", sigma=8.0)  # type: ignore[arg-type]
    stated = Budget(epsilon=attained_epsilon([counts], 1e-5), delta=1e-5)
    assert stated_cost([counts], stated)[0].passed
    assert not stated_cost([levels], stated)[0].passed
    assert not stated_cost([levels], Budget(epsilon=9.0, delta=9e-6))[0].passed


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="do not know Laplace"):
        stated_cost(
            [Laplace(relation="add_remove", noise_multiplier=1.0)],  # type: ignore[arg-type]
            Budget(epsilon=1.0, delta=1e-5),
        )
    with pytest.raises(UsageError, match="add/remove only"):
        attained_epsilon([sampled(0.1, 1.0, 3, "replace_one")], 1e-5)
