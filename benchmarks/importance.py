"""Do models of the synthetic table and of real rows find the same columns useful? By permutation.

Two models can predict equally well for different reasons. The importance of a column is what the
boosted trees lose on the holdout when its values are shuffled among the rows; both models see the
same shuffled values. Of two columns that say the same, neither may show.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks import models
from benchmarks.discretise import Conformed, Tables
from benchmarks.models import Learner
from benchmarks.report import Metric, Section
from benchmarks.scores import at_once, percentile_interval, unit_weights
from benchmarks.training import Task, Trained
from dpsynth.evidence import Finding

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ROWS = 3_000
"""Holdout rows that columns are shuffled in."""
DRAWS = 200
"""Bootstrap draws over the units of these rows."""

_MODEL = "boosting"


def measure(tables: Tables, *, rng: np.random.Generator, trained: Trained | Finding) -> Section:
    """Compare permutation importances between TSTR and TRTR by Kendall's τ.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws rows, shuffles, divides the fitted rows for the floor, draws the bootstrap.
    trained : Trained or Finding
        What :func:`benchmarks.training.train` returned.

    Returns
    -------
    Section
        ``importance.tau`` (tier B): 1 is the same order, 0 no relation; details ``importance`` by
        column. Nothing where there are fewer than two features or nothing was trained.

    Notes
    -----
    The floor is τ between models of two halves of the training rows, units kept together. Each has
    half of the rows that TSTR has, so that the floor is a little low. τ is 0 where one model uses
    no column at all.
    """
    if isinstance(trained, Finding) or len(trained.task.inputs.places) < 2:
        return Section()
    task = trained.task
    kept = np.sort(rng.permutation(len(task.test))[:MOST_ROWS])
    task = Task(tables, task.place, task.test.take(kept))
    learners = {name: trained.learners[name, _MODEL] for name in ("tstr", "trtr")}
    weights = np.vstack([np.ones((1, len(task.test))), unit_weights(task.test.units, DRAWS, rng)])
    with models.one_thread():
        for number, half in enumerate(_halves(trained.train["trtr"], rng)):
            learners[f"half{number}"] = task.learn(half, _MODEL, trained.seed)
        lost = _losses(task, learners, weights, trained.score, rng)
    tau = np.array([agreement(*pair) for pair in zip(lost["tstr"], lost["trtr"], strict=True)])
    low, high = percentile_interval(tau[1:])
    metric = Metric(
        name="importance.tau",
        value=float(tau[0]),
        floor=agreement(lost["half0"][0], lost["half1"][0]),
        references={"uniform": 0.0},
        landmark="uniform",
        direction="higher",
        # Shuffled noise puts the draws a little below the figure where columns are nearly tied.
        ci_low=min(low, float(tau[0])),
        ci_high=max(high, float(tau[0])),
        n=len(task.test),
        tier="B",
    )
    names = tables.names(task.inputs.places)
    order = np.argsort(-lost["trtr"][0], kind="stable")
    rows = tuple(
        {"column": names[i], "tstr": float(lost["tstr"][0][i]), "trtr": float(lost["trtr"][0][i])}
        for i in order
    )
    return Section(metrics=(metric,), tables={"importance": rows})


def agreement(one: FloatArray, other: FloatArray) -> float:
    """Return Kendall's τ-b of two lists; 0 where one of them is all ties.

    Parameters
    ----------
    one, other : ndarray of float, shape (n_columns,)
        Importances; those that differ by rounding alone are ties, those that are not defined 0.
    """
    a, b = (np.round(np.nan_to_num(x), 9) for x in (one, other))
    upper = np.triu_indices(len(a), 1)
    first, second = (np.sign(x[:, None] - x[None, :])[upper] for x in (a, b))
    spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return 0.0 if spread == 0 else float((first * second).sum()) / spread


def _halves(table: Conformed, rng: np.random.Generator) -> list[Conformed]:
    n = int(table.units.max()) + 1
    side = (rng.permutation(n) % 2)[table.units]
    return [table.take(np.flatnonzero(side == number)) for number in (0, 1)]


def _losses(
    task: Task,
    learners: dict[str, Learner],
    weights: FloatArray,
    score: str,
    rng: np.random.Generator,
) -> dict[str, FloatArray]:
    """Return what each learner loses without each column, shape (n_weightings, n_columns)."""
    whole = {
        name: _scores(task, learner, task.matrix, weights, score)
        for name, learner in learners.items()
    }
    lost = {name: np.empty((len(weights), task.matrix.shape[1])) for name in learners}
    for column in range(task.matrix.shape[1]):
        shuffled = task.matrix.copy()
        shuffled[:, column] = rng.permutation(shuffled[:, column])
        for name, learner in learners.items():
            # The floor needs no bootstrap.
            used = weights if name in ("tstr", "trtr") else weights[:1]
            now = _scores(task, learner, shuffled, used, score)
            lost[name][: len(used), column] = whole[name][: len(used)] - now
    return lost


def _scores(
    task: Task, learner: Learner, matrix: FloatArray, weights: FloatArray, score: str
) -> FloatArray:
    outcome = task.outcome(learner, matrix)
    step = at_once(len(outcome))
    parts = [
        outcome.scores(weights[start : start + step])[score]
        for start in range(0, len(weights), step)
    ]
    return np.concatenate(parts)
