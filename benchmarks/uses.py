"""What a table is fit for, held against thresholds that were set before anyone saw a result.

A number says nothing about a use; a limit chosen after the number says what one wants to hear. The
curator therefore states :class:`Thresholds` first. Each use is then *fit*, *not fit*, *not
measured*, or *cannot tell* where the interval of a figure straddles its limit. There is no score
over all uses: a table can be good for tables and useless for small groups.

The verdict of the gate does not depend on any of this. A release that hung on figures computed from
real rows would tell something about them that the budget does not pay for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from dpsynth.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.report import Metric


class Fitness(StrEnum):
    """What thresholds make of a figure, or of a use."""

    FIT = "fit"
    """Surely within every limit."""
    NOT_FIT = "not fit"
    """Surely beyond a limit."""
    UNMEASURED = "not measured"
    """Nothing was measured that would say."""
    UNCLEAR = "cannot tell"
    """An interval lies on both sides of a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What a curator accepts, stated before results are seen. Public.

    Distances, queries and gaps are judged by what exceeds their floor: sampling alone is no fault
    of a table.

    Parameters
    ----------
    validity : float
        Least validity. A value outside the schema is a mistake, not noise: 1.
    one_way : float
        Most excess of the mean 1-way distance. Two points in a hundred are what a reader of a
        rounded table does not see.
    one_way_worst : float
        Most excess of the worst column. With five points the order of categories starts to change.
    two_way : float
        Most excess of the mean 2-way distance. Cells of two columns are smaller, so that a share
        may be five points off in all before a row of such a table misleads.
    two_way_worst : float
        Most excess of its 95th percentile: a tenth of all rows in the wrong cell, for one pair of
        columns in twenty.
    gap : float
        Most loss of AUROC or R² when a model learns from the table. About what a change of the
        learner costs.
    overlap : float
        Least mean overlap of confidence intervals of coefficients. Those of two fresh samples of
        one size overlap by 0.71 on average.
    signs : float
        Least share of coefficients with the right sign.
    group_size : float
        Most logarithm of the ratio of a group's shares. A group that is a fifth too large or too
        small shifts what is allotted to it as much.
    group_two_way : float
        Most excess of the mean 2-way distance inside the worst group: twice what is accepted of all
        rows.
    group_gap : float
        Most loss of a model in the worst group: twice what is accepted of all rows.

    Raises
    ------
    UsageError
        If a threshold is not a number in [0, 1].
    """

    validity: float = 1.0
    one_way: float = 0.02
    one_way_worst: float = 0.05
    two_way: float = 0.05
    two_way_worst: float = 0.10
    gap: float = 0.05
    overlap: float = 0.5
    signs: float = 0.9
    group_size: float = 0.2
    group_two_way: float = 0.1
    group_gap: float = 0.1

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0.0 <= value <= 1.0:
                raise UsageError(f"the threshold {item.name} must be a number in [0, 1].")

    def to_dict(self) -> dict[str, float]:
        """Return the thresholds by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One figure of a use and its limit.

    Parameters
    ----------
    label : str
        What is asked, in words.
    metric : str or None
        Name of the figure that was judged; None where there is none.
    value : float or None
        The figure, less its floor where sampling counts.
    interval : pair of float or None
        Ends of its 95 % interval, less the floor as well. Without it the value alone is judged.
    limit : float
        What the curator accepts.
    side : {"at most", "at least"}
        On which side of the limit the figure has to lie.
    """

    label: str
    metric: str | None
    value: float | None
    interval: tuple[float, float] | None
    limit: float
    side: Literal["at most", "at least"]

    @property
    def fitness(self) -> Fitness:
        """Whether the whole interval lies on the right side of the limit."""
        if self.value is None:
            return Fitness.UNMEASURED
        low, high = self.interval or (self.value, self.value)
        limit = self.limit
        if self.side == "at least":
            low, high, limit = -high, -low, -limit
        if high <= limit:
            return Fitness.FIT
        return Fitness.NOT_FIT if low > limit else Fitness.UNCLEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A use of the table and what the thresholds make of it.

    Parameters
    ----------
    name : str
        The use.
    criteria : tuple of Criterion
        What it depends on.
    """

    name: str
    criteria: tuple[Criterion, ...]

    @property
    def fitness(self) -> Fitness:
        """Return the worst of its criteria; a use of which a part was not measured is not fit."""
        found = {criterion.fitness for criterion in self.criteria}
        order = (Fitness.NOT_FIT, Fitness.UNCLEAR, Fitness.UNMEASURED)
        return next((fitness for fitness in order if fitness in found), Fitness.FIT)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "use": self.name,
            "fitness": str(self.fitness),
            "criteria": [
                {**asdict(criterion), "fitness": str(criterion.fitness)}
                for criterion in self.criteria
            ],
        }


