"""Figures of the utility page, drawn from the details that the families left in the report.

Every figure is optional: one whose details are missing is ``None``, and its section says that it
was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from benchmarks.charts import (
    Axis,
    Bars,
    Cloud,
    Figure,
    Grid,
    Lane,
    Lanes,
    Mark,
    Panels,
    Shape,
    Tile,
    between,
    digits,
    shade,
    short,
    span,
)

if TYPE_CHECKING:
    from benchmarks.report import Metric, Row, UtilityReport

MOST_PANELS = 9
MOST_COLUMNS = 24
"""Columns of a map; of more the worst are shown."""
MOST_ROWS = 25
"""Rows of a figure's table: a page is read, the JSON is complete."""
MOST_LANES = 20
"""Rows of a figure with a horizontal axis."""

_SCORES = ("auroc", "r2")
_LEARNERS = {"boosting": "boosted trees", "linear": "linear model", "network": "neural network"}
_SIDES = ("fit", "synthetic")
_CORNERS = 60
"""Of the band of a scatter."""
_MODELS = ("tstr", "trtr")
_NORMAL = 1.96
"""Standard errors in half an interval."""
_RATIOS = (0.01, 0.1, 0.2, 0.5, 0.8, 1.0, 1.25, 2.0, 5.0, 10.0, 100.0)
_FAR = 10.0
"""Standard errors up to which a coefficient is drawn; beyond it stands on the edge."""


