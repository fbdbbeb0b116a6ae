"""Train on synthetic, test on real (TSTR), beside train on real, test on real (TRTR).

Both are trained on the same number of rows with the same fixed learners, each pipeline fitted on
its own training table only, and tested on the holdout, which neither the generator nor a learner
has seen. ``gap.*`` is what training on the synthetic table costs; positive is a loss for every
score.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks import models
from benchmarks.discretise import Conformed, Tables
from benchmarks.models import Inputs, Learner
from benchmarks.report import Direction, Metric, Section
from benchmarks.scores import Classified, Regressed, percentile_interval, unit_weights
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Outcome = Classified | Regressed

MOST_ROWS = 50_000
"""Training rows."""
DRAWS = 1_000
"""Bootstrap draws over the units of the holdout."""
FLAGGED = 0.05
"""A gap in AUROC or R² that is surely above this becomes a finding."""

LARGEST = 1e100
"""Targets are cut here, so that their squares stay finite."""

_FEWEST = 10
"""A class with fewer holdout rows does not enter an average over classes."""
_CHUNK = 50


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Train and test boosted trees, a linear model and a dummy for the declared target.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws training rows, seeds the trees, draws the bootstrap.

    Notes
    -----
    A synthetic table whose target has one class, or none, teaches nothing: its score is that of a
    constant (AUROC 0.5), with a finding. Where the real rows show one class, there is nothing to
    predict: no score, with a finding.
    """
    place = tables.target
    if place is None:
        return _nothing("the schema declares no target")
    if len(tables.columns) < 2:
        return _nothing("the schema has no column beside the target")
    regression = tables.columns[place].is_numeric
    usable = {
        "tstr": _with_target(tables.synthetic, place, tables),
        "trtr": _with_target(tables.fit, place, tables),
    }
    test = _with_target(tables.holdout, place, tables)
    if any(_classes(table, place) < 2 for table in (usable["trtr"], test)):
        return _nothing("the target takes one value in the real rows")
    n = min(MOST_ROWS, *(len(table) for table in usable.values() if len(table) > 1))
    train = {name: table.draw(n, rng) for name, table in usable.items()}
    task = _Regression(tables, place, test) if regression else _Classification(tables, place, test)
    seed = int(rng.integers(2**31))
    with models.one_thread():
        outcomes: dict[tuple[str, str], Outcome] = {
            (name, model): task.outcome(table, model, seed)
            for name, table in train.items()
            for model in ("boosting", "linear", "dummy")
            if (name, model) != ("tstr", "dummy")
        }
    metrics = _metrics(outcomes, test, n, task, rng)
    return Section(
        metrics=tuple(metrics),
        findings=(*_learned(tables, place, usable, regression), *_flag(tables, place, metrics)),
    )


