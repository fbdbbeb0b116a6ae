"""The ROC curve of all targets together, with intervals that take shadows as a whole.

Scores of one shadow come from one synthetic table and are not independent: what is drawn again, for
an interval, are shadows; what is tossed again, for a test, are coins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from dpsynth.errors import UsageError
from privacy_audits.shadow.design import ShadowDesign

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

DRAWS = 1_000
TOSSES = 9_999
_NEGATIVES_PER_ERROR = 100
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its interval.

    Parameters
    ----------
    value : float
        The estimate.
    low, high : float
        Interval at the level that was asked for; bootstrap over shadows.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PooledRoc:
    """Scores of shadows that had no part in learning how to score.

    Parameters
    ----------
    scores : ndarray, shape (n_shadows, n_targets)
        Higher means "in".
    members : ndarray of bool, shape (n_shadows, n_targets)
        The coins.
    folds : ndarray of int, shape (n_shadows,)
        Shadows of one fold were scored by the same model. Only they are compared for the area:
        between folds, a coin of one is part of what the scores of the other were learned from.
    """

    scores: FloatArray
    members: BoolArray
    folds: IntArray

    def __post_init__(self) -> None:
        if not self._pairs()[1].any():
            raise UsageError(
                "no fold has shadows on both sides.",
                fix="run more shadows, or attack more targets.",
            )

    def auc(self, *, level: float, rng: np.random.Generator) -> Interval:
        """Return the area under the curve, pairs inside folds only."""
        wins, pairs = self._pairs()
        weights = self._weights(rng)
        won = np.einsum("di,ij,dj->d", weights, wins, weights)
        made = np.einsum("di,ij,dj->d", weights, pairs, weights)
        drawn = won[made > 0] / made[made > 0]
        return _interval(float(wins.sum() / pairs.sum()), drawn, level)

    def target_aucs(self) -> FloatArray:
        """Return the area of every target, shape (n_targets,); NaN where a side is missing."""
        wins = np.zeros(self.scores.shape[1])
        pairs = np.zeros(self.scores.shape[1])
        for fold in np.unique(self.folds):
            mine = self.folds == fold
            inside = self.members[mine]
            most = inside.sum(axis=0)
            ranks = rankdata(self.scores[mine], axis=0)
            wins += (ranks * inside).sum(axis=0) - most * (most + 1) / 2
            pairs += most * (len(inside) - most)
        return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)

    def tpr_at(self, fpr: float, *, level: float, rng: np.random.Generator) -> Interval | None:
        """Return the true positive rate at a false positive rate.

        ``None`` where so small a rate is not to be measured: with fewer than 100 / ``fpr`` pairs of
        a shadow and a target that it does not hold.
        """
        outside = np.count_nonzero(~self.members)
        if outside * fpr < _NEGATIVES_PER_ERROR or not self.members.any():
            return None
        weights = np.concatenate([np.ones((1, len(self.scores))), self._weights(rng)])
        found = np.array([self._tpr(fpr, row) for row in weights])
        return _interval(float(found[0]), found[1:], level)

    def curve(self) -> tuple[FloatArray, FloatArray]:
        """Return false and true positive rates at every threshold, from (0, 0) to (1, 1)."""
        return self._curve(np.ones(len(self.scores)))

    def log_points(self, points: int = 60) -> tuple[FloatArray, FloatArray]:
        """Return the curve for a log–log plot: false positive rates at equal ratios.

        The smallest one is that of a single false positive.
        """
        fpr, tpr = self.curve()
        least = 1 / max(2, np.count_nonzero(~self.members))
        at = np.geomspace(least, 1.0, points)
        return at, tpr[np.searchsorted(fpr, at * (1 + 1e-12), side="right") - 1]

    def _tpr(self, fpr: float, weights: FloatArray) -> float:
        rates, hits = self._curve(weights)
        return float(hits[np.searchsorted(rates, fpr * (1 + 1e-12), side="right") - 1])

    def _curve(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        scores = self.scores.ravel()
        order = np.argsort(-scores, kind="stable")
        weight = np.repeat(weights, self.scores.shape[1])[order]
        inside = self.members.ravel()[order]
        # Equal scores fall on one side of any threshold together.
        last = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
        rates = [np.cumsum(weight * side)[last] for side in (~inside, inside)]
        fpr, tpr = (np.append(0.0, rate / max(rate[-1], 1e-300)) for rate in rates)
        return fpr, tpr

    def _pairs(self) -> tuple[FloatArray, FloatArray]:
        return _compare(self.scores, self.members, self.folds)

    def _weights(self, rng: np.random.Generator) -> FloatArray:
        shadows = len(self.scores)
        return rng.multinomial(shadows, np.full(shadows, 1 / shadows), size=DRAWS).astype(float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guessing:
    """How an area compares with that of guessing.

    Parameters
    ----------
    auc : float
        Area on shadows that had no part in the learning.
    low, high : float
        Between these lies the area if membership has no influence on the synthetic table.
    p_value : float
        Chance of an area at least as large in that case.
    """

    auc: float
    low: float
    high: float
    p_value: float


def guessing(
    scores: FloatArray,
    members: BoolArray,
    design: ShadowDesign,
    *,
    level: float,
    rng: np.random.Generator,
) -> Guessing:
    """Compare an area with that of guessing, by tossing the coins again.

    Parameters
    ----------
    scores, members : ndarray, shape (n_shadows, n_targets)
        Of shadows that had no part in the learning.
    design : ShadowDesign
        Says how coins are tossed.
    level : float
        Of the interval.
    rng : numpy.random.Generator
        Tosses the coins.

    Notes
    -----
    If membership has no influence, scores do not depend on the coins, however much they depend on
    each other: the law of the area given the scores follows from the coins alone. The test is
    exact, up to the number of tosses, which bounds the p-value from below.
    """
    ranks = rankdata(scores.ravel())
    observed = _areas(ranks, members.reshape(1, -1))[0]
    drawn = []
    for start in range(0, TOSSES, _CHUNK):
        count = min(_CHUNK, TOSSES - start)
        drawn.append(_areas(ranks, _tossed(count, members.shape, design, rng)))
    areas = np.concatenate(drawn)
    areas = areas[~np.isnan(areas)]
    low, high = np.quantile(areas, [(1 - level) / 2, (1 + level) / 2])
    reached = np.count_nonzero(areas >= observed - 1e-12)
    return Guessing(
        auc=float(observed),
        low=float(low),
        high=float(high),
        p_value=float((1 + reached) / (1 + len(areas))),
    )


def _tossed(
    count: int, shape: tuple[int, ...], design: ShadowDesign, rng: np.random.Generator
) -> BoolArray:
    shadows, targets = shape
    if design.coins == "fair":
        return rng.integers(0, 2, size=(count, shadows * targets), dtype=np.int8).astype(bool)
    first = rng.integers(0, 2, size=(count, shadows // 2, 1, targets), dtype=np.int8).astype(bool)
    return np.concatenate([first, ~first], axis=2).reshape(count, shadows * targets)


def _areas(ranks: FloatArray, inside: BoolArray) -> FloatArray:
    """Return the area for each row of coins; NaN where all fell on one side."""
    most = inside.sum(axis=1).astype(float)
    pairs = most * (len(ranks) - most)
    wins = inside.astype(float) @ ranks - most * (most + 1) / 2
    return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def _compare(
    scores: FloatArray, members: BoolArray, folds: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return wins and pairs, shape (n_shadows, n_shadows): targets in of one, out of the other."""
    shadows = len(scores)
    wins, pairs = np.zeros((shadows, shadows)), np.zeros((shadows, shadows))
    outside = [np.sort(row[~present]) for row, present in zip(scores, members, strict=True)]
    for one in range(shadows):
        inside = scores[one][members[one]]
        for other in np.flatnonzero(folds == folds[one]):
            below = np.searchsorted(outside[other], inside, side="left")
            not_above = np.searchsorted(outside[other], inside, side="right")
            wins[one, other] = (below + not_above).sum() / 2
            pairs[one, other] = len(inside) * len(outside[other])
    return wins, pairs


def _interval(value: float, drawn: FloatArray, level: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=value, low=float(low), high=float(high))
