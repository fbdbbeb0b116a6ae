"""330 of the 500 random compositions: mechanisms of one kind, where the truth is known best.

The others are in ``test_accountant_differential_mixed.py``, so that two workers share the time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dpsynth.accountant import Accountant
from dpsynth.privacy import (
    DiscreteGaussian,
    Mechanism,
    PartitionSelection,
    PoissonSampledGaussian,
)
from tests.dpsynth import reference_accounting as reference
from tests.dpsynth.differential import (
    FAMILIES,
    PLAIN_FROM,
    all_of,
    bounds,
    gaussian_mu,
    judge,
    known,
)

ONE_KIND = ("gaussian", "laplace", "discrete", "sampled", "exchanged")


def test_there_are_five_hundred() -> None:
    assert sum(number for _, _, number in FAMILIES.values()) == 500
    assert len({str(make(i)) for make, _, n in FAMILIES.values() for i in range(n)}) == 500


@pytest.mark.parametrize(("family", "number"), all_of(*ONE_KIND))
def test_epsilon_is_the_truth_rounded_up(family: str, number: int) -> None:
    case, truth = known(family, number)
    ours = Accountant(case.mechanisms).epsilon(case.delta)
    assert judge(ours, truth, case) == "agrees", f"{case} is {ours!r}, truth {truth.epsilon!r}"


# -- the references are right, and close enough to tell -------------------------------------------


@pytest.mark.parametrize(("mu", "runs"), [(1.0, 1), (0.3, 10), (0.02, 3000), (2.0, 3)])
@pytest.mark.parametrize("delta", [1e-3, 1e-6, 1e-9])
def test_the_lower_bound_is_close_to_the_closed_form(mu: float, runs: int, delta: float) -> None:
    law = reference.compose([reference.GaussianPair(mu=mu, repeats=runs)], lost=1e-4 * delta)
    truth = reference.gaussian_epsilon(mu * math.sqrt(runs), delta)
    assert 0.9995 * truth < law.epsilon(delta) < truth
    assert law.delta(truth) < delta < law.delta(0.999 * truth)
    alpha = 0.01
    attack = stats.norm.cdf(stats.norm.isf(alpha) - mu * math.sqrt(runs))
    assert attack < law.attack(alpha) < attack + 1e-3


def test_the_lower_bound_is_close_to_exact_sums() -> None:
    for scale in (0.7, 5.0):
        law = reference.compose([reference.LaplacePair(scale=scale)])
        truth = reference.laplace_epsilon(scale, 1e-5)
        assert 0.999 * truth < law.epsilon(1e-5) < truth
    for sigma, count in ((0.8, 1), (5.0, 30)):
        law = reference.compose([reference.DiscreteGaussianPair(sigma=sigma, repeats=count)])
        exact = reference.lattice_delta(sigma, count, 1.5)
        assert 0.99 * exact < law.delta(1.5) < exact


def prv(m: PoissonSampledGaussian, delta: float) -> tuple[float, float, float]:
    """Return prv-accountant's interval and estimate, less the error of its own mean.

    Its quadrature of the mean loss of one run may err: by 2.3e-4 at q = 0.113, σ = 1.158, which
    moves everything by that much per step. The mean is worked out again here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from prv_accountant import PoissonSubsampledGaussianMechanism, PRVAccountant
        from prv_accountant.privacy_random_variables import PrivacyRandomVariableTruncated
    q, sigma = m.sampling_probability, m.noise_multiplier
    law = PoissonSubsampledGaussianMechanism(sampling_probability=q, noise_multiplier=sigma)
    accountant = PRVAccountant(
        prvs=law, max_self_compositions=m.steps, eps_error=0.02, delta_error=1e-3 * delta
    )
    window = accountant.composer.self_composers[0].domain
    x = np.linspace(-12 * sigma, 1 + 12 * sigma, 400_001)
    loss = np.log1p(q * np.expm1((x - 0.5) / sigma**2))
    density = (1 - q) * stats.norm.pdf(x, 0, sigma) + q * stats.norm.pdf(x, 1, sigma)
    theirs = PrivacyRandomVariableTruncated(law, window.t_min(), window.t_max()).mean()
    shift = m.steps * (float(theirs) - float(np.trapezoid(density * loss, x)))
    interval = accountant.compute_epsilon(delta=delta, num_self_compositions=m.steps)
    low, estimate, high = (float(epsilon) - shift for epsilon in interval)
    return low, estimate, high