GAPS = ("gap.*.auroc", "gap.*.r2")
"""Losses of learners in the two scores that are comparable between targets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    label: str
    metrics: tuple[str, ...]
    threshold: str
    side: Literal["at most", "at least"] = "at most"
    beyond_floor: bool = True


_USES: Mapping[str, tuple[_Rule, ...]] = {
    "descriptive tables": (
        _Rule(
            label="the table keeps to its schema",
            metrics=("validity",),
            threshold="validity",
            side="at least",
            beyond_floor=False,
        ),
        _Rule(label="1-way distance, mean", metrics=("tvd1.mean",), threshold="one_way"),
        _Rule(
            label="1-way distance, worst column", metrics=("tvd1.max",), threshold="one_way_worst"
        ),
    ),
    "two-way tables": (
        _Rule(label="2-way distance, mean", metrics=("tvd2.mean",), threshold="two_way"),
        _Rule(
            label="2-way distance, 95th percentile",
            metrics=("tvd2.p95",),
            threshold="two_way_worst",
        ),
    ),
    "prediction of the target": (
        _Rule(label="loss of a model, worst learner", metrics=GAPS, threshold="gap"),
    ),
    "inference": (
        _Rule(
            label="overlap of confidence intervals, mean",
            metrics=("inference.overlap",),
            threshold="overlap",
            side="at least",
            beyond_floor=False,
        ),
        _Rule(
            label="coefficients with the right sign",
            metrics=("inference.sign",),
            threshold="signs",
            side="at least",
            beyond_floor=False,
        ),
    ),
    "small groups": (
        _Rule(
            label="size of the worst group, |log of ratio|",
            metrics=("subgroups.size.worst",),
            threshold="group_size",
        ),
        _Rule(
            label="2-way distance inside the worst group",
            metrics=("subgroups.tvd2.worst",),
            threshold="group_two_way",
        ),
        _Rule(
            label="loss of a model, worst group",
            metrics=("subgroups.tstr.worst_gap",),
            threshold="group_gap",
        ),
    ),
}


def judge(metrics: Iterable[Metric], thresholds: Thresholds) -> tuple[Use, ...]:
    """Return every use with what the thresholds make of it.

    Parameters
    ----------
    metrics : iterable of Metric
        All figures of an evaluation.
    thresholds : Thresholds
        What is accepted.
    """
    known = tuple(metrics)
    return tuple(
        Use(name=name, criteria=tuple(_criterion(known, rule, thresholds) for rule in rules))
        for name, rules in _USES.items()
    )


def worst_of(metrics: Iterable[Metric], patterns: Iterable[str]) -> Metric | None:
    """Return the defined figure that is farthest beyond its floor among those of some patterns.

    Parameters
    ----------
    metrics : iterable of Metric
        Figures.
    patterns : iterable of str
        Names, with ``*`` for any part of one.
    """
    wanted = tuple(patterns)
    found = [
        metric
        for metric in metrics
        if math.isfinite(metric.value) and any(fnmatchcase(metric.name, name) for name in wanted)
    ]
    return max(found, key=_beyond, default=None)


def _beyond(metric: Metric) -> float:
    sign = 1.0 if metric.direction == "lower" else -1.0
    return sign * (metric.value - _finite(metric.floor, 0.0))


def _criterion(metrics: tuple[Metric, ...], rule: _Rule, thresholds: Thresholds) -> Criterion:
    metric = worst_of(metrics, rule.metrics)
    less = 0.0 if metric is None or not rule.beyond_floor else _finite(metric.floor, 0.0)
    ends = None if metric is None else metric.interval
    return Criterion(
        label=rule.label,
        metric=None if metric is None else metric.name,
        value=None if metric is None else metric.value - less,
        interval=None if ends is None else (ends[0] - less, ends[1] - less),
        limit=getattr(thresholds, rule.threshold),
        side=rule.side,
    )


def _finite(number: float | None, otherwise: float) -> float:
    return otherwise if number is None or not math.isfinite(number) else number
