"""Figures of distributions: columns, pairs of columns and single cells, real against synthetic.

Drawn from the details that the families left in the report. Every figure is optional: one whose
details are missing is ``None``, and its section says that it was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from benchmarks.charts import Axis, Bars, Cloud, Figure, Grid, Panels, Tile, shade, short
from benchmarks.detail_rows import digits_in, known_in, share_in, text_in

if TYPE_CHECKING:
    from benchmarks.report import Row, UtilityReport

MOST_PANELS = 9
MOST_COLUMNS = 24
"""Columns of a map; of more the worst are shown."""
MOST_ROWS = 25
"""Rows of a figure's table: a page is read, the JSON is complete."""

_SIDES = ("fit", "synthetic")
_CORNERS = 60
"""Of the band of a scatter."""


def overlays(report: UtilityReport) -> Figure | None:
    """Distributions of the worst columns, real against synthetic."""
    by_column: dict[str, list[Row]] = {}
    for row in report.tables.get("histograms", ()):
        by_column.setdefault(text_in(row, "column"), []).append(row)
    distances = {name: _distance(rows) for name, rows in by_column.items()}
    worst = sorted(distances, key=lambda name: -distances[name])[:MOST_PANELS]
    if not worst:
        return None
    panels = []
    for name in worst:
        rows = by_column[name]
        top = max(max(share_in(row, side) for row in rows) for side in _SIDES) or 1.0
        panels.append(
            Bars(
                title=name,
                note=f"{distances[name]:.3f}",
                real=tuple(share_in(row, "fit") / top for row in rows),
                synthetic=tuple(share_in(row, "synthetic") / top for row in rows),
                first=short(text_in(rows[0], "cell")),
                last=short(text_in(rows[-1], "cell")) if len(rows) > 1 else "",
            )
        )
    shown = [(name, row) for name in worst for row in by_column[name]]
    shown.sort(key=lambda item: -abs(share_in(item[1], "fit") - share_in(item[1], "synthetic")))
    return Figure(
        name="overlays",
        title="Columns that differ most",
        question="Does each column look like the real one?",
        take_away=f"{worst[0]} differs most: {distances[worst[0]]:.3f} of the rows would have to "
        "move for it to be as in the real table.",
        drawing=Panels(panels=tuple(panels), names=("real", "synthetic")),
        head=("Column", "Cell", "Real share", "Synthetic share"),
        rows=tuple(
            (name, text_in(row, "cell"), digits_in(row, "fit"), digits_in(row, "synthetic"))
            for name, row in shown[:MOST_ROWS]
        ),
    )


def pair_map(report: UtilityReport) -> Figure | None:
    """2-way distances beyond their floors."""
    pairs = _pairs(report, ("tvd", "floor"))
    if not pairs:
        return None
    excess = {pair: max(0.0, value - floor) for pair, (value, floor) in pairs.items()}
    worst = max(excess, key=lambda pair: excess[pair])
    return Figure(
        name="pairs",
        title="Pairs of columns: distance beyond sampling",
        question="Which tables of two columns would mislead?",
        take_away=f"{' × '.join(worst)} is worst: {excess[worst]:.3f} beyond its floor.",
        drawing=_map(excess, legend=("most", "")),
        head=("Pair", "Distance", "Floor", "Beyond the floor"),
        rows=tuple(
            (" × ".join(pair), f"{pairs[pair][0]:.3f}", f"{pairs[pair][1]:.3f}", f"{size:.3f}")
            for pair, size in sorted(excess.items(), key=lambda item: -item[1])[:MOST_ROWS]
        ),
    )


def dependence_map(report: UtilityReport) -> Figure | None:
    """Dependence that was lost or invented."""
    pairs = _pairs(report, ("dependence_fit", "dependence_synthetic"))
    if not pairs:
        return None
    change = {pair: synthetic - fit for pair, (fit, synthetic) in pairs.items()}
    lost, invented = min(change, key=lambda p: change[p]), max(change, key=lambda p: change[p])
    sentences = [
        f"{' × '.join(lost)} lost most ({change[lost]:+.3f})." if change[lost] < 0 else "",
        f"{' × '.join(invented)} gained most ({change[invented]:+.3f})."
        if change[invented] > 0
        else "",
    ]
    return Figure(
        name="dependence",
        title="Dependence: lost and invented",
        question="Which columns go together less, or more, than in the real table?",
        take_away=" ".join(filter(None, sentences)) or "No pair changed.",
        drawing=_map(change, legend=("invented", "lost")),
        head=("Pair", "Real", "Synthetic", "Change"),
        rows=tuple(
            (" × ".join(pair), f"{pairs[pair][0]:.3f}", f"{pairs[pair][1]:.3f}", f"{size:+.3f}")
            for pair, size in sorted(change.items(), key=lambda item: -abs(item[1]))[:MOST_ROWS]
        ),
    )


