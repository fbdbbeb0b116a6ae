"""Train on synthetic, test on real: what a model of the released table is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.discretise import Columns
from dpsynth.errors import UsageError
from dpsynth.schema import Column, Schema

FloatArray = npt.NDArray[np.float64]

BOOTSTRAPS = 500

BUCKETS = 64
"""Buckets that stand for the levels of a column whose categories are discovered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionScore:
    """One model class on one target.

    Parameters
    ----------
    model : str
        ``"boosted trees"`` or ``"linear"``.
    measure : str
        ``"AUROC"`` or ``"R2"``; more is better.
    synthetic, real, dummy : float
        Score of the model trained on the synthetic table, on as many real rows, and of no model.
    gap : float
        Real minus synthetic.
    gap_low, gap_high : float
        95% interval of the gap: paired bootstrap over holdout rows.
    """

    model: str
    measure: str
    synthetic: float
    real: float
    dummy: float
    gap: float
    gap_low: float
    gap_high: float


def prediction_scores(
    fit: Columns,
    holdout: Columns,
    synthetic: Columns,
    schema: Schema,
    *,
    seed: int,
) -> tuple[PredictionScore, ...]:
    """Compare models trained on synthetic and on real rows.

    Parameters
    ----------
    fit, holdout, synthetic : Columns
        Conformed tables.
    schema : Schema
        Declares the target. Encoders are made from the schema, never from rows.
    seed : int
        Seeds models, the matching of sizes and the bootstrap.

    Returns
    -------
    tuple of PredictionScore
        Empty without a declared target, or where the holdout shows a single class.
    """
    target = schema.target
    if target is None:
        return ()
    rng = np.random.default_rng(seed)
    regression = target.is_numeric
    labels = {
        name: _labels(table, target)
        for name, table in {"real": fit, "synthetic": synthetic, "test": holdout}.items()
    }
    n = min(len(_known(labels["real"])), len(_known(labels["synthetic"])))
    test = _known(labels["test"])
    if n < 2 or test.size < 2 or (not regression and len(np.unique(labels["test"][test])) < 2):
        return ()
    sides = {
        "real": (fit, rng.permutation(_known(labels["real"]))[:n]),
        "synthetic": (synthetic, rng.permutation(_known(labels["synthetic"]))[:n]),
    }
    truth = labels["test"][test]
    score = r_squared if regression else auroc
    draws = [rng.integers(0, truth.size, truth.size) for _ in range(BOOTSTRAPS)]
    out = []
    for name, make, encode in _models(regression, seed):
        inputs = encode(holdout, schema, target)[test]
        predicted = {
            side: _predict(make, encode(table, schema, target)[rows], labels[side][rows], inputs)
            for side, (table, rows) in sides.items()
        }
        gaps = [
            score(truth[d], predicted["real"][d]) - score(truth[d], predicted["synthetic"][d])
            for d in draws
        ]
        real, ours = (score(truth, predicted[side]) for side in ("real", "synthetic"))
        low, high = np.quantile(gaps, [0.025, 0.975])
        out.append(
            PredictionScore(
                model=name,
                measure="R2" if regression else "AUROC",
                synthetic=ours,
                real=real,
                dummy=0.0 if regression else 0.5,
                gap=real - ours,
                gap_low=float(low),
                gap_high=float(high),
            )
        )
    return tuple(out)


def auroc(truth: FloatArray, scores: FloatArray) -> float:
    """Return the area under the ROC curve, averaged one against the rest for several classes.

    Notes
    -----
    By ranks (Mann-Whitney). A class that does not occur in ``truth`` is left out; .5 where only one
    class occurs.
    """
    from scipy.stats import rankdata

    areas = []
    for code in range(scores.shape[1]):
        positive = truth == code
        if 0 < positive.sum() < truth.size:
            ranks = rankdata(scores[:, code])
            n_positive = positive.sum()
            rest = truth.size - n_positive
            area = (ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * rest)
            areas.append(float(area))
    if scores.shape[1] == 2 and areas:
        return areas[-1]
    return float(np.mean(areas)) if areas else 0.5


def r_squared(truth: FloatArray, predicted: FloatArray) -> float:
    """Return 1 - residual over total sum of squares; 0 where the truth is constant."""
    total = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - predicted) ** 2).sum() / total) if total else 0.0


def _labels(table: Columns, target: Column) -> FloatArray:
    if target.is_numeric:
        return table[target.name].astype(float)
    if target.categories == "discover":
        raise UsageError(
            "a target needs declared categories.", fix="list them in the schema or drop the role."
        )
    codes = {level: float(code) for code, level in enumerate(_classes(target))}
    return pd.Series(table[target.name], dtype=object).map(codes).to_numpy(dtype=float)


def _classes(target: Column) -> tuple[str, ...]:
    declared = target.levels
    return declared if target.other is not None else declared[:-1]


def _known(labels: FloatArray) -> npt.NDArray[np.intp]:
    return np.flatnonzero(~np.isnan(labels))


def _predict(make: Callable[[], Any], x: Any, y: FloatArray, test: Any) -> FloatArray:  # noqa: ANN401
    """Fit and predict; classifiers return one column per class code."""
    model = make()
    classifies = hasattr(model, "predict_proba")
    if classifies and len(np.unique(y)) < 2:
        # A synthetic table that shows one class only predicts nothing.
        return np.zeros((test.shape[0], 2))
    model.fit(x, y)
    if not classifies:
        return np.asarray(model.predict(test), dtype=np.float64)
    found = model.predict_proba(test)
    out = np.zeros((found.shape[0], max(int(model.classes_.max()) + 1, 2)))
    out[:, model.classes_.astype(int)] = found
    return out


def _models(regression: bool, seed: int) -> list[tuple[str, Callable[[], Any], Callable]]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    trees = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return [
        ("boosted trees", lambda: trees(max_iter=200, random_state=seed), ordinal_inputs),
        (
            "linear",
            lambda: make_pipeline(
                StandardScaler(), Ridge() if regression else LogisticRegression(max_iter=500)
            ),
            one_hot_inputs,
        ),
    ]


def ordinal_inputs(table: Columns, schema: Schema, target: Column | None) -> FloatArray:
    """Return one column of numbers per column of the table; null is NaN."""
    parts = []
    for column in schema.modelled:
        if target is not None and column.name == target.name:
            continue
        values = table[column.name]
        if column.is_numeric:
            parts.append(values.astype(float))
        else:
            parts.append(_level_codes(values, column))
    return np.stack(parts, axis=1)


def one_hot_inputs(table: Columns, schema: Schema, target: Column | None) -> FloatArray:
    """Return numbers, 0 for null with a flag of its own, and one column per declared level."""
    parts: list[FloatArray] = []
    for column in schema.modelled:
        if target is not None and column.name == target.name:
            continue
        values = table[column.name]
        if column.is_numeric:
            numbers = values.astype(float)
            parts += [np.nan_to_num(numbers), np.isnan(numbers).astype(float)]
        else:
            codes = _level_codes(values, column)
            width = BUCKETS if column.categories == "discover" else len(column.levels)
            parts += [(codes == code).astype(float) for code in range(width)]
    return np.stack(parts, axis=1)


def _level_codes(values: npt.NDArray, column: Column) -> FloatArray:
    if column.categories == "discover":
        # Nothing was declared: a stable hash into few buckets is the same for every table.
        text = pd.Series(values, dtype=object).fillna("").to_numpy()
        return (pd.util.hash_array(text) % BUCKETS).astype(float)
    order = {level: float(code) for code, level in enumerate(column.levels)}
    return pd.Series(values, dtype=object).map(order).to_numpy(dtype=float)
