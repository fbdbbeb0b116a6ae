"""Teachers, their vote, its noise and its event: the only part of ``pate-gan`` that reads rows.

Units are dealt to teachers once, by a keyed hash (:func:`deal`). A teacher is asked whether a
generated row, seen through two of its columns, looks real (:class:`Questions`), and looks at its
own units only. What is released is the noisy margin of the vote (:func:`release_margins`).
"""

from __future__ import annotations

import hmac
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dpsynth.noise import NoiseSource
from dpsynth.privacy import NeighbouringRelation, PATEVote, PrivacyUnit

IntArray = npt.NDArray[np.int64]
SignArray = npt.NDArray[np.int8]

KEY_BYTES = 32

_CELLS_AT_ONCE = 2**24


def vote_event(*, noise_multiplier: float, votes: int, unit: PrivacyUnit) -> PATEVote:
    """State the event of releasing the margins of ``votes`` votes.

    Parameters
    ----------
    noise_multiplier : float
        Standard deviation of the noise over :func:`sensitivity`.
    votes : int
        Number of margins that are released.
    unit : PrivacyUnit
        Who is protected.
    """
    return PATEVote(relation=unit.relation, noise_multiplier=noise_multiplier, votes=votes)


def sensitivity(relation: NeighbouringRelation) -> float:
    """Return how far one privacy unit moves the margin of one vote.

    Privacy
    -------
    Let every unit have an opinion in {-1, 0, 1} (:meth:`Teachers.margins`), and let a teacher with
    the sum S of its units' opinions vote sgn S; the margin is the sum of the votes. A unit that is
    added sits at one teacher (:func:`deal`) and moves S by an integer of at most 1, so that sgn S,
    which cannot jump over 0, moves by at most 1. A unit that is replaced is one that leaves and one
    that arrives: at most 2. All L margins together move by at most √L times that in l2.
    """
    return 2.0 if relation == NeighbouringRelation.REPLACE_ONE else 1.0


def deal(
    codes: npt.NDArray[np.int32], unit_index: IntArray, *, teachers: int, key: bytes
) -> IntArray:
    """Deal privacy units to teachers by a keyed hash of what the units are.

    Parameters
    ----------
    codes : ndarray of int32, shape (n_rows, n_columns)
        Codes of the rows.
    unit_index : ndarray of int64, shape (n_rows,)
        Unit of each row, from 0 without gaps.
    teachers : int
        Number of teachers: public.
    key : bytes
        Drawn anew in every fit, independently of the rows.

    Returns
    -------
    ndarray of int64, shape (n_units,)
        Teacher of each unit.

    Privacy
    -------
    **A unit that is added changes the units of exactly one teacher, for every key.** What the
    teachers do depends on a table through its multiset of units, and on a unit through its content:
    the sorted codes of its rows. Neither the name nor the position of a unit is used, since in a
    table of rows there is no name, and a position depends on who else is there. Number the units
    with equal content 1, 2, …, and let H be the keyed hash of (content, number). A table D is then
    the *set* T(D) of pairs (c, j) with j = 1 … m_D(c), where m_D(c) is how often content c occurs,
    and teacher t holds the contents of {(c, j) in T(D) : H(c, j) = t}. If D' is D and one unit with
    content u, then m_D'(u) = m_D(u) + 1 and no other number changes, hence
    T(D') = T(D) and (u, m_D(u) + 1), and the contents of all teachers but H(u, m_D(u) + 1) are the
    same. Which of two equal units bears which number is of no consequence: they are equal.
    The argument holds for each key and each function H. The key is no secret that the guarantee
    rests on; it keeps whoever writes rows from crowding one teacher. No opinion is needed on where
    the codes come from: given the codec's releases they are a function of each row by itself.
    """
    units = int(unit_index.max()) + 1 if unit_index.size else 0
    order = np.lexsort((*codes.T[::-1], unit_index))
    rows = np.ascontiguousarray(codes[order])
    ends = np.cumsum(np.bincount(unit_index, minlength=units))
    width, data = rows.shape[1] * rows.itemsize, rows.tobytes()
    seen: Counter[bytes] = Counter()
    dealt = np.empty(units, dtype=np.int64)
    first = 0
    for unit, end in enumerate(ends.tolist()):
        content = data[first * width : end * width]
        seen[content] += 1
        digest = hmac.digest(key, seen[content].to_bytes(8) + content, "sha256")
        dealt[unit] = int.from_bytes(digest[:8]) % teachers
        first = end
    return dealt


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Questions:
    """Generated rows to be labelled, each seen through a view of two columns. Public.

    A view cuts the codes of a column into the half that is like the generated row's and the rest.
    A real row *agrees* with the generated one if it lies in both like halves or in both others.

    Parameters
    ----------
    columns : ndarray of int64, shape (n_questions, 2)
        Columns of each view.
    first, second : ndarray of int8, shape (n_questions, largest block)
        1 for codes in the like half, -1 for all others.
    """

    columns: IntArray
    first: SignArray
    second: SignArray

    def __len__(self) -> int:
        return len(self.columns)

    @classmethod
    def joined(cls, parts: list[Questions]) -> Questions:
        """Return the questions of all parts, in order."""
        return cls(
            columns=np.concatenate([part.columns for part in parts]),
            first=np.concatenate([part.first for part in parts]),
            second=np.concatenate([part.second for part in parts]),
        )

    def by_view(self) -> Iterator[tuple[IntArray, int, int]]:
        """Yield the numbers of the questions of each view, and its two columns."""
        views, which = np.unique(self.columns, axis=0, return_inverse=True)
        for number, (a, b) in enumerate(views.tolist()):
            yield np.flatnonzero(which.reshape(-1) == number), a, b


