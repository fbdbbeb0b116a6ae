"""From features to a score per target and shadow: a likelihood ratio learned on other shadows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError
from privacy_audits.shadow.runs import ShadowRuns

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
_LEAST_SPREAD = 1e-9
_LEAST_VARIANCE = 1e-8
_REACH = 10.0
"""Standard deviations at which an unseen feature is cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianRatio:
    """LiRA-style scoring: the log-likelihood ratio of "in" against "out", one model per target.

    Parameters
    ----------
    variance : {"pooled", "separate"}
        Whether both sides share one variance. Two variances pay with many shadows only.

    Notes
    -----
    Two projections are learned per target and feature map: a ridge regression of membership on all
    features, and the one feature that goes with it most closely. The two Gaussians (and the
    penalty) come from projections of shadows that were left out one at a time, never of shadows
    that a projection was learned on. Of all projections the one is taken, per target, that
    separates the learning shadows best. Only then are shadows scored that had no part in this.

    A target whose shadows nothing separates in the right direction scores 0.

    All shadows hold the same targets and, with a fixed base, the same rows. The Gaussians therefore
    describe this population, not fresh ones: in a fresh population, scores spread more and error
    rates at a threshold differ from those seen here, most of all at low false positive rates.

    References
    ----------
    Carlini et al., "Membership Inference Attacks From First Principles", arXiv 2112.03570, §5. On
    the finite population: arXiv 2605.25819.
    """

    variance: Literal["pooled", "separate"] = "pooled"

    def __post_init__(self) -> None:
        if self.variance not in ("pooled", "separate"):
            raise UsageError("variance must be 'pooled' or 'separate'.")

    def learn(self, runs: ShadowRuns, learning: IntArray, scored: IntArray) -> Scores:
        """Learn on some shadows and score both them and others.

        Parameters
        ----------
        runs : ShadowRuns
            All shadows.
        learning, scored : ndarray of int
            Numbers of shadows, disjoint.

        Returns
        -------
        Scores
        """
        members = runs.members[learning]
        shape = members.shape[1]
        best = Scores(
            learned=np.zeros((len(learning), shape)),
            scored=np.zeros((len(scored), shape)),
            separation=np.zeros(shape),
            best_map=np.full(shape, -1),
        )
        for place, values in enumerate(runs.features.values()):
            parts = [
                _projections(part[learning], part[scored], members[:, targets])
                for part, targets in _parts(values, shape)
            ]
            for way in zip(*parts, strict=True):
                left_out = np.concatenate([part[0] for part in way], axis=1)
                unseen = np.concatenate([part[1] for part in way], axis=1)
                best = best.or_else(self._ratios(left_out, unseen, members), place)
        return best

    def _ratios(
        self, left_out: FloatArray, unseen: FloatArray, members: BoolArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return ratios of the learning and of the unseen shadows, and how well they separate."""
        inside, outside = _law(left_out, members), _law(left_out, ~members)
        spread = (inside.count * inside.variance + outside.count * outside.variance) / (
            inside.count + outside.count
        )
        if self.variance == "pooled":
            inside, outside = inside.with_variance(spread), outside.with_variance(spread)
        knows = (inside.mean > outside.mean) & (inside.count > 1) & (outside.count > 1)
        separation = np.where(knows, (inside.mean - outside.mean) / np.sqrt(spread), 0.0)

        def ratio(values: FloatArray) -> FloatArray:
            return np.where(knows, inside.log_density(values) - outside.log_density(values), 0.0)

        return ratio(left_out), ratio(unseen), separation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """Log-likelihood ratios of shadows; higher means "in".

    Parameters
    ----------
    learned : ndarray, shape (n_learning, n_targets)
        Of the learning shadows: good for choosing a threshold, not for counting errors.
    scored : ndarray, shape (n_scored, n_targets)
        Of shadows that had no part in the learning.
    separation : ndarray, shape (n_targets,)
        Difference of the means of both sides in standard deviations, on the learning shadows.
    best_map : ndarray of int, shape (n_targets,)
        Which feature map was taken; -1 where none knows anything.
    """

    learned: FloatArray
    scored: FloatArray
    separation: FloatArray
    best_map: IntArray

    def or_else(self, other: tuple[FloatArray, FloatArray, FloatArray], place: int) -> Scores:
        """Return, per target, the scores of whichever map separates better."""
        learned, scored, separation = other
        better = separation > self.separation
        return Scores(
            learned=np.where(better, learned, self.learned),
            scored=np.where(better, scored, self.scored),
            separation=np.where(better, separation, self.separation),
            best_map=np.where(better, place, self.best_map),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Law:
    """A Gaussian per target."""

    count: FloatArray
    mean: FloatArray
    variance: FloatArray

    def with_variance(self, variance: FloatArray) -> _Law:
        return _Law(count=self.count, mean=self.mean, variance=variance)

    def log_density(self, values: FloatArray) -> FloatArray:
        return -0.5 * ((values - self.mean) ** 2 / self.variance + np.log(self.variance))


def _law(values: FloatArray, side: BoolArray) -> _Law:
    count = side.sum(axis=0).astype(np.float64)
    safe = np.maximum(count, 1)
    mean = np.where(side, values, 0.0).sum(axis=0) / safe
    squares = np.where(side, (values - mean) ** 2, 0.0).sum(axis=0)
    variance = np.maximum(squares / np.maximum(count - 1, 1), _LEAST_VARIANCE)
    return _Law(count=count, mean=mean, variance=variance)


def _parts(values: FloatArray, targets: int) -> Sequence[tuple[FloatArray, slice]]:
    """Return feature matrices, shape (n_shadows, n_features), and the targets that each serves."""
    if values.shape[1] == 1 and targets > 1:
        return [(values[:, 0], slice(0, targets))]
    return [(values[:, target], slice(target, target + 1)) for target in range(targets)]


Projected = tuple[FloatArray, FloatArray]
"""Of left-out learning shadows and of unseen ones, shape (n_shadows, n_targets) each."""


def _projections(
    learning: FloatArray, unseen: FloatArray, members: BoolArray
) -> tuple[Projected, Projected]:
    """Project features on membership: by all of them, and by the single best one.

    Each left-out shadow is projected by what was learned without it. The coin is known to be fair,
    hence the response is ±½ and no intercept is estimated: one that is would make projections of
    left-out shadows lean away from their own side.
    """
    response = np.where(members, 0.5, -0.5)
    centre, spread = learning.mean(axis=0), learning.std(axis=0)
    varies = spread > _LEAST_SPREAD
    if not varies.any():
        nothing = np.zeros(response.shape), np.zeros((len(unseen), response.shape[1]))
        return nothing, nothing
    scaled = (learning[:, varies] - centre[varies]) / spread[varies]
    other = np.clip((unseen[:, varies] - centre[varies]) / spread[varies], -_REACH, _REACH)
    return _ridge(scaled, other, response), _single(scaled, other, response)


def _ridge(scaled: FloatArray, other: FloatArray, response: FloatArray) -> Projected:
    """Project by ridge regression; the penalty has the least error on left-out shadows."""
    features = scaled.shape[1]
    values, vectors = np.linalg.eigh(scaled @ scaled.T / features)
    values = np.maximum(values, 0.0)
    rotated = vectors.T @ response
    left_out, weights = np.zeros(response.shape), np.zeros(response.shape)
    least = np.full(response.shape[1], np.inf)
    for penalty in PENALTIES:
        shrink = values / (values + penalty)
        others = np.maximum(1 - (vectors**2) @ shrink, _LEAST_SPREAD)
        residual = (response - vectors @ (shrink[:, None] * rotated)) / others[:, None]
        error = (residual**2).sum(axis=0)
        better = error < least
        least = np.where(better, error, least)
        left_out[:, better] = (response - residual)[:, better]
        weights[:, better] = (vectors @ (rotated / (values + penalty)[:, None]))[:, better]
    return left_out, (other @ scaled.T / features) @ weights


def _single(scaled: FloatArray, other: FloatArray, response: FloatArray) -> Projected:
    """Project on the feature that goes with membership most closely."""
    covariance = scaled.T @ response
    targets = np.arange(response.shape[1])
    left_out = np.zeros(response.shape)
    for shadow, (row, coins) in enumerate(zip(scaled, response, strict=True)):
        without = covariance - row[:, None] * coins
        chosen = np.abs(without).argmax(axis=0)
        left_out[shadow] = np.sign(without[chosen, targets]) * row[chosen]
    chosen = np.abs(covariance).argmax(axis=0)
    return left_out, np.sign(covariance[chosen, targets]) * other[:, chosen]
