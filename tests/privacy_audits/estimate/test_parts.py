"""The parts of the estimators against independent computations."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

from dpsynth.errors import UsageError
from privacy_audits.estimate import (
    Confusion,
    Guesses,
    advantage_cap,
    auc_cap,
    bonferroni,
    confirmed,
    d_prime,
    d_prime_p_value,
    delta_of,
    epsilon_of_mu,
    gaussian_advantage_cap,
    gaussian_auc_cap,
    gaussian_tpr_cap,
    holm,
    mu_of_epsilon,
    numbers_of_guesses,
    one_run_order,
    one_run_order_sampled,
    one_run_p_value,
    order_p_value,
    release_level,
    tpr_cap,
    upper_rate,
)
from privacy_audits.estimate.bisection import crossing
from privacy_audits.estimate.channels import GaussianChannel, SampledGaussianChannel
from privacy_audits.estimate.coverage import normal_canaries, sampled_canaries
from privacy_audits.estimate.d_prime import upper_tail
from privacy_audits.estimate.one_run_fdp import rejects

# -- conversions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mu", [1e-3, 0.05, 1.0, 6.0, 30.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.01, 1.0, 50.0])
def test_delta_of_a_gaussian_mechanism_in_fifty_digits(mu, epsilon):
    with mpmath.workdps(50):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        exact = mpmath.ncdf(-e / m + m / 2) - mpmath.exp(e) * mpmath.ncdf(-e / m - m / 2)
    if exact > 1e-300:
        assert delta_of(mu, epsilon) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("delta", [1e-12, 1e-5, 0.1])
@pytest.mark.parametrize("epsilon", [1e-3, 0.5, 8.0, 50.0])
def test_conversions_are_inverse(epsilon, delta):
    mu = mu_of_epsilon(epsilon, delta)
    assert epsilon_of_mu(mu, delta) == pytest.approx(epsilon, rel=1e-8)


def test_conversions_at_the_ends():
    assert epsilon_of_mu(0.0, 1e-5) == 0
    assert epsilon_of_mu(math.inf, 1e-5) == mu_of_epsilon(math.inf, 1e-5) == math.inf
    assert epsilon_of_mu(0.1, 0.5) == 0  # total variation is below δ already
    assert delta_of(0.0, 1.0) == 0
    assert 1200 < epsilon_of_mu(50.0, 1e-5) < 1600
    for call in (
        lambda: epsilon_of_mu(-0.1, 1e-5),
        lambda: epsilon_of_mu(math.nan, 1e-5),
        lambda: epsilon_of_mu(1.0, 0.0),
        lambda: mu_of_epsilon(-1.0, 1e-5),
        lambda: mu_of_epsilon(1.0, 1.0),
    ):
        with pytest.raises(UsageError, match="must"):
            call()


def test_a_crossing_is_approached_from_below():
    assert crossing(lambda x: x >= 3) == pytest.approx(3, rel=1e-9)
    assert crossing(lambda x: x >= 3) < 3
    assert crossing(lambda x: True) == 0
    assert crossing(lambda x: False) == math.inf
    assert crossing(lambda x: x > 1e-5) == pytest.approx(1e-5, rel=1e-6)


# -- errors of one threshold -----------------------------------------------------------------------


@pytest.mark.parametrize(("events", "trials"), [(0, 10), (3, 10), (9, 10), (40, 4000)])
def test_the_upper_limit_of_a_rate_is_exact(events, trials):
    limit = upper_rate(events, trials, 0.01)
    assert stats.binom.cdf(events, trials, limit) == pytest.approx(0.01, rel=1e-9)
    assert upper_rate(trials, trials, 0.01) == 1


def test_errors_at_a_threshold():
    inside, outside = np.array([0.0, 1.0, 2.0, 3.0]), np.array([-1.0, 1.0, 0.5])
    counts = Confusion.at(1.0, inside=inside, outside=outside)
    assert counts == Confusion(false_positives=1, negatives=3, false_negatives=1, positives=4)
    assert counts.flipped.flipped == counts


def test_impossible_counts_and_scores_are_refused():
    for errors, trials in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(UsageError, match="confusion"):
            Confusion(false_positives=errors, negatives=trials, false_negatives=0, positives=1)
        with pytest.raises(UsageError, match="confusion"):
            Confusion(false_positives=0, negatives=1, false_negatives=errors, positives=trials)
    for canaries, made, correct in ((5, 6, 1), (5, 0, 0), (5, 3, 4), (5, 3, -1)):
        with pytest.raises(UsageError, match="guesses need"):
            Guesses(canaries=canaries, made=made, correct=correct)
    secret = 123.456
    for scores in (np.array([secret, math.nan]), np.array([]), np.array([[secret]])):
        with pytest.raises(UsageError) as refused:
            Confusion.at(0.0, inside=scores, outside=np.ones(2))
        assert str(secret) not in str(refused.value)
    with pytest.raises(UsageError, match="ten canaries"):
        numbers_of_guesses(9)


# -- d′ --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [1, 2, 18, 998])
@pytest.mark.parametrize("noncentrality", [0.0, 0.7, 5.0])
def test_the_non_central_t_tail(freedom, noncentrality):
    law = stats.chi(freedom, scale=1 / math.sqrt(freedom))
    for statistic in (-1.0, 0.5, 3.0, 8.0):
        exact, _ = integrate.quad(
            lambda s, t=statistic: law.pdf(s) * stats.norm.sf(t * s - noncentrality),
            0,
            12 if freedom < 20 else 3,
            epsabs=1e-13,
            limit=500,
            points=[1.0],
        )
        tail = upper_tail(statistic, freedom=freedom, noncentrality=noncentrality)
        assert tail == pytest.approx(exact, abs=1e-10)


def test_the_central_t_tail_is_students():
    for freedom, statistic in itertools.product((1, 5, 10_000), (0.0, 1.0, 4.0)):
        tail = upper_tail(statistic, freedom=freedom, noncentrality=0.0)
        assert tail == pytest.approx(stats.t.sf(statistic, freedom), rel=1e-9)


def test_the_d_prime_bound_is_where_the_p_value_is_alpha():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 1, 30), rng.normal(0, 1, 50)
    lower = d_prime(inside, outside, alpha=0.01).lower
    assert d_prime_p_value(inside, outside, mu=lower) == pytest.approx(0.01, rel=1e-6)
    pooled = stats.ttest_ind(inside, outside, alternative="greater")
    assert d_prime_p_value(inside, outside, mu=0.0) == pytest.approx(pooled.pvalue, rel=1e-9)


def test_d_prime_does_not_depend_on_the_scale_of_the_scores():
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(1, 1, 40), rng.normal(0, 1, 40)
    bound = d_prime(inside, outside, alpha=0.05)
    moved = d_prime(1e6 * inside - 7, 1e6 * outside - 7, alpha=0.05)
    assert moved.lower == pytest.approx(bound.lower, rel=1e-8)
    assert math.isinf(bound.ceiling)


def test_d_prime_of_scores_without_spread():
    same = d_prime(np.ones(5), np.ones(5), alpha=0.05)
    assert same.lower == same.point == 0
    with pytest.raises(UsageError, match="without any spread"):
        d_prime(np.ones(5), np.zeros(5), alpha=0.05)
    with pytest.raises(UsageError, match="three scores"):
        d_prime(np.ones(1), np.zeros(1), alpha=0.05)


# -- one run ---------------------------------------------------------------------------------------


def test_ranked_and_confident_guesses():
    rng = np.random.default_rng(0)
    scores = np.array([-5.0, -1.0, 0.5, 2.0, 3.0, -0.1])
    inside = np.array([False, True, True, True, False, False])
    # Highest two "in": one of them is; lowest two "out": one of them is.
    assert Guesses.by_rank(scores, inside, made=4, rng=rng).correct == 2
    assert Guesses.by_rank(scores, inside, made=1, rng=rng).correct == 0
    # Most confident three: −5 out (right), 3 in (wrong), 2 in (right).
    assert Guesses.by_confidence(scores, inside, made=3, rng=rng).correct == 2
    assert Guesses.by_confidence(-scores, ~inside, made=6, rng=rng).correct == 4


def test_ties_are_not_broken_by_the_order_of_the_rows():
    # Members first, and a score that says nothing: the order of the rows would be right every time.
    scores, inside = np.zeros(2000), np.arange(2000) < 1000
    for choose in (Guesses.by_rank, Guesses.by_confidence):
        rng = np.random.default_rng(3)
        for coins in (inside, ~inside):
            correct = choose(scores, coins, made=1000, rng=rng).correct
            assert abs(correct - 500) < 5 * math.sqrt(250)


def test_guesses_need_a_coin_per_score():
    rng = np.random.default_rng(0)
    for coins in (np.array([1, 0, 1]), np.array([True, False])):
        with pytest.raises(UsageError, match="one coin"):
            Guesses.by_rank(np.zeros(3), coins, made=1, rng=rng)
    with pytest.raises(UsageError, match="number of guesses"):
        Guesses.by_confidence(np.zeros(3), np.ones(3, dtype=bool), made=4, rng=rng)


def test_the_one_run_p_value_term_by_term():
    rng = np.random.default_rng(1)
    for _ in range(300):
        canaries = int(rng.integers(1, 200))
        made = int(rng.integers(1, canaries + 1))
        correct = int(rng.integers(0, made + 1))
        epsilon, delta = float(rng.exponential(2)), float(10 ** rng.uniform(-8, -1))
        law = stats.binom(made, 1 / (1 + math.exp(-epsilon)))
        beta = float(law.pmf(np.arange(correct, made + 1)).sum())
        reach = np.cumsum(law.pmf(correct - np.arange(1, correct + 1)))
        share = float(np.max(reach / np.arange(1, correct + 1), initial=0))
        exact = min(1.0, beta + 2 * canaries * delta * share)
        guesses = Guesses(canaries=canaries, made=made, correct=correct)
        p_value = one_run_p_value(guesses, epsilon=epsilon, delta=delta)
        assert p_value == pytest.approx(exact, abs=1e-12)


def test_the_one_run_p_value_at_a_huge_epsilon():
    guesses = Guesses(canaries=20_000, made=10_000, correct=9999)
    assert one_run_p_value(guesses, epsilon=50.0, delta=1e-5) == pytest.approx(1.0)
    perfect = Guesses(canaries=20_000, made=10_000, correct=10_000)
    miss = 1 - one_run_p_value(perfect, epsilon=20.0, delta=0.0)
    assert miss == pytest.approx(10_000 * math.exp(-20), rel=1e-4)


def test_the_fdp_recursion_rejects_too_much_success_only():
    made, canaries = 100, 400
    refuted = [
        rejects(Guesses(canaries=canaries, made=made, correct=c), mu=0.5, alpha=0.05)
        for c in range(made + 1)
    ]
    assert refuted == sorted(refuted)
    assert not refuted[60]
    assert refuted[100]


@pytest.mark.parametrize("channel", [GaussianChannel(), SampledGaussianChannel(rate=0.2)])
def test_channels_against_draws(channel):
    rng = np.random.default_rng(6)
    mu, count = 1.5, 200_000
    if isinstance(channel, GaussianChannel):
        seen, inside = normal_canaries(rng, mu=mu, canaries=count)
    else:
        seen, inside = sampled_canaries(rng, mu=mu, rate=channel.rate, canaries=count)
    for cut in (0.0, 0.2, 0.5, 1.5):
        far = np.abs(seen) > cut
        wrong = far & ((seen > 0) != inside)
        at = np.array([cut])
        # Five standard errors of a share.
        assert channel.beyond(at, mu)[0] == pytest.approx(far.mean(), abs=5 * 0.5 / count**0.5)
        assert channel.wrong(at, mu)[0] == pytest.approx(wrong.mean(), abs=5 * 0.5 / count**0.5)


def test_the_sampled_channel_near_rate_one_is_the_gaussian_one():
    sampled, plain = SampledGaussianChannel(rate=1 - 1e-9), GaussianChannel()
    cut = np.array([0.3, 1.0, 2.0])
    # Cuts in nats against cuts in standard deviations.
    assert sampled.beyond(cut, 2.0) == pytest.approx(plain.beyond(cut / 2.0, 2.0), rel=1e-5)
    assert sampled.wrong(cut, 2.0) == pytest.approx(plain.wrong(cut / 2.0, 2.0), rel=1e-5)
    assert sampled.epsilon(2.0, 1e-5) == pytest.approx(plain.epsilon(2.0, 1e-5), rel=1e-6)
    guesses = Guesses(canaries=300, made=100, correct=92)
    assert one_run_order_sampled(
        guesses, rate=1 - 1e-9, delta=1e-5, alpha=0.05
    ).lower == pytest.approx(one_run_order(guesses, alpha=0.05).at(1e-5).lower, rel=1e-5)


def test_the_order_p_value_against_draws():
    rng = np.random.default_rng(7)
    mu, canaries, made, draws = 1.0, 40, 15, 20_000
    wrong = np.empty(draws, dtype=int)
    for i in range(draws):
        ratios, inside = normal_canaries(rng, mu=mu, canaries=canaries)
        top = np.argpartition(-np.abs(ratios), made)[:made]
        wrong[i] = np.sum((ratios[top] > 0) != inside[top])
    for errors in (0, 1, 2, 4):
        guesses = Guesses(canaries=canaries, made=made, correct=made - errors)
        p_value = order_p_value(guesses, mu=mu)
        seen = float(np.mean(wrong <= errors))
        assert p_value == pytest.approx(seen, abs=5 * math.sqrt(p_value / draws))


def test_all_guesses_made_is_a_binomial_test():
    guesses = Guesses(canaries=50, made=50, correct=40)
    exact = stats.binom.cdf(10, 50, stats.norm.cdf(-0.4))
    assert order_p_value(guesses, mu=0.8) == pytest.approx(exact, rel=1e-9)
    assert order_p_value(guesses, mu=0.0) == pytest.approx(stats.binom.cdf(10, 50, 0.5), rel=1e-12)


# -- caps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 0.0), (1.0, 0.0), (2.0, 0.1), (50.0, 0.0)])
def test_caps_follow_from_the_trade_off_curve(epsilon, delta):
    rates = np.linspace(0, 1, 20_001)
    curve = np.array([tpr_cap(rate, epsilon=epsilon, delta=delta) for rate in rates])
    area = float(np.trapezoid(curve, rates))
    assert auc_cap(epsilon=epsilon, delta=delta) == pytest.approx(area, abs=1e-4)
    advantage = float((curve - rates).max())
    assert advantage_cap(epsilon=epsilon, delta=delta) == pytest.approx(advantage, abs=2e-4)
    assert (np.diff(curve) >= 0).all()


@pytest.mark.parametrize("mu", [0.0, 0.3, 2.0])
def test_gaussian_caps_follow_from_the_trade_off_curve(mu):
    area, _ = integrate.quad(gaussian_tpr_cap, 0, 1, args=(mu,), epsabs=1e-8)
    assert gaussian_auc_cap(mu) == pytest.approx(area, abs=1e-6)
    rates = np.linspace(0, 1, 20_001)
    curve = np.array([gaussian_tpr_cap(rate, mu) for rate in rates])
    assert gaussian_advantage_cap(mu) == pytest.approx(float((curve - rates).max()), abs=1e-6)


@pytest.mark.parametrize("mu", [0.3, 2.0])
def test_no_gaussian_cap_is_above_that_of_its_own_epsilon(mu):
    for delta in (1e-9, 1e-3, 0.1):
        epsilon = epsilon_of_mu(mu, delta)
        assert gaussian_auc_cap(mu) <= auc_cap(epsilon=epsilon, delta=delta)
        assert gaussian_advantage_cap(mu) <= advantage_cap(epsilon=epsilon, delta=delta) + 1e-12
        for rate in (0.0, 1e-3, 0.1, 0.9, 1.0):
            cap = tpr_cap(rate, epsilon=epsilon, delta=delta)
            assert gaussian_tpr_cap(rate, mu) <= cap + 1e-12


def test_caps_refuse_what_is_no_claim():
    for call in (
        lambda: auc_cap(epsilon=-1.0, delta=0.0),
        lambda: auc_cap(epsilon=1.0, delta=1.0),
        lambda: tpr_cap(1.5, epsilon=1.0, delta=0.0),
        lambda: gaussian_auc_cap(math.inf),
        lambda: gaussian_tpr_cap(-0.1, 1.0),
    ):
        with pytest.raises(UsageError):
            call()


# -- many tests ------------------------------------------------------------------------------------


def test_holm_and_bonferroni():
    p = [0.01, 0.04, 0.03, 0.005]
    assert bonferroni(p) == pytest.approx([0.04, 0.16, 0.12, 0.02])
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0
    assert confirmed(0.2, 0.004) == pytest.approx(0.008)
    for wrong in ([1.1], [math.nan], [[0.1]]):
        with pytest.raises(UsageError, match="p-values"):
            holm(wrong)


def test_holm_keeps_the_family_wise_level():
    # Two true and one false hypothesis, any dependence: here all from one draw, and independent.
    rng = np.random.default_rng(8)
    draws, alpha = 5000, 0.05
    for together in (True, False):
        u = rng.random((draws, 1 if together else 2))
        wrong = [bool((holm([*np.broadcast_to(row, 2), 1e-9])[:2] <= alpha).any()) for row in u]
        assert np.mean(wrong) <= alpha + 5 * math.sqrt(alpha / draws)


def test_the_levels_of_all_releases_sum_up_to_alpha():
    levels = [release_level(0.01, j) for j in range(1, 200_001)]
    assert levels[0] == pytest.approx(0.01 * 6 / math.pi**2)
    assert 0.00999 < sum(levels) < 0.01
    for alpha, release in ((0.0, 1), (1.0, 1), (0.05, 0)):
        with pytest.raises(UsageError):
            release_level(alpha, release)


def test_no_count_stands_in_a_repr() -> None:
    counted = Confusion(false_positives=7919, negatives=8000, false_negatives=1, positives=9)
    for each in (counted, Guesses(canaries=8000, made=7919, correct=7919)):
        assert "7919" not in repr(each)