def cell_scatter(report: UtilityReport) -> Figure | None:
    """Shares of cells of two columns, real against synthetic, both logarithmic."""
    rows = sorted(report.tables.get("cells", ()), key=lambda row: share_in(row, "fit"))
    seen = [share for row in rows for side in _SIDES if (share := share_in(row, side)) > 0]
    if not seen:
        return None
    axis = Axis(low=10.0 ** math.floor(math.log10(min(seen))), high=1.0, log=True)
    points = [
        (axis.place(share_in(row, "fit")), axis.place(share_in(row, "synthetic"))) for row in rows
    ]
    # The band is rough where cells are few: a few corners are enough.
    band = rows[:: max(1, len(rows) // _CORNERS)]
    outside = sum(map(_is_outside, rows))
    return Figure(
        name="cells",
        title="Cells of two columns, real against synthetic",
        question="Are small cells as good as large ones?",
        take_away=f"{outside / len(rows):.0%} of the cells lie outside the band; of a fresh sample "
        "about 5% would.",
        drawing=Cloud(
            points=tuple(points),
            ticks=axis.ticks(),
            upper=_corners(axis, band, "high"),
            lower=_corners(axis, band, "low"),
            names=("real share", "synthetic share"),
        ),
        head=("Real share of the cell", "Cells shown", "Outside the band"),
        rows=_by_size(rows),
    )


def _pairs(
    report: UtilityReport, names: tuple[str, str]
) -> dict[tuple[str, str], tuple[float, float]]:
    return {
        (text_in(row, "a"), text_in(row, "b")): (
            share_in(row, names[0]),
            share_in(row, names[1]),
        )
        for row in report.tables.get("pairs", ())
        if all(known_in(row, name) for name in names)
    }


def _map(sizes: dict[tuple[str, str], float], *, legend: tuple[str, str]) -> Grid:
    """Return a map of the columns that occur in the largest sizes."""
    names: list[str] = []
    for pair in sorted(sizes, key=lambda pair: -abs(sizes[pair])):
        names += [name for name in pair if name not in names]
    names = sorted(names[:MOST_COLUMNS])
    place = {name: number for number, name in enumerate(names)}
    largest = max(map(abs, sizes.values()))
    tiles = []
    for (one, other), size in sizes.items():
        if one in place and other in place:
            column, row = sorted((place[one], place[other]))
            tiles.append(
                Tile(
                    row=row,
                    column=column,
                    step=shade(abs(size), largest),
                    sign="minus" if size < 0 else "plus",
                    text=f"{100 * size:.0f}".replace("-0", "0").replace("-", "−"),
                )
            )
    entries = [(5, "plus", f"{legend[0]}: {largest:.3f}"), (0, "plus", "nothing")]
    if legend[1]:
        entries = [(5, "plus", legend[0]), (0, "plus", "no change"), (5, "minus", legend[1])]
    return Grid(names=tuple(map(short, names)), tiles=tuple(tiles), legend=tuple(entries))


def _corners(axis: Axis, rows: Sequence[Row], end: str) -> tuple[tuple[float, float], ...]:
    return tuple((axis.place(share_in(row, "fit")), axis.place(share_in(row, end))) for row in rows)


def _is_outside(row: Row) -> bool:
    return not share_in(row, "low") <= share_in(row, "synthetic") <= share_in(row, "high")


def _by_size(rows: Iterable[Row]) -> tuple[tuple[str, str, str], ...]:
    """Count cells by decade of their real share."""
    decades: dict[int | None, list[bool]] = {}
    for row in rows:
        share = share_in(row, "fit")
        decade = math.floor(math.log10(share)) if share > 0 else None
        decades.setdefault(decade, []).append(_is_outside(row))
    order = sorted(
        decades, key=lambda decade: -math.inf if decade is None else decade, reverse=True
    )
    return tuple(
        (
            "no real row" if decade is None else f"{10.0**decade:g} to {10.0 ** (decade + 1):g}",
            str(len(decades[decade])),
            f"{sum(decades[decade]) / len(decades[decade]):.0%}",
        )
        for decade in order
    )


def _distance(rows: Iterable[Row]) -> float:
    return sum(abs(share_in(row, "fit") - share_in(row, "synthetic")) for row in rows) / 2
