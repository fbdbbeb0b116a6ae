"""Every bound is at most its point estimate and its ceiling, and moves the right way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.errors import UsageError
from privacy_audits.estimate import (
    Bound,
    Confusion,
    Guesses,
    best_of,
    best_threshold,
    clopper_pearson,
    d_prime,
    epsilon_of_mu,
    gaussian,
    numbers_of_guesses,
    one_run,
    one_run_ceiling,
    one_run_fdp,
    one_run_order,
    one_run_order_sampled,
    threshold_on_half,
)

LEVELS = st.sampled_from([1e-6, 1e-3, 0.01, 0.05, 0.3])
DELTAS = st.sampled_from([0.0, 1e-9, 1e-5, 1e-2, 0.3])


@st.composite
def confusions(draw) -> Confusion:
    negatives, positives = draw(st.integers(1, 10_000)), draw(st.integers(1, 10_000))
    return Confusion(
        false_positives=draw(st.integers(0, negatives)),
        negatives=negatives,
        false_negatives=draw(st.integers(0, positives)),
        positives=positives,
    )


@st.composite
def guessed(draw, largest: int = 1000) -> Guesses:
    canaries = draw(st.integers(1, largest))
    made = draw(st.integers(1, canaries))
    return Guesses(canaries=canaries, made=made, correct=draw(st.integers(0, made)))


def is_a_bound(bound: Bound, alpha: float) -> None:
    # Bound itself refuses anything else up to rounding; here it is asked for again, and exactly.
    assert 0 <= bound.lower <= bound.point * (1 + 1e-9)
    assert bound.lower <= bound.ceiling * (1 + 1e-9)
    assert bound.confidence == 1 - alpha
    assert bound.method
    assert bound.assumptions


@given(confusions(), DELTAS, LEVELS, st.booleans())
@settings(deadline=None, max_examples=300, derandomize=True)
def test_bounds_from_a_confusion(confusion, delta, alpha, either):
    is_a_bound(clopper_pearson(confusion, delta=delta, alpha=alpha, either_sign=either), alpha)
    mu = gaussian(confusion, alpha=alpha, either_sign=either)
    is_a_bound(mu, alpha)
    is_a_bound(mu.at(1e-5), alpha)


@given(guessed(), DELTAS, LEVELS)
@settings(deadline=None, max_examples=100, derandomize=True)
def test_bounds_from_guesses(guesses, delta, alpha):
    is_a_bound(one_run(guesses, delta=delta, alpha=alpha), alpha)
    for estimate in (one_run_fdp, one_run_order):
        bound = estimate(guesses, alpha=alpha)
        is_a_bound(bound, alpha)
        is_a_bound(bound.at(1e-5), alpha)


@given(guessed(largest=200), st.sampled_from([0.01, 0.2, 0.9]), LEVELS)
@settings(deadline=None, max_examples=25, derandomize=True)
def test_bounds_from_sampled_guesses(guesses, rate, alpha):
    is_a_bound(one_run_order_sampled(guesses, rate=rate, delta=1e-5, alpha=alpha), alpha)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 60), st.floats(-5, 5), LEVELS)
@settings(deadline=None, max_examples=150, derandomize=True)
def test_bounds_from_scores(seed, members, others, shift, alpha):
    rng = np.random.default_rng(seed)
    inside, outside = rng.normal(shift, 1, members), rng.standard_t(3, others)
    is_a_bound(d_prime(inside, outside, alpha=alpha), alpha)


def test_a_finer_level_and_fewer_errors_move_a_bound_the_right_way():
    def bounds(wrong: int, alpha: float) -> list[float]:
        guesses = Guesses(canaries=400, made=100, correct=100 - wrong)
        counts = Confusion(
            false_positives=wrong, negatives=100, false_negatives=wrong, positives=100
        )
        return [
            one_run(guesses, delta=1e-5, alpha=alpha).lower,
            one_run_fdp(guesses, alpha=alpha).lower,
            one_run_order(guesses, alpha=alpha).lower,
            clopper_pearson(counts, delta=1e-5, alpha=alpha).lower,
            gaussian(counts, alpha=alpha).lower,
        ]

    grid = np.array([[bounds(w, a) for a in (0.01, 0.05, 0.2)] for w in (0, 5, 15, 25)])
    assert (np.diff(grid, axis=1) > 0).all()
    assert (np.diff(grid, axis=0) < 0).all()


def test_a_larger_delta_lowers_every_bound_on_epsilon():
    guesses = Guesses(canaries=1000, made=100, correct=95)
    counts = Confusion(false_positives=3, negatives=100, false_negatives=9, positives=100)
    deltas = [0.0, 1e-6, 1e-4, 1e-2]
    assert np.all(np.diff([one_run(guesses, delta=d, alpha=0.05).lower for d in deltas]) < 0)
    assert np.all(np.diff([clopper_pearson(counts, delta=d, alpha=0.05).lower for d in deltas]) < 0)
    mu = gaussian(counts, alpha=0.05)
    assert np.all(np.diff([mu.at(d).lower for d in deltas[1:]]) < 0)


def test_guesses_without_any_success_bound_nothing():
    for guesses in (
        Guesses(canaries=10, made=10, correct=0),
        Guesses(canaries=10, made=10, correct=5),
        Guesses(canaries=1, made=1, correct=1),
    ):
        assert one_run(guesses, delta=0.0, alpha=0.05).lower == 0
        assert one_run_fdp(guesses, alpha=0.05).lower == 0
        assert one_run_order(guesses, alpha=0.05).lower == 0


def test_an_attack_that_always_says_member_bounds_nothing():
    always = Confusion(false_positives=50, negatives=50, false_negatives=0, positives=50)
    for counts in (always, always.flipped):
        for bound in (
            clopper_pearson(counts, delta=0.0, alpha=0.05, either_sign=True),
            gaussian(counts, alpha=0.05, either_sign=True),
        ):
            assert bound.lower == bound.point == 0


def test_an_attack_with_the_wrong_sign_is_seen_only_if_both_were_declared():
    wrong = Confusion(false_positives=90, negatives=100, false_negatives=90, positives=100)
    assert clopper_pearson(wrong, delta=0.0, alpha=0.05).lower == 0
    flipped = clopper_pearson(wrong, delta=0.0, alpha=0.05, either_sign=True)
    # Each sign has half the level.
    assert flipped.lower == clopper_pearson(wrong.flipped, delta=0.0, alpha=0.025).lower > 1


def test_a_bound_on_mu_turns_into_one_on_epsilon_and_one_on_epsilon_stays():
    counts = Confusion(false_positives=10, negatives=100, false_negatives=20, positives=100)
    mu = gaussian(counts, alpha=0.05)
    epsilon = mu.at(1e-5)
    assert (epsilon.quantity, epsilon.delta) == ("epsilon", 1e-5)
    assert epsilon.lower == epsilon_of_mu(mu.lower, 1e-5)
    assert epsilon.at(1e-5) is epsilon
    with pytest.raises(UsageError, match="the delta it was made for"):
        epsilon.at(1e-6)


def test_a_lower_bound_above_its_point_estimate_cannot_be_stated():
    with pytest.raises(UsageError, match="DPS401"):
        Bound(
            quantity="mu",
            lower=0.4262,
            point=0.3919,
            ceiling=math.inf,
            method="swapped",
            assumptions=(),
            confidence=0.9,
        )
    with pytest.raises(UsageError, match="states its delta"):
        Bound(
            quantity="epsilon",
            lower=0.0,
            point=0.0,
            ceiling=1.0,
            method="no delta",
            assumptions=(),
            confidence=0.9,
        )


def test_the_best_of_declared_choices_has_its_share_of_the_level():
    made = numbers_of_guesses(1000)
    assert made == (100, 250, 500)
    declared = [Guesses(canaries=1000, made=r, correct=round(0.9 * r)) for r in made]
    best = best_of(lambda g, a: one_run(g, delta=1e-5, alpha=a), declared, alpha=0.06)
    alone = [one_run(g, delta=1e-5, alpha=0.02) for g in declared]
    assert best.lower == max(bound.lower for bound in alone)
    assert best.ceiling == max(bound.ceiling for bound in alone)
    assert best.confidence == 0.94
    assert best.assumptions[-1] == "best of 3 declared choices"


def test_the_best_declared_threshold_has_its_share_of_the_level():
    rng = np.random.default_rng(4)
    inside, outside = rng.normal(2, 1, 200), rng.normal(0, 1, 300)
    thresholds = [0.0, 1.0, 2.0]
    best = best_threshold(
        lambda c, a: gaussian(c, alpha=a), thresholds, inside=inside, outside=outside, alpha=0.06
    )
    assert best.lower == max(
        gaussian(Confusion.at(t, inside=inside, outside=outside), alpha=0.02).lower
        for t in thresholds
    )
    with pytest.raises(UsageError, match="at most 64"):
        best_threshold(
            lambda c, a: gaussian(c, alpha=a),
            np.zeros(65).tolist(),
            inside=inside,
            outside=outside,
            alpha=0.05,
        )
    with pytest.raises(UsageError, match="nothing was declared"):
        best_of(lambda g, a: one_run(g, delta=0.0, alpha=a), [], alpha=0.05)


def test_a_threshold_is_chosen_on_scores_that_are_not_counted():
    rng = np.random.default_rng(5)
    inside, outside = rng.normal(4, 1, 400), rng.normal(0, 1, 200)
    counts = threshold_on_half(
        lambda c: gaussian(c, alpha=0.05), inside=inside, outside=outside, rng=rng
    )
    assert (counts.positives, counts.negatives) == (200, 100)
    assert gaussian(counts, alpha=0.05).lower > 2.5


def test_a_perfect_run_of_sampled_canaries_refutes_every_strength():
    # Only a fifth of the canaries that are in can be seen: half of all right is beyond any μ.
    guesses = Guesses(canaries=1000, made=500, correct=500)
    bound = one_run_order_sampled(guesses, rate=0.2, delta=1e-5, alpha=0.05)
    assert bound.lower == bound.ceiling == math.inf


def test_the_order_statistics_bound_is_tighter_than_the_others():
    guesses = Guesses(canaries=1000, made=500, correct=397)
    order = one_run_order(guesses, alpha=0.05).at(1e-5).lower
    fdp = one_run_fdp(guesses, alpha=0.05).at(1e-5).lower
    assert order > fdp > one_run(guesses, delta=1e-5, alpha=0.05).lower > 1


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, math.nan])
def test_levels_out_of_range_are_refused(alpha):
    guesses = Guesses(canaries=10, made=5, correct=5)
    counts = Confusion(false_positives=0, negatives=5, false_negatives=0, positives=5)
    scores = np.arange(5.0)
    for call in (
        lambda: clopper_pearson(counts, delta=0.0, alpha=alpha),
        lambda: gaussian(counts, alpha=alpha),
        lambda: d_prime(scores, scores, alpha=alpha),
        lambda: one_run(guesses, delta=0.0, alpha=alpha),
        lambda: one_run_fdp(guesses, alpha=alpha),
        lambda: one_run_order(guesses, alpha=alpha),
        lambda: one_run_order_sampled(guesses, rate=0.5, delta=1e-5, alpha=alpha),
        lambda: one_run_ceiling(10, alpha=alpha),
    ):
        with pytest.raises(UsageError, match="alpha must lie"):
            call()


@pytest.mark.parametrize("delta", [-1e-9, 1.0, math.nan, math.inf])
def test_deltas_out_of_range_are_refused(delta):
    guesses = Guesses(canaries=10, made=5, correct=5)
    counts = Confusion(false_positives=0, negatives=5, false_negatives=0, positives=5)
    for call in (
        lambda: clopper_pearson(counts, delta=delta, alpha=0.05),
        lambda: one_run(guesses, delta=delta, alpha=0.05),
        lambda: gaussian(counts, alpha=0.05).at(delta),
    ):
        with pytest.raises(UsageError, match="delta must lie"):
            call()
