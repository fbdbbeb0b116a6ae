"""From features to a score per target and shadow: a likelihood ratio learned on other shadows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from dpsynth.errors import UsageError
from privacy_audits.shadow.runs import ShadowRuns

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

PENALTIES = (0.1, 1.0, 10.0)
"""Of ridge regressions, beside a mean square of 1."""
INNER_FOLDS = 4
_LEAST_SPREAD = 1e-9
_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianRatio:
    """LiRA-style scoring: the log-likelihood ratio of "in" against "out", one model per target.

    Parameters
    ----------
    variance : {"pooled", "separate"}
        Whether both sides share one variance. Two variances pay with many shadows only.

    Notes
    -----
    Projections are learned per target and feature map: ridge regressions of membership on all
    features, the one feature that goes with it most closely, and, where features describe a single
    target, a regression that is the same for all targets. The two Gaussians come from projections
    of shadows that were left out in turn, a quarter at a time. Of all projections the one is taken,
    per target, that separates the learning shadows best (of few shadows: those of all targets).
    Only then are shadows scored that had no part in this. A target whose shadows nothing separates
    in the right direction scores 0.

    Leaving out one shadow at a time would not do: centred features of one shadow are minus the sum
    of all others, from which a flexible regression reads the coin that was left out.

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
        inner = np.arange(len(learning)) // 2 % INNER_FOLDS
        for place, values in enumerate(runs.features.values()):
            known = values[learning]
            parts = [
                _projections(known[inner != fold], known[inner == fold], members[inner != fold])
                for fold in range(INNER_FOLDS)
            ]
            order = np.argsort(np.argsort(inner, kind="stable"), kind="stable")
            for way, unseen in enumerate(_projections(known, values[scored], members)):
                left_out = np.concatenate([part[way] for part in parts])[order]
                best = best.or_else(self._ratios(left_out, unseen, members), place)
        return best

    def _ratios(
        self, left_out: FloatArray, unseen: FloatArray, members: BoolArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return ratios of the learning and of the unseen shadows, and how well they separate.

        With quarters left out, the separation of one target is off by about 3/√n (simulated), the
        mean over targets by less: differences that can be chance are drawn towards it.
        """
        inside, outside = _law(left_out, members), _law(left_out, ~members)
        spread = (inside.count * inside.variance + outside.count * outside.variance) / (
            inside.count + outside.count
        )
        if self.variance == "pooled":
            inside, outside = inside.with_variance(spread), outside.with_variance(spread)
        knows = (inside.mean > outside.mean) & (inside.count > 1) & (outside.count > 1)
        separation = (inside.mean - outside.mean) / np.sqrt(spread)
        chance = 8 / len(members)
        real = max(0.0, float(separation.var()) - chance)
        mean = separation.mean()
        separation = mean + real / (real + chance) * (separation - mean)
        separation = np.where(knows, separation, 0.0)

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
        Difference of the means of both sides in standard deviations, on the learning shadows, drawn
        towards the mean over targets as far as it may differ from it by chance; 0 at least.
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


def _projections(learning: FloatArray, unseen: FloatArray, members: BoolArray) -> list[FloatArray]:
    """Project the features of one map on membership in every way that there is.

    Parameters
    ----------
    learning, unseen : ndarray, shape (n_shadows, 1 or n_targets, n_features)
        Features; with a single row they serve all targets.
    members : ndarray of bool, shape (n_learning, n_targets)
        The coins of the learning shadows.

    Returns
    -------
    list of ndarray, shape (n_unseen, n_targets)
    """
    response = np.where(members, 0.5, -0.5)  # the coin is known to be fair: no intercept
    scaled, other = _placed(learning, unseen)
    rows, targets = learning.shape[1], response.shape[1]
    if rows == 1:
        parts = [_of_target(scaled[:, 0], other[:, 0], response)]
    else:
        parts = [
            _of_target(scaled[:, row], other[:, row], response[:, row : row + 1])
            for row in range(targets)
        ]
    ways = [np.concatenate(way, axis=1) for way in zip(*parts, strict=True)]
    return ways if rows == 1 else [*ways, _of_all(scaled, other, response)]


def _placed(learning: FloatArray, unseen: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the places of features among those of the learning shadows, mean 0 and variance 1.

    Places, since the strongest traces are the wildest: the largest value of a column, for example,
    is sometimes far out and sometimes very far out, which spoils means and variances.
    """
    count = len(learning)
    places = rankdata(learning, axis=0) / count
    other = np.empty(unseen.shape)
    for row, values in enumerate(unseen):
        below, equal = (learning < values).sum(axis=0), (learning == values).sum(axis=0)
        other[row] = (below + equal / 2 + 0.5) / count
    centre, spread = places.mean(axis=0), places.std(axis=0)
    scale = np.where(spread > _LEAST_SPREAD, spread, np.inf)  # what never varies becomes 0
    return (places - centre) / scale, (other - centre) / scale


def _of_target(scaled: FloatArray, other: FloatArray, response: FloatArray) -> list[FloatArray]:
    """Project by ridge regressions, and on the feature that goes with membership most closely."""
    features = scaled.shape[1]
    values, vectors = np.linalg.eigh(scaled @ scaled.T / features)
    rotated = vectors.T @ response
    likeness = other @ scaled.T / features @ vectors
    ridges = [
        likeness @ (rotated / (np.maximum(values, 0.0) + penalty)[:, None]) for penalty in PENALTIES
    ]
    covariance = scaled.T @ response
    chosen = np.abs(covariance).argmax(axis=0)
    signs = np.sign(covariance[chosen, np.arange(response.shape[1])])
    return [*ridges, signs * other[:, chosen]]


def _of_all(scaled: FloatArray, other: FloatArray, response: FloatArray) -> FloatArray:
    """Project by one ridge regression for all targets, to each of which features mean the same.

    There are as many observations as pairs of a shadow and a target: that makes up for few shadows.
    """
    features = scaled.shape[2]
    rows = scaled.reshape(-1, features)
    moments = rows.T @ rows + len(scaled) * np.eye(features)
    return other @ np.linalg.solve(moments, rows.T @ response.ravel())
