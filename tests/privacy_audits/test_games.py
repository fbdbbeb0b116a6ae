"""The games: their statistics against naive ones, their references, and the real code in them.

Seeds are fixed, so that the file passes or fails in every run alike.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dpsynth as dp
from dpsynth.codec import Codec
from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource
from dpsynth.privacy import NeighbouringRelation, PATEVote, PoissonSampledGaussian
from dpsynth.table import load
from dpsynth.transcript import Transcript
from privacy_audits.estimate import mu_of_epsilon
from privacy_audits.games import (
    CountsGame,
    EnsembleGame,
    GameResult,
    VoteGame,
    leaks_as_booked,
    one_way_game,
    play,
    reference,
    seeded,
)
from privacy_audits.games.game import _effect
from privacy_audits.games.training import TrainingGame
from tests.conftest import open_ledger, patients_frame, patients_schema
from tests.privacy_audits.audited import plan_of

MU = mu_of_epsilon(4.0, 1e-5)
ADD_REMOVE, REPLACE_ONE = NeighbouringRelation.ADD_REMOVE, NeighbouringRelation.REPLACE_ONE
FOUR = dp.Budget(epsilon=4.0, delta=1e-5)
VOTES = PATEVote(relation=ADD_REMOVE, noise_multiplier=3.0, votes=8)
STEPS = PoissonSampledGaussian(
    relation=ADD_REMOVE, noise_multiplier=1.0, sampling_probability=0.05, steps=30
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- the real code ---------------------------------------------------------------------------------


def test_one_way_counts_show_the_mu_of_their_plan() -> None:
    game = one_way_game(dp.Budget(epsilon=1.0, delta=1e-2))
    bound = play(game, runs=5000, noise=seeded(1)).d_prime(alpha=1e-3)
    error = math.sqrt(2 / 5000 + game.mu**2 / (4 * 5000))
    assert error == pytest.approx(0.0204, abs=1e-4)
    assert abs(bound.point - game.mu) < error
    assert bound.lower < game.mu
    # The plan spends the whole budget: this is the μ of ε = 1 at δ = 0.01.
    assert game.mu == pytest.approx(mu_of_epsilon(1.0, 1e-2), rel=3e-3)


@pytest.mark.parametrize("relation", [ADD_REMOVE, REPLACE_ONE])
@pytest.mark.parametrize("columns", [3, 8])
def test_counts_leak_what_was_booked(relation: NeighbouringRelation, columns: int) -> None:
    game = one_way_game(FOUR, columns=columns, relation=relation)
    without, with_it = game._queries
    # No pair of tables is further apart: the game is the worst case.
    assert np.linalg.norm(with_it - without) == pytest.approx(game.mu * game.claim[0].sigma)  # type: ignore[attr-defined]
    expected = reference(game, runs=4000, rng=rng())
    assert leaks_as_booked(play(game, runs=300, noise=seeded(2)), expected).passed
    assert expected.d_prime(alpha=0.05).point == pytest.approx(game.mu, abs=0.1)


def test_the_game_counts_what_a_whole_fit_counts() -> None:
    game = one_way_game(FOUR)
    for table, query in zip((game.outside, game.inside), game._queries, strict=True):
        transcript = Transcript()
        dp.Independent(table.schema).fit(
            pd.DataFrame(dict(table.values)),
            budget=FOUR,
            ledger=open_ledger(table.schema, FOUR),
            dataset="patients",
            noise=NoiseSource.audited(transcript, seed=1),
        )
        assert [r.event for r in transcript.releases] == [
            replace(game.claim[0], count=1) for _ in range(3)
        ]
        counted = np.concatenate([release.query for release in transcript.releases])
        assert np.array_equal(counted, query)


@pytest.mark.parametrize("relation", [ADD_REMOVE, REPLACE_ONE])
def test_votes_leak_what_was_booked(relation: NeighbouringRelation) -> None:
    event = PATEVote(relation=relation, noise_multiplier=np.sqrt(50) / MU, votes=50)
    game = VoteGame(event=event)
    expected = reference(game, runs=4000, rng=rng())
    assert leaks_as_booked(play(game, runs=400, noise=seeded(3)), expected).passed
    assert game.mu == pytest.approx(MU)
    assert expected.d_prime(alpha=0.05).point == pytest.approx(MU, abs=0.1)


@pytest.mark.parametrize("teachers", [1, 10, 200])
def test_an_ensemble_leaks_what_its_votes_book(teachers: int) -> None:
    event = PATEVote(relation=ADD_REMOVE, noise_multiplier=np.sqrt(50) / MU, votes=50)
    game = EnsembleGame(event=event, teachers=teachers)
    expected = reference(game, runs=3000, rng=rng())
    assert leaks_as_booked(play(game, runs=150, noise=seeded(4)), expected).passed


@pytest.mark.parametrize(("copies", "runs"), [(1, 100), (75, 300)])
@pytest.mark.parametrize("rate", [1.0, 0.2])
def test_training_leaks_what_was_booked(copies: int, runs: int, rate: float) -> None:
    event = replace(STEPS, steps=10, sampling_probability=rate, noise_multiplier=2.0)
    game = TrainingGame(event=event, copies=copies)
    expected = reference(game, runs=4000, rng=rng())
    played = play(game, runs=runs, noise=seeded(5))
    assert played.inside.size == played.outside.size == runs
    result = leaks_as_booked(played, expected)
    assert result.passed
    assert 0.5 < result.statistic < 1.5


def test_sampled_training_shows_less_than_the_mu_of_its_epsilon() -> None:
    """ε = 6.70 at δ = 1e-5, which is μ = 1.437; d′ stays at 1.23."""
    game = TrainingGame(event=replace(STEPS, steps=400))
    shown = reference(game, runs=20_000, rng=rng()).d_prime(alpha=0.05).point
    assert shown == pytest.approx(1.23, abs=0.03)


# -- statistics and references against naive ones --------------------------------------------------


def test_the_score_of_training_is_the_log_likelihood_ratio() -> None:
    game, q, sigma = TrainingGame(event=STEPS, copies=4), 0.05, 1.0
    shown = rng(1).normal(0.3, 1.2, (30, 4))
    naive = np.zeros(4)
    for copy in range(4):
        for x in shown[:, copy]:
            with_it = (1 - q) * stats.norm.pdf(x, 0, sigma) + q * stats.norm.pdf(x, 1, sigma)
            naive[copy] += math.log(with_it / stats.norm.pdf(x, 0, sigma))
    np.testing.assert_allclose(game._scores(shown), naive, rtol=1e-9)


def test_the_score_of_votes_is_the_log_likelihood_ratio() -> None:
    game = VoteGame(event=replace(VOTES, relation=REPLACE_ONE, noise_multiplier=1.5))
    released = rng(2).integers(-12, 13, (5, 8))
    sigma, naive = 3.0, np.zeros(5)
    for run, row in enumerate(released):
        for y in row:
            chances = [
                stats.norm.cdf(y - m + 0.5, scale=sigma) - stats.norm.cdf(y - m - 0.5, scale=sigma)
                for m in (2, 0)
            ]
            naive[run] += math.log(chances[0] / chances[1])
    np.testing.assert_allclose(game.scores(released), naive, rtol=1e-8)
    assert np.isfinite(game.scores(np.full((1, 8), 10_000))).all()


def test_the_score_of_counts_is_the_log_likelihood_ratio() -> None:
    game = one_way_game(FOUR)
    without, with_it = game._queries
    sigma = game.claim[0].sigma  # type: ignore[attr-defined]
    released = without + rng(3).integers(-3, 4, without.size)
    support = np.arange(-100, 101)
    mass = np.exp(-(support**2) / (2 * sigma**2))
    chance = dict(zip(support.tolist(), mass / mass.sum(), strict=True))
    naive = sum(math.log(chance[int(y - q)]) for y, q in zip(released, with_it, strict=True))
    naive -= sum(math.log(chance[int(y - q)]) for y, q in zip(released, without, strict=True))
    score = game._scores(released[None, :], without, with_it)
    assert score[0] == pytest.approx(naive, rel=1e-9)


def naive_training(event: PoissonSampledGaussian, *, inside: bool, seed: int) -> float:
    """One run of the reference, step by step."""
    draws, score = rng(seed), 0.0
    for _ in range(event.steps):
        drawn = inside and draws.random() < event.sampling_probability
        x = float(drawn) + event.noise_multiplier * draws.standard_normal()
        ratio = math.exp((2 * x - 1) / (2 * event.noise_multiplier**2))
        score += math.log(1 - event.sampling_probability + event.sampling_probability * ratio)
    return score


@pytest.mark.parametrize("inside", [False, True])
def test_the_reference_of_training_has_the_law_of_a_naive_one(inside: bool) -> None:
    game = TrainingGame(event=STEPS)
    fast = game.simulate(3000, rng(4), inside=inside)
    naive = [naive_training(STEPS, inside=inside, seed=seed) for seed in range(3000)]
    assert stats.ks_2samp(fast, naive).pvalue > 1e-6


@pytest.mark.parametrize(
    ("game", "mu"),
    [
        (VoteGame(event=VOTES), np.sqrt(8) / 3),
        (EnsembleGame(event=VOTES), np.sqrt(8) / 3),
        (TrainingGame(event=replace(STEPS, sampling_probability=1.0)), np.sqrt(30)),
        (one_way_game(dp.Budget(epsilon=1.0, delta=1e-2)), 0.5334),
    ],
)
def test_without_sampling_scores_are_normal_with_the_mu_of_the_event(game, mu: float) -> None:
    for inside, sign in ((True, 1), (False, -1)):
        scores = game.simulate(4000, rng(5), inside=inside)
        # Rounding a vote takes 1/12 of a vote's variance from what it tells.
        assert scores.mean() == pytest.approx(sign * mu**2 / 2, abs=5 * mu / np.sqrt(4000) + 0.01)
        assert scores.std() == pytest.approx(mu, rel=0.06)


# -- what results say ------------------------------------------------------------------------------


def result_of(inside: np.ndarray, outside: np.ndarray) -> GameResult:
    return GameResult(name="", claim=(), inside=inside, outside=outside)


def test_the_spread_of_d_prime_is_that_of_its_formula() -> None:
    draws = rng(6)
    inside, outside = draws.gamma(2.0, 1.0, (2000, 200)) + 1, draws.normal(0, 2, (2000, 200))
    effects = [_effect(result_of(a, b))[0] for a, b in zip(inside, outside, strict=True)]
    predicted = math.sqrt(_effect(result_of(inside.ravel(), outside.ravel()))[1] / 200)
    assert np.std(effects) == pytest.approx(predicted, rel=0.06)


def test_of_normal_scores_the_spread_of_d_prime_is_the_known_one() -> None:
    scores = rng(7).standard_normal((2, 400_000))
    effect, variance = _effect(result_of(scores[0] + 1.5, scores[1]))
    assert effect == pytest.approx(1.5, abs=0.01)
    assert variance == pytest.approx(2 + 1.5**2 / 4, rel=0.01)


def test_false_alarms_are_as_rare_as_stated() -> None:
    game, draws = TrainingGame(event=STEPS), rng(8)
    expected = reference(game, runs=5000, rng=draws)
    alarms = [
        leaks_as_booked(reference(game, runs=150, rng=draws), expected, alpha=0.05).passed
        for _ in range(400)
    ]
    # One reference for all: its own error shifts every result alike, by a fifth of an error.
    assert 400 - sum(alarms) < stats.binom.isf(1e-4, 400, 0.075)


def test_bounds_of_a_game_stay_below_what_was_booked() -> None:
    played = play(one_way_game(FOUR), runs=1000, noise=seeded(6))
    ratio = played.clopper_pearson(alpha=1e-3, delta=1e-5, rng=rng(9))
    assert 0.3 < ratio.lower < 4.0 < ratio.ceiling
    assert 0.5 < played.gaussian(alpha=1e-3, rng=rng(9)).lower < MU
    assert 0.5 < played.d_prime(alpha=1e-3).lower < MU
    assert repr(played).endswith("1000 inside, 1000 outside)")


def test_a_threshold_is_found_wherever_the_scores_lie() -> None:
    shifted = result_of(*(rng(10).standard_normal((2, 1000)) + [[1003.0], [1000.0]]))
    assert 2.3 < shifted.gaussian(alpha=0.05, rng=rng(11)).lower < 3.0
    assert shifted.clopper_pearson(alpha=0.05, delta=1e-5, rng=rng(11)).lower > 2.0


def test_a_seeded_game_can_be_repeated_and_its_runs_differ() -> None:
    game = VoteGame(event=VOTES)
    first, second = (play(game, runs=20, noise=seeded(1)) for _ in range(2))
    assert np.array_equal(first.inside, second.inside)
    assert np.unique(first.inside).size > 15
    other = play(game, runs=20)
    assert not np.array_equal(first.inside, other.inside)


def test_what_no_game_can_tell_is_refused() -> None:
    game = VoteGame(event=VOTES)
    few = play(game, runs=20)
    with pytest.raises(UsageError, match="100 scores"):
        leaks_as_booked(few, few)
    training = TrainingGame(event=STEPS)
    with pytest.raises(UsageError, match="transcript"):
        play(training, runs=1, noise=lambda transcript: NoiseSource.seeded(1))


def test_counts_that_depend_on_the_noise_are_no_game() -> None:
    # Which cells of the dates' tree are opened is decided by noisy counts.
    schema = patients_schema()
    plan = plan_of(dp.Independent, schema)
    frames = [patients_frame(rows).drop(columns="patient") for rows in (900, 901)]
    tables = [load(frame, schema, rng=rng()) for frame in frames]
    game = CountsGame(name="", outside=tables[0], inside=tables[1], plan=plan, fit=Codec.fit)
    with pytest.raises(UsageError, match="must not depend"):
        play(game, runs=30, noise=seeded(1))
