"""PATE-GAN: every violation found in public implementations has a test here or in the suites.

The table in ``docs/methods/pate-gan.md`` names them one by one.
"""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import dpsynth as dp
from dpsynth.errors import IntegrityError, UsageError
from dpsynth.neural import student as student_module
from dpsynth.neural import views as views_module
from dpsynth.neural.pategan import VOTES, PATEGANSettings
from dpsynth.neural.student import Student, agreement_of
from dpsynth.neural.views import ViewMaker
from dpsynth.neural.voting import Questions, Teachers, deal, release_margins, sensitivity
from dpsynth.neural.voting import vote_event as vote_event_of
from dpsynth.noise import NoiseSource
from dpsynth.privacy import NeighbouringRelation, PATEVote, PrivacyUnit
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema

UNIT = PrivacyUnit()
KEY = b"k" * 32
TINY = PATEGANSettings(labels=30, rounds=3, steps=9, hidden=8, latent=3, batch=32)


def event_of(votes: int, *, multiplier: float = 5.0) -> PATEVote:
    return vote_event_of(noise_multiplier=multiplier, votes=votes, unit=UNIT)


def fitted(settings: PATEGANSettings = TINY, *, frame: pd.DataFrame | None = None) -> dp.PATEGAN:
    schema = patients_schema()
    return dp.PATEGAN(schema, settings=settings).fit(
        patients_frame(300) if frame is None else frame,
        budget=BUDGET,
        ledger=open_ledger(schema),
        dataset="patients",
        rows=300,
    )


# -- the partition ---------------------------------------------------------------------------------


def contents(codes: np.ndarray, units: np.ndarray, teacher_of: np.ndarray) -> dict:
    """The multiset of unit contents of every teacher."""
    held: dict[int, list] = {}
    for unit, teacher in enumerate(teacher_of.tolist()):
        rows = sorted(map(tuple, codes[units == unit].tolist()))
        held.setdefault(teacher, []).append(rows)
    return {teacher: sorted(rows) for teacher, rows in held.items()}


