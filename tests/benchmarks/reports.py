"""A report with every detail that a page can show, made by hand."""

from __future__ import annotations

from typing import Any

from benchmarks.report import Metric, Row, UtilityReport, Worst
from dpsynth.evidence import Finding, Severity
from dpsynth.privacy import Budget

COLUMNS = ("age", "sex", "ward <b>", "stay")


def metric(name: str, value: float, **more: Any) -> Metric:
    """A figure; lower is better unless said otherwise."""
    return Metric(name=name, value=value, **{"direction": "lower", **more})


def metrics() -> tuple[Metric, ...]:
    """All figures that the scorecard and the uses name, and a few more."""
    apart: dict[str, Any] = {"references": {"independent": 0.3}, "landmark": "independent"}
    rated: dict[str, Any] = {
        "floor": 0.9,
        "references": {"dummy": 0.5, "dp-trained": 0.7},
        "landmark": "dummy",
        "direction": "higher",
        "ci_low": 0.8,
        "ci_high": 0.88,
    }
    return (
        metric("validity", 1.0, floor=1.0, direction="higher"),
        metric("tvd1.mean", 0.02, floor=0.01, ci_low=0.015, ci_high=0.025),
        metric("tvd1.max", 0.05, floor=0.02, ci_low=0.04, ci_high=0.06),
        metric("tvd2.mean", 0.09, floor=0.02, ci_low=0.06, ci_high=0.12, **apart),
        metric("tvd2.p95", 0.1, floor=0.05, ci_low=0.09, ci_high=0.11, **apart),
        metric("tvd3.mean", 0.15, floor=0.05, ci_low=0.14, ci_high=0.16, **apart),
        metric("workload.error", 0.2, floor=0.05, ci_low=0.19, ci_high=0.21, **apart),
        metric("c2st.boosting.auc", 0.7, floor=0.5, ci_low=0.65, ci_high=0.75),
        metric("tstr.boosting.auroc", 0.85, **rated),
        metric("tstr.linear.auroc", 0.8, **rated),
        metric("gap.boosting.auroc", 0.05, floor=0.0, ci_low=0.04, ci_high=0.06),
        metric("gap.linear.auroc", 0.1, floor=0.0, ci_low=0.08, ci_high=0.12),
        metric("gap.linear.brier", 9.0, floor=0.0),
        metric("tstr.linear.r2", float("nan"), direction="higher"),
    )


def details() -> dict[str, tuple[Row, ...]]:
    """Every table of details that a figure reads."""
    pairs = [(a, b) for i, a in enumerate(COLUMNS) for b in COLUMNS[i + 1 :]]
    return {
        "histograms": tuple(
            {"column": name, "cell": cell, "fit": 0.6 - 0.2 * k, "synthetic": 0.1 + 0.3 * k}
            for name in COLUMNS
            for k, cell in enumerate(("low", "high"))
        ),
        "pairs": tuple(
            {
                "a": a,
                "b": b,
                "tvd": 0.1 * k,
                "floor": 0.05,
                "dependence_fit": 0.3,
                "dependence_synthetic": 0.1 * k,
            }
            for k, (a, b) in enumerate(pairs)
        ),
        "cells": tuple(
            {"fit": fit, "synthetic": made, "low": 0.9 * fit, "high": 1.1 * fit}
            for fit, made in ((0.5, 0.5), (0.01, 0.02), (0.0, 0.001), (0.003, 0.0))
        ),
        "propensity": tuple(
            {"from": k / 4, "to": (k + 1) / 4, "synthetic": 0.1 * (k + 1), "holdout": 0.1 * (4 - k)}
            for k in range(4)
        ),
        "importance": (
            {"column": "age", "tstr": 0.1, "trtr": 0.2},
            {"column": "stay", "tstr": 0.15, "trtr": -0.01},
        ),
        "inference": (
            {
                "formula": "died ~ age",
                "coefficient": "age",
                "fit": 1.0,
                "fit_low": 0.5,
                "fit_high": 1.5,
                "synthetic": 0.7,
                "synthetic_low": 0.4,
                "synthetic_high": 1.0,
                "overlap": 0.6,
            },
            {
                "formula": "died ~ age",
                "coefficient": "sex = F",
                "fit": 9.0,
                "fit_low": 8.9,
                "fit_high": 9.1,
                "synthetic": None,
                "synthetic_low": None,
                "synthetic_high": None,
                "overlap": 0.0,
            },
        ),
        "subgroups": (
            {"group": "sex = F", "ratio": 0.8, "ratio_low": 0.7, "ratio_high": 0.9},
            {"group": "sex = M", "ratio": 1.01, "ratio_low": None, "ratio_high": None},
        ),
    }


def full_report(**changes: Any) -> UtilityReport:
    """A report with everything."""
    fields: dict[str, Any] = {
        "schema_name": "people & <places>",
        "schema_sha256": "b" * 64,
        "table_sha256": "a" * 64,
        "seed": 3,
        "created": "2026-11-23T12:00:00+00:00",
        "metrics": metrics(),
        "worst": {
            "tvd1": (Worst(columns=("age",), value=0.5, floor=0.1),),
            "tvd2": (Worst(columns=("age", "sex"), value=0.5, floor=0.1),),
            "c2st": (Worst(columns=("age",), value=0.08),),
        },
        "findings": (Finding("DPS311", Severity.WARNING, "a column is far off."),),
        "tables": details(),
        "budget": Budget(epsilon=1.0, delta=1e-6),
        "unit": "one row",
    }
    return UtilityReport(**{**fields, **changes})
