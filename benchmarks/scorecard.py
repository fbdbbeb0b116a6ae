"""The scorecard: eight numbers, each between what sampling alone gives and what no effort gives.

They stand side by side and are never added up. A figure that was not measured keeps its line and
says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.uses import GAPS, worst_of

if TYPE_CHECKING:
    from benchmarks.report import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One number of the scorecard.

    Parameters
    ----------
    label : str
        What it is called.
    meaning : str
        One sentence: what it says and which way is better.
    metric : Metric or None
        The figure; None where it was not measured.
    """

    label: str
    meaning: str
    metric: Metric | None


def scorecard(metrics: Iterable[Metric]) -> tuple[Line, ...]:
    """Return the eight lines, in order.

    Parameters
    ----------
    metrics : iterable of Metric
        All figures of an evaluation.
    """
    known = tuple(metrics)
    return tuple(
        Line(label=label, meaning=meaning, metric=worst_of(known, names))
        for label, names, meaning in _LINES
    )


_LINES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "validity",
        ("validity",),
        "How much of the table keeps to its schema. Higher is better; below 1 it is blocked.",
    ),
    (
        "1-way distance",
        ("tvd1.mean",),
        "Largest error of a share read off one column, averaged over columns. Lower is better.",
    ),
    (
        "2-way distance",
        ("tvd2.mean",),
        "The same for a table of two columns. Lower is better.",
    ),
    (
        "3-way distance",
        ("tvd3.mean",),
        "The same for a table of three columns. Lower is better.",
    ),
    (
        "workload error",
        ("workload.error",),
        "Absolute errors of all cells of a wanted table, summed; the mean table. Lower is better.",
    ),
    (
        "told from real rows",
        ("c2st.boosting.auc",),
        "How often a classifier ranks a synthetic row above a real one. 0.5 is guessing; "
        "lower is better.",
    ),
    (
        "worst loss of a model",
        GAPS,
        "AUROC or R² that a model loses if it learns from this table, worst learner. "
        "Lower is better.",
    ),
    (
        "worst subgroup",
        ("subgroups.tvd2.worst",),
        "2-way distance among the people of the group that suffers most, less its own floor. "
        "Lower is better.",
    ),
)
