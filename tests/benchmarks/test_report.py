"""The report as table, text, JSON and evidence."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.report import BANNER, Metric, UtilityReport, Worst
from benchmarks.uses import Thresholds
from dpsynth.errors import UsageError
from dpsynth.evidence import Evidence, Finding, Severity, Verdict
from dpsynth.privacy import Budget


def report(**changes: Any) -> UtilityReport:
    fields: dict[str, Any] = {
        "schema_name": "people",
        "schema_sha256": "b" * 64,
        "table_sha256": "a" * 64,
        "seed": 3,
        "created": "2026-11-23T12:00:00+00:00",
        "metrics": (
            Metric(name="tvd1.mean", value=0.125, floor=0.0625, direction="lower", n=4321),
            Metric(
                name="tstr.boosting.auroc",
                value=0.75,
                floor=0.875,
                references={"dummy": 0.5},
                landmark="dummy",
                direction="higher",
                ci_low=0.7,
                ci_high=0.8,
            ),
            Metric(name="tstr.boosting.r2", value=float("nan"), direction="higher"),
        ),
        "worst": {"tvd1": (Worst(columns=("age",), value=0.5, floor=0.1),)},
        "findings": (Finding("DPS311", Severity.WARNING, "a column is far off."),),
    }
    return UtilityReport(**{**fields, **changes})


def test_the_frame_has_one_row_per_metric() -> None:
    frame = report().frame()
    assert list(frame.columns) == [
        "name",
        "value",
        "ci_low",
        "ci_high",
        "floor",
        "reference",
        "skill",
        "direction",
        "tier",
        "n",
    ]
    assert frame["name"].tolist() == [metric.name for metric in report().metrics]
    assert frame.loc[0, ["value", "floor", "n"]].tolist() == [0.125, 0.0625, 4321]
    assert frame.loc[0, ["reference", "ci_low"]].isna().all()
    assert np.isnan(frame.loc[2, "value"])
    assert str(frame["reference"].dtype) == "float64"
    assert pd.isna(frame.loc[1, "n"])


def test_repr_shows_no_figure() -> None:
    assert "0.125" not in repr(report())
    assert "confidential" in repr(report())


def test_json_is_strict_and_complete() -> None:
    document = json.loads(json.dumps(report().to_dict(), allow_nan=False))
    assert document["notice"] == BANNER
    assert document["metrics"]["tvd1.mean"] == {
        "value": 0.125,
        "floor": 0.0625,
        "direction": "lower",
        "tier": "A",
        "n": 4321,
    }
    assert "value" not in document["metrics"]["tstr.boosting.r2"]
    assert document["worst"]["tvd1"] == [{"columns": ["age"], "value": 0.5, "floor": 0.1}]
    assert document["verdict"] == "review"
    assert document["versions"]["numpy"]
    assert document["thresholds"]["two_way"] == 0.05
    assert document["budget"] is None
    uses = {use["use"]: use["fitness"] for use in document["uses"]}
    assert uses["prediction of the target"] == "not measured"
    assert report(budget=Budget(epsilon=1.0, delta=1e-6)).to_dict()["budget"] == {
        "epsilon": 1.0,
        "delta": 1e-6,
    }


def test_evidence_is_internal_bound_and_readable() -> None:
    evidence = report().evidence()
    assert (evidence.kind, evidence.disclosure) == ("utility", "internal")
    assert evidence.table_sha256 == "a" * 64
    assert evidence.verdict is Verdict.REVIEW
    assert evidence.findings == report().findings
    assert evidence.metrics["metrics"]["tvd1.mean"]["value"] == 0.125
    assert Evidence.from_json(evidence.to_json()) == evidence
    with pytest.raises(UsageError, match="not bound"):
        report(table_sha256=None).evidence()


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ((), Verdict.PASS),
        ([("DPS319", "info")], Verdict.PASS),
        ([("DPS317", "info")], Verdict.INCONCLUSIVE),
        ([("DPS317", "info"), ("DPS311", "warning")], Verdict.REVIEW),
        ([("DPS311", "warning"), ("DPS310", "error")], Verdict.FAIL),
    ],
)
def test_the_worst_finding_decides(findings: Any, verdict: Verdict) -> None:
    found = tuple(Finding(code, Severity(severity), "m.") for code, severity in findings)
    assert report(findings=found).verdict is verdict


def test_metrics_are_found_by_name() -> None:
    assert report()["tvd1.mean"].value == 0.125
    assert "tvd1.mean" in report()
    assert "tvd9.mean" not in report()
    with pytest.raises(KeyError):
        report()["tvd9.mean"]


def test_intervals_have_two_ends_or_none() -> None:
    ends = {"value": 0.5, "direction": "lower"}
    assert Metric(name="m", ci_low=0.1, ci_high=0.9, **ends).interval == (0.1, 0.9)  # type: ignore[arg-type]
    assert Metric(name="m", ci_low=0.1, ci_high=float("nan"), **ends).interval is None  # type: ignore[arg-type]


def test_the_verdict_does_not_depend_on_thresholds() -> None:
    far = (Metric(name="tvd1.mean", value=0.9, floor=0.1, direction="lower"),)
    strict = report(metrics=far, findings=(), thresholds=Thresholds(one_way=0.0))
    assert "not fit" in {str(use.fitness) for use in strict.uses}
    assert strict.verdict is Verdict.PASS


def test_reports_travel_between_processes() -> None:
    assert pickle.loads(pickle.dumps(report(metrics=report().metrics[:2]))) == report(
        metrics=report().metrics[:2]
    )
    assert replace(report(), seed=4).seed == 4


@pytest.mark.parametrize(
    ("value", "floor", "landmark", "direction", "skill"),
    [
        (0.02, 0.02, 0.12, "lower", 1.0),
        (0.12, 0.02, 0.12, "lower", 0.0),
        (0.07, 0.02, 0.12, "lower", 0.5),
        (9.0, 0.02, 0.12, "lower", -1.0),
        (0.01, 0.02, 0.12, "lower", 1.0),
        (0.8, 0.9, 0.5, "higher", 0.75),
        (0.8, 0.5, 0.5, "higher", None),
        (0.8, 0.4, 0.5, "higher", None),  # no real row beats the dummy: nothing to retain
        (float("nan"), 0.02, 0.12, "lower", None),
    ],
)
def test_skill_is_the_way_from_landmark_to_floor(
    value: float, floor: float, landmark: float, direction: Any, skill: float | None
) -> None:
    metric = Metric(
        name="m",
        value=value,
        floor=floor,
        references={"x": landmark},
        landmark="x",
        direction=direction,
    )
    assert metric.skill == (skill if skill is None else pytest.approx(skill))
    assert Metric(name="m", value=value, floor=floor, direction=direction).skill is None


def test_details_have_names() -> None:
    rows = ({"column": "age", "value": 0.5}, {"column": "sex", "value": None})
    detailed = report(tables={"tvd1": rows})
    assert detailed.frame("tvd1")["column"].tolist() == ["age", "sex"]
    assert detailed.to_dict()["tables"]["tvd1"][1] == {"column": "sex", "value": None}
    with pytest.raises(UsageError, match="tvd1"):
        detailed.frame("tvd7")
