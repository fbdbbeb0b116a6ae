"""What is trained on each table: once, for every part of an evaluation that looks at predictions.

TSTR learners see the synthetic table, TRTR learners as many fitted rows. All of them are tested on
the holdout, which neither the generator nor a learner has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks import models
from benchmarks.discretise import Conformed, Tables
from benchmarks.models import Constant, Inputs, Learner
from benchmarks.scores import Classified, Outcome, Regressed
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ROWS = 50_000
"""Training rows."""
MODELS = ("boosting", "linear", "network")
"""Classes of learners, beside the dummy."""
FEWEST = 10
"""A class with fewer holdout rows does not enter an average over classes."""

LARGEST = 1e100
"""Targets are cut here, so that their squares stay finite."""


class Task:
    """Predict the declared target of the holdout.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    place : int
        Place of the target.
    test : Conformed
        Rows of the holdout whose target is known.

    Attributes
    ----------
    regression : bool
        Whether the target is a number.
    n_classes : int
        Levels of the target, the reserved one included; 0 for numbers.
    classes : list of int
        Levels that a score of one against the rest is averaged over. Of two, the one that the
        schema lists last is the positive one and stands alone.
    """

    def __init__(self, tables: Tables, place: int, test: Conformed) -> None:
        self.place = place
        self.regression = tables.columns[place].is_numeric
        self.inputs = Inputs.of(tables, without=place)
        self.test = test
        self.matrix = self.inputs.matrix(test.features)
        self.truth = self.target(test)
        self.n_classes = 0 if self.regression else tables.sizes[place] - 2
        self.classes: list[int] = []
        self.recalled: list[int] = []
        if not self.regression:
            counts = np.bincount(test.codes[:, place], minlength=self.n_classes)
            often = np.flatnonzero(counts >= FEWEST)
            self.recalled = (often if len(often) > 1 else np.flatnonzero(counts)).tolist()
            self.classes = self.recalled if len(self.recalled) > 2 else self.recalled[-1:]

    def target(self, table: Conformed) -> npt.NDArray:
        """Return what is to be predicted, shape (n_rows,)."""
        if self.regression:
            return np.clip(table.features[:, self.place], -LARGEST, LARGEST)
        return table.codes[:, self.place]

    def learn(self, train: Conformed, model: str, seed: int) -> Learner:
        """Return a learner of a table; a constant where the table teaches nothing."""
        target = self.target(train)
        if self.regression:
            if model == "dummy" or len(target) < 2:
                return Constant(float(target.mean()) if len(target) else 0.0)
        elif model == "dummy" or len(np.unique(target)) < 2:
            shares = np.bincount(target, minlength=self.n_classes) + 1e-9
            return Constant(shares / shares.sum())
        learner = self._learner(model, len(train), seed)
        return models.fitted(learner, self.inputs.matrix(train.features), target)

    def outcome(self, learner: Learner, matrix: FloatArray | None = None) -> Outcome:
        """Return predictions for the holdout, or for other values of its features."""
        matrix = self.matrix if matrix is None else matrix
        if self.regression:
            return Regressed(learner.predict(matrix), self.truth)
        chances = models.probabilities(learner, matrix, self.n_classes)
        return Classified(chances, self.truth, self.classes, self.recalled)

    def _learner(self, model: str, rows: int, seed: int) -> Learner:
        inputs, regression = self.inputs, self.regression
        if model == "linear":
            return models.linear(inputs, regression=regression)
        if model == "network":
            return models.network(inputs, rows=rows, seed=seed, regression=regression)
        # Every further class is one more tree per iteration.
        iterations = 100 if regression else max(10, 100 // max(1, (self.n_classes - 1) // 3))
        return models.boosting(inputs, iterations=iterations, seed=seed, regression=regression)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trained:
    """Learners and their predictions for the holdout.

    Parameters
    ----------
    task : Task
        What was predicted.
    train : mapping of str to Conformed
        Training rows: ``tstr`` of the synthetic table, ``trtr`` of the fitted rows.
    usable : mapping of str to Conformed
        All rows of these tables whose target is known.
    learners : mapping of (str, str) to Learner
        By training table and class of learner; ``dummy`` for ``trtr`` only.
    outcomes : mapping of (str, str) to Outcome
        What they say of the holdout.
    seed : int
        Seed of the learners.
    """

    task: Task
    train: Mapping[str, Conformed]
    usable: Mapping[str, Conformed]
    learners: Mapping[tuple[str, str], Learner]
    outcomes: Mapping[tuple[str, str], Outcome]
    seed: int

    @property
    def score(self) -> str:
        """The score that stands for all: ``auroc`` or ``r2``."""
        return "r2" if self.task.regression else "auroc"

    def __repr__(self) -> str:
        return f"Trained({len(self.learners)} learners)"


def train(tables: Tables, *, rng: np.random.Generator) -> Trained | Finding:
    """Train all classes of learners on the synthetic table and on as many fitted rows.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws training rows and seeds the learners.

    Returns
    -------
    Trained or Finding
        The finding says why there is nothing to predict.

    Privacy
    -------
    Learners of fitted rows are not private; they never leave an evaluation.
    """
    place = tables.target
    if place is None:
        return _nothing("the schema declares no target")
    if len(tables.columns) < 2:
        return _nothing("the schema has no column beside the target")
    usable = {
        "tstr": with_target(tables.synthetic, place, tables),
        "trtr": with_target(tables.fit, place, tables),
    }
    test = with_target(tables.holdout, place, tables)
    if any(different(table, place) < 2 for table in (usable["trtr"], test)):
        return _nothing("the target takes one value in the real rows")
    n = min(MOST_ROWS, *(len(table) for table in usable.values() if len(table) > 1))
    drawn = {name: table.draw(n, rng) for name, table in usable.items()}
    task = Task(tables, place, test)
    seed = int(rng.integers(2**31))
    with models.one_thread():
        learners = {
            (name, model): task.learn(table, model, seed)
            for name, table in drawn.items()
            for model in (*MODELS, "dummy")
            if (name, model) != ("tstr", "dummy")
        }
        outcomes = {key: task.outcome(learner) for key, learner in learners.items()}
    return Trained(
        task=task, train=drawn, usable=usable, learners=learners, outcomes=outcomes, seed=seed
    )


def with_target(table: Conformed, place: int, tables: Tables) -> Conformed:
    """Return the rows whose target is a level or a number, not null."""
    return table.take(np.flatnonzero(table.codes[:, place] < tables.sizes[place] - 2))


def different(table: Conformed, place: int) -> int:
    """Return how many different values a column has."""
    return len(np.unique(table.features[:, place]))


def _nothing(why: str) -> Finding:
    return Finding("DPS319", Severity.INFO, f"prediction was not measured: {why}.")
