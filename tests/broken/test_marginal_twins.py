"""Every broken twin of ``mst`` is caught by the check that is meant for it, the real one by none.

Nothing here is statistical: laws are compared exactly, and fits on tapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from dpsynth.marginals.mst import MST, _Fit
from privacy_audits.conformance import Conformance, exponential_ratios
from tests.broken import marginal
from tests.conftest import BUDGET, patients_schema
from tests.privacy_audits import marginal_rigs as rigs
from tests.privacy_audits.rigs import SETTINGS, one_more_patient

Results = Iterable[Conformance]

UNITS = patients_schema(id="patient", max_rows=3)


def draw(parts: Mapping[str, Any], *, rows: int = 3, relation: str = "add_remove") -> Results:
    unit = rigs.unit_of(rows, relation)
    law = rigs.law_of(unit, epsilon=0.5, **parts)
    yield exponential_ratios(law, rigs.neighbours(unit), epsilon=0.5)


one_row = partial(draw, rows=1)
replaced = partial(draw, relation="replace_one")


def whole_fit(fit: type[_Fit]) -> Results:
    yield from rigs.checks_of_a_fit(UNITS, *one_more_patient(9), {"_Fit": fit})


def booked(fit: type[_Fit]) -> Results:
    yield from rigs.what_ran_is_what_was_booked(UNITS, {"_Fit": fit})


def booked_without_draws(fit: type[_Fit]) -> Results:
    plan = MST(UNITS, codec=SETTINGS).plan(BUDGET)
    if fit is not _Fit:
        plan = marginal.plan_without_draws(plan)
    yield from rigs.what_ran_is_what_was_booked(UNITS, {"_Fit": fit}, plan=plan)


@dataclass(frozen=True)
class Twin:
    bench: Callable[[Any], Results]
    part: Any
    caught_by: str


TWINS = {
    "draw: one row per unit": Twin(
        draw, {"moved": marginal.one_row_per_unit}, "exponential ratios"
    ),
    "draw: rows that leave forgotten": Twin(
        replaced, {"moved": marginal.arriving_rows_only}, "exponential ratios"
    ),
    "draw: without the half": Twin(
        one_row, {"law": marginal.without_the_half}, "exponential ratios"
    ),
    "draw: known total": Twin(
        one_row, {"score": marginal.scaled_to_the_exact_total}, "exponential ratios"
    ),
    "draw: squared distance": Twin(
        one_row, {"score": marginal.squared_distance}, "exponential ratios"
    ),
    "draw: the largest score": Twin(draw, {"law": marginal.largest_score}, "exponential ratios"),
    "tree: known total": Twin(whole_fit, marginal.KnownTotal, "replay"),
    "tree: groups by exact counts": Twin(whole_fit, marginal.GroupsByExactCounts, "replay"),
    "tree: noise of one table": Twin(whole_fit, marginal.NoiseOfOneTable, "transcript sensitivity"),
    "tree: the best one": Twin(booked, marginal.BestTree, "event == charge"),
    "tree: noise of one table, booked": Twin(booked, marginal.NoiseOfOneTable, "event == charge"),
    "tree: a table twice": Twin(booked, marginal.TablesTwice, "event == charge"),
    "tree: draws not charged": Twin(
        booked_without_draws, marginal.DrawsNotCharged, "event == charge"
    ),
}

HONEST = {
    draw: {},
    one_row: {},
    replaced: {},
    whole_fit: _Fit,
    booked: _Fit,
    booked_without_draws: _Fit,
}


@pytest.mark.parametrize("name", sorted(TWINS))
def test_the_twin_is_caught(name: str) -> None:
    twin = TWINS[name]
    failed = {result.name for result in twin.bench(twin.part) if not result.passed}
    assert twin.caught_by in failed


@pytest.mark.parametrize("bench", HONEST)
def test_the_real_part_passes_the_same_checks(bench: Callable[[Any], Results]) -> None:
    assert [result for result in bench(HONEST[bench]) if not result.passed] == []


def test_every_bench_has_a_twin_and_a_real_part() -> None:
    assert {twin.bench for twin in TWINS.values()} == set(HONEST)
