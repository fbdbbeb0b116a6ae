"""Scores under many weightings at once, and intervals that respect privacy units.

A bootstrap over people re-weights rows; ranks do not change. Scores are therefore sorted once and
evaluated for a whole matrix of weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import norm

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_Z = float(norm.ppf(0.975))


class Ranked:
    """Scores of one class against the rest, sorted once.

    Parameters
    ----------
    scores : ndarray of float, shape (n_rows,)
        Higher for rows thought positive.
    positive : ndarray of bool, shape (n_rows,)
        Which rows are.
    """

    def __init__(self, scores: FloatArray, positive: npt.NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._positive = positive[self._order]

    def score(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return AUROC and average precision for each row of ``weights``.

        Parameters
        ----------
        weights : ndarray of float, shape (n_weightings, n_rows)
            Weights of the rows, not negative.

        Returns
        -------
        tuple of ndarray, each of shape (n_weightings,)
            NaN where a side has no weight.
        """
        ordered = weights[:, self._order]
        # Rows of one score count together.
        gained = np.add.reduceat(ordered * self._positive, self._starts, axis=1)
        mass = np.add.reduceat(ordered, self._starts, axis=1)
        hits, passed = np.cumsum(gained, axis=1), np.cumsum(mass, axis=1)
        positives = hits[:, -1]
        negatives = passed[:, -1] - positives
        with np.errstate(invalid="ignore", divide="ignore"):
            area = ((mass - gained) * (hits - gained / 2)).sum(axis=1) / (positives * negatives)
            precision = np.divide(hits, passed, out=np.zeros_like(hits), where=passed > 0)
            average = (gained * precision).sum(axis=1) / positives
        return area, average


def unit_weights(units: IntArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """Return bootstrap weights of the rows, shape (draws, n_rows): units drawn with replacement."""
    n = int(units.max()) + 1
    times = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(draws)]
    return np.array(times, dtype=np.float64)[:, units]