class Teachers:
    """Disjoint groups of privacy units that vote.

    A teacher's training is to be handed its rows, once, when the object is made; it keeps them for
    all rounds. Asked about a generated row it compares: do more of its units agree or disagree?

    Parameters
    ----------
    codes : ndarray of int32, shape (n_rows, n_columns)
        Sensitive rows.
    unit_index : ndarray of int64, shape (n_rows,)
        Unit of each row.
    teachers : int
        Number of teachers: public, and the same on neighbouring tables.
    key : bytes
        Key of :func:`deal`.
    """

    def __init__(
        self,
        codes: npt.NDArray[np.int32],
        unit_index: IntArray,
        *,
        teachers: int,
        key: bytes,
    ) -> None:
        self.teachers = teachers
        self._codes = np.ascontiguousarray(codes.T)
        self._unit_index = unit_index
        self._teacher_of = deal(codes, unit_index, teachers=teachers, key=key)

    def margins(self, questions: Questions) -> IntArray:
        """Return votes for "real" minus votes against, shape (n_questions,). Exact, not released.

        A row's opinion is 1 if it agrees and -1 if not, a unit's is the sign of the sum over its
        rows, a teacher's vote the sign of the sum over its units. A teacher that is undecided, or
        holds nothing, abstains.

        Privacy
        -------
        Sums of integers of at most 2^53, hence exact: how much work is done at once, and who else
        is in the table, cannot change a bit of another teacher's vote.
        """
        margins = np.zeros(len(questions), dtype=np.int64)
        for numbers, opinions in self._opinions(questions):
            margins[numbers] = [int(self._votes(row).sum()) for row in opinions]
        return margins

    def ballots(self, questions: Questions) -> SignArray:
        """Return every teacher's vote, shape (n_questions, n_teachers): for audits."""
        ballots = np.zeros((len(questions), self.teachers), dtype=np.int8)
        for numbers, opinions in self._opinions(questions):
            ballots[numbers] = np.stack([self._votes(row) for row in opinions])
        return ballots

    def _opinions(self, questions: Questions) -> Iterator[tuple[IntArray, SignArray]]:
        """Yield numbers of questions and the opinions of all rows on them."""
        at_once = max(1, _CELLS_AT_ONCE // max(1, self._unit_index.size))
        for numbers, a, b in questions.by_view():
            for start in range(0, numbers.size, at_once):
                some = numbers[start : start + at_once]
                opinions = questions.first[some][:, self._codes[a]]
                opinions *= questions.second[some][:, self._codes[b]]
                yield some, opinions

    def _votes(self, opinions: SignArray) -> npt.NDArray[np.float64]:
        """Return the vote of every teacher on one question: -1, 0 or 1."""
        units = self._teacher_of.size
        of_units = _majority(opinions.astype(np.float64), self._unit_index, units)
        return _majority(of_units, self._teacher_of, self.teachers)

    def __repr__(self) -> str:
        return f"Teachers({self.teachers})"


def _majority(
    opinions: npt.NDArray[np.float64], of: IntArray, groups: int
) -> npt.NDArray[np.float64]:
    return np.sign(np.bincount(of, weights=opinions, minlength=groups))


def release_margins(margins: IntArray, *, event: PATEVote, noise: NoiseSource) -> IntArray:
    """Add Gaussian noise to margins.

    Parameters
    ----------
    margins : ndarray of int64, shape (n_questions,)
        Exact margins.
    event : PATEVote
        The event that was booked; the caller counts its votes.
    noise : NoiseSource
        Where the noise comes from.

    Returns
    -------
    ndarray of int64, shape (n_questions,)

    Privacy
    -------
    ``len(margins)`` votes of ``event``. Margins are integers, so that an integer plus rounded noise
    is the rounded sum of the two: post-processing of the Gaussian mechanism. The low-order bits of
    floats never reach the output.

    References
    ----------
    Papernot et al., "Scalable Private Learning with PATE" (GNMax), arXiv 1802.08908; here without
    its data-dependent analysis, whose ε is itself private.
    """
    moved = sensitivity(event.relation)
    sigma = event.noise_multiplier * moved
    exact = np.asarray(margins, dtype=np.int64)
    draws = noise.generator.standard_normal(exact.size) * sigma
    noisy = exact + np.rint(draws).astype(np.int64)
    if noise.transcript is not None and exact.size:
        with noise.declaring(replace(event, votes=exact.size)):
            noise.transcript.write(
                "release_margins",
                query=exact,
                released=noisy,
                sigma=sigma,
                sensitivity=moved * math.sqrt(exact.size),
            )
    return noisy
