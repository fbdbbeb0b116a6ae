"""The report for a terminal: at most 100 columns, no cell value, no count of rows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.charts import between, digits
from benchmarks.scorecard import Line
from benchmarks.uses import Use

if TYPE_CHECKING:
    from benchmarks.report import UtilityReport

WIDTH = 100

WORST = (
    ("worst columns (1-way distance)", "tvd1"),
    ("worst pairs (2-way distance)", "tvd2"),
    ("dependence invented", "dependence.spurious"),
    ("dependence lost", "dependence.lost"),
    ("groups whose size changed most (|log of ratio|)", "subgroups"),
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
    lines += ["", f"  {'FIT FOR':<46}figures beyond their floor, 95 % interval, threshold"]
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
        yield f"  {line.label:<26}not measured"
    else:
        metric = line.metric
        arrow = "↓" if metric.direction == "lower" else "↑"
        yield (
            f"  {f'{line.label} {arrow}':<30}{digits(metric.value):>8}{digits(metric.floor):>9}"
            f"{digits(metric.reference):>10}{digits(metric.skill, 2):>8}   "
            f"{between(metric.interval)}"
        )
    yield from _wrapped(line.meaning, indent=4)


def _use(use: Use) -> Iterator[str]:
    yield f"  {use.name:<46}{str(use.fitness).upper()}"
    for criterion in use.criteria:
        limit = f"{'≥' if criterion.side == 'at least' else '≤'} {criterion.limit:g}"
        yield (
            f"    {criterion.label:<42}{digits(criterion.value):>7}  "
            f"{between(criterion.interval):<17}{limit:<8}{criterion.fitness}"
        ).rstrip()


def _wrapped(text: str, *, indent: int = 2) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH - 2,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=True,
    )
