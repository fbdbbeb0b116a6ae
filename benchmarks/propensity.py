"""pMSE: how far predicted probabilities of being synthetic stray from a coin toss.

A model tells synthetic from held-out rows, and is asked about the very rows that it learned from.
pMSE is the mean of (p̂ - c)², where c is the share of synthetic rows: 0 where all look alike,
c(1 - c) where each row is told. Being asked about its own rows, a model finds something in any two
samples; **the ratio** divides by what it finds in two samples of one law. 1 is best.

The ratio is a test statistic: for a table that is a little wrong it grows with the number of rows.
It is always computed from the same number (:data:`MOST_ROWS` a side, where there are as many), and
skill, in which the number of rows cancels, travels better than the ratio itself.

Notes
-----
*Null of the logistic model.* With k free coefficients beside the intercept and N rows,
N · pMSE / (c(1 - c)) is about chi-squared with k degrees of freedom, and so pMSE is k c(1 - c)/N on
average: for two **independent** samples, which synthetic and held-out rows of a perfect table are.
Snoke et al. use k c(1 - c)²/N; there synthetic rows are compared with the rows that their model was
fitted to, which are closer to each other than independent samples. Applied here it would make a
perfect table look twice too bad.

*Null of the tree.* No closed form: labels are permuted, and the tree is grown again.

Both nulls take rows as independent. Where people have several rows, compare with the reference
``holdout``: the same figure of fitted rows against held-out ones.

References
----------
Snoke, Raab, Nowok, Dibben and Slavkovic 2018, "General and specific utility measures for synthetic
data".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import chi2, t
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from benchmarks import jackknife, models
from benchmarks.discretise import Conformed, Tables
from benchmarks.encoding import Encoding
from benchmarks.report import Metric, Row, Section

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ROWS = 5_000
"""Rows of a side."""
PERMUTATIONS = 50
"""Trees under permuted labels; their mean has a Monte Carlo error, which the interval includes."""

_DEPTH = 5
_LEAF = 20
_WEAK = 1e6
"""Inverse of the penalty of the logistic model: finite where the sides are fully apart."""
_ROUNDING = 1e-10
_LARGEST = 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """pMSE between two samples of one law.

    Parameters
    ----------
    mean : float
        Its mean.
    low, high : float
        Ends of the middle 95 %.
    error : float
        Monte Carlo standard error of the mean; 0 for a closed form.
    """

    mean: float
    low: float
    high: float
    error: float = 0.0


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare synthetic with held-out rows through a tree and a logistic model.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws rows and permutes labels.

    Notes
    -----
    ``pmse.<model>`` has the mean of the null as its floor, ``pmse.<model>.ratio`` has 1; references
    are divided by the same mean. ``tables["pmse"]`` shows where 95 % of the null lie. Intervals
    leave out groups of units: the logistic model moves by one Newton step; the tree keeps its
    leaves, so that its interval says how well this tree tells the sides, not how well another
    would. The logistic model has main effects only and sees no dependence: its landmark is the
    uniform table, that of the tree the independent one.
    """
    n = min(len(tables.synthetic), len(tables.fit), len(tables.holdout), MOST_ROWS)
    synthetic, holdout = (table.draw(n, rng) for table in (tables.synthetic, tables.holdout))
    others = {
        name: table.draw(n, rng)
        for name, table in (
            ("independent", tables.independent),
            ("uniform", tables.uniform),
            ("holdout", tables.fit),
        )
    }
    metrics: list[Metric] = []
    rows: list[Row] = []
    for name, model, landmark in (("tree", Tree, "independent"), ("linear", Linear, "uniform")):
        with models.one_thread():
            ours = model(tables, synthetic, holdout)
            null = ours.null(rng)
            references = {key: model(tables, side, holdout).pmse for key, side in others.items()}
            metrics += _metrics(f"pmse.{name}", ours, null, references, landmark, n)
        rows.append(
            {
                "model": name,
                "pmse": ours.pmse,
                "null mean": null.mean,
                "null low": null.low,
                "null high": null.high,
                "Monte Carlo error": null.error,
            }
        )
    return Section(metrics=tuple(metrics), tables={"pmse": tuple(rows)})


class Linear:
    """A logistic model of main effects, fitted to two tables.

    Parameters
    ----------
    tables : Tables
        Says how rows become numbers.
    one, other : Conformed
        The sides.
    """

    def __init__(self, tables: Tables, one: Conformed, other: Conformed) -> None:
        encoding = Encoding(tables)
        z = _whitened(np.concatenate([encoding.matrix(one), encoding.matrix(other)]))
        self._y = np.repeat([1.0, 0.0], [len(one), len(other)])
        self._groups = np.concatenate([one.groups, other.groups])
        self._free = min(z.shape[1], len(z) - 1)
        self._design = np.column_stack([np.ones(len(z)), z])
        self._beta = np.zeros(z.shape[1] + 1)
        if self._free:
            learner = LogisticRegression(C=_WEAK, solver="newton-cholesky", max_iter=100, tol=1e-8)
            models.fitted(learner, z, self._y)
            self._beta = np.concatenate([learner.intercept_, learner.coef_[0]])
        self._chance = expit(self._design @ self._beta)
        self.pmse = _pmse(self._chance, self._y)

    def null(self, _: np.random.Generator) -> Null:
        """Return the closed form for two independent samples."""
        share, k = float(self._y.mean()), self._free
        mean = k * share * (1.0 - share) / len(self._y)
        low, high = (float(chi2.ppf(q, k)) / k * mean if k else 0.0 for q in (0.025, 0.975))
        return Null(mean=mean, low=low, high=high)

    def without(self) -> tuple[FloatArray, FloatArray]:
        """Return pMSE with each group of each side left out, after one Newton step."""
        weight = self._chance * (1.0 - self._chance)
        penalty = np.eye(len(self._beta)) / _WEAK
        whole = (self._design * weight[:, None]).T @ self._design + penalty

        def replicate(gone: npt.NDArray[np.bool_]) -> float:
            part, kept = self._design[gone], ~gone
            curvature = whole - (part * weight[gone, None]).T @ part
            gradient = part.T @ (self._y[gone] - self._chance[gone])
            step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
            return _pmse(expit(self._design[kept] @ (self._beta - step)), self._y[kept])

        return _left_out(self._y, self._groups, replicate)


