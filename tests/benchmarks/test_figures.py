"""What figures show: that marks stand where their figures are, and sentences say the same."""

from __future__ import annotations

from benchmarks import figures
from benchmarks.charts import Cloud, Grid, Panels
from tests.benchmarks.reports import details, full_report


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
