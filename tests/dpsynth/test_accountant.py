"""The accountant against closed forms, brute force and independent accountants."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from dpsynth.accountant import Accountant
from dpsynth.errors import BudgetError, UsageError
from dpsynth.losses import ORDERS, dominating_distribution
from dpsynth.privacy import (
    ZCDP,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
    mechanism_from_spec,
)

DELTA = 1e-5


def gaussian(sigma: float, count: int = 1, relation: str = "add_remove") -> Gaussian:
    return Gaussian(relation=relation, noise_multiplier=sigma, count=count)


def sgd(q: float, sigma: float, steps: int, relation: str = "add_remove") -> PoissonSampledGaussian:
    return PoissonSampledGaussian(
        relation=relation, noise_multiplier=sigma, sampling_probability=q, steps=steps
    )


def laplace(count: int) -> Laplace:
    return Laplace(relation="add_remove", noise_multiplier=9.0, count=count)


def discrete(count: int) -> DiscreteGaussian:
    return DiscreteGaussian(relation="add_remove", sigma=9.0, count=count)


def analytic_delta(mu: float, epsilon: float) -> float:
    a, b = -epsilon / mu + mu / 2, -epsilon / mu - mu / 2
    return stats.norm.cdf(a) - math.exp(epsilon + stats.norm.logcdf(b))


def analytic_epsilon(mu: float, delta: float) -> float:
    return optimize.brentq(lambda e: analytic_delta(mu, e) - delta, 0, 200)


# -- agreement ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0, 30.0])
@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9])
def test_gaussian_is_the_closed_form(sigma: float, count: int, delta: float) -> None:
    truth = analytic_epsilon(math.sqrt(count) / sigma, delta)
    ours = Accountant([gaussian(sigma, count)]).epsilon(delta)
    assert truth <= ours <= truth + 1e-3


@pytest.mark.parametrize(
    ("q", "sigma", "steps", "published"),
    [
        (0.01, 1.0, 1000, 1.8282),
        (0.05, 2.0, 2000, 5.4717),
        (0.1, 5.0, 500, 1.8062),
        (0.004, 0.6, 5000, 6.2347),
        (1.0, 20.0, 200, 2.9432),
    ],
)
def test_dp_sgd_agrees_with_an_independent_accountant(
    q: float, sigma: float, steps: int, published: float
) -> None:
    ours = Accountant([sgd(q, sigma, steps)]).epsilon(DELTA)
    assert ours == pytest.approx(published, abs=1e-3)
    if q == 1.0:
        assert ours >= analytic_epsilon(math.sqrt(steps) / sigma, DELTA)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from prv_accountant import PoissonSubsampledGaussianMechanism, PRVAccountant
    other = PRVAccountant(
        prvs=PoissonSubsampledGaussianMechanism(sampling_probability=q, noise_multiplier=sigma),
        max_self_compositions=steps,
        eps_error=0.01,
        delta_error=1e-9,
    )
    low, estimate, high = other.compute_epsilon(delta=DELTA, num_self_compositions=steps)
    assert ours == pytest.approx(estimate, abs=1e-3)
    assert low <= ours <= high


def test_rdp_agrees_with_opacus() -> None:
    from opacus.accountants.analysis import rdp

    theirs = rdp.compute_rdp(q=0.02, noise_multiplier=1.3, steps=500, orders=[2.0, 5.5, 16.0, 40.0])
    ours = Accountant([sgd(0.02, 1.3, 500)]).rdp([2.0, 5.5, 16.0, 40.0])
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize(
    ("rho", "published"), [(0.02, 0.7945), (0.1, 1.9142), (0.5, 4.7285), (2.0, 10.7255)]
)
def test_zcdp_agrees_with_the_published_conversion_and_opendp(rho: float, published: float) -> None:
    import opendp.prelude as opendp

    opendp.enable_features("contrib")
    ours = Accountant([ZCDP(relation="add_remove", rho=rho)]).epsilon(DELTA)
    assert ours == pytest.approx(published, abs=2e-3)
    space = opendp.atom_domain(T=float, nan=False), opendp.absolute_distance(T=float)
    theirs = opendp.c.make_zCDP_to_approxDP(opendp.m.make_gaussian(*space, 1.0))
    sensitivity = math.sqrt(2 * rho)
    assert ours <= theirs.map(sensitivity).epsilon(DELTA) + 1e-3


def brute_force_delta(p: np.ndarray, q: np.ndarray, epsilon: float) -> float:
    grown = math.exp(epsilon)
    return max(np.maximum(p - grown * q, 0).sum(), np.maximum(q - grown * p, 0).sum())


@pytest.mark.parametrize("sigma", [0.8, 2.0])
@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.5])
def test_discrete_gaussian_covers_brute_force(sigma: float, epsilon: float) -> None:
    support = np.arange(-30, 31)
    law = np.exp(-(support**2) / (2 * sigma**2))
    law /= law.sum()
    one = Accountant([DiscreteGaussian(relation="add_remove", sigma=sigma)])
    truth = brute_force_delta(law[:-1], law[1:], epsilon)
    assert truth - 1e-9 <= one.delta(epsilon) <= truth * 1.02 + 1e-4
    two = Accountant([DiscreteGaussian(relation="add_remove", sigma=sigma, count=2)])
    here, there = np.outer(law[:-1], law[:-1]).ravel(), np.outer(law[1:], law[1:]).ravel()
    assert two.delta(epsilon) >= brute_force_delta(here, there, epsilon) - 1e-9


@pytest.mark.parametrize("sensitivity", [2, 3])
def test_several_rows_in_one_histogram_are_covered_however_they_are_spread(
    sensitivity: int,
) -> None:
    sigma, support = 2.0, np.arange(-14, 15)
    law = np.exp(-(support**2) / (2 * sigma**2))
    law /= law.sum()
    ours = Accountant(
        [DiscreteGaussian(relation="add_remove", sigma=sigma, sensitivity=sensitivity)]
    )
    spreads = [
        s for s in itertools.product(range(sensitivity + 1), repeat=2) if sum(s) <= sensitivity
    ]
    for epsilon in (0.2, 1.0):
        for first, second in spreads:
            q = np.outer(np.roll(law, first), np.roll(law, second)).ravel()
            truth = brute_force_delta(np.outer(law, law).ravel(), q, epsilon)
            assert ours.delta(epsilon) >= truth - 1e-6


def test_exponential_covers_brute_force() -> None:
    epsilon = 0.8
    # Worst case of a bounded range: one candidate gains, the others lose.
    for share in (0.1, 0.3, 0.5, 0.9):
        p = np.array([share, 1 - share])
        for t in np.linspace(0, epsilon, 9):
            tilted = p * np.exp([t, t - epsilon])
            q = tilted / tilted.sum()
            ours = Accountant([Exponential(relation="add_remove", epsilon=epsilon)])
            for level in (0.05, 0.3):
                assert ours.delta(level) >= brute_force_delta(p, q, level) - 1e-9


def test_laplace_is_the_closed_form() -> None:
    scale, epsilon = 2.0, 0.2
    truth = 1 - math.exp((epsilon - 1 / scale) / 2)
    ours = Accountant([Laplace(relation="add_remove", noise_multiplier=scale)]).delta(epsilon)
    assert truth - 1e-9 <= ours <= truth + 1e-4


def test_a_mix_composes_once_and_tightly() -> None:
    parts: list[Mechanism] = [
        sgd(0.01, 1.2, 1000),
        gaussian(40.0, 30),
        Exponential(relation="add_remove", epsilon=0.05, count=30),
        Laplace(relation="add_remove", noise_multiplier=20.0, count=5),
        PATEVote(relation="add_remove", noise_multiplier=150 / math.sqrt(2), votes=1000),
    ]
    alone = [Accountant([part]).epsilon(DELTA) for part in parts]
    # The parts that accounting.md §2.2 publishes, in the same order.
    assert alone == pytest.approx([1.2986, 0.4798, 0.5271, 0.2497, 1.1241], abs=2e-3)
    total = Accountant(parts)
    assert max(alone) < total.epsilon(DELTA) < 2.1055
    assert total.epsilon(DELTA) < total.rdp_epsilon(DELTA) < sum(alone)


# -- the library's under-counting cases (docs/accounting.md) ------------------------------------


def library(relation: object = None, *, rdp: bool = True) -> object:
    import dp_accounting as dpa

    kind = dpa.rdp.RdpAccountant if rdp else dpa.pld.PLDAccountant
    return kind() if relation is None else kind(neighboring_relation=relation)


def test_case_a_counts_are_never_dropped() -> None:
    import dp_accounting as dpa

    event = dpa.RandomizedResponseDpEvent(noise_parameter=0.5, num_buckets=4)
    relation = dpa.NeighboringRelation.REPLACE_ONE
    repeated = library(relation, rdp=False).compose(event, 100).get_epsilon(DELTA)
    listed = (
        library(relation, rdp=False).compose(dpa.ComposedDpEvent([event] * 100)).get_epsilon(DELTA)
    )
    assert repeated < 5 < 100 < listed  # the library drops the count
    # We offer no randomised response, and every mechanism that repeats grows with its count.
    with pytest.raises(UsageError):
        mechanism_from_spec({"kind": "randomized_response", "count": 100})
    for few, many in (
        (gaussian(5.0, 1), gaussian(5.0, 100)),
        (laplace(1), laplace(100)),
        (discrete(1), discrete(100)),
        (sgd(0.1, 3.0, 1), sgd(0.1, 3.0, 100)),
    ):
        assert Accountant([many]).epsilon(DELTA) > 3 * Accountant([few]).epsilon(DELTA)


def test_case_b_whole_number_multipliers_cost_the_same_as_real_ones() -> None:
    import dp_accounting as dpa

    def nested(sigma: object) -> float:
        inner = dpa.SelfComposedDpEvent(dpa.GaussianDpEvent(sigma), 100)
        event = dpa.SelfComposedDpEvent(dpa.PoissonSampledDpEvent(0.01, inner), 100)
        return library().compose(event).get_epsilon(DELTA)

    assert nested(1) < 2 < 1000 < nested(1.0)  # the library takes an int for something else
    for value in (1, np.float32(1.0), np.int64(1)):
        assert sgd(0.01, value, 100) == sgd(0.01, 1.0, 100)
        assert gaussian(value) == gaussian(1.0)
        assert type(gaussian(value).noise_multiplier) is float
        mixed = Accountant([gaussian(value), gaussian(1.0)]).rdp_epsilon(DELTA)
        assert mixed >= analytic_epsilon(math.sqrt(2), DELTA)


def test_case_c_replace_one_is_never_booked_as_add_remove() -> None:
    import dp_accounting as dpa

    relation = dpa.NeighboringRelation.REPLACE_ONE
    theirs = library(relation).compose(dpa.GaussianDpEvent(4.0)).get_epsilon(DELTA)
    truth = analytic_epsilon(2 / 4.0, DELTA)  # the library's multiplier is σ over the norm bound
    assert theirs < 0.6 * truth
    # Ours is σ over the sensitivity under the stated relation: the author of a mechanism halves it.
    ours = Accountant([gaussian(2.0, relation="replace_one")])
    assert truth <= ours.epsilon(DELTA) <= ours.rdp_epsilon(DELTA)
    with pytest.raises(BudgetError, match="DPS102"):
        Accountant([gaussian(2.0), gaussian(2.0, relation="replace_one")])


def test_case_d_laplace_under_replace_one() -> None:
    import dp_accounting as dpa

    relation = dpa.NeighboringRelation.REPLACE_ONE
    theirs = library(relation).compose(dpa.LaplaceDpEvent(4.0)).get_epsilon(DELTA)
    assert theirs < 0.3
    ours = Accountant([Laplace(relation="replace_one", noise_multiplier=2.0)])
    assert ours.epsilon(DELTA) >= 0.5 - 1e-3  # exact: 1/2 up to δ
    assert ours.rdp_epsilon(DELTA) >= 0.49


def test_sampling_under_replace_one_is_twice_the_sensitivity() -> None:
    full = Accountant([sgd(1.0, 10.0, 1, "replace_one")])
    truth = analytic_epsilon(2 / 10.0, DELTA)
    assert truth <= full.epsilon(DELTA) <= truth + 1e-3
    assert full.rdp_epsilon(DELTA) >= truth
    for q, sigma, steps in ((0.01, 1.0, 500), (0.1, 4.0, 100)):
        replace = Accountant([sgd(q, sigma, steps, "replace_one")])
        assert replace.epsilon(DELTA) > Accountant([sgd(q, sigma, steps)]).epsilon(DELTA)
        assert replace.rdp_epsilon(DELTA) >= replace.epsilon(DELTA)


# -- laws ----------------------------------------------------------------------------------------

SIGMAS = st.floats(0.6, 50)


@settings(max_examples=15, deadline=None)
@given(sigma=SIGMAS, factor=st.floats(1.05, 3), steps=st.integers(1, 400))
def test_less_noise_and_more_steps_cost_more(sigma: float, factor: float, steps: int) -> None:
    base = Accountant([sgd(0.05, sigma, steps)], discretisation=1e-3)
    noisier = Accountant([sgd(0.05, sigma * factor, steps)], discretisation=1e-3)
    longer = Accountant([sgd(0.05, sigma, 3 * steps)], discretisation=1e-3)
    assert noisier.epsilon(DELTA) <= base.epsilon(DELTA) <= longer.epsilon(DELTA)


@settings(max_examples=15, deadline=None)
@given(sigma=SIGMAS, scale=st.floats(2, 60), rho=st.floats(1e-3, 0.3))
def test_a_composition_costs_at_least_each_part_and_at_most_their_sum(
    sigma: float, scale: float, rho: float
) -> None:
    parts: list[Mechanism] = [
        gaussian(sigma),
        Laplace(relation="add_remove", noise_multiplier=scale),
        ZCDP(relation="add_remove", rho=rho),
    ]
    total = Accountant(parts, discretisation=1e-3).epsilon(DELTA)
    alone = [Accountant([p], discretisation=1e-3) for p in parts]
    assert total >= max(a.epsilon(DELTA) for a in alone) - 1e-4
    assert total <= sum(a.epsilon(DELTA / 3) for a in alone) + 5e-3


@settings(max_examples=15, deadline=None)
@given(sigma=st.floats(1, 30), delta=st.sampled_from([1e-3, 1e-5, 1e-7]))
def test_epsilon_and_delta_are_inverse(sigma: float, delta: float) -> None:
    accountant = Accountant([gaussian(sigma)])
    assert accountant.delta(accountant.epsilon(delta)) <= delta * 1.001
    assert accountant.delta(max(0.0, accountant.epsilon(delta) - 0.01)) > delta * 0.9


def test_the_order_of_mechanisms_does_not_matter() -> None:
    parts = [gaussian(3.0), sgd(0.1, 2.0, 50), ZCDP(relation="add_remove", rho=0.05)]
    forward, backward = Accountant(parts), Accountant(parts[::-1])
    assert forward.epsilon(DELTA) == pytest.approx(backward.epsilon(DELTA), abs=1e-6)
    assert Accountant(parts[:1]).compose(*parts[1:]) == forward


def test_the_dominating_distribution_is_no_better_than_its_curve() -> None:
    for mu in (0.2, 1.0, 3.0):
        rdp = ORDERS * mu**2 / 2
        block = dominating_distribution(rdp, 1e-3)
        for epsilon in (0.0, 0.3, 1.0, 4.0):
            assert block.get_delta_for_epsilon(epsilon) >= analytic_delta(mu, epsilon)
    composed = dominating_distribution(ORDERS * 0.5, 1e-4).get_epsilon_for_delta(DELTA)
    assert composed == pytest.approx(4.7285, abs=0.012)


# -- failure probabilities, limits, words ---------------------------------------------------------


def test_failure_probability_is_spent_from_delta() -> None:
    selection = PartitionSelection(relation="add_remove", sigma=30.0, failure_delta=4e-6)
    with_failure = Accountant([selection])
    plain = Accountant([DiscreteGaussian(relation="add_remove", sigma=30.0)])
    assert with_failure.epsilon(DELTA) == pytest.approx(plain.epsilon(6e-6), abs=1e-6)
    assert with_failure.delta(0.3) == pytest.approx(plain.delta(0.3) + 4e-6)
    assert math.isinf(with_failure.epsilon(4e-6))
    assert "no guarantee" in with_failure.explain(1e-6)


@pytest.mark.parametrize("delta", [0.0, 1e-11, 1e-15, 1.0, float("nan")])
def test_deltas_below_the_numerical_floor_are_refused(delta: float) -> None:
    with pytest.raises(UsageError, match="delta"):
        Accountant([gaussian(2.0)]).epsilon(delta)


def sampled_from_all(mu: float, steps: int) -> PoissonSampledGaussian:
    """Sampling probability 1: composed by Fourier transform, and known in closed form."""
    return sgd(1.0, math.sqrt(steps) / mu, steps)


@pytest.mark.parametrize(
    ("mu", "steps", "delta"),
    [(1.0, 2000, 1e-10), (1.3, 10_000, 2e-10), (1.3, 10_000, 1e-9), (1.3, 300_000, 1e-10)],
)
def test_the_fourier_floor_is_on_the_safe_side(mu: float, steps: int, delta: float) -> None:
    truth = analytic_epsilon(mu, delta)
    accountant = Accountant([sampled_from_all(mu, steps)])
    raw = accountant._distribution().get_epsilon_for_delta(delta)
    assert raw < truth  # the library alone: too little
    assert truth <= accountant.epsilon(delta) <= accountant.certificate(delta)


@pytest.mark.parametrize("rest", [1e-10, 1e-12, 1e-14])
def test_failures_that_leave_next_to_nothing_of_delta(rest: float) -> None:
    selection = PartitionSelection(relation="add_remove", sigma=1e4, failure_delta=1e-6 - rest)
    accountant = Accountant([sampled_from_all(1.0, 2000), selection])
    assert accountant.epsilon(1e-6) >= analytic_epsilon(1.0, rest)


def test_delta_never_falls_below_the_truth_far_out() -> None:
    accountant = Accountant([sampled_from_all(1.0, 2000)])
    for epsilon in (4.0, 6.0, 8.0, 9.0):
        assert accountant.delta(epsilon) >= analytic_delta(1.0, epsilon)


@pytest.mark.parametrize(
    "mechanism",
    [
        ZCDP(relation="add_remove", rho=100.0),
        gaussian(0.02),
        PATEVote(relation="add_remove", noise_multiplier=1.0, votes=10**6),
    ],
)
def test_hopeless_mechanisms_have_a_finite_price(mechanism: Mechanism) -> None:
    accountant = Accountant([mechanism])
    assert 150 < accountant.epsilon(DELTA) == accountant.rdp_epsilon(DELTA) < math.inf
    assert accountant.advantage() > 0.99
    assert accountant.tradeoff([0.5])[0] < 0.01
    assert "ε" in accountant.explain(DELTA)


@pytest.mark.parametrize("grid", [0.0, -1e-4, float("nan"), float("inf")])
def test_impossible_grids_are_refused(grid: float) -> None:
    with pytest.raises(UsageError, match="discretisation"):
        Accountant([gaussian(2.0)], discretisation=grid)


def test_certificates_are_rounded_up() -> None:
    accountant = Accountant([gaussian(4.0)])
    certified = accountant.certificate(DELTA)
    assert accountant.epsilon(DELTA) <= certified <= accountant.epsilon(DELTA) + 1e-3
    assert round(certified, 3) == certified


def test_nothing_costs_nothing() -> None:
    assert Accountant().epsilon(DELTA) == 0.0
    assert Accountant().delta(0.0) == 0.0
    assert Accountant().tradeoff([0.3]).tolist() == [0.7]


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
def test_the_tradeoff_curve_is_that_of_the_gaussian(mu: float) -> None:
    accountant = Accountant([gaussian(1 / mu)])
    alpha = np.array([1e-4, 0.01, 0.1, 0.5, 0.9])
    truth = stats.norm.cdf(stats.norm.ppf(1 - alpha) - mu)
    ours = accountant.tradeoff(alpha)
    assert np.all(ours <= truth + 1e-9)
    assert ours == pytest.approx(truth, abs=3e-3)
    assert accountant.advantage() == pytest.approx(2 * stats.norm.cdf(mu / 2) - 1, abs=1e-3)
    assert accountant.true_positive_rate(0.01) == pytest.approx(1 - truth[1], abs=3e-3)


def test_the_explanation_gives_the_numbers_of_this_accountant() -> None:
    accountant = Accountant([gaussian(4.0)])
    words = accountant.explain(DELTA)
    epsilon = accountant.certificate(DELTA)
    assert f"{math.exp(epsilon):.3g}" in words
    # The best guess between two Gaussians 1/4 apart.
    assert f"{100 * stats.norm.cdf(1 / 8):.1f}%" in words
    assert "Exchanging" in Accountant([gaussian(4.0, relation="replace_one")]).explain(DELTA)


@pytest.mark.parametrize(
    "make",
    [
        lambda: gaussian(0.0),
        lambda: gaussian(float("nan")),
        lambda: gaussian(1.0, 0),
        lambda: sgd(1.5, 1.0, 1),
        lambda: sgd(0.1, 1.0, 2.5),
        lambda: gaussian(1.0, True),
    ],
)
def test_impossible_mechanisms_are_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()


def test_specs_round_trip() -> None:
    for mechanism in (
        gaussian(2.5, 3),
        sgd(0.1, 1.5, 9),
        PartitionSelection(relation="replace_one", sigma=3.0, failure_delta=1e-7),
    ):
        assert mechanism_from_spec(mechanism.spec()) == mechanism
