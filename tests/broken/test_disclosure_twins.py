"""Every broken twin of the headline figures is caught by the check that is meant for it.

Statistical results have false alarms of 1e-6; a half or no noise is missed far more rarely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pytest

from benchmarks.disclosure.headline import Headline
from privacy_audits.conformance import (
    Conformance,
    cost_is_charge,
    event_is_charge,
    noise_scale,
    replay,
    sensitivity,
)
from tests.broken import disclosing
from tests.conftest import patients_schema
from tests.privacy_audits import disclosure_rigs as rigs
from tests.privacy_audits.rigs import one_more_patient

Results = Iterable[Conformance]

UNITS = patients_schema(id="patient", max_rows=3)
REPLACED = patients_schema(id="patient", max_rows=3, relation="replace_one")


def _moves(part: type[Headline], relation: str) -> Results:
    schema = patients_schema(id="patient", max_rows=3, relation=relation)
    for pair, synthetic in rigs.neighbours(relation):
        query = rigs.exact(part(), schema, synthetic, rows=240)
        yield sensitivity(query, [pair], bound=1.0, order=np.inf)  # type: ignore[arg-type]


def added(part: type[Headline]) -> Results:
    yield from _moves(part, "add_remove")


def replaced(part: type[Headline]) -> Results:
    yield from _moves(part, "replace_one")


def shown(part: type[Headline]) -> Results:
    yield replay(rigs.purchase_run(part(), UNITS), *one_more_patient(9))


def booked(part: type[Headline]) -> Results:
    transcript = rigs.transcript_of(part(), UNITS)
    planned = rigs.plan_of(part(), UNITS).mechanisms
    yield event_is_charge(transcript, planned)
    yield cost_is_charge(transcript, planned)


def noised(part: type[Headline]) -> Results:
    # Four figures at a time, the worst column among them.
    exact = np.linspace(0, 900, 240).round()
    yield noise_scale(rigs.release(part(), UNITS, sigma=30.0), exact, sigma=30.0)


@dataclass(frozen=True)
class Twin:
    bench: Callable[[type[Headline]], Results]
    part: type[Headline]
    caught_by: str


TWINS = {
    "one row per unit": Twin(added, disclosing.OneRowPerUnit, "sensitivity"),
    "rows that leave forgotten": Twin(replaced, disclosing.OnlyArrivals, "sensitivity"),
    "scaled to the exact rows": Twin(added, disclosing.ScaledToTheExactRows, "sensitivity"),
    "quantile bins": Twin(added, disclosing.QuantileBins, "sensitivity"),
    "divided by the exact rows": Twin(shown, disclosing.DividesByTheExactRows, "replay"),
    "worst column bare": Twin(shown, disclosing.BareWorst, "replay"),
    "worst column bare, noise": Twin(noised, disclosing.BareWorst, "noise scale"),
    "noise of one figure": Twin(booked, disclosing.NoiseOfOneFigure, "cost == charge"),
    "noise x0.5": Twin(noised, disclosing.HalfNoise, "noise scale"),
    "noise x0.5, booked": Twin(booked, disclosing.HalfNoise, "event == charge"),
}


BENCHES = list(dict.fromkeys(twin.bench for twin in TWINS.values()))


@pytest.mark.parametrize("name", sorted(TWINS))
def test_the_twin_is_caught(name: str) -> None:
    twin = TWINS[name]
    failed = {result.name for result in twin.bench(twin.part) if not result.passed}
    assert twin.caught_by in failed


@pytest.mark.parametrize("bench", BENCHES)
def test_the_real_part_passes_the_same_checks(
    bench: Callable[[type[Headline]], Results],
) -> None:
    assert [result for result in bench(Headline) if not result.passed] == []