class Tree:
    """A small tree grown on two tables.

    Parameters
    ----------
    tables : Tables
        Says which columns are numbers.
    one, other : Conformed
        The sides.
    """

    def __init__(self, tables: Tables, one: Conformed, other: Conformed) -> None:
        inputs = models.Inputs.of(tables)
        x = inputs.matrix(np.concatenate([one.features, other.features]))
        self._x = np.clip(x, -_LARGEST, _LARGEST).astype(np.float32)
        self._y = np.repeat([1.0, 0.0], [len(one), len(other)])
        self._groups = np.concatenate([one.groups, other.groups])
        self._leaves = _leaves(self._x, self._y)
        self.pmse = _of_leaves(self._leaves, self._y)

    def null(self, rng: np.random.Generator) -> Null:
        """Grow as many trees under permuted labels as the null needs."""
        draws = []
        for _ in range(PERMUTATIONS):
            permuted = rng.permutation(self._y)
            draws.append(_of_leaves(_leaves(self._x, permuted), permuted))
        return Null(
            mean=float(np.mean(draws)),
            low=float(np.quantile(draws, 0.025)),
            high=float(np.quantile(draws, 0.975)),
            error=float(np.std(draws, ddof=1) / np.sqrt(PERMUTATIONS)),
        )

    def without(self) -> tuple[FloatArray, FloatArray]:
        """Return pMSE with each group of each side left out of the same leaves."""
        return _left_out(
            self._y,
            self._groups,
            lambda gone: _of_leaves(self._leaves[~gone], self._y[~gone]),
        )


def _leaves(x: npt.NDArray[np.float32], y: FloatArray) -> IntArray:
    learner = DecisionTreeClassifier(max_depth=_DEPTH, min_samples_leaf=_LEAF, random_state=0)
    return learner.fit(x, y).apply(x)


def _of_leaves(leaves: IntArray, y: FloatArray) -> float:
    rows = np.bincount(leaves)
    synthetic = np.bincount(leaves, weights=y)
    seen = rows > 0
    around = synthetic[seen] / rows[seen] - y.mean()
    return float((rows[seen] * around**2).sum() / len(y))


def _pmse(chance: FloatArray, y: FloatArray) -> float:
    return float(np.mean((chance - y.mean()) ** 2))


def _whitened(x: FloatArray) -> FloatArray:
    """Return uncorrelated columns of variance one that span the same; shape (n_rows, rank)."""
    centred = x - x.mean(axis=0)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    # What is left of a constant column is rounding.
    centred = centred[:, spread > _ROUNDING * np.abs(x).max(axis=0)]
    if not centred.shape[1]:
        return centred
    centred = centred / np.sqrt(np.mean(centred**2, axis=0))
    values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
    kept = values > _ROUNDING * values.max()
    return centred @ (vectors[:, kept] / np.sqrt(values[kept]))


def _left_out(
    y: FloatArray, groups: IntArray, replicate: Callable[[npt.NDArray[np.bool_]], float]
) -> tuple[FloatArray, FloatArray]:
    """Return the figure with each group of one side left out, then of the other."""
    ours, theirs = (
        np.array(
            [
                replicate((y == side) & (groups == group))
                for group in np.unique(groups[y == side])
                # A side of a single group cannot do without it.
                if (groups[y == side] != group).any()
            ]
        )
        for side in (1.0, 0.0)
    )
    return ours, theirs


def _metrics(
    name: str, ours: Tree | Linear, null: Null, references: dict[str, float], landmark: str, n: int
) -> list[Metric]:
    without = ours.without()
    low, high = jackknife.interval(ours.pmse, *without, bounds=(0.0, 0.25))
    plain = Metric(
        name=name,
        value=ours.pmse,
        floor=null.mean,
        references=references,
        landmark=landmark,
        direction="lower",
        ci_low=low,
        ci_high=high,
        n=n,
        tier="B",
    )
    low, high = _interval_of_ratio(ours.pmse, without, null)
    ratio = Metric(
        name=f"{name}.ratio",
        value=_over(ours.pmse, null),
        floor=1.0,
        references={key: _over(pmse, null) for key, pmse in references.items()},
        landmark=landmark,
        direction="lower",
        ci_low=low,
        ci_high=high,
        n=n,
        tier="B",
    )
    return [plain, ratio]


def _over(pmse: float, null: Null) -> float:
    return pmse / null.mean if null.mean > 0 else float("nan")


def _interval_of_ratio(
    pmse: float, without: tuple[FloatArray, FloatArray], null: Null
) -> tuple[float, float]:
    """Return a 95 % interval: groups left out, and the Monte Carlo error of the null."""
    fewest = min(len(side) for side in without)
    if not null.mean > 0 or fewest < 2:
        return float("nan"), float("nan")
    spread = sum(float(jackknife.variance(side)) for side in without)
    spread += (pmse * null.error / null.mean) ** 2
    half = float(t.ppf(0.975, fewest - 1)) * float(np.sqrt(spread)) / null.mean
    ratio = pmse / null.mean
    return max(0.0, ratio - half), ratio + half
