"""Train on synthetic, test on real (TSTR), beside train on real, test on real (TRTR).

Both are trained on the same number of rows with the same fixed learners, each pipeline fitted on
its own training table only, and tested on the holdout, which neither the generator nor a learner
has seen. ``gap.*`` is what training on the synthetic table costs; positive is a loss for every
score. The skill of ``tstr.*`` is what is retained of the way from a constant guess to TRTR.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks import training
from benchmarks.discretise import Tables
from benchmarks.report import Metric, Section
from benchmarks.scores import Outcome, at_once, percentile_interval, unit_weights, whole
from benchmarks.training import MODELS, Trained
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Drawn = Mapping[tuple[str, str], Mapping[str, FloatArray]]
"""Scores under each draw of the bootstrap, by training table, class of learner and score."""

DRAWS = 1_000
"""Bootstrap draws over the units of the holdout."""
FLAGGED = 0.05
"""A gap in AUROC or R² that is surely above this becomes a finding."""


def measure(
    tables: Tables,
    *,
    rng: np.random.Generator,
    trained: Trained | Finding | None = None,
    private: Mapping[str, float] | None = None,
) -> Section:
    """Test boosted trees, a linear model, a network and a dummy for the declared target.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws the bootstrap; before that, training rows and seeds where nothing was trained yet.
    trained : Trained or Finding, optional
        What :func:`benchmarks.training.train` returned.
    private : mapping of str to float, optional
        Scores of the best model that was trained privately on the fitted rows
        (:mod:`benchmarks.private_reference`).

    Notes
    -----
    A synthetic table whose target has one class, or none, teaches nothing: its score is that of a
    constant (AUROC 0.5), with a finding. Where the real rows show one class, there is nothing to
    predict: no score, with a finding.

    ``ranking.*`` is Spearman's correlation of the scores of the classes of learners, dummy
    included, between TSTR and TRTR. With four of them it is coarse: it says whether the synthetic
    table would have led to the same choice, no more. It is 0 where one side scores all the same.
    """
    trained = training.train(tables, rng=rng) if trained is None else trained
    if isinstance(trained, Finding):
        return Section(findings=(trained,))
    draws = max(200, DRAWS // max(1, len(trained.task.classes)))
    drawn = bootstrap(trained.outcomes, trained.task.test.units, draws, rng)
    point = {key: whole(outcome) for key, outcome in trained.outcomes.items()}
    metrics = [*_metrics(trained, point, drawn, private or {}), _ranking(trained, point, drawn)]
    name = tables.columns[trained.task.place].name
    return Section(
        metrics=tuple(metrics),
        findings=(*_learned(tables, trained, name), *_flag(metrics, name)),
    )


def bootstrap(
    outcomes: Mapping[tuple[str, str], Outcome],
    units: IntArray,
    draws: int,
    rng: np.random.Generator,
) -> Drawn:
    """Score all outcomes under the same draws of units, so that differences are paired."""
    parts: dict[tuple[str, str], list[dict[str, FloatArray]]] = {key: [] for key in outcomes}
    step = at_once(len(units))
    for start in range(0, draws, step):
        weights = unit_weights(units, min(step, draws - start), rng)
        for key, outcome in outcomes.items():
            parts[key].append(outcome.scores(weights))
    return {
        key: {score: np.concatenate([part[score] for part in found]) for score in found[0]}
        for key, found in parts.items()
    }


def _metrics(
    trained: Trained,
    point: Mapping[tuple[str, str], Mapping[str, float]],
    drawn: Drawn,
    private: Mapping[str, float],
) -> list[Metric]:
    rows = min(len(table) for table in trained.train.values() if len(table) > 1)
    tested = len(trained.task.test)
    metrics = []
    for score, direction in trained.outcomes["trtr", "dummy"].directions.items():
        dummy = point["trtr", "dummy"][score]
        landmarks = {"dummy": dummy}
        if score in private:
            landmarks["dp-trained"] = private[score]
        sign = 1.0 if direction == "higher" else -1.0
        for model in MODELS:
            real = point["trtr", model][score]
            for name in ("tstr", "trtr"):
                low, high = percentile_interval(drawn[name, model][score])
                metrics.append(
                    Metric(
                        name=f"{name}.{model}.{score}",
                        value=point[name, model][score],
                        floor=real,
                        references=landmarks,
                        landmark="dummy",
                        direction=direction,
                        ci_low=low,
                        ci_high=high,
                        n=rows,
                    )
                )
            gaps = sign * (drawn["trtr", model][score] - drawn["tstr", model][score])
            low, high = percentile_interval(gaps)
            metrics.append(
                Metric(
                    name=f"gap.{model}.{score}",
                    value=sign * (real - point["tstr", model][score]),
                    floor=0.0,
                    references={name: sign * (real - at) for name, at in landmarks.items()},
                    landmark="dummy",
                    direction="lower",
                    ci_low=low,
                    ci_high=high,
                    n=tested,
                )
            )
        low, high = percentile_interval(drawn["trtr", "dummy"][score])
        metrics.append(
            Metric(
                name=f"dummy.{score}",
                value=dummy,
                floor=dummy,
                direction=direction,
                ci_low=low,
                ci_high=high,
                n=tested,
            )
        )
    return metrics


def _ranking(
    trained: Trained, point: Mapping[tuple[str, str], Mapping[str, float]], drawn: Drawn
) -> Metric:
    """Compare how the classes of learners rank."""
    score = trained.score
    dummy = ("trtr", "dummy")
    keys = {name: [*((name, model) for model in MODELS), dummy] for name in ("tstr", "trtr")}
    values = {name: np.array([point[key][score] for key in keys[name]]) for name in keys}
    tries = {name: np.stack([drawn[key][score] for key in keys[name]], axis=1) for name in keys}
    again = [rank_agreement(one, values["trtr"]) for one in tries["trtr"]]
    low, high = percentile_interval(
        np.array([rank_agreement(*pair) for pair in zip(tries["tstr"], tries["trtr"], strict=True)])
    )
    value = rank_agreement(values["tstr"], values["trtr"])
    return Metric(
        name=f"ranking.{score}",
        value=value,
        floor=float(np.mean(again)),
        references={"uniform": 0.0},
        landmark="uniform",
        direction="higher",
        # With so few classes of learners the draws may all lie on one side of the figure.
        ci_low=min(low, value),
        ci_high=max(high, value),
        n=len(trained.task.test),
        tier="B",
    )


def rank_agreement(one: FloatArray, other: FloatArray) -> float:
    """Return Spearman's correlation of two short lists; 0 where one of them is all ties."""
    from scipy.stats import rankdata

    # Scores that differ by rounding alone are no order.
    a, b = (rankdata(np.round(np.nan_to_num(x), 9)) for x in (one, other))
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return 0.0 if spread == 0 else float(a @ b) / spread


def _learned(tables: Tables, trained: Trained, name: str) -> list[Finding]:
    """Say what the synthetic table cannot teach."""
    place = trained.task.place
    if training.different(trained.usable["tstr"], place) < 2:
        message = f"the target {name} takes one value in the synthetic table: it teaches nothing."
        return [Finding("DPS316", Severity.WARNING, message)]
    if trained.task.regression:
        return []
    real, synthetic = (
        np.bincount(trained.usable[table].codes[:, place], minlength=tables.sizes[place])
        for table in ("trtr", "tstr")
    )
    if not ((real >= training.FEWEST) & (synthetic == 0)).any():
        return []
    message = f"levels of the target {name} are missing in the synthetic table."
    return [Finding("DPS318", Severity.WARNING, message)]


def _flag(metrics: list[Metric], name: str) -> list[Finding]:
    lost = [
        metric
        for metric in metrics
        if metric.name in ("gap.boosting.auroc", "gap.boosting.r2")
        and metric.ci_low is not None
        and metric.ci_low > FLAGGED
    ]
    message = f"a model of {name} trained on the synthetic table does clearly worse on real rows."
    return [Finding("DPS315", Severity.WARNING, message) for _ in lost]
