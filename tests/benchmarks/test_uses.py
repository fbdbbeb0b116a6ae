"""Thresholds, and what they make of figures and uses."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report import Metric
from benchmarks.uses import Criterion, Fitness, Thresholds, Use, judge, worst_of
from dpsynth.errors import UsageError
from tests.benchmarks.reports import metric, metrics

number = st.floats(-2, 2, allow_nan=False)


def criterion(**changes: Any) -> Criterion:
    values: dict[str, Any] = {
        "label": "a figure",
        "metric": "m",
        "value": 0.5,
        "interval": (0.4, 0.6),
        "limit": 0.55,
        "side": "at most",
    }
    return Criterion(**{**values, **changes})


@pytest.mark.parametrize(
    ("interval", "limit", "side", "fitness"),
    [
        ((0.4, 0.6), 0.6, "at most", Fitness.FIT),
        ((0.4, 0.6), 0.59, "at most", Fitness.UNCLEAR),
        ((0.4, 0.6), 0.4, "at most", Fitness.UNCLEAR),
        ((0.4, 0.6), 0.39, "at most", Fitness.NOT_FIT),
        ((0.4, 0.6), 0.4, "at least", Fitness.FIT),
        ((0.4, 0.6), 0.5, "at least", Fitness.UNCLEAR),
        ((0.4, 0.6), 0.61, "at least", Fitness.NOT_FIT),
        (None, 0.5, "at most", Fitness.FIT),
        (None, 0.49, "at most", Fitness.NOT_FIT),
        (None, 0.5, "at least", Fitness.FIT),
    ],
)
def test_the_whole_interval_decides(
    interval: Any, limit: float, side: Any, fitness: Fitness
) -> None:
    assert criterion(interval=interval, limit=limit, side=side).fitness is fitness


def test_what_was_not_measured_is_neither_fit_nor_unfit() -> None:
    assert criterion(value=None, interval=None).fitness is Fitness.UNMEASURED


@given(value=number, width=st.floats(0, 1), limit=number, more=st.floats(0, 1))
def test_a_laxer_threshold_never_makes_a_figure_less_fit(
    value: float, width: float, limit: float, more: float
) -> None:
    order = [Fitness.NOT_FIT, Fitness.UNCLEAR, Fitness.FIT]
    ends = (value - width, value + width)
    strict = criterion(value=value, interval=ends, limit=limit)
    assert order.index(strict.fitness) <= order.index(replace(strict, limit=limit + more).fitness)
    mirrored = criterion(value=-value, interval=(-ends[1], -ends[0]), limit=-limit, side="at least")
    assert mirrored.fitness is strict.fitness


@given(value=number, width=st.floats(0, 1), less=st.floats(0, 1), limit=number)
def test_a_narrower_interval_only_settles_what_was_open(
    value: float, width: float, less: float, limit: float
) -> None:
    wide = criterion(value=value, interval=(value - width, value + width), limit=limit)
    half = width * less
    narrow = replace(wide, interval=(value - half, value + half))
    assert wide.fitness in (Fitness.UNCLEAR, narrow.fitness)


@given(st.lists(st.sampled_from(list(Fitness)), min_size=1, max_size=5))
def test_a_use_is_as_good_as_its_worst_criterion(found: list[Fitness]) -> None:
    made = {
        Fitness.FIT: criterion(limit=1.0),
        Fitness.NOT_FIT: criterion(limit=0.1),
        Fitness.UNMEASURED: criterion(value=None, interval=None),
        Fitness.UNCLEAR: criterion(),
    }
    use = Use(name="u", criteria=tuple(made[fitness] for fitness in found))
    assert (use.fitness is Fitness.FIT) == (set(found) == {Fitness.FIT})
    if Fitness.NOT_FIT in found:
        assert use.fitness is Fitness.NOT_FIT
    elif Fitness.UNCLEAR in found:
        assert use.fitness is Fitness.UNCLEAR
    elif Fitness.UNMEASURED in found:
        assert use.fitness is Fitness.UNMEASURED


def test_uses_are_judged_by_what_exceeds_the_floor() -> None:
    uses = {use.name: use for use in judge(metrics(), Thresholds())}
    assert {name: use.fitness for name, use in uses.items()} == {
        "descriptive tables": Fitness.FIT,
        "two-way tables": Fitness.UNCLEAR,
        "prediction of the target": Fitness.NOT_FIT,
        "inference": Fitness.UNMEASURED,
        "small groups": Fitness.UNMEASURED,
    }
    (lost,) = uses["prediction of the target"].criteria
    assert lost.metric == "gap.linear.auroc"  # the worst learner, and not another score
    mean = uses["two-way tables"].criteria[0]
    assert mean.value == pytest.approx(0.07)
    assert mean.interval == (pytest.approx(0.04), pytest.approx(0.1))


def test_thresholds_decide_and_nothing_else_does() -> None:
    lax = Thresholds(two_way=1.0, two_way_worst=1.0, gap=1.0)
    uses = {use.name: use.fitness for use in judge(metrics(), lax)}
    assert uses["two-way tables"] is Fitness.FIT
    assert uses["prediction of the target"] is Fitness.FIT
    assert uses["inference"] is Fitness.UNMEASURED


def test_every_threshold_is_the_limit_of_a_criterion() -> None:
    names = [field.name for field in fields(Thresholds)]
    strange = Thresholds(**{name: (k + 1) / 100 for k, name in enumerate(names)})
    limits = [c.limit for use in judge((), strange) for c in use.criteria]
    assert sorted(limits) == sorted(strange.to_dict().values())


def test_a_table_outside_its_schema_is_not_fit_for_tables() -> None:
    broken = [metric("validity", 0.99, floor=1.0, direction="higher"), *metrics()[1:]]
    assert judge(broken, Thresholds())[0].fitness is Fitness.NOT_FIT


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), True, "0.5", None])
def test_a_threshold_that_is_no_share_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="two_way"):
        Thresholds(two_way=value)


def test_the_worst_is_farthest_beyond_its_floor_in_the_bad_direction() -> None:
    found = (
        metric("a.x", 0.5, floor=0.4),
        metric("a.y", 0.3, floor=0.0),
        metric("a.z", float("nan"), floor=0.0),
        metric("b.x", 0.6, floor=0.9, direction="higher"),
        metric("b.y", 0.8, floor=0.9, direction="higher"),
    )
    assert _name(worst_of(found, ("a.*",))) == "a.y"
    assert _name(worst_of(found, ("b.*",))) == "b.x"
    assert worst_of(found, ("a.z", "c.*")) is None


def _name(found: Metric | None) -> str | None:
    return None if found is None else found.name
