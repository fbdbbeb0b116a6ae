"""Classifier two-sample test: can a model tell synthetic rows from rows nobody has seen?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.discretise import Columns
from benchmarks.prediction import auroc, one_hot_inputs, ordinal_inputs
from dpsynth.schema import Schema

FloatArray = npt.NDArray[np.float64]

MOST_ROWS = 20_000
FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionScore:
    """How well one kind of model tells synthetic from real; 0.5 is best.

    Parameters
    ----------
    model : str
        ``"boosted trees"`` or ``"linear"``.
    auc : float
        Synthetic against holdout, cross-validated.
    low, high : float
        95% interval (DeLong).
    floor : float
        The same for fit rows against holdout.
    features : tuple of (str, float)
        Up to five columns that give the table away: loss of AUC when their values are shuffled.
    """

    model: str
    auc: float
    low: float
    high: float
    floor: float
    features: tuple[tuple[str, float], ...] = ()


def detection_scores(
    fit: Columns, holdout: Columns, synthetic: Columns, schema: Schema, *, seed: int
) -> tuple[DetectionScore, ...]:
    """Try to tell synthetic rows from holdout rows.

    Notes
    -----
    Tables are conformed first, so that dtypes and spellings give nothing away. Rows are drawn
    without replacement before folds are cut: copies of a row never straddle a fold because of us.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(seed)
    models: list[tuple[str, Callable[[], Any], Callable]] = [
        (
            "boosted trees",
            lambda: HistGradientBoostingClassifier(max_iter=200, random_state=seed),
            ordinal_inputs,
        ),
        (
            "linear",
            lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
            one_hot_inputs,
        ),
    ]
    out = []
    for name, make, encode in models:
        real, ours, floor = (encode(t, schema, None) for t in (holdout, synthetic, fit))
        names = [column.name for column in schema.modelled] if encode is ordinal_inputs else []
        auc, low, high, features = _two_sample(make, ours, real, rng, names)
        out.append(
            DetectionScore(
                model=name,
                auc=auc,
                low=low,
                high=high,
                floor=_two_sample(make, floor, real, rng, [])[0],
                features=features,
            )
        )
    return tuple(out)


def _two_sample(
    make: Callable[[], Any],
    first: FloatArray,
    second: FloatArray,
    rng: np.random.Generator,
    names: list[str],
) -> tuple[float, float, float, tuple[tuple[str, float], ...]]:
    from sklearn.model_selection import StratifiedKFold

    n = min(len(first), len(second), MOST_ROWS)
    rows = np.concatenate([rng.permutation(first)[:n], rng.permutation(second)[:n]])
    labels = np.repeat([1.0, 0.0], n)
    scores = np.zeros(2 * n)
    losses = np.zeros(len(names))
    folds = StratifiedKFold(min(FOLDS, n), shuffle=True, random_state=int(rng.integers(2**31)))
    for train, test in folds.split(rows, labels):
        model = make().fit(rows[train], labels[train])
        scores[test] = model.predict_proba(rows[test])[:, 1]
        base = _area(labels[test], scores[test])
        for index in range(len(names)):
            shuffled = rows[test].copy()
            shuffled[:, index] = rng.permutation(shuffled[:, index])
            losses[index] += base - _area(labels[test], model.predict_proba(shuffled)[:, 1])
    auc = _area(labels, scores)
    error = _delong_error(scores[labels == 1], scores[labels == 0])
    ranked = sorted(zip(names, (losses / FOLDS).tolist(), strict=True), key=lambda item: -item[1])
    return auc, max(0.0, auc - 1.96 * error), min(1.0, auc + 1.96 * error), tuple(ranked[:5])


def _area(labels: FloatArray, scores: FloatArray) -> float:
    return auroc(labels, np.stack([1 - scores, scores], axis=1))


def _delong_error(positive: FloatArray, negative: FloatArray) -> float:
    """Return the standard error of an AUC (DeLong, DeLong, Clarke-Pearson 1988)."""
    if min(positive.size, negative.size) < 2:
        return 0.5
    ranked_negative, ranked_positive = np.sort(negative), np.sort(positive)
    wins = (
        np.searchsorted(ranked_negative, positive, "left")
        + np.searchsorted(ranked_negative, positive, "right")
    ) / (2 * negative.size)
    losses = (
        np.searchsorted(ranked_positive, negative, "left")
        + np.searchsorted(ranked_positive, negative, "right")
    ) / (2 * positive.size)
    return float(np.sqrt(wins.var(ddof=1) / wins.size + losses.var(ddof=1) / losses.size))