@pytest.mark.parametrize("number", [n for n in range(0, 110, 5) if n % 3])
def test_dp_sgd_agrees_with_prv_accountant(number: int) -> None:
    case, truth = known("sampled", number)
    (mechanism,) = case.mechanisms
    assert isinstance(mechanism, PoissonSampledGaussian)
    low, estimate, high = prv(mechanism, case.delta)
    ours = Accountant(case.mechanisms).epsilon(case.delta)
    assert low <= truth.epsilon <= high
    assert low <= ours <= high
    # Its mesh, a few percent of the error that was asked for, shows in the estimate.
    assert ours == pytest.approx(estimate, rel=0.01, abs=2e-3)


# -- what follows from δ(ε) -----------------------------------------------------------------------


@pytest.mark.parametrize("number", range(0, 130, 12))
def test_gaussian_curves_are_the_closed_forms(number: int) -> None:
    case, truth = known("gaussian", number)
    mu, ours = gaussian_mu(case), Accountant(case.mechanisms)
    for epsilon in (0.0, truth.epsilon / 2, truth.epsilon):
        exact = reference.gaussian_delta(mu, epsilon)
        # The grid is two orders finer than a percent of these ε.
        assert exact <= ours.delta(epsilon) <= 1.01 * exact + 1e-11
    assert ours.advantage() == ours.delta(0.0)
    alpha = [1e-4, 0.01, 0.1, 0.5, 0.9]
    curve = stats.norm.cdf(stats.norm.isf(alpha) - mu)
    # A maximum over ε on a coarse grid: on the safe side, and close.
    found = ours.tradeoff(alpha)
    assert (found <= curve).all()
    assert found == pytest.approx(curve, abs=5e-3)


# -- the comparison can fail ----------------------------------------------------------------------


def quieter(m: Mechanism, factor: float) -> Mechanism:
    """Return the mechanism with noise off by a factor."""
    name = "sigma" if isinstance(m, DiscreteGaussian | PartitionSelection) else "noise_multiplier"
    return replace(m, **{name: factor * getattr(m, name)})


def verdicts(
    family: str, wrong: Callable[[Mechanism], Mechanism], numbers: range
) -> dict[str, int]:
    """Return how an accountant that takes each mechanism for another one is judged."""
    found: dict[str, int] = {}
    for number in numbers:
        case, truth = known(family, number)
        if truth.epsilon < PLAIN_FROM or truth.hopeless:
            continue
        ours = Accountant([wrong(m) for m in case.mechanisms]).epsilon(case.delta)
        verdict = judge(ours, truth, case)
        found[verdict] = found.get(verdict, 0) + 1
    return found


@pytest.mark.parametrize("family", ["gaussian", "sampled", "exchanged"])
@pytest.mark.parametrize(("factor", "verdict"), [(1.02, "below"), (0.98, "above")])
def test_noise_off_by_two_percent_is_caught_every_time(
    family: str, factor: float, verdict: str
) -> None:
    found = verdicts(family, lambda m: quieter(m, factor), range(8))
    assert list(found) == [verdict]


def test_steps_and_counts_that_are_forgotten_are_caught() -> None:
    def fewer(m: Mechanism) -> Mechanism:
        assert isinstance(m, PoissonSampledGaussian)
        return replace(m, steps=max(1, int(0.97 * m.steps))) if m.steps > 50 else quieter(m, 1.02)

    def once(m: Mechanism) -> Mechanism:
        assert isinstance(m, DiscreteGaussian | PartitionSelection)
        return replace(m, count=1) if m.count > 1 else quieter(m, 1.02)

    assert list(verdicts("sampled", fewer, range(8))) == ["below"]
    assert list(verdicts("discrete", once, range(8))) == ["below"]


def test_one_direction_alone_is_caught() -> None:
    """Adding a unit shows less than removing one, once sampling comes in."""
    caught = 0
    for number in range(20):
        case, truth = known("sampled", number)
        if truth.epsilon < PLAIN_FROM:
            continue
        removing, adding = bounds(case)
        assert judge(adding.epsilon(case.delta), truth, case) == "below"
        assert adding.epsilon(case.delta) < removing.epsilon(case.delta)
        caught += 1
    assert caught > 3
