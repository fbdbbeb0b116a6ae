"""Figures of what was learned from a table: classifiers, predictions, regressions, groups.

As in :mod:`benchmarks.figures` one whose details are missing is ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from benchmarks.charts import (
    Axis,
    Bars,
    Figure,
    Lane,
    Lanes,
    Mark,
    Panels,
    Shape,
    between,
    digits,
    span,
)
from benchmarks.detail_rows import digits_in, known_in, number_in, share_in, text_in

if TYPE_CHECKING:
    from benchmarks.report import Metric, Row, UtilityReport

MOST_LANES = 20
"""Rows of a figure with a horizontal axis."""

_SCORES = ("auroc", "r2")
_LEARNERS = {"boosting": "boosted trees", "linear": "linear model", "network": "neural network"}
_MODELS = ("tstr", "trtr")
_NORMAL = 1.96
"""Standard errors in half an interval."""
_RATIOS = (0.01, 0.1, 0.2, 0.5, 0.8, 1.0, 1.25, 2.0, 5.0, 10.0, 100.0)
_FAR = 10.0
"""Standard errors up to which a coefficient is drawn; beyond it stands on the edge."""


def propensities(report: UtilityReport) -> Figure | None:
    """How sure a classifier is that a row is synthetic, for rows of both kinds."""
    rows = report.tables.get("propensity", ())
    if not rows:
        return None
    real, made = ([share_in(row, side) for row in rows] for side in ("holdout", "synthetic"))
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
                    first=f"{share_in(rows[0], 'from'):g}",
                    last=f"{share_in(rows[-1], 'to'):g}",
                ),
            ),
            names=("held-out rows", "synthetic rows"),
        ),
        head=("Probability from", "to", "Held-out rows", "Synthetic rows"),
        rows=tuple(
            (
                f"{share_in(row, 'from'):.2f}",
                f"{share_in(row, 'to'):.2f}",
                digits_in(row, "holdout"),
                digits_in(row, "synthetic"),
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
    axis = _axis([0.0, *(share_in(row, side) for row in rows for side in _MODELS)])
    order = {side: max(rows, key=lambda row, s=side: share_in(row, s)) for side in _MODELS}
    same = text_in(order["tstr"], "column") == text_in(order["trtr"], "column")
    return Figure(
        name="importance",
        title="Columns that models rely on",
        question="Do models of synthetic and of real rows find the same columns useful?",
        take_away=f"Both rely most on {text_in(order['trtr'], 'column')}."
        if same
        else f"Trained on real rows a model relies most on {text_in(order['trtr'], 'column')}, on "
        f"synthetic ones on {text_in(order['tstr'], 'column')}.",
        drawing=Lanes(
            lanes=tuple(
                Lane(
                    label=text_in(row, "column"),
                    value=f"{digits_in(row, 'tstr')} / {digits_in(row, 'trtr')}",
                    bar=None,
                    marks=_marks(
                        axis,
                        (("square", number_in(row, "trtr")), ("circle", number_in(row, "tstr"))),
                    ),
                    link=_bar(axis, number_in(row, "tstr"), number_in(row, "trtr")),
                )
                for row in rows
            ),
            ticks=axis.ticks(),
            legend=(("circle", "trained on synthetic rows"), ("square", "trained on real rows")),
        ),
        head=("Column", "Synthetic", "Real"),
        rows=tuple(
            (text_in(row, "column"), digits_in(row, "tstr"), digits_in(row, "trtr")) for row in rows
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
    worst = max(found, key=_loss)
    return Figure(
        name="prediction",
        title="Models that learn from the table, tested on real rows",
        question="Does a model that learns from this table work on real people?",
        take_away=f"{_model(worst)} loses most: {digits(_loss(worst))}.",
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
    missed = sum(share_in(row, "overlap") <= 0 for row in rows)
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
                f"{text_in(row, 'coefficient')} in {text_in(row, 'formula')}",
                digits_in(row, "fit"),
                between((number_in(row, "fit_low"), number_in(row, "fit_high"))),
                digits_in(row, "synthetic"),
                between((number_in(row, "synthetic_low"), number_in(row, "synthetic_high"))),
                digits_in(row, "overlap"),
            )
            for row in rows
        ),
    )


def _coefficient(axis: Axis, row: Row) -> Lane:
    centre, scale = share_in(row, "fit"), _scale(row)

    def place(value: float | None) -> float | None:
        return None if value is None else axis.place((value - centre) / scale)

    low, high = place(number_in(row, "synthetic_low")), place(number_in(row, "synthetic_high"))
    nothing, made = (centre / scale, place(number_in(row, "synthetic")))
    marks = [] if abs(nothing) > _FAR else [Mark(shape="cross", place=axis.place(-nothing))]
    if made is not None:
        marks.append(Mark(shape="circle", place=made))
    return Lane(
        label=f"{text_in(row, 'coefficient')} in {text_in(row, 'formula')}",
        value="not recovered" if made is None else f"overlap {share_in(row, 'overlap'):.2f}",
        bar=None if low is None or high is None else (low, high),
        marks=tuple(marks),
    )


def _scale(row: Row) -> float:
    """Return the standard error of the real estimate."""
    low, high = number_in(row, "fit_low"), number_in(row, "fit_high")
    return 0.0 if low is None or high is None else (high - low) / (2 * _NORMAL)


def group_sizes(report: UtilityReport) -> Figure | None:
    """How many times too large or too small groups are."""
    rows = [row for row in report.tables.get("subgroups", ()) if known_in(row, "ratio")]
    rows.sort(key=lambda row: -abs(math.log(max(share_in(row, "ratio"), 1e-9))))
    rows = rows[:MOST_LANES]
    if not rows:
        return None
    ratios = [max(share_in(row, "ratio"), 1e-3) for row in rows]
    ends = [
        end for row in rows for name in ("ratio_low", "ratio_high") if (end := number_in(row, name))
    ]
    reach = min(1e3, max(1.3, *(max(end, 1 / end) for end in (*ratios, *ends))) * 1.05)
    axis = Axis(low=1 / reach, high=reach, log=True)
    return Figure(
        name="groups",
        title="Size of groups, synthetic against real",
        question="Are small groups still there, at their size?",
        take_away=f"{text_in(rows[0], 'group')} is farthest off: {ratios[0]:.2f} times its real "
        "share.",
        drawing=Lanes(
            lanes=tuple(
                Lane(
                    label=text_in(row, "group"),
                    value=f"×{ratio:.2f}",
                    bar=_bar(axis, number_in(row, "ratio_low"), number_in(row, "ratio_high")),
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
                text_in(row, "group"),
                f"{ratio:.3f}",
                between((number_in(row, "ratio_low"), number_in(row, "ratio_high"))),
            )
            for row, ratio in zip(rows, ratios, strict=True)
        ),
    )


def _model(metric: Metric) -> str:
    _, *middle, score = metric.name.split(".")
    name = " ".join(_LEARNERS.get(part, part) for part in middle)
    return f"{name} ({'AUROC' if score == 'auroc' else 'R²'})"


def _loss(metric: Metric) -> float:
    """Return what learning from synthetic instead of real rows costs."""
    floor = metric.defined("floor")
    return 0.0 if floor is None else floor - metric.value


def _axis(values: Sequence[float]) -> Axis:
    low, high = span(values)
    return Axis(low=low, high=high)


def _marks(axis: Axis, values: Iterable[tuple[Shape, float | None]]) -> tuple[Mark, ...]:
    return tuple(
        Mark(shape=shape, place=axis.place(value)) for shape, value in values if value is not None
    )


def _bar(axis: Axis, low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (axis.place(low), axis.place(high))