@pytest.mark.parametrize("rows", [1, 3])
def test_a_unit_that_is_added_changes_one_teacher_wherever_it_stands(rows: int) -> None:
    rng = np.random.default_rng(rows)
    codes = rng.integers(0, 2, (40, 3)).astype(np.int32)  # many equal rows
    units = np.sort(rng.integers(0, 40 // rows, 40))
    units = np.unique(units, return_inverse=True)[1]
    base = contents(codes, units, deal(codes, units, teachers=7, key=KEY))
    for gone in range(units.max() + 1):
        kept = units != gone
        fewer = np.unique(units[kept], return_inverse=True)[1]
        # The order of units and rows is nobody's business either.
        order = rng.permutation(fewer.size)
        some, of = codes[kept][order], fewer[order]
        less = contents(some, of, deal(some, of, teachers=7, key=KEY))
        changed = [t for t in range(7) if base.get(t, []) != less.get(t, [])]
        assert len(changed) == 1


def test_the_key_moves_units_and_is_drawn_for_each_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.arange(300, dtype=np.int32)[:, None]
    units = np.arange(300)
    a, b = (deal(codes, units, teachers=10, key=key) for key in (KEY, b"x" * 32))
    assert (a != b).mean() > 0.7
    assert stats.chisquare(np.bincount(a, minlength=10)).pvalue > 1e-6
    keys = []
    inner = deal

    def spy(codes: np.ndarray, units: np.ndarray, *, teachers: int, key: bytes) -> np.ndarray:
        keys.append(key)
        return inner(codes, units, teachers=teachers, key=key)

    monkeypatch.setattr("dpsynth.neural.voting.deal", spy)
    fitted()
    fitted()
    # Once per fit, in spite of three rounds, and never with the same key.
    assert len(keys) == 2
    assert keys[0] != keys[1]


def test_every_unit_has_a_teacher_and_every_teacher_its_own_units() -> None:
    codes = np.arange(50, dtype=np.int32)[:, None]
    dealt = deal(codes, np.arange(50), teachers=4, key=KEY)
    held = [np.flatnonzero(dealt == t) for t in range(4)]
    assert sorted(np.concatenate(held).tolist()) == list(range(50))
    # A teacher's vote is that of an ensemble which holds nothing but its units.
    group = Teachers(codes, np.arange(50), teachers=4, key=KEY)
    rng = np.random.default_rng(0)
    asked = Questions(
        columns=np.zeros((30, 2), dtype=np.int64),
        first=rng.choice(np.array([-1, 1], dtype=np.int8), (30, 50)),
        second=np.ones((30, 50), dtype=np.int8),
    )
    for teacher, own in enumerate(held):
        alone = Teachers(codes[own], np.arange(own.size), teachers=4, key=KEY)
        alone_votes = alone.ballots(asked)
        assert np.array_equal(group.ballots(asked)[:, teacher], alone_votes[:, teacher])
        assert not np.delete(alone_votes, teacher, axis=1).any()


def test_teachers_keep_what_they_learned_in_all_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    inner = Teachers.margins

    def spy(self: Teachers, questions: Questions) -> np.ndarray:
        seen.append((id(self), self._codes.copy(), self._teacher_of.copy()))
        return inner(self, questions)

    monkeypatch.setattr(Teachers, "margins", spy)
    fitted()
    assert len(seen) == TINY.rounds
    for (one, codes, held), (other, same_codes, same_held) in pairwise(seen):
        assert one == other
        assert np.array_equal(codes, same_codes)
        assert np.array_equal(held, same_held)


def test_the_number_of_teachers_follows_from_declared_numbers() -> None:
    frames = [patients_frame(120), patients_frame(500)]
    numbers = [fitted(frame=frame).plan_.parameters["teachers"] for frame in frames]
    assert numbers == [300, 300]
    assert PATEGANSettings(units_per_teacher=10).teachers(1000) == 100
    assert PATEGANSettings().teachers(1) == 2


# -- the vote --------------------------------------------------------------------------------------


def test_a_vote_moves_by_one_at_most_and_the_bound_is_reached() -> None:
    sums = np.arange(-5, 6)
    moves = np.abs(np.sign(sums[:, None] + np.array([-1, 0, 1])) - np.sign(sums)[:, None])
    assert moves.max() == sensitivity(NeighbouringRelation.ADD_REMOVE) == 1
    assert sensitivity(NeighbouringRelation.REPLACE_ONE) == 2


def test_replacing_a_unit_moves_a_margin_by_two_at_most() -> None:
    codes = np.zeros((9, 1), dtype=np.int32)
    asked = Questions(
        columns=np.zeros((1, 2), dtype=np.int64),
        first=np.array([[1, -1]], dtype=np.int8),
        second=np.ones((1, 2), dtype=np.int8),
    )
    moved = []
    for key in range(50):
        group = [
            Teachers(table, np.arange(9), teachers=1000, key=key.to_bytes(32)).margins(asked)[0]
            for table in (codes, np.array([[0]] * 8 + [[1]], dtype=np.int32))
        ]
        moved.append(abs(group[0] - group[1]))
    assert max(moved) == 2


def test_a_teacher_without_rows_or_undecided_abstains() -> None:
    asked = Questions(
        columns=np.zeros((1, 2), dtype=np.int64),
        first=np.array([[1, -1]], dtype=np.int8),
        second=np.ones((1, 2), dtype=np.int8),
    )
    nobody = Teachers(np.zeros((0, 1), dtype=np.int32), np.zeros(0, int), teachers=5, key=KEY)
    assert nobody.margins(asked).tolist() == [0]
    split = Teachers(np.array([[0], [1]], dtype=np.int32), np.arange(2), teachers=1, key=KEY)
    assert split.margins(asked).tolist() == [0]


def test_votes_do_not_depend_on_how_much_is_worked_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (60, 3)).astype(np.int32)
    signs = rng.choice(np.array([-1, 1], dtype=np.int8), (2, 50, 4))
    asked = Questions(
        columns=np.array([[0, 1], [0, 2], [1, 2], [0, 1], [1, 2]] * 10),
        first=signs[0],
        second=signs[1],
    )
    group = Teachers(codes, np.arange(60) // 3, teachers=6, key=KEY)
    at_once = group.ballots(asked)
    monkeypatch.setattr("dpsynth.neural.voting._CELLS_AT_ONCE", 1)
    assert np.array_equal(group.ballots(asked), at_once)
    assert np.array_equal(group.margins(asked), at_once.sum(1, dtype=np.int64))


def test_teachers_see_more_than_one_column_can_tell() -> None:
    # Both columns are even coins in either table: a linear teacher could not tell them apart.
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, 400)
    together = np.stack([a, a], axis=1).astype(np.int32)
    apart = np.stack([a, rng.permutation(a)], axis=1).astype(np.int32)
    asked = Questions(
        columns=np.array([[0, 1]]),
        first=np.array([[1, -1]], dtype=np.int8),
        second=np.array([[1, -1]], dtype=np.int8),
    )
    votes = [
        Teachers(codes, np.arange(400), teachers=40, key=KEY).margins(asked)[0]
        for codes in (together, apart)
    ]
    assert votes[0] > 35
    assert abs(votes[1]) < 25


@pytest.mark.parametrize("relation", list(NeighbouringRelation))
def test_noise_on_votes_is_the_booked_multiple_of_the_sensitivity(
    relation: NeighbouringRelation,
) -> None:
    event = vote_event_of(noise_multiplier=20.0, votes=20_000, unit=PrivacyUnit(relation=relation))
    drawn = release_margins(
        np.zeros(20_000, dtype=np.int64), event=event, noise=NoiseSource.from_entropy()
    )
    scale = 20.0 * sensitivity(relation)
    assert drawn.dtype == np.int64
    assert drawn.std() == pytest.approx(scale, rel=6 / math.sqrt(2 * drawn.size))


def test_the_cost_of_votes_is_that_of_one_gaussian() -> None:
    # Neither a moments bound with a slipped bracket, nor 10 ** delta, nor a forgotten logarithm.
    sigma, votes, delta = 250.0, 4000, 1e-5
    mu = math.sqrt(votes) / sigma
    spent = dp.Accountant([event_of(votes, multiplier=sigma)]).certificate(delta)

    def profile(epsilon: float) -> float:
        upper = stats.norm.cdf(mu / 2 - epsilon / mu)
        return upper - math.exp(epsilon) * stats.norm.cdf(-mu / 2 - epsilon / mu)

    assert profile(spent) <= delta * (1 + 1e-6)
    assert profile(spent - 0.004) > delta


# -- the budget ------------------------------------------------------------------------------------


def test_every_label_is_released_noised_and_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    released = []

    def spy(margins: np.ndarray, *, event: PATEVote, noise: NoiseSource) -> np.ndarray:
        released.append(len(margins))
        return release_margins(margins, event=event, noise=noise)

    monkeypatch.setattr("dpsynth.neural.pategan.release_margins", spy)
    model = fitted()
    event = model.plan_.mechanism(VOTES)
    assert isinstance(event, PATEVote)
    assert sum(released) == event.votes == TINY.labels
    assert len(released) == TINY.rounds


def test_no_label_is_given_beyond_the_booked_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    released = []

    def spy(margins: np.ndarray, *, event: PATEVote, noise: NoiseSource) -> np.ndarray:
        released.append(len(margins))
        return release_margins(margins, event=event, noise=noise)

    monkeypatch.setattr("dpsynth.neural.pategan.release_margins", spy)
    monkeypatch.setattr(PATEGANSettings, "labels_of", lambda self, number: 12)
    with pytest.raises(IntegrityError, match="DPS110"):
        fitted()
    assert sum(released) <= TINY.labels


def test_epsilon_delta_and_number_of_votes_are_those_of_the_plan_whatever_the_rows() -> None:
    clear = patients_frame(300).assign(sex="F", ward="a", died=True)
    for frame in (clear, patients_frame(300)):
        model = fitted(frame=frame)
        plan = model.plan_
        assert (
            plan.digest() == dp.PATEGAN(model.schema, settings=TINY).plan(BUDGET, rows=300).digest()
        )
        spent = dp.Accountant(plan.mechanisms).certificate(BUDGET.delta)
        assert model.privacy_["epsilon"] == spent <= BUDGET.epsilon
        assert model.privacy_["delta"] == BUDGET.delta


def test_delta_is_used(schema: dp.Schema) -> None:
    noise = [
        dp.PATEGAN(schema, settings=TINY)
        .plan(dp.Budget(epsilon=3.0, delta=delta))
        .mechanism(VOTES)
        .noise_multiplier  # type: ignore[attr-defined]
        for delta in (1e-8, 1e-5)
    ]
    assert noise[0] > 1.1 * noise[1]


def test_less_epsilon_is_more_noise_not_fewer_rounds(schema: dp.Schema) -> None:
    events = [
        dp.PATEGAN(schema, settings=TINY).plan(dp.Budget(epsilon=e, delta=1e-5)).mechanism(VOTES)
        for e in (0.5, 5.0)
    ]
    assert events[0].votes == events[1].votes  # type: ignore[attr-defined]
    assert events[0].noise_multiplier > 4 * events[1].noise_multiplier  # type: ignore[attr-defined]


# -- student and generator -------------------------------------------------------------------------


def test_student_and_views_have_no_handle_on_rows() -> None:
    for module in (student_module, views_module):
        names = set(vars(module))
        assert not names & {"Table", "Teachers", "UnitRows", "load", "deal"}
    taken = set(inspect.signature(Student.learn).parameters)
    assert taken == {"self", "questions", "margins"}


def test_conditions_come_from_noisy_counts() -> None:
    model = fitted()
    rng = np.random.default_rng(0)
    target = model._target()
    assert target is not None
    offsets = np.cumsum([0, *model._codec.sizes])
    places = model._places(20_000, rng).numpy()
    drawn = places[(places >= offsets[target]) & (places < offsets[target + 1])] - offsets[target]
    shares = model._shares()[target]
    assert np.bincount(drawn, minlength=shares.size) / drawn.size == pytest.approx(shares, abs=0.02)


def test_the_saved_model_names_no_key_no_vote_and_no_teacher(tmp_path) -> None:
    model = fitted()
    assert set(model._arrays()) == {name for name, _ in model._network.named_parameters()}
    assert "key" not in model.plan_.parameters


def test_the_agreement_curve_is_what_simulated_teachers_vote() -> None:
    rng = np.random.default_rng(0)
    teachers, rows, agreement = 400, 900, 0.3
    curve = agreement_of(rows=rows, expected_units=rows, max_rows=1, teachers=teachers)
    margins = []
    for _ in range(300):
        opinions = np.where(rng.random(rows) < (1 + agreement) / 2, 1, -1)
        of = rng.integers(teachers, size=rows)
        margins.append(np.sign(np.bincount(of, weights=opinions, minlength=teachers)).sum())
    found = curve.invert(np.array([np.mean(margins) / teachers]))[0]
    assert found == pytest.approx(agreement, abs=0.02)
    assert np.all(np.diff(curve.margin) > 0)


def test_the_student_knows_rows_that_agree_with_what_was_voted_real() -> None:
    shares = [np.array([0.5, 0.5]), np.array([0.5, 0.5])]
    curve = agreement_of(rows=1000, expected_units=1000, max_rows=1, teachers=1000)
    pupil = Student(shares, curve, event=event_of(40, multiplier=1.0), teachers=1000)
    rng = np.random.default_rng(0)
    maker = ViewMaker(shares, [np.zeros((2, 0), dtype=np.float32)] * 2, {(0, 1): 1.0})
    asked = maker.make(rng.integers(0, 2, (40, 2)), rng)
    a = rng.integers(0, 2, 1000)
    codes = np.stack([a, a], axis=1).astype(np.int32)
    pupil.learn(asked, Teachers(codes, np.arange(1000), teachers=1000, key=KEY).margins(asked))
    independent = torch.full((4, 4), 0.25)
    equal = independent.clone()
    equal[:2, 2:] = torch.eye(2) / 2
    opposite = independent.clone()
    opposite[:2, 2:] = (1 - torch.eye(2)) / 2
    pupil.respond(independent)
    assert pupil.score(equal) > pupil.score(independent) > pupil.score(opposite)
    # Once the generator makes rows that agree as much, there is little left to tell.
    pupil.respond(equal)
    assert abs(float(pupil.score(equal))) < 20


def test_views_hold_the_row_itself_and_about_half_of_all() -> None:
    rng = np.random.default_rng(0)
    share = np.full(20, 0.05)
    basis = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    maker = ViewMaker([share, np.array([0.9, 0.1])], [basis, basis[:2, :0]], {(0, 1): 1.0})
    rows = np.stack([rng.integers(0, 20, 200), rng.integers(0, 2, 200)], axis=1)
    asked = maker.make(rows, rng)
    at = np.arange(200)
    assert (asked.first[at, rows[:, 0]] == 1).all()
    assert (asked.second[at, rows[:, 1]] == 1).all()
    like = (asked.first == 1) @ share
    assert np.abs(like - 0.5).max() <= 0.05 + 1e-9


def test_a_table_of_one_column_is_fitted() -> None:
    document = patients_schema().to_dict()
    document["columns"] = {"sex": document["columns"]["sex"]}
    schema = dp.Schema.from_dict(document)
    model = dp.PATEGAN(schema, settings=TINY).fit(
        patients_frame(200), budget=BUDGET, ledger=open_ledger(schema), dataset="patients"
    )
    assert set(model.sample(50)["sex"]) <= {"F", "M"}


def test_dependence_is_learned() -> None:
    document = patients_schema().to_dict()
    kept = {name: document["columns"][name] for name in ("sex", "ward", "died")}
    document["columns"] = kept
    schema = dp.Schema.from_dict(document)
    frame = patients_frame(4000)
    frame["died"] = frame["sex"] == "F"
    settings = replace(TINY, labels=200, steps=200, hidden=16, batch=256)
    budget = dp.Budget(epsilon=2.0, delta=1e-5)
    model = dp.PATEGAN(schema, settings=settings).fit(
        frame,
        budget=budget,
        ledger=open_ledger(schema, budget),
        dataset="patients",
        rows=4000,
    )
    drawn = model.sample(3000, seed=0)
    assert ((drawn["sex"] == "F") == drawn["died"]).mean() > 0.9


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="rounds"):
        PATEGANSettings(labels=3, rounds=4)
    with pytest.raises(UsageError, match="units_per_teacher"):
        PATEGANSettings(units_per_teacher=0.0)
    assert sum(PATEGANSettings(labels=10, rounds=3).labels_of(r) for r in range(3)) == 10


def test_the_methods_page_names_tests_that_exist() -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs" / "methods" / "pate-gan.md").read_text(encoding="utf-8")
    files = {
        "pategan": Path(__file__),
        "conformance": root / "tests" / "privacy_audits" / "test_conformance.py",
        "contract": root / "tests" / "contract" / "test_synthesizers.py",
    }
    named = re.findall(r"`(\w+)::(test_\w+)`", page)
    assert len(named) > 20
    text = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    assert [pair for pair in named if f"def {pair[1]}(" not in text[pair[0]]] == []
