"""Twins of the ensemble, its vote and the student."""

from __future__ import annotations

import dataclasses

import numpy as np

from dpsynth.checkpoint import Course
from dpsynth.neural import pategan as pategan_module
from dpsynth.neural.pategan import PATEGAN, VOTES
from dpsynth.neural.voting import Questions, Teachers, deal, release_margins
from dpsynth.noise import NoiseSource
from dpsynth.privacy import PATEVote, PlannedCharge


class DealtByPosition(Teachers):
    """Deals units like cards: one unit more, and all after it sit elsewhere."""

    def __init__(self, codes: np.ndarray, unit_index: np.ndarray, **kw) -> None:
        super().__init__(codes, unit_index, **kw)
        self._teacher_of = np.arange(self._teacher_of.size) % self.teachers


class DealtInBlocks(Teachers):
    """Cuts the table into equal parts, as ``np.array_split`` does: their size depends on all."""

    def __init__(self, codes: np.ndarray, unit_index: np.ndarray, **kw) -> None:
        super().__init__(codes, unit_index, **kw)
        units = self._teacher_of.size
        self._teacher_of = np.arange(units) * self.teachers // max(units, 1)


class DealtAnewEveryRound(Teachers):
    """Draws the partition again whenever it is asked: in time every teacher sees every unit."""

    rounds = 0

    def ballots(self, questions: Questions) -> np.ndarray:
        self.rounds += 1
        self._teacher_of = deal(
            self._codes.T.copy(),
            self._unit_index,
            teachers=self.teachers,
            key=self.rounds.to_bytes(32),
        )
        return super().ballots(questions)


class OneTeacherForAll(Teachers):
    """A stale index: every teacher is handed the same part of the table, here all of it."""

    def _votes(self, opinions: np.ndarray) -> np.ndarray:
        return np.full(self.teachers, np.sign(opinions.sum(dtype=np.int64)), dtype=np.float64)


class SampleTheWholeTable(Teachers):
    """Every teacher draws its rows from the whole table: a unit sits at several."""

    def _votes(self, opinions: np.ndarray) -> np.ndarray:
        votes = []
        for teacher in range(self.teachers):
            hers = np.random.default_rng(teacher).random(4096)[: opinions.size] < 0.5
            votes.append(np.sign(opinions[hers].sum(dtype=np.int64)))
        return np.array(votes, dtype=np.float64)


class RowsInsteadOfUnits(Teachers):
    """Deals rows: a unit of three rows sits at up to three teachers."""

    def __init__(self, codes: np.ndarray, unit_index: np.ndarray, **kw) -> None:
        super().__init__(codes, np.arange(unit_index.size), **kw)


class CountsInsteadOfVotes(Teachers):
    """Reports by how many rows a teacher agrees, not whether it does."""

    def _votes(self, opinions: np.ndarray) -> np.ndarray:
        weights = opinions.astype(np.float64)
        of_rows = self._teacher_of[self._unit_index]
        return np.bincount(of_rows, weights=weights, minlength=self.teachers)


def half_noise_on_votes(margins: np.ndarray, *, event: PATEVote, noise: NoiseSource) -> np.ndarray:
    """Scales the noise to half of what one unit can do."""
    exact = np.asarray(margins, dtype=np.int64)
    zeros = np.zeros_like(exact)
    return exact + np.rint(0.5 * release_margins(zeros, event=event, noise=noise)).astype(np.int64)


def nine_tenths_on_votes(margins: np.ndarray, *, event: PATEVote, noise: NoiseSource) -> np.ndarray:
    less = dataclasses.replace(event, noise_multiplier=0.9 * event.noise_multiplier)
    return release_margins(margins, event=less, noise=noise)


def noise_on_labels(margins: np.ndarray, *, event: PATEVote, noise: NoiseSource) -> np.ndarray:
    """Counts votes without noise and adds it to the label that won."""
    return release_margins(np.sign(margins), event=event, noise=noise)


def free_answers(margins: np.ndarray, *, event: PATEVote, noise: NoiseSource) -> np.ndarray:
    """Clear votes need no noise: they would come out the same."""
    noisy = release_margins(margins, event=event, noise=noise)
    clear = np.abs(margins) > 4 * event.noise_multiplier
    return np.where(clear, margins, noisy)


def same_noise_on_every_vote(
    margins: np.ndarray, *, event: PATEVote, noise: NoiseSource
) -> np.ndarray:
    """The seed is 0, as in a public implementation."""
    del noise
    return release_margins(margins, event=event, noise=NoiseSource.seeded(0))


class _Handmade(PATEGAN):
    """Rounds without the guard of the real fit, so that each twin shows its one mistake."""

    def _fit_codes(
        self, codes: np.ndarray, unit_index: np.ndarray, *, noise: NoiseSource, course: Course
    ) -> tuple[PlannedCharge, ...]:
        event = self.plan_.mechanism(VOTES)
        assert isinstance(event, PATEVote)
        count = int(self.plan_.parameters["teachers"])
        teachers = Teachers(codes, unit_index, teachers=count, key=noise.generator.bytes(32))
        game = pategan_module._Game(self, event, np.random.default_rng(noise.public_seed()))
        for number in range(self._chosen.rounds + self.unpaid):
            questions = game.questions(number)
            self.show(game, questions, teachers)
            noisy = pategan_module.release_margins(
                teachers.margins(questions), event=event, noise=noise
            )
            game.learn(questions, noisy)
            game.train(number, course.progress)
        game.finish()
        return (PlannedCharge(step=VOTES, mechanism=event),)

    unpaid = 0

    def show(self, game: pategan_module._Game, questions: Questions, teachers: Teachers) -> None:
        pass


class UnpaidLastRound(_Handmade):
    """Looks at the budget after the round that exceeds it."""

    unpaid = 1


class StudentSeesRows(_Handmade):
    """The student is trained on real rows too: it is handed votes without noise."""

    def show(self, game: pategan_module._Game, questions: Questions, teachers: Teachers) -> None:
        game.learn(questions, teachers.margins(questions))


class TeachersFromTheRows(PATEGAN):
    """One teacher per so many rows that there are."""

    def _fit_codes(
        self, codes: np.ndarray, unit_index: np.ndarray, *, noise: NoiseSource, course: Course
    ) -> tuple[PlannedCharge, ...]:
        self.plan_.parameters["teachers"] = len(codes) // 3  # type: ignore[index]
        return super()._fit_codes(codes, unit_index, noise=noise, course=course)