class _Classification:
    """Learners of a target with levels."""

    def __init__(self, tables: Tables, place: int, test: Conformed) -> None:
        self.place = place
        self.inputs = Inputs.of(tables, without=place)
        self.n_classes = tables.sizes[place] - 2
        self.test = self.inputs.matrix(test.features)
        self.truth = test.codes[:, place]
        counts = np.bincount(self.truth, minlength=self.n_classes)
        often = np.flatnonzero(counts >= _FEWEST)
        chosen = often if len(often) > 1 else np.flatnonzero(counts)
        # With two classes present the one that the schema lists last is the positive one.
        self.classes = chosen.tolist() if len(chosen) > 2 else [int(chosen[-1])]
        self.draws = max(200, DRAWS // max(1, len(self.classes)))

    def outcome(self, train: Conformed, model: str, seed: int) -> Outcome:
        """Return predictions for the holdout."""
        target = train.codes[:, self.place]
        present = np.unique(target)
        if model == "dummy" or len(present) < 2:
            shares = np.bincount(target, minlength=self.n_classes) + 1e-9
            constant = np.tile(shares / shares.sum(), (len(self.truth), 1))
            return Classified(constant, self.truth, self.classes)
        # Every further class is one more tree per iteration.
        iterations = max(10, 100 // max(1, (self.n_classes - 1) // 3))
        learner = _learner(self.inputs, model, iterations=iterations, seed=seed, regression=False)
        learner = models.fitted(learner, self.inputs.matrix(train.features), target)
        predicted = models.probabilities(learner, self.test, self.n_classes)
        return Classified(predicted, self.truth, self.classes)


class _Regression:
    """Learners of a numeric target."""

    def __init__(self, tables: Tables, place: int, test: Conformed) -> None:
        self.place = place
        self.inputs = Inputs.of(tables, without=place)
        self.test = self.inputs.matrix(test.features)
        self.truth = _cut(test.features[:, place])
        self.draws = DRAWS

    def outcome(self, train: Conformed, model: str, seed: int) -> Outcome:
        """Return predictions for the holdout."""
        target = _cut(train.features[:, self.place])
        if model == "dummy" or len(target) < 2:
            mean = float(target.mean()) if len(target) else 0.0
            return Regressed(np.full(len(self.truth), mean), self.truth)
        learner = _learner(self.inputs, model, iterations=100, seed=seed, regression=True)
        learner = models.fitted(learner, self.inputs.matrix(train.features), target)
        return Regressed(learner.predict(self.test), self.truth)


def _learner(
    inputs: Inputs, model: str, *, iterations: int, seed: int, regression: bool
) -> Learner:
    if model == "linear":
        return models.linear(inputs, regression=regression)
    return models.boosting(inputs, iterations=iterations, seed=seed, regression=regression)


def _cut(target: FloatArray) -> FloatArray:
    return np.clip(target, -LARGEST, LARGEST)


def _with_target(table: Conformed, place: int, tables: Tables) -> Conformed:
    """Return the rows whose target is a level or a number, not null."""
    return table.take(np.flatnonzero(table.codes[:, place] < tables.sizes[place] - 2))


def _classes(table: Conformed, place: int) -> int:
    return len(np.unique(table.features[:, place]))


def _metrics(
    outcomes: dict[tuple[str, str], Outcome],
    test: Conformed,
    n: int,
    task: _Classification | _Regression,
    rng: np.random.Generator,
) -> list[Metric]:
    point = {key: _one(outcome) for key, outcome in outcomes.items()}
    drawn = _bootstrap(outcomes, test.units, task.draws, rng)
    directions = next(iter(outcomes.values())).directions
    metrics = []
    for score, better in directions.items():
        direction: Direction = "higher" if better == "higher" else "lower"
        for model in ("boosting", "linear"):
            real = point["trtr", model][score]
            for name in ("tstr", "trtr"):
                low, high = percentile_interval(drawn[name, model][score])
                metrics.append(
                    Metric(
                        name=f"{name}.{model}.{score}",
                        value=point[name, model][score],
                        floor=real if name == "tstr" else None,
                        references={"dummy": point["trtr", "dummy"][score]},
                        landmark="dummy" if name == "tstr" else None,
                        direction=direction,
                        ci_low=low,
                        ci_high=high,
                        n=n,
                    )
                )
            sign = 1.0 if direction == "higher" else -1.0
            gaps = sign * (drawn["trtr", model][score] - drawn["tstr", model][score])
            low, high = percentile_interval(gaps)
            metrics.append(
                Metric(
                    name=f"gap.{model}.{score}",
                    value=sign * (real - point["tstr", model][score]),
                    floor=0.0,
                    direction="lower",
                    ci_low=low,
                    ci_high=high,
                    n=len(test),
                )
            )
        metrics.append(
            Metric(
                name=f"dummy.{score}",
                value=point["trtr", "dummy"][score],
                direction=direction,
                n=len(test),
            )
        )
    return metrics


def _one(outcome: Outcome) -> dict[str, float]:
    scores = outcome.scores(np.ones((1, len(outcome))))
    return {name: float(values[0]) for name, values in scores.items()}


def _bootstrap(
    outcomes: dict[tuple[str, str], Outcome],
    units: IntArray,
    draws: int,
    rng: np.random.Generator,
) -> dict[tuple[str, str], dict[str, FloatArray]]:
    """Score all outcomes under the same draws of units, so that gaps are paired."""
    parts: dict[tuple[str, str], list[dict[str, FloatArray]]] = {key: [] for key in outcomes}
    for start in range(0, draws, _CHUNK):
        weights = unit_weights(units, min(_CHUNK, draws - start), rng)
        for key, outcome in outcomes.items():
            if key[1] != "dummy":
                parts[key].append(outcome.scores(weights))
    return {
        key: {score: np.concatenate([part[score] for part in found]) for score in found[0]}
        for key, found in parts.items()
        if found
    }


def _learned(
    tables: Tables, place: int, usable: dict[str, Conformed], regression: bool
) -> list[Finding]:
    """Say what the synthetic table cannot teach."""
    name = tables.columns[place].name
    if _classes(usable["tstr"], place) < 2:
        message = f"the target {name} takes one value in the synthetic table: it teaches nothing."
        return [Finding("DPS316", Severity.WARNING, message)]
    if regression:
        return []
    real, synthetic = (
        np.bincount(usable[table].codes[:, place], minlength=tables.sizes[place])
        for table in ("trtr", "tstr")
    )
    if not ((real >= _FEWEST) & (synthetic == 0)).any():
        return []
    message = f"levels of the target {name} are missing in the synthetic table."
    return [Finding("DPS318", Severity.WARNING, message)]


def _flag(tables: Tables, place: int, metrics: list[Metric]) -> list[Finding]:
    lost = [
        metric
        for metric in metrics
        if metric.name in ("gap.boosting.auroc", "gap.boosting.r2")
        and metric.ci_low is not None
        and metric.ci_low > FLAGGED
    ]
    name = tables.columns[place].name
    message = f"a model of {name} trained on the synthetic table does clearly worse on real rows."
    return [Finding("DPS315", Severity.WARNING, message) for _ in lost]


def _nothing(why: str) -> Section:
    finding = Finding("DPS319", Severity.INFO, f"prediction was not measured: {why}.")
    return Section(findings=(finding,))
