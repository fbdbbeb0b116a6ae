"""Vote canaries: what each moves is what the real teachers count."""

from __future__ import annotations

import numpy as np
import pytest

from dpsynth.errors import UsageError
from dpsynth.neural.voting import Questions, deal, release_margins, vote_event
from dpsynth.noise import NoiseSource
from dpsynth.privacy import PrivacyUnit
from privacy_audits.canaries import reference
from privacy_audits.canaries.listening import Listener
from privacy_audits.canaries.votes import VoteGame, decoded

COLUMNS, CODES, KEY = 6, 4, bytes(32)
SHARES = [np.full(CODES, 1 / CODES)] * COLUMNS
BITS = np.random.default_rng(0).random(30) < 0.5


def questions(n: int, *, seed: int = 0) -> Questions:
    rng = np.random.default_rng(seed)
    columns = np.array([sorted(rng.choice(COLUMNS, 2, replace=False)) for _ in range(n)])
    first, second = rng.choice(np.array([-1, 1], dtype=np.int8), (2, n, CODES))
    return Questions(columns=columns, first=first, second=second)


def game(relation: str = "add_remove", *, teachers: int = 400, multiplier: float = 1e-6, n=300):
    rng = np.random.default_rng(1)
    event = vote_event(
        noise_multiplier=multiplier,
        votes=n,
        unit=PrivacyUnit(relation=relation),  # type: ignore[arg-type]
    )
    played = VoteGame(bits=BITS, event=event)
    table = rng.integers(0, CODES, (25, COLUMNS)).astype(np.int32)
    ensemble = played.seat(table, np.arange(25), SHARES, teachers=teachers, key=KEY, rng=rng)
    noise = NoiseSource.audited(Listener(played.hear), seed=2)
    for start in (0, 1):  # two rounds
        asked = questions(n // 2, seed=start)
        release_margins(ensemble.margins(asked), event=event, noise=noise)
    return played, table


@pytest.mark.parametrize("relation", ["add_remove", "replace_one"])
def test_without_noise_the_coins_are_read_off(relation):
    played, _ = game(relation)
    np.testing.assert_array_equal(played.scores() > 0, BITS)
    np.testing.assert_allclose(np.abs(played.scores()), 0.5, atol=1e-6)


def test_canaries_sit_alone_and_move_every_margin_by_one():
    played, table = game()
    (seats,) = played._seats
    assert len(set(seats.tolist())) == BITS.size
    assert not set(seats.tolist()) & set(deal(table, np.arange(25), teachers=400, key=KEY).tolist())
    moves, _ = played._all()
    assert set(np.abs(moves).ravel().tolist()) == {1.0}


def test_canaries_that_share_a_teacher_share_its_move():
    played, _ = game(teachers=8)
    moves, centred = played._all()
    assert np.abs(moves).max() <= 1.0
    assert moves.shape == (300, BITS.size)
    assert np.isfinite(centred).all()


def test_a_decoded_score_is_a_ridge_regression():
    rng = np.random.default_rng(3)
    moves, z = rng.choice([-1.0, 1.0], (40, 5)), rng.normal(size=40)
    stacked = np.concatenate([moves / 2.0, 2.0 * np.eye(5)])  # noise 2, coins of variance 1/4
    expected = np.linalg.lstsq(stacked, np.concatenate([z / 2.0, np.zeros(5)]), rcond=None)[0]
    np.testing.assert_allclose(decoded(moves, z, sigma=2.0), expected)


def test_the_simulation_agrees_with_the_naive_one():
    played, _ = game(multiplier=20.0, n=300)
    rng = np.random.default_rng(4)
    naive = reference.separations(
        lambda: reference.voted(rng, canaries=BITS.size, votes=300, sigma=20.0), runs=200
    )
    ours = played.reference(rng, runs=400)
    assert ours.mean() == pytest.approx(naive.mean(), abs=0.15)


def test_rows_of_few_kinds_are_refused():
    event = vote_event(noise_multiplier=1.0, votes=10, unit=PrivacyUnit())
    with pytest.raises(UsageError, match="combinations"):
        VoteGame(bits=BITS, event=event).seat(
            np.zeros((1, 1), dtype=np.int32),
            np.zeros(1, dtype=np.int64),
            [np.ones(2) / 2],
            teachers=9,
            key=KEY,
            rng=np.random.default_rng(0),
        )
