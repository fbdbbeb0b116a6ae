"""Bought figures as one page, and their short form for a notebook."""

from __future__ import annotations

import math

from benchmarks.charts import Axis, Figure, Lane, Lanes, Mark
from benchmarks.disclosure.bought import LABELS, BoughtReport
from benchmarks.page import VERDICTS
from benchmarks.report import Metric
from dpsynth.pages import render
from dpsynth.pages.drawings import drawings
from dpsynth.pages.fragments import Rows, finding_rows, fragment

_HEAD = ("Figure", "Value", "95 % interval of the noise", "Floor")
_CAPTION = "Distances from the rows that were read; lower is better"
_FLOOR = "The floor is what sampling alone gives two tables of one law."


def to_html(report: BoughtReport) -> str:
    """Return the page.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    """
    return render(
        "benchmarks",
        "bought.html.jinja",
        r=report,
        banner=report.notice,
        verdict=VERDICTS[report.verdict],
        figure=_figure(report),
        caption=_CAPTION,
        floor=_FLOOR,
    )


def to_figures(report: BoughtReport) -> dict[str, str]:
    """Return the drawings of the page by name, each an SVG document of its own."""
    return drawings(to_html(report), package="benchmarks", style="charts.css.jinja")


def to_fragment(report: BoughtReport) -> str | None:
    """Return what a notebook shows; None without the extra ``report``."""
    paid = report.paid
    return fragment(
        f"Utility of {report.schema_name}, bought: {VERDICTS[report.verdict]}",
        stamp="" if paid["releasable"] else "NOT RELEASABLE",
        facts=[
            ("Paid", f"ε = {paid['epsilon']} at δ = {paid['delta']}"),
            ("Protects", f"{paid['unit']} ({paid['relation']})"),
        ],
        tables=[
            Rows(caption=_CAPTION, head=_HEAD, rows=tuple(map(_line, report.metrics))),
            finding_rows(report.findings),
        ],
        remarks=[_FLOOR],
    )


def _figure(report: BoughtReport) -> Figure:
    top = max((_number(metric.ci_high) for metric in report.metrics), default=1.0)
    axis = Axis(low=0.0, high=top or 1.0)
    return Figure(
        name="bought",
        title="Bought figures",
        question="How far is the table from the rows, as far as the noise lets one say?",
        take_away="Every interval holds its figure with probability 95 %; 0 is best.",
        drawing=Lanes(
            lanes=tuple(_lane(metric, axis) for metric in report.metrics),
            ticks=axis.ticks(),
            legend=(("circle", "this table"), ("tick", "floor")),
            interval="95 % interval of the noise",
        ),
        head=_HEAD,
        rows=tuple(map(_line, report.metrics)),
    )


def _lane(metric: Metric, axis: Axis) -> Lane:
    marks = [Mark(shape="tick", place=axis.place(_number(metric.floor)))]
    if not math.isnan(metric.value):
        marks.append(Mark(shape="circle", place=axis.place(metric.value)))
    return Lane(
        label=LABELS[metric.name],
        value=_line(metric)[1],
        bar=(axis.place(_number(metric.ci_low)), axis.place(_number(metric.ci_high))),
        marks=tuple(marks if metric.floor is not None else marks[1:]),
    )


def _line(metric: Metric) -> tuple[str, ...]:
    return (
        LABELS[metric.name],
        "not stated" if math.isnan(metric.value) else f"{metric.value:.3f}",
        f"[{metric.ci_low:.3f}, {metric.ci_high:.3f}]",
        "–" if metric.floor is None else f"{metric.floor:.3f}",
    )


def _number(value: float | None) -> float:
    return 0.0 if value is None else value