def overlays(report: UtilityReport) -> Figure | None:
    """Distributions of the worst columns, real against synthetic."""
    by_column: dict[str, list[Row]] = {}
    for row in report.tables.get("histograms", ()):
        by_column.setdefault(_text(row, "column"), []).append(row)
    distances = {name: _distance(rows) for name, rows in by_column.items()}
    worst = sorted(distances, key=lambda name: -distances[name])[:MOST_PANELS]
    if not worst:
        return None
    panels = []
    for name in worst:
        rows = by_column[name]
        top = max(max(_number(row, side) for row in rows) for side in _SIDES) or 1.0
        panels.append(
            Bars(
                title=name,
                note=f"{distances[name]:.3f}",
                real=tuple(_number(row, "fit") / top for row in rows),
                synthetic=tuple(_number(row, "synthetic") / top for row in rows),
                first=short(_text(rows[0], "cell")),
                last=short(_text(rows[-1], "cell")) if len(rows) > 1 else "",
            )
        )
    shown = [(name, row) for name in worst for row in by_column[name]]
    shown.sort(key=lambda item: -abs(_number(item[1], "fit") - _number(item[1], "synthetic")))
    return Figure(
        name="overlays",
        title="Columns that differ most",
        question="Does each column look like the real one?",
        take_away=f"{worst[0]} differs most: {distances[worst[0]]:.3f} of the rows would have to "
        "move for it to be as in the real table.",
        drawing=Panels(panels=tuple(panels), names=("real", "synthetic")),
        head=("Column", "Cell", "Real share", "Synthetic share"),
        rows=tuple(
            (name, _text(row, "cell"), _three(row, "fit"), _three(row, "synthetic"))
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
    rows = sorted(report.tables.get("cells", ()), key=lambda row: _number(row, "fit"))
    seen = [share for row in rows for side in _SIDES if (share := _number(row, side)) > 0]
    if not seen:
        return None
    axis = Axis(low=10.0 ** math.floor(math.log10(min(seen))), high=1.0, log=True)
    points = [
        (axis.place(_number(row, "fit")), axis.place(_number(row, "synthetic"))) for row in rows
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


def propensities(report: UtilityReport) -> Figure | None:
    """How sure a classifier is that a row is synthetic, for rows of both kinds."""
    rows = report.tables.get("propensity", ())
    if not rows:
        return None
    real, made = ([_number(row, side) for row in rows] for side in ("holdout", "synthetic"))
    top = max(*real, *made) or 1.0
    common = sum(map(min, real, made))
    return Figure(
        name="propensity",
        title="What a classifier thinks of each row",
        question="Can a row be told from real ones?",
        take_away=f"The two distributions share {common:.0%} of their area; of tables that cannot "
        "be told apart they share nearly all.",
        drawing=Panels(
            panels=(
                Bars(
                    title="probability of being synthetic",
                    note="",
                    real=tuple(share / top for share in real),
                    synthetic=tuple(share / top for share in made),
                    first=f"{_number(rows[0], 'from'):g}",
                    last=f"{_number(rows[-1], 'to'):g}",
                ),
            ),
            names=("held-out rows", "synthetic rows"),
        ),
        head=("Probability from", "to", "Held-out rows", "Synthetic rows"),
        rows=tuple(
            (
                f"{_number(row, 'from'):.2f}",
                f"{_number(row, 'to'):.2f}",
                _three(row, "holdout"),
                _three(row, "synthetic"),
            )
            for row in rows
        ),
    )


def features(report: UtilityReport) -> Figure | None:
    """Columns without which the table is harder to tell."""
    rows = [(" × ".join(row.columns), row.value) for row in report.worst.get("c2st", ())]
    if not rows:
        return None
    axis = Axis(low=0.0, high=1.05 * max(value for _, value in rows))
    return Figure(
        name="features",
        title="What gives the table away",
        question="Which columns should the method do better?",
        take_away=f"Without {rows[0][0]} the classifier loses {rows[0][1]:.3f} of AUC.",
        drawing=Lanes(
            lanes=tuple(
                Lane(label=name, value=f"{value:.3f}", bar=(0.0, axis.place(value)), marks=())
                for name, value in rows
            ),
            ticks=axis.ticks(),
            legend=(),
        ),
        head=("Column", "Loss of AUC"),
        rows=tuple((name, f"{value:.3f}") for name, value in rows),
    )


def importance(report: UtilityReport) -> Figure | None:
    """How much models trained on synthetic and on real rows rely on each column."""
    rows = report.tables.get("importance", ())[:MOST_LANES]
    if not rows:
        return None
    axis = _axis([0.0, *(_number(row, side) for row in rows for side in _MODELS)])
    order = {side: max(rows, key=lambda row, s=side: _number(row, s)) for side in _MODELS}
    same = _text(order["tstr"], "column") == _text(order["trtr"], "column")
    return Figure(
        name="importance",
        title="Columns that models rely on",
        question="Do models of synthetic and of real rows find the same columns useful?",
        take_away=f"Both rely most on {_text(order['trtr'], 'column')}."
        if same
        else f"Trained on real rows a model relies most on {_text(order['trtr'], 'column')}, on "
        f"synthetic ones on {_text(order['tstr'], 'column')}.",
        drawing=Lanes(
            lanes=tuple(
                Lane(
                    label=_text(row, "column"),
                    value=f"{_three(row, 'tstr')} / {_three(row, 'trtr')}",
                    bar=None,
                    marks=_marks(
                        axis,
                        (("square", _maybe(row, "trtr")), ("circle", _maybe(row, "tstr"))),
                    ),
                    link=_bar(axis, _maybe(row, "tstr"), _maybe(row, "trtr")),
                )
                for row in rows
            ),
            ticks=axis.ticks(),
            legend=(("circle", "trained on synthetic rows"), ("square", "trained on real rows")),
        ),
        head=("Column", "Synthetic", "Real"),
        rows=tuple(
            (_text(row, "column"), _three(row, "tstr"), _three(row, "trtr")) for row in rows
        ),
    )


def dumbbells(report: UtilityReport) -> Figure | None:
    """Learners trained on synthetic and on real rows, with a constant and a DP-trained model."""
    found = [
        metric
        for metric in report.metrics
        if metric.name.startswith("tstr.")
        and metric.name.rpartition(".")[2] in _SCORES
        and math.isfinite(metric.value)
    ]
    if not found:
        return None
    series: dict[str, tuple[Shape, Callable[[Metric], float | None]]] = {
        "trained on synthetic rows": ("circle", lambda m: m.defined("value")),
        "trained on real rows": ("square", lambda m: m.defined("floor")),
        "constant guess": ("tick", lambda m: m.references.get("dummy")),
        "trained with privacy on real rows": ("diamond", lambda m: m.references.get("dp-trained")),
    }
    marks: dict[str, list[tuple[Shape, float | None]]] = {
        metric.name: [(shape, of(metric)) for shape, of in series.values()] for metric in found
    }
    values = [value for pairs in marks.values() for _, value in pairs if value is not None]
    values += [
        e for m in found for e in (m.defined("ci_low"), m.defined("ci_high")) if e is not None
    ]
    axis = _axis(values)
    used = {shape for pairs in marks.values() for shape, value in pairs if value is not None}
    worst = max(found, key=lambda m: (m.floor or m.value) - m.value)
    return Figure(
        name="prediction",
        title="Models that learn from the table, tested on real rows",
        question="Does a model that learns from this table work on real people?",
        take_away=f"{_model(worst)} loses most: {(worst.floor or worst.value) - worst.value:.3f}.",
        drawing=Lanes(
            lanes=tuple(
                Lane(
                    label=_model(metric),
                    value=f"{metric.value:.3f}",
                    bar=_bar(axis, *(metric.interval or (None, None))),
                    marks=_marks(axis, marks[metric.name]),
                    link=_bar(axis, metric.defined("value"), metric.defined("floor")),
                )
                for metric in found
            ),
            ticks=axis.ticks(),
            legend=tuple((shape, name) for name, (shape, _) in series.items() if shape in used),
        ),
        head=("Learner", "Synthetic", "95 % interval", "Real", "Constant", "DP-trained"),
        rows=tuple(
            (
                _model(metric),
                f"{metric.value:.3f}",
                between(metric.interval),
                digits(metric.defined("floor")),
                digits(metric.references.get("dummy")),
                digits(metric.references.get("dp-trained")),
            )
            for metric in found
        ),
    )


def forest(report: UtilityReport) -> Figure | None:
    """Coefficients of the declared regressions, in standard errors of the real estimate.

    Formulas have scales of their own; on this one the real interval is the same for all.
    """
    rows = [row for row in report.tables.get("inference", ()) if _scale(row)][:MOST_LANES]
    if not rows:
        return None
    axis = Axis(low=-_FAR, high=_FAR)
    missed = sum(_number(row, "overlap") <= 0 for row in rows)
    return Figure(
        name="coefficients",
        title="Coefficients of the declared regressions",
        question="Would an analyst come to the same conclusion?",
        take_away=f"Of {len(rows)} coefficients {missed or 'none'} "
        f"{'has' if missed in (0, 1) else 'have'} a synthetic interval apart from the real one.",
        drawing=Lanes(
            lanes=tuple(_coefficient(axis, row) for row in rows),
            ticks=axis.ticks(),
            legend=(("circle", "synthetic estimate"), ("cross", "no effect")),
            rule=axis.place(0.0),
            band=(axis.place(-_NORMAL), axis.place(_NORMAL)),
            band_name="real interval, around the real estimate",
            note="axis: standard errors from the real estimate; on an edge: beyond ten",
        ),
        head=("Coefficient", "Real", "95 % interval", "Synthetic", "95 % interval", "Overlap"),
        rows=tuple(
            (
                f"{_text(row, 'coefficient')} in {_text(row, 'formula')}",
                _three(row, "fit"),
                between((_maybe(row, "fit_low"), _maybe(row, "fit_high"))),
                _three(row, "synthetic"),
                between((_maybe(row, "synthetic_low"), _maybe(row, "synthetic_high"))),
                _three(row, "overlap"),
            )
            for row in rows
        ),
    )


def _coefficient(axis: Axis, row: Row) -> Lane:
    centre, scale = _number(row, "fit"), _scale(row)

    def place(value: float | None) -> float | None:
        return None if value is None else axis.place((value - centre) / scale)

    low, high = place(_maybe(row, "synthetic_low")), place(_maybe(row, "synthetic_high"))
    nothing, made = (centre / scale, place(_maybe(row, "synthetic")))
    marks = [] if abs(nothing) > _FAR else [Mark(shape="cross", place=axis.place(-nothing))]
    if made is not None:
        marks.append(Mark(shape="circle", place=made))
    return Lane(
        label=f"{_text(row, 'coefficient')} in {_text(row, 'formula')}",
        value="not recovered" if made is None else f"overlap {_number(row, 'overlap'):.2f}",
        bar=None if low is None or high is None else (low, high),
        marks=tuple(marks),
    )


def _scale(row: Row) -> float:
    """Return the standard error of the real estimate."""
    low, high = _maybe(row, "fit_low"), _maybe(row, "fit_high")
    return 0.0 if low is None or high is None else (high - low) / (2 * _NORMAL)


def group_sizes(report: UtilityReport) -> Figure | None:
    """How many times too large or too small groups are."""
    rows = [row for row in report.tables.get("subgroups", ()) if _known(row, "ratio")]
    rows.sort(key=lambda row: -abs(math.log(max(_number(row, "ratio"), 1e-9))))
    rows = rows[:MOST_LANES]
    if not rows:
        return None
    ratios = [max(_number(row, "ratio"), 1e-3) for row in rows]
    ends = [
        end for row in rows for name in ("ratio_low", "ratio_high") if (end := _maybe(row, name))
    ]
    reach = min(1e3, max(1.3, *(max(end, 1 / end) for end in (*ratios, *ends))) * 1.05)
    axis = Axis(low=1 / reach, high=reach, log=True)
    return Figure(
        name="groups",
        title="Size of groups, synthetic against real",
        question="Are small groups still there, at their size?",
        take_away=f"{_text(rows[0], 'group')} is farthest off: {ratios[0]:.2f} times its real "
        "share.",
        drawing=Lanes(
            lanes=tuple(
                Lane(
                    label=_text(row, "group"),
                    value=f"×{ratio:.2f}",
                    bar=_bar(axis, _maybe(row, "ratio_low"), _maybe(row, "ratio_high")),
                    marks=(Mark(shape="circle", place=axis.place(ratio)),),
                )
                for row, ratio in zip(rows, ratios, strict=True)
            ),
            ticks=tuple((axis.place(v), f"×{v:g}") for v in _RATIOS if axis.low <= v <= axis.high),
            legend=(("circle", "synthetic share / real share"),),
            note="axis: ratio, logarithmic",
            rule=axis.place(1.0),
        ),
        head=("Group", "Ratio of shares", "95 % interval"),
        rows=tuple(
            (
                _text(row, "group"),
                f"{ratio:.3f}",
                between((_maybe(row, "ratio_low"), _maybe(row, "ratio_high"))),
            )
            for row, ratio in zip(rows, ratios, strict=True)
        ),
    )


def _pairs(
    report: UtilityReport, names: tuple[str, str]
) -> dict[tuple[str, str], tuple[float, float]]:
    return {
        (_text(row, "a"), _text(row, "b")): (
            _number(row, names[0]),
            _number(row, names[1]),
        )
        for row in report.tables.get("pairs", ())
        if all(_known(row, name) for name in names)
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
    return tuple((axis.place(_number(row, "fit")), axis.place(_number(row, end))) for row in rows)


def _is_outside(row: Row) -> bool:
    return not _number(row, "low") <= _number(row, "synthetic") <= _number(row, "high")


def _by_size(rows: Iterable[Row]) -> tuple[tuple[str, str, str], ...]:
    """Count cells by decade of their real share."""
    decades: dict[int | None, list[bool]] = {}
    for row in rows:
        share = _number(row, "fit")
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
    return sum(abs(_number(row, "fit") - _number(row, "synthetic")) for row in rows) / 2


def _model(metric: Metric) -> str:
    _, *middle, score = metric.name.split(".")
    name = " ".join(_LEARNERS.get(part, part) for part in middle)
    return f"{name} ({'AUROC' if score == 'auroc' else 'R²'})"


def _axis(values: Sequence[float]) -> Axis:
    low, high = span(values)
    return Axis(low=low, high=high)


def _marks(axis: Axis, values: Iterable[tuple[Shape, float | None]]) -> tuple[Mark, ...]:
    return tuple(
        Mark(shape=shape, place=axis.place(value)) for shape, value in values if value is not None
    )


def _bar(axis: Axis, low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (axis.place(low), axis.place(high))


def _known(row: Row, name: str) -> bool:
    return _maybe(row, name) is not None


def _maybe(row: Row, name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _number(row: Row, name: str) -> float:
    value = _maybe(row, name)
    return 0.0 if value is None else value


def _three(row: Row, name: str) -> str:
    return digits(_maybe(row, name))


def _text(row: Row, name: str) -> str:
    return str(row.get(name, ""))
