"""The student: a discriminator that learns from generated rows and noisy votes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch import Tensor

from dpsynth.neural.voting import Questions, sensitivity
from dpsynth.privacy import PATEVote

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_GRID = 401


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AgreementCurve:
    """Expected margin per teacher as a function of how much rows agree.

    Parameters
    ----------
    agreement : ndarray, shape (n_points,)
        Mean of the rows' opinions, from -1 to 1.
    margin : ndarray, shape (n_points,)
        Expected vote of a teacher: increasing.
    """

    agreement: FloatArray
    margin: FloatArray

    @property
    def slope(self) -> float:
        """Slope where rows agree and disagree evenly."""
        middle = self.agreement.size // 2
        rise = self.margin[middle + 1] - self.margin[middle - 1]
        return float(rise / (self.agreement[middle + 1] - self.agreement[middle - 1]))

    def invert(self, margin: FloatArray) -> FloatArray:
        """Return the agreement behind a margin; linear beyond the ends of the curve."""
        inside = np.interp(margin, self.margin, self.agreement)
        beyond = margin - np.clip(margin, self.margin[0], self.margin[-1])
        return inside + beyond / self.slope


def agreement_of(
    *, rows: float, expected_units: int, max_rows: int, teachers: int
) -> AgreementCurve:
    """Return the curve for units that are dealt evenly at random.

    Parameters
    ----------
    rows : float
        Noisy number of rows.
    expected_units : int
        Declared number of units.
    max_rows : int
        Most rows per unit.
    teachers : int
        Number of teachers.

    Notes
    -----
    Units that agree and units that disagree arrive at a teacher as two independent Poisson numbers,
    whose difference has Skellam's law. Wrong numbers cost quality, never privacy.
    """
    rows_per_unit = int(np.clip(round(rows / expected_units), 1, max_rows))
    units = rows / rows_per_unit / teachers
    agreement = np.linspace(-1.0, 1.0, _GRID)
    chance = (1 + agreement) / 2
    for_it = stats.binom.sf(rows_per_unit // 2, rows_per_unit, chance)
    against = stats.binom.sf(rows_per_unit // 2, rows_per_unit, 1 - chance)
    tiny = 1e-12
    more = stats.skellam.sf(0, units * for_it + tiny, units * against + tiny)
    less = stats.skellam.sf(0, units * against + tiny, units * for_it + tiny)
    margin = np.maximum.accumulate(more - less)
    return AgreementCurve(agreement=agreement, margin=margin + 1e-12 * agreement)


class Student:
    """Scores rows by the labelled rows that they agree with.

    The score of a row is Σ_i α_i o_i / L over the labelled rows i, where o_i is 1 if the row agrees
    with row i in its view, else -1, and α_i is the *excess* of its label: the agreement that the
    noisy vote reports less the agreement that rows of the present generator would show. It is the
    best discriminator in this class under a quadratic penalty, max_α 2αᵀe - αᵀα, found in closed
    form at every step, so that all labels keep teaching while the generator moves; the value of the
    game is the squared error of the labels.

    Parameters
    ----------
    shares : sequence of ndarray
        Noisy one-way shares.
    curve : AgreementCurve
        What a margin says.
    event : PATEVote
        Noise of the margins.
    teachers : int
        Number of teachers.

    Privacy
    -------
    Sees released margins and generated rows: post-processing.
    """

    def __init__(
        self,
        shares: Sequence[FloatArray],
        curve: AgreementCurve,
        *,
        event: PATEVote,
        teachers: int,
    ) -> None:
        self._sizes = [share.size for share in shares]
        self._offsets = np.cumsum([0, *self._sizes]).tolist()
        self._shares = [torch.from_numpy(share).float() for share in shares]
        self._curve, self._teachers = curve, teachers
        scale = event.noise_multiplier * sensitivity(event.relation) / teachers
        self._error = scale / max(curve.slope, 1e-9)
        self._parts: list[Questions] = []
        self._reported: list[FloatArray] = []
        self._views: list[tuple[int, int, Tensor, Tensor]] = []
        self._labels = torch.zeros(0)
        self._weights = torch.zeros(0)

    def learn(self, questions: Questions, margins: IntArray) -> None:
        """Take labelled rows: generated rows in their views, and the noisy margins of the vote."""
        self._parts.append(questions)
        self._reported.append(self._curve.invert(margins / self._teachers))
        asked = Questions.joined(self._parts)
        reported = torch.from_numpy(np.concatenate(self._reported)).float()
        self._views, labels = [], []
        for numbers, a, b in asked.by_view():
            first = torch.from_numpy(asked.first[numbers, : self._sizes[a]]).float()
            second = torch.from_numpy(asked.second[numbers, : self._sizes[b]]).float()
            self._views.append((a, b, first, second))
            labels.append(self._shrunk(reported[numbers], first, second, a, b))
        self._labels = torch.cat(labels)

    def _shrunk(self, reported: Tensor, first: Tensor, second: Tensor, a: int, b: int) -> Tensor:
        """Pull the labels of one view towards independent columns, by as much as they are noise."""
        start = first @ self._shares[a]
        start = start if a == b else start * (second @ self._shares[b])
        excess = reported - start
        signal = max(0.0, float(excess.square().mean()) - self._error**2)
        return start + excess * signal / (signal + self._error**2 + 1e-30)

    def expected(self, moments: Tensor) -> Tensor:
        """Return how much rows with these two-way shares agree, shape (n_labels,).

        Parameters
        ----------
        moments : Tensor, shape (width, width)
            Two-way shares of all codes.
        """
        parts = []
        for a, b, first, second in self._views:
            block = moments[
                self._offsets[a] : self._offsets[a + 1], self._offsets[b] : self._offsets[b + 1]
            ]
            if a == b:
                block = torch.diag(block.sum(1))
            parts.append(((first @ block) * second).sum(1))
        return torch.cat(parts)

    @torch.no_grad()
    def respond(self, moments: Tensor) -> None:
        """Learn anew what tells real rows from the generator's, given its two-way shares."""
        self._weights = (self._labels - self.expected(moments)) / len(self._labels)

    def score(self, moments: Tensor) -> Tensor:
        """Return the mean score of rows with these two-way shares, to be raised."""
        return 200.0 * (self._weights @ self.expected(moments))
