"""Headline figures are the mechanism that they say they are.

False alarms: 1e-6 per statistical result; the rest is exact.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.disclosure.headline import Headline
from privacy_audits.conformance import (
    Conformance,
    cost_is_charge,
    event_is_charge,
    noise_independence,
    noise_law,
    noise_scale,
    recorded_noise,
    replay,
    sensitivity,
    transcript_sensitivity,
)
from tests.conftest import patients_schema
from tests.privacy_audits import disclosure_rigs as rigs
from tests.privacy_audits.rigs import one_more_patient, plan_bound

HEADLINE = Headline()
RELATIONS = ["add_remove", "replace_one"]


def units(relation: str):
    return patients_schema(id="patient", max_rows=3, relation=relation)


def holds(result: Conformance) -> None:
    assert result.passed, str(result)


def test_figures_carry_the_booked_noise() -> None:
    release = rigs.release(HEADLINE, units("add_remove"), sigma=30.0)
    values = np.linspace(0, 5000, 600).round()
    holds(noise_scale(release, values, sigma=30.0))
    holds(noise_law(release, values, sigma=30.0, integer=True))
    holds(noise_independence(release, values))


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("rows", [1, 240, 10**6])
def test_one_unit_moves_figures_by_what_their_event_says(relation: str, rows: int) -> None:
    schema, worst = units(relation), 0.0
    for pair, synthetic in rigs.neighbours(relation):
        query = rigs.exact(HEADLINE, schema, synthetic, rows=rows)
        # Each query by itself: the event declares 1 for each, √4 for all.
        result = sensitivity(query, [pair], bound=1.0, order=np.inf)  # type: ignore[arg-type]
        holds(result)
        worst = max(worst, result.statistic)
    if rows == 240:
        assert worst == 1.0


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_purchase_tells_nothing_but_its_releases(relation: str) -> None:
    schema = units(relation)
    holds(replay(rigs.purchase_run(HEADLINE, schema), *one_more_patient(9)))


def test_a_purchase_moves_by_what_it_booked() -> None:
    schema = units("add_remove")
    bound = plan_bound(rigs.plan_of(HEADLINE, schema))
    run = rigs.purchase_run(HEADLINE, schema)
    for rows in (1, 9):
        holds(transcript_sensitivity(run, *one_more_patient(rows), bound=bound))


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_purchase_spends_what_it_booked(relation: str) -> None:
    schema = units(relation)
    booked = rigs.plan_of(HEADLINE, schema).mechanisms
    transcript = rigs.transcript_of(HEADLINE, schema)
    holds(event_is_charge(transcript, booked))
    cost = cost_is_charge(transcript, booked)
    holds(cost)
    assert cost.statistic == pytest.approx(1.0, abs=1e-12)
    holds(recorded_noise(transcript))
    assert len(transcript.releases) == 2
