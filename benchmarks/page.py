"""The evaluation as one confidential page for the house, and its short form for a notebook."""

from __future__ import annotations

from benchmarks import figures, learned_figures
from benchmarks.charts import Axis, Figure, Lane, Mark, Shape, between, digits, span
from benchmarks.report import BANNER, UtilityReport, versions
from benchmarks.scorecard import Line
from dpsynth.evidence import Verdict
from dpsynth.pages import render
from dpsynth.pages.drawings import drawings
from dpsynth.pages.fragments import Rows, finding_rows, fragment

VERDICTS = {
    Verdict.FAIL: "BLOCK",
    Verdict.REVIEW: "REVIEW",
    Verdict.INCONCLUSIVE: "INCONCLUSIVE",
    Verdict.PASS: "NOTHING FOUND",
}
REASONS = {
    Verdict.FAIL: "The table does not keep to its schema. It must not leave the house.",
    Verdict.REVIEW: "Something stands out. A person decides whether the table serves its use.",
    Verdict.INCONCLUSIVE: "There are too few rows to say much.",
    Verdict.PASS: "Nothing stands out. Whether the table serves a use is said below.",
}

_SIGNS = {"fit": "✓", "not fit": "✗", "not measured": "–", "cannot tell": "?"}
"""Beside the words, so that neither colour nor reading is needed."""

_DIGITS = 12

_GLOSSARY = (
    (
        "k-way distance",
        "Total variation distance between tables of k columns: the largest error of any share that "
        "can be read off such a table. 0 is best, 1 is worst.",
    ),
    (
        "floor",
        "What a perfect table would give. Two samples of the same people differ as well, by "
        "sampling alone; models that learn from real rows are not perfect either.",
    ),
    (
        "landmark",
        "What no skill gives: columns that are right each by themselves and do not depend on each "
        "other, values drawn at random, or a constant guess.",
    ),
    ("skill", "The part of the way from landmark to floor that the table went, at most 1."),
    (
        "95 % interval",
        "Where the figure could as well lie with other people of the same kind and another draw "
        "from the same fitted model.",
    ),
    (
        "AUROC",
        "Chance that a model ranks a random positive case above a random negative one. 0.5 is "
        "guessing, 1 is perfect.",
    ),
    ("R²", "Part of the variation of a number that a model explains. 0 is a constant guess."),
    (
        "held-out rows",
        "Rows of other privacy units, which neither the method nor a learner has seen.",
    ),
    (
        "trained with privacy on real rows",
        "The same task by a model that was itself trained with differential privacy at the budget "
        "of the release: it says whether a model would have served better than a table.",
    ),
)


