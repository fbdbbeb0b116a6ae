"""The report for a terminal: at most 100 columns, no cell value, no count of rows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.scorecard import Line
from benchmarks.uses import Criterion, Use

if TYPE_CHECKING:
    from benchmarks.report import UtilityReport

WIDTH = 100

WORST = (
    ("worst columns (1-way distance)", "tvd1"),
    ("worst pairs (2-way distance)", "tvd2"),
    ("dependence invented", "dependence.spurious"),
    ("dependence lost", "dependence.lost"),
    ("what gives the table away (loss of AUC without it)", "c2st"),
)
"""Worst-first lists that a person reads: title and key."""

_SHOWN = 3


def to_text(report: UtilityReport, banner: str) -> str:
    """Return the text.

    Parameters
    ----------
    report : UtilityReport
        What was measured. The text is as confidential as it is.
    banner : str
        The stamp.
    """
    lines = [
        *_wrapped(f"Utility of {report.schema_name!r}", indent=0),
        f"  {banner}",
        "",
        f"  {'SCORECARD':<30}{'value':>8}{'floor':>9}{'landmark':>10}{'skill':>8}   95 % interval",
    ]
    for line in report.scorecard:
        lines += _card(line)
    lines += _wrapped(
        "floor: what a perfect table would give, by sampling alone or by real rows to learn from. "
        "landmark: no skill, such as independent columns. skill: 1 at the floor, 0 at the landmark."
    )
    lines += ["", f"  {'FIT FOR':<30}by thresholds that were set before the evaluation"]
    for use in report.uses:
        lines += _use(use)
    for title, name in WORST:
        rows = report.worst.get(name, ())[:_SHOWN]
        if rows:
            lines += ["", f"  {title}"]
            for row in rows:
                lines += _wrapped(str(row), indent=4)
    lines.append("")
    for finding in report.findings:
        lines += _wrapped(str(finding))
    lines.append(f"  verdict: {report.verdict}")
    return "\n".join(lines)


def _card(line: Line) -> Iterator[str]:
    if line.metric is None:
        yield f"  {line.label:<30}{'not measured':>8}"
        return
    metric, between = line.metric, line.interval
    interval = "" if between is None else f"[{between[0]:.3f}, {between[1]:.3f}]"
    arrow = "↓" if metric.direction == "lower" else "↑"
    yield (
        f"  {f'{line.label} {arrow}':<30}{_number(metric.value):>8}{_number(metric.floor):>9}"
        f"{_number(metric.reference):>10}{_number(metric.skill, 2):>8}   {interval}"
    ).rstrip()
    yield from _wrapped(line.meaning, indent=4)


def _use(use: Use) -> Iterator[str]:
    yield f"  {use.name:<30}{str(use.fitness).upper()}"
    for criterion in use.criteria:
        yield from _wrapped(f"{criterion.label}: {_held(criterion)}", indent=4)


def _held(criterion: Criterion) -> str:
    """Return what a criterion says, as a person reads it."""
    limit = f"{criterion.side} {criterion.limit:g} accepted"
    if criterion.value is None:
        return f"{criterion.fitness} ({limit})"
    between = ""
    if criterion.low is not None and criterion.high is not None:
        between = f" [{criterion.low:.3f}, {criterion.high:.3f}]"
    return f"{criterion.value:.3f}{between}, {limit}: {criterion.fitness}"


def _wrapped(text: str, *, indent: int = 2) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH - 2,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=True,
    )


def _number(number: float | None, digits: int = 3) -> str:
    return "" if number is None or number != number else f"{number:.{digits}f}"
