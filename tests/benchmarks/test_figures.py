"""What figures show: that marks stand where their figures are, and sentences say the same."""

from __future__ import annotations

import pytest

from benchmarks import figures
from benchmarks.charts import Cloud, Figure, Grid, Lanes, Panels
from tests.benchmarks.reports import details, full_report


def lanes(figure: Figure | None) -> Lanes:
    assert figure is not None
    assert isinstance(figure.drawing, Lanes)
    return figure.drawing


def test_overlays_are_the_worst_columns_each_on_its_own_scale() -> None:
    rows = list(details()["histograms"])
    rows += [{"column": "same", "cell": c, "fit": 0.5, "synthetic": 0.5} for c in "ab"]
    figure = figures.overlays(full_report(tables={"histograms": tuple(rows)}))
    assert figure is not None
    assert isinstance(figure.drawing, Panels)
    *_, last = figure.drawing.panels
    assert (last.title, last.real, last.synthetic) == ("same", (1.0, 1.0), (1.0, 1.0))
    assert figure.drawing.panels[0].note == "0.250"
    assert "0.250" in figure.take_away
    differences = [abs(float(row[2]) - float(row[3])) for row in figure.rows]
    assert differences == sorted(differences, reverse=True)


def test_the_map_of_pairs_takes_the_floor_away() -> None:
    figure = figures.pair_map(full_report())
    assert figure is not None
    assert isinstance(figure.drawing, Grid)
    assert len(figure.drawing.tiles) == 6
    assert all(tile.row > tile.column for tile in figure.drawing.tiles)
    assert figure.rows[0][1:] == ("0.500", "0.050", "0.450")
    assert min(tile.step for tile in figure.drawing.tiles) == 0  # below its floor: nothing
    assert max(tile.step for tile in figure.drawing.tiles) == 5


def test_lost_and_invented_dependence_differ_by_sign_as_well() -> None:
    figure = figures.dependence_map(full_report())
    assert figure is not None
    assert isinstance(figure.drawing, Grid)
    signs = {tile.text[0]: tile.sign for tile in figure.drawing.tiles if tile.text != "0"}
    assert signs["−"] == "minus"
    assert signs["2"] == "plus"
    assert "lost most (-0.300)" in figure.take_away
    assert "gained most (+0.200)" in figure.take_away


def test_cells_outside_the_band_are_counted() -> None:
    figure = figures.cell_scatter(full_report())
    assert figure is not None
    assert isinstance(figure.drawing, Cloud)
    assert figure.take_away.startswith("75%")
    assert len(figure.drawing.points) == 4
    assert all(high[1] >= low[1] for high, low in zip(
        figure.drawing.upper, figure.drawing.lower, strict=True
    ))  # fmt: skip
    assert ("no real row", "1", "100%") in figure.rows


def test_dumbbells_join_synthetic_and_real_with_both_references() -> None:
    figure = figures.dumbbells(full_report())
    drawn = lanes(figure)
    assert [lane.label for lane in drawn.lanes] == ["boosted trees (AUROC)", "linear model (AUROC)"]
    places = {mark.shape: mark.place for mark in drawn.lanes[0].marks}
    assert places["tick"] < places["diamond"] < places["circle"] < places["square"]
    assert drawn.lanes[0].link == (places["circle"], places["square"])
    assert figure is not None
    assert figure.take_away == "linear model (AUROC) loses most: 0.100."


def test_coefficients_stand_in_standard_errors_of_the_real_estimate() -> None:
    figure = figures.forest(full_report())
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
    figure = figures.group_sizes(full_report())
    drawn = lanes(figure)
    assert [lane.label for lane in drawn.lanes] == ["sex = F", "sex = M"]
    assert drawn.rule == pytest.approx(0.5)
    assert drawn.lanes[0].marks[0].place < 0.5 < drawn.lanes[1].marks[0].place
    assert drawn.lanes[1].bar is None


def test_importance_says_where_models_disagree() -> None:
    figure = figures.importance(full_report())
    assert figure is not None
    assert figure.take_away == (
        "Trained on real rows a model relies most on age, on synthetic ones on stay."
    )


def test_what_gives_the_table_away_comes_first() -> None:
    figure = figures.features(full_report())
    assert figure is not None
    assert figure.take_away == "Without age the classifier loses 0.080 of AUC."
    assert figures.features(full_report(worst={})) is None
