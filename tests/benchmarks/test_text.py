"""The report on a terminal, and its scorecard."""

from __future__ import annotations

import pytest

from benchmarks.report import BANNER, Worst
from benchmarks.scorecard import scorecard
from dpsynth.evidence import Finding, Severity
from tests.benchmarks.reports import full_report, metric, metrics


def line(text: str, label: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(label))


def test_there_are_eight_lines_and_no_sum_of_them() -> None:
    lines = scorecard(metrics())
    assert [entry.label for entry in lines] == [
        "validity",
        "1-way distance",
        "2-way distance",
        "3-way distance",
        "workload error",
        "told from real rows",
        "worst loss of a model",
        "worst subgroup",
    ]
    assert all("better" in entry.meaning for entry in lines)
    found = {entry.label: entry.metric for entry in lines}
    worst = found["worst loss of a model"]
    assert worst is not None
    assert worst.name == "gap.linear.auroc"
    assert found["worst subgroup"] is None
    assert all(entry.metric is None for entry in scorecard(()))


def test_a_line_shows_value_floor_landmark_skill_and_interval() -> None:
    text = str(full_report())
    assert line(text, "2-way distance").split() == [
        "2-way", "distance", "↓", "0.090", "0.020", "0.300", "0.75", "[0.060,", "0.120]",
    ]  # fmt: skip
    assert "not measured" in line(text, "worst subgroup")


def test_uses_stand_with_the_figures_that_decide() -> None:
    text = str(full_report())
    assert line(text, "prediction of the target").split()[-2:] == ["NOT", "FIT"]
    assert line(text, "loss of a model, worst learner").split()[-7:] == [
        "0.100", "[0.080,", "0.120]", "≤", "0.05", "not", "fit",
    ]  # fmt: skip


def test_it_is_stamped_first_and_ends_with_the_verdict() -> None:
    lines = str(full_report()).splitlines()
    assert BANNER in lines[1]
    assert lines[-1] == "  verdict: review"
    assert any("DPS311 a column is far off." in entry for entry in lines)


@pytest.mark.parametrize("length", [1, 40, 500])
def test_no_line_is_wider_than_a_terminal(length: int) -> None:
    name = "long name " * (length // 10) + "x" * length
    report = full_report(
        schema_name=name,
        findings=(Finding("DPS311", Severity.WARNING, f"{name} is far off."),),
        worst={"tvd2": (Worst(columns=(name, name), value=0.5, floor=0.1),)},
    )
    assert max(map(len, str(report).splitlines())) <= 100


def test_no_count_of_rows_and_no_undefined_number_is_shown() -> None:
    text = str(full_report(metrics=(metric("tvd1.mean", 0.1, floor=float("nan"), n=4321),)))
    assert "4321" not in text
    assert "nan" not in text
    assert "-0.000" not in str(full_report(metrics=(metric("tvd1.mean", -1e-9),)))
