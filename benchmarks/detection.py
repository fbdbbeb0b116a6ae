"""Can the synthetic table be told from real rows? A classifier two-sample test (C2ST).

Synthetic rows against the **holdout**: against the fitted rows a generator that copies would look
best. Both sides have the same number of rows; none is drawn twice, and all rows of a privacy unit
lie in one fold, so that nobody is on both sides of a split. 0.5 is best; the floor is the same test
between fitted rows and holdout. The landmark is a table whose columns are right, each by itself,
and do not depend on each other. A linear classifier alone misses most differences, that table among
them, and stands here for comparison only; its landmark is a table that knows the schema alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from benchmarks import models
from benchmarks.discretise import Conformed, Tables
from benchmarks.models import Learner
from benchmarks.report import Metric, Row, Section, Worst
from benchmarks.scores import auc_interval, auc_with_variance
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ROWS = 20_000
"""Rows of a side."""
FOLDS = 5
FLAGGED = 0.9
"""A table whose AUC is surely above this is named in a finding."""

_ITERATIONS = 200
_PERMUTED_ROWS = 2_000
_BINS = 20
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Test:
    area: float
    low: float
    high: float
    scores: FloatArray
    """Probability of the first table, of held-out rows; NaN for a row that no fold tested."""
    importance: FloatArray | None = None


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Tell synthetic from held-out rows, and fitted from held-out rows for the floor.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws rows and folds, seeds the trees, permutes.

    Notes
    -----
    The interval takes the classifiers as given (DeLong per fold, clustered by unit): it says how
    well this classifier does, not how well the best one would. Importance is the loss of AUC on
    held-out folds when one column is shuffled; of two columns that say the same, neither may show.
    The reference ``holdout`` is the floor: held-out rows against fitted ones.

    ``tables["c2st"]`` lists all columns by their importance, ``tables["propensity"]`` the rows of
    both sides by the probability of being synthetic that boosting gives them.
    """
    n = min(len(tables.synthetic), len(tables.fit), len(tables.holdout), MOST_ROWS)
    synthetic, fit, holdout = (
        table.draw(n, rng) for table in (tables.synthetic, tables.fit, tables.holdout)
    )
    if min(_units(fit), _units(holdout)) < 2:
        message = "whether the table can be told from real rows was not measured: one unit only."
        return Section(findings=(Finding("DPS320", Severity.INFO, message),))
    metrics = []
    tests: dict[str, _Test] = {}
    independent, uniform = (table.draw(n, rng) for table in (tables.independent, tables.uniform))
    for model in ("boosting", "linear"):
        with models.one_thread():
            tests[model] = _tell(
                tables, synthetic, holdout, model, rng, explain=model == "boosting"
            )
            floor = _tell(tables, fit, holdout, model, rng).area
            told = {"independent": _tell(tables, independent, holdout, model, rng).area}
            if model == "linear":
                told["uniform"] = _tell(tables, uniform, holdout, model, rng).area
        metrics.append(
            Metric(
                name=f"c2st.{model}.auc",
                value=tests[model].area,
                floor=floor,
                references={**told, "holdout": floor},
                landmark="uniform" if model == "linear" else "independent",
                direction="lower",
                ci_low=tests[model].low,
                ci_high=tests[model].high,
                n=n,
            )
        )
    importance = tests["boosting"].importance
    assert importance is not None
    order = np.argsort(-importance, kind="stable")
    worst = tuple(
        Worst(columns=tables.names([i]), value=float(importance[i]))
        for i in order[:_SHOWN]
        if importance[i] > 0
    )
    lost = tuple(
        {"column": tables.columns[i].name, "loss of AUC": float(importance[i])} for i in order
    )
    return Section(
        metrics=tuple(metrics),
        worst={"c2st": worst},
        findings=_flag(tests["boosting"], worst),
        tables={"c2st": lost, "propensity": _histogram(tests["boosting"].scores, len(synthetic))},
    )


