"""The parts that share learners: trained once, each with a stream of its own."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import evaluate, importance, learners, prediction, training
from benchmarks.report import Section
from dpsynth.privacy import Budget
from tests.benchmarks.test_prediction import figures, tables, task_frame, task_schema

BUDGET = Budget(epsilon=1.0, delta=1e-6)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "DRAWS", 200)
    monkeypatch.setattr(importance, "DRAWS", 20)


def run(budget: Budget | None) -> Section:
    return learners.measure(
        tables(task_frame(200, 3), n=200), rng=np.random.default_rng(0), budget=budget
    )


def test_nothing_is_trained_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    keep = training.train

    def counted(*args, **options):
        calls.append(1)
        return keep(*args, **options)

    monkeypatch.setattr(training, "train", counted)
    run(None)
    assert len(calls) == 1


def test_the_private_reference_changes_no_other_figure() -> None:
    without, found = figures(run(None)), figures(run(BUDGET))
    for name, metric in without.items():
        assert metric.value == found[name].value
        assert (metric.ci_low, metric.ci_high) == (found[name].ci_low, found[name].ci_high)
    assert {name.partition(".")[0] for name in set(found) - set(without)} == {"reference"}
    best = max(found[f"reference.{name}.auroc"].value for name in ("dp-bayes", "dp-logistic"))
    assert found["tstr.network.auroc"].references["dp-trained"] == best


def test_an_evaluation_takes_a_budget() -> None:
    frames = [task_frame(120, seed) for seed in (3, 1, 2)]
    report = evaluate(*frames, task_schema(), budget=BUDGET)
    assert "reference.dp-logistic.auroc" in report
    found = {finding.code for finding in report.findings}
    assert {"DPS321", "DPS324"} <= found
    assert "DPS335" not in found
    assert "importance" in report.tables
