"""Scores of shadows that had no part in the learning, and what is made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, mannwhitneyu

from dpsynth.errors import UsageError
from privacy_audits.shadow import Claim, GaussianRatio, ShadowDesign, ShadowRuns, attack
from privacy_audits.shadow.pooled import PooledRoc, guessing
from privacy_audits.shadow.scoring import _projections

Features = dict[str, np.ndarray]


def runs_of(shadows: int, targets: int, *, seed: int, coins: str = "fair", **signal) -> ShadowRuns:
    """Noise, and one feature that moves by ``signal`` with membership."""
    design = ShadowDesign(generator="made up", shadows=shadows, base_rows=1, seed=seed, coins=coins)
    members = design.members(targets)
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(shadows, 1, 40))
    own = rng.normal(size=(shadows, targets, 8))
    shared[:, 0, 7] += signal.get("shared", 0.0) * members[:, 0]
    own[:, :, 3] += signal.get("own", 0.0) * members
    return ShadowRuns(design=design, members=members, features={"shared": shared, "own": own})


def area(scores: np.ndarray, members: np.ndarray) -> float:
    wins = mannwhitneyu(scores[members], scores[~members]).statistic
    return wins / members.sum() / (~members).sum()


@pytest.mark.parametrize("variance", ["pooled", "separate"])
def test_scores_come_close_to_the_best_possible_ones(variance):
    runs = runs_of(400, 10, seed=0, own=2.0)
    learned = GaussianRatio(variance=variance).learn(runs, np.arange(200), np.arange(200, 400))
    members = runs.members[200:]
    best = area(runs.features["own"][200:, :, 3], members)
    assert area(learned.scored, members) > best - 0.02
    assert np.all(learned.best_map == 1)
    # A log-likelihood ratio: means ±μ²/2 at μ = 2.
    assert learned.scored[members].mean() == pytest.approx(2.0, abs=0.5)
    assert learned.scored[~members].mean() == pytest.approx(-2.0, abs=0.5)


def test_traces_may_be_wild():
    runs = runs_of(60, 1, seed=1)
    rng = np.random.default_rng(1)
    runs.features["shared"][:, 0, 7] = 100.0 ** (rng.random(60) * 4 * runs.members[:, 0])
    learned = GaussianRatio().learn(runs, np.arange(16), np.arange(16, 60))
    assert area(learned.scored[:, 0], runs.members[16:, 0]) > 0.95


def test_a_single_feature_among_many_is_found():
    runs = runs_of(60, 3, seed=1, shared=8.0)
    learned = GaussianRatio().learn(runs, np.arange(30), np.arange(30, 60))
    assert area(learned.scored[:, 0], runs.members[30:, 0]) > 0.95
    assert learned.best_map[0] == 0


def test_few_shadows_are_made_up_for_by_many_targets():
    runs = runs_of(216, 40, seed=2, own=1.5)
    few = GaussianRatio().learn(runs, np.arange(16), np.arange(16, 216))
    best = area(runs.features["own"][16:, :, 3], runs.members[16:])
    assert area(few.scored, runs.members[16:]) > best - 0.08


@pytest.mark.parametrize("rows", [1, 6])
def test_projections_of_left_out_shadows_know_nothing_of_their_coin(rows):
    """Not so if one shadow at a time is left out: see :class:`GaussianRatio`."""
    rng = np.random.default_rng(3)
    gaps = []
    for _ in range(40):
        members = rng.random((24, 6)) < 0.5
        features = rng.normal(size=(24, rows, 50))
        known, held = slice(0, 18), slice(18, 24)
        for projected in _projections(features[known], features[held], members[known]):
            spread = projected.std() or 1.0
            gaps.append((projected * np.where(members[held], 1, -1)).mean() / spread)
    # The gaps of one round go together: at least 40 independent ones of standard deviation ≤ 1.
    assert abs(np.mean(gaps)) < 6 / np.sqrt(40)


def test_without_influence_p_values_are_uniform():
    p = []
    for seed in range(80):
        runs = runs_of(20, 4, seed=seed)
        learned = GaussianRatio().learn(runs, np.arange(10), np.arange(10, 20))
        found = guessing(
            learned.scored,
            runs.members[10:],
            runs.design,
            level=0.95,
            rng=np.random.default_rng(seed),
        )
        p.append(found.p_value)
    assert np.sum(np.array(p) <= 0.1) <= binom.isf(1e-6, 80, 0.1)
    assert np.sum(np.array(p) >= 0.9) <= binom.isf(1e-6, 80, 0.1 + 1e-3)


@pytest.mark.parametrize("coins", ["fair", "paired"])
def test_the_test_of_guessing_is_that_of_ranks(coins):
    rng = np.random.default_rng(5)
    design = ShadowDesign(generator="x", shadows=20, base_rows=1, coins=coins, seed=1)
    members = design.members(1)
    scores = rng.normal(size=(20, 1)) + 0.9 * members
    found = guessing(scores, members, design, level=0.9, rng=rng)
    assert found.auc == pytest.approx(area(scores, members))
    if coins == "fair":
        # Number of members is random under the coins, fixed in the rank test: close, not equal.
        exact = mannwhitneyu(
            scores[members], scores[~members], alternative="greater", method="exact"
        )
        assert found.p_value == pytest.approx(exact.pvalue, abs=0.02)
    else:
        signs = (2 * ((np.arange(1 << 10)[:, None] >> np.arange(10)) & 1) - 1) > 0
        areas = [area(scores, np.stack([each, ~each], axis=1).reshape(20, 1)) for each in signs]
        exact = np.mean(np.array(areas) >= found.auc - 1e-12)
        assert found.p_value == pytest.approx(exact, abs=6 * np.sqrt(exact / 9_999) + 1e-4)


def test_areas_compare_shadows_of_one_fold_only():
    rng = np.random.default_rng(6)
    scores, members = rng.normal(size=(12, 3)).round(1), rng.random((12, 3)) < 0.5
    folds = np.arange(12) % 3
    roc = PooledRoc(scores=scores, members=members, folds=folds)
    wins = pairs = 0.0
    for fold in range(3):
        mine, coins = scores[folds == fold], members[folds == fold]
        for a in mine[coins]:
            for b in mine[~coins]:
                wins, pairs = wins + (a > b) + (a == b) / 2, pairs + 1
    found = roc.auc(level=0.95, rng=rng)
    assert found.value == pytest.approx(wins / pairs)
    assert found.low < found.value < found.high
    one = PooledRoc(scores=scores[:, :1], members=members[:, :1], folds=folds)
    assert roc.target_aucs()[0] == pytest.approx(one.auc(level=0.95, rng=rng).value)


def test_a_target_that_is_never_in_has_no_area():
    scores = np.random.default_rng(0).normal(size=(12, 2))
    members = np.stack([np.arange(12) % 2 == 0, np.zeros(12, dtype=bool)], axis=1)
    roc = PooledRoc(scores=scores, members=members, folds=np.arange(12) // 6)
    assert np.isnan(roc.target_aucs()).tolist() == [False, True]
    with pytest.raises(UsageError, match="both sides"):
        PooledRoc(scores=scores[:, :1], members=members[:, :1], folds=np.arange(12))


def test_rates_at_low_false_positives_are_those_of_the_curve():
    rng = np.random.default_rng(7)
    members = rng.random((200, 60)) < 0.5
    scores = rng.normal(size=members.shape) + 2.0 * members
    roc = PooledRoc(scores=scores, members=members, folds=np.zeros(200, dtype=int))
    outside = np.sort(scores[~members])[::-1]
    allowed = int(0.02 * len(outside))
    expected = (scores[members] > outside[allowed]).mean()
    found = roc.tpr_at(0.02, level=0.95, rng=rng)
    assert found is not None
    assert found.value == pytest.approx(expected, abs=1e-3)
    assert found.low < expected < found.high
    assert roc.tpr_at(0.001, level=0.95, rng=rng) is None
    at, tpr = roc.log_points()
    assert tpr[-1] == 1.0
    assert np.all(np.diff(tpr) >= 0)
    assert at[0] == pytest.approx(1 / (~members).sum())


def test_equal_scores_are_half_an_area_and_no_rate():
    members = np.random.default_rng(8).random((100, 200)) < 0.5
    roc = PooledRoc(scores=np.zeros(members.shape), members=members, folds=np.zeros(100, dtype=int))
    rng = np.random.default_rng(0)
    found = roc.tpr_at(0.01, level=0.95, rng=rng)
    assert roc.auc(level=0.95, rng=rng).value == 0.5
    assert found is not None
    assert found.value == 0.0


def test_bounds_of_a_perfect_attack_reach_their_ceilings():
    runs = runs_of(100, 3, seed=9)
    told: Features = {"answers": runs.members[:, :, None].astype(float)}
    result = attack(
        ShadowRuns(design=runs.design, members=runs.members, features=told),
        claim=Claim(epsilon=1.0, delta=1e-5),
        rng=np.random.default_rng(0),
    )
    assert result.exceeds_claim
    assert result.auc.value == 1.0
    assert result.guessing.p_value == 1e-4
    for bound in result.bounds:
        assert bound.lower == pytest.approx(bound.ceiling, abs=1e-6)
    assert "EXCEEDS" in result.summary()


def test_bounds_hold_for_a_known_mechanism():
    """A coin seen through randomised response of ε = 1: bounds above it are rarer than α."""
    above = np.zeros(2)
    rounds = 30
    for seed in range(rounds):
        runs = runs_of(60, 4, seed=seed)
        rng = np.random.default_rng(seed)
        told = runs.members ^ (rng.random(runs.members.shape) < 1 / (1 + math.e))
        features: Features = {"answers": told[:, :, None].astype(float)}
        result = attack(
            ShadowRuns(design=runs.design, members=runs.members, features=features),
            claim=Claim(epsilon=1.0, delta=0.0),
            rng=rng,
        )
        above += [bound.lower > 1.0 for bound in result.bounds]
    assert np.all(above <= binom.isf(1e-6, rounds, 0.05))


def test_guesses_need_coins_of_their_own():
    result = attack(
        runs_of(40, 3, seed=9, coins="paired", own=2.0),
        claim=Claim(epsilon=1.0, delta=1e-5),
        rng=np.random.default_rng(0),
    )
    assert [bound.method for bound in result.bounds] == [
        "Clopper–Pearson",
        "Clopper–Pearson, Gaussian curve",
    ]


def test_impossible_settings_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="folds"):
        attack(runs_of(10, 2, seed=0), claim=Claim(epsilon=1, delta=0), folds=1, rng=rng)
    with pytest.raises(UsageError, match="claim"):
        Claim(epsilon=-1.0, delta=0.0)
    with pytest.raises(UsageError, match="variance"):
        GaussianRatio(variance="none")  # type: ignore[arg-type]
