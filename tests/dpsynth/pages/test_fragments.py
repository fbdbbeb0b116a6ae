"""What a notebook shows of schemas, plans, ledgers and synthesizers."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

import dpsynth as dp
from dpsynth.ledger import Ledger
from dpsynth.pages.fragments import MOST_LETTERS, MOST_ROWS, Rows, fragment
from dpsynth.privacy import (
    DiscreteGaussian,
    Gaussian,
    Plan,
    PlannedCharge,
    PoissonSampledGaussian,
    PrivateSelection,
)
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema
from tests.dpsynth.pages.notebook import checked

HOSTILE = "<script>alert(1)</script>&\"'<img src=https://example.org/x>"


def cells(text: str | None) -> list[str]:
    return checked(text).text.split("\n")


def test_nothing_that_is_shown_can_act() -> None:
    table = Rows(caption=HOSTILE, head=("a", HOSTILE), rows=((HOSTILE, HOSTILE),))
    text = fragment(HOSTILE, stamp=HOSTILE, facts=[(HOSTILE, HOSTILE)], tables=[table],
                    remarks=[HOSTILE])  # fmt: skip
    page = checked(text)
    assert page.text.count(HOSTILE) == 9
    assert "<script" not in str(text)
    # As an attribute as well: the caption names its region.
    assert HOSTILE in {region.get("aria-label") for region in page.all("div")}


def test_a_long_table_and_a_long_text_say_that_they_are_cut() -> None:
    rows = tuple((f"row {i}", "x" * 1000) for i in range(MOST_ROWS + 5))
    page = checked(fragment("t", tables=[Rows(caption="Many", head=("a", "b"), rows=rows)]))
    assert f"Many: the first {MOST_ROWS} of {MOST_ROWS + 5}" in page.text
    assert page.tags.count("tr") == MOST_ROWS + 1
    assert "x" * (MOST_LETTERS - 1) + "…" in page.text
    assert "x" * MOST_LETTERS not in page.text


def test_a_table_without_rows_is_left_out() -> None:
    assert (
        "table" not in checked(fragment("t", tables=[Rows(caption="c", head=("a",), rows=())])).tags
    )


@pytest.mark.parametrize("number", range(5))
def test_without_the_extra_the_text_remains(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = patients_schema()
    model = dp.Independent(schema)
    ledger = open_ledger(schema)
    shown = (schema, model.plan(BUDGET), ledger, ledger.summary(), model)[number]
    assert shown._repr_html_() is not None
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert shown._repr_html_() is None
    assert repr(shown)


def test_another_error_is_not_swallowed() -> None:
    with pytest.raises(TypeError):
        fragment("t", facts=[("a", 5)])  # type: ignore[list-item]


def test_a_schema_shows_its_columns() -> None:
    schema = replace(
        patients_schema(id="patient", max_rows=3), protected=("sex",), formulas=("died ~ age",)
    )
    page = checked(schema._repr_html_())
    assert page.tags.count("tr") == 4 + 1 + len(schema.columns)
    for text in (
        "Schema of patients",
        "all rows of one 'patient' (at most 3)",
        "one unit added or removed",
        "died ~ age",
        "preset:human_age",
        "0 to 120",
        "0 to 90, decimals: 1",
        "2020-01-01 to 2025-12-31",
        "datetime (day)",
        "2 levels: F, M",
        "possible",
        "target",
        "protected",
    ):
        assert text in page.text
    assert "RESEARCH" not in page.text
    assert "⚠" not in page.text


def test_names_of_columns_are_escaped() -> None:
    document = patients_schema().to_dict()
    document["columns"][HOSTILE] = {"kind": "boolean", "source": HOSTILE}
    schema = dp.Schema.from_dict(document)
    assert checked(schema._repr_html_()).text.count(HOSTILE) == 2


def test_facts_that_were_read_off_the_rows_are_marked_and_not_shown() -> None:
    document = patients_schema().to_dict()
    document["columns"]["age"] |= {"bounds": [17, 7919], "source": "data"}
    document["columns"]["ward"] |= {"categories": ["a", "ZQXSENTINEL7"], "source": "data"}
    page = checked(dp.Schema.from_dict(document)._repr_html_())
    assert page.text.lstrip().startswith("RESEARCH ONLY")
    assert page.text.count("⚠ data") == 2
    assert not any(mark in page.text for mark in ("7919", "ZQXSENTINEL7"))


def test_many_levels_are_counted_and_few_are_named() -> None:
    document = patients_schema().to_dict()
    document["columns"]["ward"]["categories"] = [f"ward {i}" for i in range(30)]
    document["columns"]["age"] |= {"bounds": "discover", "source": "dp"}
    text = checked(dp.Schema.from_dict(document)._repr_html_()).text
    assert "30 levels: ward 0, " in text
    assert "ward 7, …" in text
    assert "ward 8" not in text
    assert "bought from the budget" in text


def test_a_plan_shows_its_steps() -> None:
    unit = dp.PrivacyUnit()
    counts = DiscreteGaussian(relation=unit.relation, sigma=30.5, count=9)
    descent = PoissonSampledGaussian(
        relation=unit.relation, noise_multiplier=1.25, sampling_probability=0.01, steps=4200
    )
    plan = Plan(
        method="dp-vae",
        unit=unit,
        budget=BUDGET,
        charges=(
            PlannedCharge(step="one-way counts", mechanism=counts),
            PlannedCharge(step="DP-SGD", mechanism=descent),
        ),
        schema_sha256="ab" * 32,
    )
    lines = cells(plan._repr_html_())
    assert lines[0] == ""
    assert "Plan of dp-vae: ε = 3 at δ = 1e-05" in lines
    assert "Schemaabababababab" in lines
    assert "one-way countsdiscrete Gaussian noise on counts9sigma 30.5, sensitivity 1" in lines
    assert (
        "DP-SGDGaussian noise on sums over Poisson samples4,200"
        "noise multiplier 1.25, sampling probability 0.01"
    ) in lines


def test_a_search_shows_how_many_candidates_it_has() -> None:
    unit = dp.PrivacyUnit()
    noise = Gaussian(relation=unit.relation, noise_multiplier=2.0)
    search = PrivateSelection(relation=unit.relation, candidates=((noise,),) * 3, mean_trials=4)
    plan = Plan(
        method="search",
        unit=unit,
        budget=BUDGET,
        charges=(PlannedCharge(step="trials", mechanism=search),),
    )
    text = checked(plan._repr_html_()).text
    assert "best of a random number of trials" in text
    assert "candidates 3, mean trials 4, shape 0" in text
    assert "not stated" in text


def test_a_ledger_shows_its_summary_and_does_not_compose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schema = patients_schema()
    ledger = open_ledger(schema, dp.Budget(epsilon=8.0, delta=1e-5))
    plan = dp.Independent(schema).plan(dp.Budget(epsilon=1.0, delta=1e-6))
    charges = [ledger.reserve(plan, dataset="patients") for _ in range(3)]
    for charge in charges[:2]:
        charge.touch()
        charge.commit()
    ledger.record_release("spring", table_sha256="a" * 64, charges=[charges[0].id])
    summary = ledger.summary(compose=False)

    def refuse(*args: object, **more: object) -> float:
        raise AssertionError("composition takes seconds")

    monkeypatch.setattr("dpsynth.ledger.summary.composed_epsilon", refuse)
    page = checked(ledger._repr_html_())
    assert page.text == checked(summary._repr_html_()).text
    for text in (
        "Ledger of patients",
        "ε = 8, δ = 1e-05",
        f"ε = {summary.spent:g}",
        f"ε up to {summary.remaining:g}",
        summary.anchor.head,
        "spring",
        "a" * 16 + "…",
        "committed",
        "reserved",
    ):
        assert text in page.text
    order = [page.text.index(charge.id[:8]) for charge in reversed(charges)]
    assert order == sorted(order)


def test_a_closed_ledger_shows_its_text() -> None:
    ledger = open_ledger(patients_schema())
    ledger.close()
    assert ledger._repr_html_() is None
    assert repr(ledger)


def test_a_single_charge_states_the_figure_for_fixed_parameters_in_text_and_fragment() -> None:
    schema = patients_schema()
    ledger = open_ledger(schema)
    ledger.reserve(dp.Independent(schema).plan(BUDGET), dataset="patients").touch()
    fixed = f"ε = {ledger.summary().spent_if_fixed:g}, if parameters were fixed in advance"
    assert fixed in str(ledger.summary())
    assert fixed in checked(ledger._repr_html_()).text


def test_names_of_a_ledger_are_escaped() -> None:
    ledger = Ledger.in_memory(
        dataset=HOSTILE, population=HOSTILE, budget=BUDGET, unit=dp.PrivacyUnit()
    )
    assert checked(ledger._repr_html_()).text.count(HOSTILE) == 3


def test_a_synthesizer_says_whether_it_is_fitted_and_what_that_took() -> None:
    schema = patients_schema(id="patient", max_rows=3)
    model = dp.Independent(schema)
    text = checked(model._repr_html_()).text
    assert "Independent of patients: not fitted" in text
    assert "all rows of one 'patient' (at most 3)" in text
    ledger = open_ledger(schema)
    frame = patients_frame().assign(ward="ZQXSENTINEL7")
    model.fit(frame, ledger=ledger, dataset="patients", budget=BUDGET)
    page = checked(model._repr_html_())
    stated = model.privacy_
    for text in (
        f"fitted at ε = {stated['epsilon']:g}, δ = 1e-05",
        "one-way counts",
        "ε alone",
        stated["ledger"]["charge"][:8],
        stated["plan_sha256"][:12],
        "operating system entropy",
    ):
        assert text in page.text
    assert "NOT RELEASABLE" not in page.text
    assert "ZQXSENTINEL7" not in page.text
    # Neither rows nor units are counted.
    assert not {"600", "200"} & set(page.text.split())


def test_a_model_with_recorded_noise_is_stamped() -> None:
    schema = patients_schema()
    model = dp.Independent(schema)
    model.fit(patients_frame(60).drop(columns="patient"), ledger=open_ledger(schema),
              dataset="patients", budget=BUDGET, noise=dp.NoiseSource.seeded(1))  # fmt: skip
    assert checked(model._repr_html_()).text.lstrip().startswith("NOT RELEASABLE")
