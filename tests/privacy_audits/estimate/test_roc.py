"""Areas, rates and differences: against plain loops, published figures and simulation.

Simulations use fixed seeds.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from dpsynth.errors import UsageError
from privacy_audits.estimate.roc import Auc, Rate, auc, newcombe, rate_at


def slow_auc(
    members: np.ndarray, others: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[float, float]:
    """Area and Obuchowski's variance by loops over all pairs."""

    def win(a: float, b: float) -> float:
        return 1.0 if a > b else 0.5 if a == b else 0.0

    m, n = len(members), len(others)
    mine = [sum(win(a, b) for b in others) / n for a in members]
    theirs = [sum(win(a, b) for a in members) / m for b in others]
    area = sum(mine) / m
    groups = sorted({*first, *second})
    v = {g: sum(x - area for x, k in zip(mine, first, strict=True) if k == g) for g in groups}
    w = {g: sum(x - area for x, k in zip(theirs, second, strict=True) if k == g) for g in groups}
    a, b, c = len(set(first)), len(set(second)), len(groups)
    variance = (
        a / (a - 1) * sum(x**2 for x in v.values()) / m**2
        + b / (b - 1) * sum(x**2 for x in w.values()) / n**2
        + 2 * c / (c - 1) * sum(v[g] * w[g] for g in groups) / (m * n)
    )
    return area, variance


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_area_and_variance_equal_those_of_plain_loops(ties, clustered):
    rng = np.random.default_rng(1)
    members, others = rng.normal(0.5, 1, 23), rng.normal(0, 1, 31)
    if ties:
        members, others = np.round(members), np.round(others)
    first, second = np.arange(23), np.arange(23, 54)
    if clustered:
        first, second = rng.integers(0, 15, 23), rng.integers(5, 20, 31)
    measured = auc(members, others, member_groups=first, other_groups=second)
    area, variance = slow_auc(members, others, first, second)
    assert measured.point == pytest.approx(area, abs=1e-12)
    assert measured.variance == pytest.approx(variance, abs=1e-12)


def test_delongs_variance_without_groups():
    rng = np.random.default_rng(2)
    members, others = rng.normal(1, 1, 40), rng.normal(0, 1, 30)
    wins = (members[:, None] > others[None, :]).astype(float)
    delong = np.var(wins.mean(axis=1), ddof=1) / 40 + np.var(wins.mean(axis=0), ddof=1) / 30
    assert auc(members, others).variance == pytest.approx(delong, abs=1e-14)


def test_null_figures_of_the_design():
    """At 2,000 a side the standard error is .0091; at 1,000 no upper limit lies below .521."""
    rng = np.random.default_rng(3)
    measured = auc(rng.normal(size=2000), rng.normal(size=2000))
    assert measured.variance**0.5 == pytest.approx(0.0091, abs=1e-4)
    null = Auc(point=0.5, variance=1 / 6000, groups=1000)
    assert null.upper(0.05) == pytest.approx(0.5212, abs=5e-4)


def test_a_perfect_attack_on_few_records_is_not_certain():
    perfect = auc(np.arange(20) + 100.0, np.arange(20.0))
    assert perfect.point == 1
    assert perfect.lower(0.05) == pytest.approx(0.05 ** (1 / 20))
    assert perfect.p_above(0.5) == pytest.approx(2.0**-20)
    assert perfect.p_above_exact(0.5) == pytest.approx(2.0**-20)


def test_copies_of_one_record_are_one_record():
    one = auc(np.full(50, 1.0), np.zeros(50), member_groups=np.zeros(50), other_groups=np.ones(50))
    assert one.groups == 1
    assert one.lower(0.05) == pytest.approx(0.05)


@pytest.mark.parametrize("shift", [0.0, 0.4, 1.5])
@pytest.mark.parametrize("copies", [1, 3])
def test_limits_cover_the_area(shift, copies):
    """Nominal 95 %; at fixed seeds not below 94 % of 2,000 tables."""
    rng = np.random.default_rng(4)
    truth = float(norm.cdf(shift / np.sqrt(2)))
    groups = np.repeat(np.arange(40), copies)
    below = above = 0
    for _ in range(2000):
        members = np.repeat(rng.normal(shift, 1, 40), copies)
        others = np.repeat(rng.normal(0, 1, 40), copies)
        measured = auc(members, others, member_groups=groups, other_groups=groups + 40)
        assert measured.lower(0.05) <= measured.point <= measured.upper(0.05)
        below += measured.lower(0.05) > truth
        above += measured.upper(0.05) < truth
    assert below <= 120
    assert above <= 120


def test_the_exact_p_value_is_uniform_or_larger_under_its_hypothesis():
    rng = np.random.default_rng(5)
    cap = float(norm.cdf(1 / np.sqrt(2)))
    p = np.array(
        [auc(rng.normal(1, 1, 60), rng.normal(0, 1, 60)).p_above_exact(cap) for _ in range(1000)]
    )
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p < level) <= level


def test_p_values_fall_with_the_area_and_are_one_without_a_cap():
    areas = [Auc(point=x, variance=1e-4, groups=1000) for x in (0.5, 0.6, 0.7)]
    p = [area.p_above(0.55) for area in areas]
    assert p[0] > 0.99 > p[1] > p[2]
    assert areas[2].p_above(1.0) == areas[2].p_above_exact(1.0) == 1.0
    assert areas[0].p_above_exact(0.5) == 1.0


def test_published_difference_of_proportions():
    """Newcombe 1998, table II, column (a), method 10."""
    low, high = newcombe(Rate(successes=56, trials=70), Rate(successes=48, trials=80), alpha=0.025)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_clopper_pearson_limits():
    rate = Rate(successes=0, trials=100)
    assert rate.lower(0.05) == 0
    assert rate.upper(0.05) == pytest.approx(1 - 0.05**0.01)
    assert Rate(successes=100, trials=100).lower(0.05) == pytest.approx(0.05**0.01)


def test_a_rate_beyond_too_few_non_members_is_not_stated():
    scores = np.arange(2000.0)
    assert rate_at(scores, scores, false_positive_rate=0.01) is None
    assert rate_at(scores, scores, false_positive_rate=0.001) is None
    measured = rate_at(scores + 50, scores, false_positive_rate=0.1)
    assert measured == Rate(successes=250, trials=2000)


def test_a_threshold_never_admits_more_non_members_than_stated():
    others = np.repeat([0.0, 1.0], [1700, 300])
    measured = rate_at(np.ones(10), others, false_positive_rate=0.1)
    assert measured == Rate(successes=0, trials=10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: auc([], [1.0]),
        lambda: auc([np.nan], [1.0]),
        lambda: auc([1.0], [1.0], member_groups=[0]),
        lambda: auc([1.0], [1.0], member_groups=[0, 1], other_groups=[]),
        lambda: Rate(successes=2, trials=1),
        lambda: Rate(successes=0, trials=0),
        lambda: rate_at([1.0], [1.0], false_positive_rate=1.0),
        lambda: Rate(successes=1, trials=2).lower(0.5),
    ],
)
def test_what_is_no_result_is_refused(call):
    with pytest.raises(UsageError):
        call()


def test_representations_show_no_number():
    shown = repr(auc([1.0, 2.0], [0.5, 1.5])) + repr(Rate(successes=3, trials=7))
    assert not any(character.isdigit() for character in shown)