def to_html(report: UtilityReport, *, notice: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    report : UtilityReport
        What was measured. The page is as confidential as it is.
    notice : str
        What stands above the page of a comparison with public rows alone.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    """
    return render(
        "benchmarks",
        "evaluate.html.jinja",
        r=report,
        verdict=VERDICTS[report.verdict],
        reason=REASONS[report.verdict],
        blocked=report.verdict == Verdict.FAIL,
        notice=notice,
        banner=notice or BANNER,
        digits=digits,
        between=between,
        digest=_digest(report),
        signs=_SIGNS,
        card=[(line, bullet(line)) for line in report.scorecard],
        figures=all_figures(report),
        most_rows=figures.MOST_ROWS,
        parameters=_parameters(report),
        glossary=_GLOSSARY,
    )


def to_figures(report: UtilityReport) -> dict[str, str]:
    """Return the drawings of the page by name, each an SVG document of its own."""
    return drawings(to_html(report), package="benchmarks", style="charts.css.jinja")


def to_fragment(report: UtilityReport, *, stamp: str, notice: str = "") -> str | None:
    """Return what a notebook shows of an evaluation: scorecard, uses, findings.

    Parameters
    ----------
    report : UtilityReport
        What was measured.
    stamp : str
        What stands above it; empty where it may be shown to everybody.
    notice : str
        What it was compared with, where that is not what is usual.

    Returns
    -------
    str or None
        None without the extra ``report``.
    """
    return fragment(
        f"Utility of {report.schema_name}: {VERDICTS[report.verdict]}",
        stamp=stamp,
        facts=[("Verdict", REASONS[report.verdict]), *([("Basis", notice)] if notice else [])],
        tables=[
            Rows(
                caption="Scorecard; the numbers are not added up",
                head=("Number", "Value", "95 % interval", "Floor", "Landmark", "Better"),
                rows=tuple(map(_card_line, report.scorecard)),
            ),
            Rows(
                caption="Fit for what, by thresholds that were set before",
                head=("Use", "Verdict"),
                rows=tuple(
                    (use.name, f"{_SIGNS[str(use.fitness)]} {use.fitness}") for use in report.uses
                ),
            ),
            finding_rows(report.findings),
        ],
    )


def _card_line(line: Line) -> tuple[str, ...]:
    metric = line.metric
    if metric is None:
        return (line.label, "not measured", *"––––")
    return (
        line.label,
        digits(metric.value),
        between(metric.interval),
        digits(metric.floor),
        digits(metric.reference),
        metric.direction,
    )


def all_figures(report: UtilityReport) -> dict[str, Figure | None]:
    """Return every figure by name; None where its details were not measured."""
    return {
        "overlays": figures.overlays(report),
        "pairs": figures.pair_map(report),
        "dependence": figures.dependence_map(report),
        "cells": figures.cell_scatter(report),
        "propensity": learned_figures.propensities(report),
        "features": learned_figures.features(report),
        "prediction": learned_figures.dumbbells(report),
        "importance": learned_figures.importance(report),
        "coefficients": learned_figures.forest(report),
        "groups": learned_figures.group_sizes(report),
    }


def bullet(line: Line) -> Lane | None:
    """Return a line of the scorecard as marks on an axis of its own; None if not measured."""
    metric = line.metric
    if metric is None:
        return None
    series: tuple[tuple[Shape, str], ...] = (
        ("tick", "floor"),
        ("cross", "reference"),
        ("circle", "value"),
    )
    known: list[tuple[Shape, float | None]] = [
        (shape, metric.defined(name)) for shape, name in series
    ]
    ends = [value for _, value in known if value is not None]
    limits = metric.interval or ()
    low, high = span([*ends, *limits], room=0.08)
    # Without a landmark the axis ends where nothing could be worse: nobody takes the best that was
    # seen for the best there is.
    if metric.defined("reference") is None:
        low, high = (low, max(high, 1.0)) if metric.direction == "lower" else (min(low, 0.0), high)
    axis = Axis(low=low, high=high, turned=metric.direction == "higher")
    places = sorted(map(axis.place, limits))
    return Lane(
        label=line.label,
        value=digits(metric.value),
        bar=(places[0], places[1]) if places else None,
        marks=tuple(
            Mark(shape=shape, place=axis.place(value))
            for shape, value in known
            if value is not None
        ),
    )


def _digest(report: UtilityReport) -> str:
    return "not bound" if report.table_sha256 is None else report.table_sha256[:_DIGITS]


def _parameters(report: UtilityReport) -> list[tuple[str, str]]:
    """Return what an evaluation depends on beside its tables and its seed."""
    from benchmarks import detection, discretise, marginals, queries

    found = [
        ("Bins of a number", discretise.BINS),
        ("Groups of units for intervals", discretise.GROUPS),
        ("Most pairs of columns", marginals.MOST_PAIRS),
        ("Most triples of columns", marginals.MOST_TRIPLES),
        ("Counting queries", queries.QUERIES),
        ("Most rows of a side, told from real rows", detection.MOST_ROWS),
        ("Folds", detection.FOLDS),
    ]
    limits = (
        f"{name.replace('_', ' ')} {at:g}" for name, at in report.thresholds.to_dict().items()
    )
    return [
        *((name, f"{number:,}") for name, number in found),
        ("Thresholds", ", ".join(limits)),
        ("Versions", ", ".join(f"{name} {number}" for name, number in versions().items())),
    ]
