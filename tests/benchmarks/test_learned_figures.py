"""Figures of what was learned: that marks stand where their figures are."""

from __future__ import annotations

import pytest

from benchmarks import learned_figures
from benchmarks.charts import Figure, Lanes
from tests.benchmarks.reports import full_report, metric


def lanes(figure: Figure | None) -> Lanes:
    assert figure is not None
    assert isinstance(figure.drawing, Lanes)
    return figure.drawing


def test_dumbbells_join_synthetic_and_real_with_both_references() -> None:
    figure = learned_figures.dumbbells(full_report())
    drawn = lanes(figure)
    assert [lane.label for lane in drawn.lanes] == ["boosted trees (AUROC)", "linear model (AUROC)"]
    places = {mark.shape: mark.place for mark in drawn.lanes[0].marks}
    assert places["tick"] < places["diamond"] < places["circle"] < places["square"]
    assert drawn.lanes[0].link == (places["circle"], places["square"])
    assert figure is not None
    assert figure.take_away == "linear model (AUROC) loses most: 0.100."


def test_coefficients_stand_in_standard_errors_of_the_real_estimate() -> None:
    figure = learned_figures.forest(full_report())
    drawn = lanes(figure)
    first, lost = drawn.lanes
    marks = {mark.shape: mark.place for mark in first.marks}
    # One standard error is 0.255; the axis runs from -10 to 10 of them.
    assert marks["circle"] == pytest.approx(0.5 + (0.7 - 1.0) / 0.2551 / 20, abs=1e-3)
    assert marks["cross"] == pytest.approx(0.5 - 1.0 / 0.2551 / 20, abs=1e-3)
    assert drawn.band == (pytest.approx(0.402), pytest.approx(0.598))
    assert lost.value == "not recovered"
    assert lost.marks == ()  # no effect lies far beyond the axis
    assert figure is not None
    assert "1 has" in figure.take_away


def test_groups_stand_farthest_off_first_on_an_axis_of_ratios() -> None:
    figure = learned_figures.group_sizes(full_report())
    drawn = lanes(figure)
    assert [lane.label for lane in drawn.lanes] == ["sex = F", "sex = M"]
    assert drawn.rule == pytest.approx(0.5)
    assert drawn.lanes[0].marks[0].place < 0.5 < drawn.lanes[1].marks[0].place
    assert drawn.lanes[1].bar is None


def test_importance_says_where_models_disagree() -> None:
    figure = learned_figures.importance(full_report())
    assert figure is not None
    assert figure.take_away == (
        "Trained on real rows a model relies most on age, on synthetic ones on stay."
    )


def test_what_gives_the_table_away_comes_first() -> None:
    figure = learned_figures.features(full_report())
    assert figure is not None
    assert figure.take_away == "Without age the classifier loses 0.080 of AUC."
    assert learned_figures.features(full_report(worst={})) is None


def test_a_score_of_nothing_is_a_score() -> None:
    found = metric("tstr.linear.r2", -0.2, floor=0.0, direction="higher")
    figure = learned_figures.dumbbells(full_report(metrics=(found,)))
    assert figure is not None
    assert figure.take_away == "linear model (R²) loses most: 0.200."