def folds(
    sides: npt.NDArray[np.bool_], units: IntArray, count: int, rng: np.random.Generator
) -> IntArray:
    """Return the fold of every row: sides evenly spread, all rows of a unit together.

    Parameters
    ----------
    sides : ndarray of bool, shape (n_rows,)
        Side of each row.
    units : ndarray of int, shape (n_rows,)
        Privacy unit of each row, numbered per side.
    count : int
        Folds.
    rng : numpy.random.Generator
        Shuffles the units.
    """
    out = np.empty(len(sides), dtype=np.int64)
    for side in (False, True):
        mine = np.flatnonzero(sides == side)
        _, compact = np.unique(units[mine], return_inverse=True)
        compact = compact.reshape(-1)
        rows = np.bincount(compact)
        order = rng.permutation(len(rows))
        # Units in a row, cut where a further fold's share of the rows is reached.
        before = np.cumsum(rows[order]) - rows[order]
        share = np.empty(len(rows), dtype=np.int64)
        share[order] = before * count // len(mine)
        out[mine] = share[compact]
    return out


def _units(table: Conformed) -> int:
    return len(np.unique(table.units))


def _tell(
    tables: Tables,
    one: Conformed,
    other: Conformed,
    model: str,
    rng: np.random.Generator,
    *,
    explain: bool = False,
) -> _Test:
    """Cross-validate a classifier of ``one`` against ``other``."""
    inputs = models.Inputs.of(tables)
    x = inputs.matrix(np.concatenate([one.features, other.features]))
    y = np.repeat([True, False], [len(one), len(other)])
    units = np.concatenate([one.units, other.units])
    seed = int(rng.integers(2**31))
    areas, variances, drops = [], [], []
    scores = np.full(len(y), np.nan)
    for train, test in _splits(y, units, rng):
        learner = (
            models.boosting(inputs, iterations=_ITERATIONS, seed=seed)
            if model == "boosting"
            else models.linear(inputs)
        )
        learner = models.fitted(learner, x[train], y[train])
        scores[test] = _score(learner, x[test])
        area, variance = auc_with_variance(scores[test], y[test], units[test])
        areas.append(area)
        variances.append(variance)
        if explain:
            drops.append(_importance(learner, x[test], y[test], rng))
    area = float(np.mean(areas))
    spread = float(np.sum(variances)) / len(areas) ** 2
    low, high = auc_interval(area, spread, min(_units(one), _units(other)))
    return _Test(area, low, high, scores, np.mean(drops, axis=0) if explain else None)


def _splits(
    y: npt.NDArray[np.bool_], units: IntArray, rng: np.random.Generator
) -> Iterator[tuple[IntArray, IntArray]]:
    fewest = min(len(np.unique(units[y])), len(np.unique(units[~y])))
    fold = folds(y, units, min(FOLDS, fewest), rng)
    for number in np.unique(fold):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        # Where one unit has most rows, a fold can be left without one side.
        if all(len(np.unique(y[part])) == 2 for part in (train, test)):
            yield train, test


def _score(learner: Learner, x: FloatArray) -> FloatArray:
    return learner.predict_proba(x)[:, list(learner.classes_).index(True)]


def _importance(
    learner: Learner, x: FloatArray, y: npt.NDArray[np.bool_], rng: np.random.Generator
) -> FloatArray:
    """Return the loss of AUC for each column shuffled, on at most 2,000 rows."""
    kept = np.sort(rng.permutation(len(x))[:_PERMUTED_ROWS])
    x, y = x[kept], y[kept]
    if len(np.unique(y)) < 2:
        return np.zeros(x.shape[1])
    whole = roc_auc_score(y, _score(learner, x))
    out = np.empty(x.shape[1])
    for column in range(x.shape[1]):
        shuffled = x.copy()
        shuffled[:, column] = rng.permutation(shuffled[:, column])
        out[column] = whole - roc_auc_score(y, _score(learner, shuffled))
    return out


def _histogram(scores: FloatArray, first: int) -> tuple[Row, ...]:
    """Return the share of each side's rows by score; the ``first`` rows are synthetic."""
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    sides = {"synthetic": scores[:first], "holdout": scores[first:]}
    shares = {}
    for side, found in sides.items():
        tested = found[np.isfinite(found)]
        shares[side] = np.histogram(tested, edges)[0] / max(1, len(tested))
    return tuple(
        {
            "from": float(edges[i]),
            "to": float(edges[i + 1]),
            **{side: float(share[i]) for side, share in shares.items()},
        }
        for i in range(_BINS)
    )


def _flag(test: _Test, worst: tuple[Worst, ...]) -> tuple[Finding, ...]:
    if not test.low > FLAGGED:
        return ()
    names = ", ".join(row.columns[0] for row in worst) or "no single column"
    message = f"the table is easily told from real rows; what gives it away: {names}."
    return (Finding("DPS314", Severity.WARNING, message),)