def at_once(n_rows: int) -> int:
    """Return how many weightings to score together: what the processor's cache holds is faster."""
    return max(1, min(50, 400_000 // n_rows))


def percentile_interval(draws: FloatArray) -> tuple[float, float]:
    """Return the middle 95 % of bootstrap draws; NaN where none is defined."""
    defined = draws[np.isfinite(draws)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def auc_with_variance(
    scores: FloatArray, positive: npt.NDArray[np.bool_], units: IntArray
) -> tuple[float, float]:
    """Return AUC and its variance for rows that come in units.

    Parameters
    ----------
    scores : ndarray of float, shape (n_rows,)
        Higher for rows thought positive.
    positive : ndarray of bool, shape (n_rows,)
        Which rows are.
    units : ndarray of int, shape (n_rows,)
        Rows of one unit depend on each other; no unit has rows on both sides.

    References
    ----------
    DeLong et al. 1988 with one row per unit; Obuchowski 1997, "Nonparametric analysis of clustered
    ROC curve data", for more.
    """
    ours, theirs = scores[positive], scores[~positive]
    place = _placements(ours, theirs)
    area = float(place.mean())
    variance = _spread(place - area, units[positive])
    variance += _spread(1.0 - _placements(theirs, ours) - area, units[~positive])
    return area, variance


def _placements(scores: FloatArray, others: FloatArray) -> FloatArray:
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left")
    upto = np.searchsorted(ordered, scores, side="right")
    return (below + upto) / (2 * len(others))


def _spread(deviations: FloatArray, units: IntArray) -> float:
    compact = np.unique(units, return_inverse=True)[1].reshape(-1)
    sums = np.bincount(compact, weights=deviations)
    k = len(sums)
    return float("nan") if k < 2 else float(k / (k - 1) * (sums**2).sum() / len(deviations) ** 2)


def auc_interval(area: float, variance: float, smaller_side: int) -> tuple[float, float]:
    """Return a 95 % interval that stays inside [0, 1].

    Parameters
    ----------
    area : float
        Estimated AUC.
    variance : float
        Its variance.
    smaller_side : int
        Units on the smaller side; used where the sides are fully apart, so that the variance is 0
        and says nothing ("rule of three").
    """
    if not np.isfinite(area) or not np.isfinite(variance):
        return float("nan"), float("nan")
    if area in (0.0, 1.0):
        slack = 1.0 - 0.025 ** (1.0 / max(smaller_side, 1))
        return (1.0 - slack, 1.0) if area == 1.0 else (0.0, slack)
    half = _Z * np.sqrt(variance) / (area * (1.0 - area))
    return float(expit(logit(area) - half)), float(expit(logit(area) + half))


class Classified:
    """Predicted probabilities beside the classes that came true.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n_rows, n_classes)
        Predicted.
    truth : ndarray of int, shape (n_rows,)
        Class of each row.
    classes : sequence of int
        Classes that AUROC and average precision are averaged over, each against the rest; for two
        classes the positive one alone.
    recalled : sequence of int, optional
        Classes that balanced accuracy averages the recall of, where the likeliest class is
        predicted; by default all that came true.
    """

    directions: Mapping[str, Literal["lower", "higher"]] = {
        "auroc": "higher",
        "average_precision": "higher",
        "balanced_accuracy": "higher",
        "brier": "lower",
    }

    def __init__(
        self,
        probabilities: FloatArray,
        truth: IntArray,
        classes: Sequence[int],
        recalled: Sequence[int] | None = None,
    ) -> None:
        self.probabilities = probabilities
        self.truth = truth
        self.classes = classes
        self.recalled = np.unique(truth).tolist() if recalled is None else recalled
        self._ranked = [Ranked(probabilities[:, k], truth == k) for k in classes]
        squares = (probabilities - np.eye(probabilities.shape[1])[truth]) ** 2
        # As usual for two classes, half of the sum over both.
        self._squares = squares.sum(axis=1) / (2.0 if len(classes) == 1 else 1.0)
        self._by_class = np.argsort(truth, kind="stable")
        self._hit = (probabilities.argmax(axis=1) == truth)[self._by_class]
        present, self._starts = np.unique(truth[self._by_class], return_index=True)
        self._counted = np.isin(present, list(self.recalled))

    def __len__(self) -> int:
        return len(self._squares)

    def take(self, rows: npt.NDArray) -> Classified:
        """Return the outcome of the chosen rows; the classes stay."""
        return Classified(self.probabilities[rows], self.truth[rows], self.classes, self.recalled)

    def scores(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return each score for each row of ``weights``; NaN where it is not defined."""
        pairs = [ranked.score(weights) for ranked in self._ranked]
        return {
            "auroc": _mean_defined([area for area, _ in pairs]),
            "average_precision": _mean_defined([average for _, average in pairs]),
            "balanced_accuracy": self._recall(weights),
            "brier": weights @ self._squares / weights.sum(axis=1),
        }

    def _recall(self, weights: FloatArray) -> FloatArray:
        ordered = weights[:, self._by_class]
        there = np.add.reduceat(ordered, self._starts, axis=1)
        right = np.add.reduceat(ordered * self._hit, self._starts, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return _mean_defined(list((right / there).T[self._counted]))


class Regressed:
    """Predicted numbers beside those that came true; shapes (n_rows,)."""

    directions: Mapping[str, Literal["lower", "higher"]] = {"r2": "higher", "mae": "lower"}

    def __init__(self, predicted: FloatArray, truth: FloatArray) -> None:
        self.predicted = predicted
        self.truth = truth
        self._centred = truth - truth.mean()
        self._errors = np.abs(truth - predicted)

    def __len__(self) -> int:
        return len(self._errors)

    def take(self, rows: npt.NDArray) -> Regressed:
        """Return the outcome of the chosen rows."""
        return Regressed(self.predicted[rows], self.truth[rows])

    def scores(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return each score for each row of ``weights``; NaN where it is not defined."""
        total = weights.sum(axis=1)
        mean = weights @ self._centred / total
        around = weights @ self._centred**2 - total * mean**2
        with np.errstate(invalid="ignore", divide="ignore"):
            r2 = 1.0 - weights @ self._errors**2 / around
        return {"r2": np.where(around > 0, r2, np.nan), "mae": weights @ self._errors / total}


Outcome = Classified | Regressed
"""Predictions for rows whose truth is known."""


def whole(outcome: Outcome) -> dict[str, float]:
    """Return each score of all rows, each counted once."""
    scores = outcome.scores(np.ones((1, len(outcome))))
    return {name: float(values[0]) for name, values in scores.items()}


def _mean_defined(rows: list[FloatArray]) -> FloatArray:
    stacked = np.array(rows)
    defined = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        return np.where(defined, stacked, 0.0).sum(axis=0) / defined.sum(axis=0)
