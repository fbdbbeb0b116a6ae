"""Vote canaries: privacy units that sit alone at a teacher and so move every margin by one.

The attacker knows the table but for the canaries' coins, the key of the deal and the questions; he
sees the noisy margins. With and without the canaries the votes are counted by the real
:class:`~dpsynth.neural.voting.Teachers`: their difference is what each canary moves.

A margin is one number, so that canaries meet in it. Opinions on many questions are nearly
orthogonal; what is left is treated as noise (:func:`decoded`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError
from dpsynth.neural.voting import IntArray, Questions, Teachers, deal
from dpsynth.privacy import NeighbouringRelation
from privacy_audits.canaries.reference import REPLICATES, separation

BoolArray = npt.NDArray[np.bool_]
CodeArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float64]

_POOL = 8
_QUESTIONS_AT_ONCE = 256


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class VoteGame:
    """Canaries of one ensemble, and what was heard of its margins.

    Parameters
    ----------
    bits : ndarray of bool, shape (m,)
        Coins. Under ``add_remove`` a canary is in or absent; under ``replace_one`` it is one unit
        or another.
    relation : NeighbouringRelation
        Relation of the event.
    sigma : float
        Standard deviation of the noise of a margin by the event that was booked, in votes.
    """

    bits: BoolArray
    relation: NeighbouringRelation
    sigma: float
    _heard: list[tuple[Questions, IntArray]] = field(default_factory=list)
    _worlds: list[Teachers] = field(default_factory=list)
    _seats: list[IntArray] = field(default_factory=list)
    _asked: Questions | None = None
    _centred: tuple[FloatArray, FloatArray] | None = None

    def seat(
        self,
        codes: CodeArray,
        unit_index: IntArray,
        shares: Sequence[FloatArray],
        *,
        teachers: int,
        key: bytes,
        rng: np.random.Generator,
        make: type[Teachers] = Teachers,
    ) -> Teachers:
        """Deal a table and the canaries that the coins let in; return the teachers who vote.

        Parameters
        ----------
        codes : ndarray of int32, shape (n_rows, n_columns)
            The table.
        unit_index : ndarray of int64, shape (n_rows,)
            Unit of each row.
        shares : sequence of ndarray, one per column
            Released shares of the codes, by which canaries are drawn.
        teachers, key
            As in :func:`dpsynth.neural.voting.deal`.
        rng : numpy.random.Generator
            Draws the canaries.
        make : type of Teachers
            The ensemble under audit.

        Raises
        ------
        UsageError
            If the columns have fewer combinations of codes than there are canaries.
        """
        is_replaced = self.relation == NeighbouringRelation.REPLACE_ONE
        wanted = self.bits.size * (2 if is_replaced else 1)
        canaries, seats = _alone(codes, unit_index, shares, wanted, teachers, key, rng)
        sides = [slice(0, self.bits.size), slice(self.bits.size, wanted)][: 1 + is_replaced]
        entering = [canaries[: self.bits.size][self.bits]]
        if is_replaced:
            entering.append(canaries[self.bits.size :][~self.bits])

        def ensemble(kind: type[Teachers], rows: CodeArray) -> Teachers:
            first = int(unit_index.max()) + 1 if unit_index.size else 0
            return kind(
                np.concatenate([codes, rows]),
                np.concatenate([unit_index, first + np.arange(len(rows))]),
                teachers=teachers,
                key=key,
            )

        self._seats = [seats[side] for side in sides]
        self._worlds = [
            ensemble(make, canaries[:0]),
            *(ensemble(make, canaries[side]) for side in sides),
        ]
        game = self

        class Watched(make):
            """Remembers which questions were put last."""

            def margins(self, questions: Questions) -> IntArray:
                game._asked = questions
                return super().margins(questions)

        return ensemble(Watched, np.concatenate(entering))

    def hear(self, primitive: str, released: npt.NDArray) -> None:
        """Take noisy margins, as answers to the questions that were put last."""
        if primitive == "release_margins" and self._asked is not None:
            self._heard.append((self._asked, released))

    def scores(self) -> FloatArray:
        """Return the score of every canary, shape (m,); larger where it seems to be in."""
        moves, centred = self._all()
        return decoded(moves, centred, sigma=self.sigma)

    def reference(self, rng: np.random.Generator, *, runs: int = REPLICATES) -> FloatArray:
        """Return the d′ of simulated votes on the questions that were put, shape (runs,).

        Every canary moves the margins by what it moves here; coins and noise are drawn anew, all
        runs are decoded in one go.
        """
        moves, _ = self._all()
        bits = rng.random((self.bits.size, runs)) < 0.5
        noise = self.sigma * rng.standard_normal((len(moves), runs))
        scores = decoded(moves, moves @ (bits - 0.5) + noise, sigma=self.sigma)
        return np.array([separation(s, b) for s, b in zip(scores.T, bits.T, strict=True)])

    def _all(self) -> tuple[FloatArray, FloatArray]:
        """Return what canaries move, and noisy margins less their mean, of all that was heard."""
        if self._centred is None or len(self._centred[0]) != sum(len(r) for _, r in self._heard):
            moves, centred = [], []
            for questions, released in self._heard:
                base, moved = self._moves(questions)
                moves.append(moved)
                centred.append(released - base)
            self._centred = np.concatenate(moves), np.concatenate(centred)
        return self._centred

    def _moves(self, questions: Questions) -> tuple[FloatArray, FloatArray]:
        """Return margins at undecided coins, and what the coin of every canary adds to them.

        Shapes (n_questions,) and (n_questions, m). Canaries that share a teacher share its move.
        """
        base = np.zeros(len(questions))
        moved = np.zeros((len(questions), self.bits.size))
        for start in range(0, len(questions), _QUESTIONS_AT_ONCE):
            some = slice(start, start + _QUESTIONS_AT_ONCE)
            part = Questions(
                columns=questions.columns[some],
                first=questions.first[some],
                second=questions.second[some],
            )
            without, *sides = (world.ballots(part) for world in self._worlds)
            base[some] = without.sum(axis=1, dtype=np.int64)
            for sign, ballots, seats in zip((1, -1), sides, self._seats, strict=False):
                sharing = np.bincount(seats, minlength=without.shape[1])[seats]
                move = (ballots[:, seats] - without[:, seats]) / sharing
                moved[some] += sign * move
                base[some] += move.sum(axis=1) * (1 if sign < 0 else 0)
        return base + moved.sum(axis=1) / 2, moved


def decoded(moves: FloatArray, centred: FloatArray, *, sigma: float) -> FloatArray:
    """Return the best linear guess of every coin less ½ from all margins together.

    Parameters
    ----------
    moves : ndarray, shape (n_questions, m)
        What each canary adds to each margin.
    centred : ndarray, shape (n_questions,) or (n_questions, n_runs)
        Noisy margins less their mean over coins.
    sigma : float
        Standard deviation of the noise.

    Notes
    -----
    Σ_j v_j(i) z_j/σ², the log-likelihood ratio of a canary that meets no other, up to a constant;
    with other canaries' coins, of variance ¼, as further noise: (V'V + 4σ² I)^-1 V'z.
    """
    gram = moves.T @ moves
    gram[np.diag_indices_from(gram)] += 4.0 * sigma**2
    return np.asarray(np.linalg.solve(gram, moves.T @ centred), dtype=np.float64)


def _alone(
    codes: CodeArray,
    unit_index: IntArray,
    shares: Sequence[FloatArray],
    wanted: int,
    teachers: int,
    key: bytes,
    rng: np.random.Generator,
) -> tuple[CodeArray, IntArray]:
    """Draw distinct rows, those first that sit alone at a teacher; return them and their teachers.

    The guarantee holds for every key, hence also for an attacker who knows it.
    """
    drawn = np.stack(
        [rng.choice(share.size, _POOL * wanted, p=share / share.sum()) for share in shares], axis=1
    )
    pool = rng.permutation(np.unique(drawn.astype(np.int32), axis=0))
    if len(pool) < wanted:
        raise UsageError(
            f"the columns have too few combinations of codes for {wanted} canaries.",
            fix="ask for fewer canaries.",
        )
    first = int(unit_index.max()) + 1 if unit_index.size else 0
    dealt = deal(
        np.concatenate([codes, pool]),
        np.concatenate([unit_index, first + np.arange(len(pool))]),
        teachers=teachers,
        key=key,
    )
    seats = dealt[first:]
    _, earliest = np.unique(seats, return_index=True)
    is_company = ~np.isin(np.arange(len(pool)), earliest)
    is_taken = np.isin(seats, dealt[:first])
    best = np.argsort(is_taken + 2 * is_company, kind="stable")[:wanted]
    return pool[best], seats[best]
