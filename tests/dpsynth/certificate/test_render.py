"""Every format holds the fields of the statement, escaped, and nothing else."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from dpsynth.certificate import FORMATS, Statement, StatementRelease, render
from dpsynth.certificate.figures import (
    MAX_BARS,
    chance,
    down,
    factor,
    percent,
    power,
    up,
    waterfall,
)
from dpsynth.certificate.page import to_html
from dpsynth.certificate.sheet import COLUMNS
from dpsynth.certificate.wording import filter_words
from dpsynth.errors import UsageError
from dpsynth.filters import FilterKind
from dpsynth.privacy import Budget, Gaussian, PrivacyUnit
from tests.dpsynth.certificate.examples import ADD, charge, facts, statement, statements
from tests.dpsynth.certificate.html_tree import parse

NASTY = "=<b>&\"'x</b>,|`*[a](b)\\"


def draw(found: Statement, format: str) -> str:
    return render(found, format, facts=facts() if format == "registry-yaml" else None)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def leaves(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from leaves(item)
    else:
        yield str(node)


@settings(deadline=None, max_examples=40)
@given(statements())
def test_any_statement_renders_in_all_formats(found: Statement) -> None:
    document = json.loads(render(found, "json"))
    assert Statement.from_dict(document) == found
    lines = rows(render(found, "csv"))
    assert len(lines) == len(found.charges)
    page = parse(render(found, "html"))
    assert not page.problems
    assert all(c.id in page.text for c in found.charges)
    yaml.safe_load(draw(found, "registry-yaml"))


def test_formats_are_checked_and_facts_belong_to_one_of_them() -> None:
    assert set(FORMATS) == {"json", "csv", "html", "registry-yaml"}
    with pytest.raises(UsageError, match="registry-yaml"):
        render(statement(), "pdf")
    with pytest.raises(UsageError, match="publication_date"):
        render(statement(), "registry-yaml")
    with pytest.raises(UsageError, match="facts"):
        render(statement(), "csv", facts=facts())


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_statement_gives_the_same_text(format: str) -> None:
    assert draw(statement(), format) == draw(statement(), format)


# -- names are data, not code -------------------------------------------------------------------


def named(name: str) -> Statement:
    """A statement that carries one name wherever a name can stand."""
    found = statement()
    only = charge(
        1,
        id=name,
        method=name,
        dataset=name,
        mechanisms=((name, Gaussian(relation=ADD, noise_multiplier=2.0).spec()),),
        share=0.5,
        step_shares=(0.5,),
        steps_run={name: 1},
    )
    release = dataclasses.replace(found.releases[0], id=name, name=name, charge_ids=(name,))
    return dataclasses.replace(
        found,
        ledger_id=name,
        population=name,
        datasets=(name,),
        unit=PrivacyUnit(column=name, max_rows=2),
        filter=name,
        charges=(only,),
        releases=(release,),
        capacity_used=0.5,
        versions={name: name},
    )


def test_names_are_escaped_on_the_page() -> None:
    text = render(named(NASTY), "html")
    page = parse(text)
    assert not page.problems
    assert NASTY not in text
    assert "b" not in page.tags
    assert page.text.count(NASTY) >= 12


def test_names_are_escaped_in_the_table() -> None:
    (line,) = rows(render(named(NASTY), "csv"))
    for column in ("charge", "method", "dataset", "population", "ledger_id"):
        assert line[column] == f"'{NASTY}"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "＝", "＋", "－", "＠"])
def test_no_cell_begins_a_formula(start: str) -> None:
    text = render(named(f"{start}1+1"), "csv")
    for line in rows(text):
        assert all(not cell.lstrip().startswith(tuple("=+-@＝＋－＠")) for cell in line.values())


def test_the_table_is_rfc_4180() -> None:
    text = render(statement(), "csv")
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n") == 1 + len(statement().charges)
    (head, *lines) = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(head) == COLUMNS
    assert {len(line) for line in lines} == {len(COLUMNS)}
    assert float(rows(text)[-1]["capacity_used_so_far"]) == pytest.approx(0.5375)


def test_names_are_escaped_in_the_draft() -> None:
    text = draw(named(NASTY), "registry-yaml")
    values = list(leaves(yaml.safe_load(text)))
    assert not any("<b>" in value or "](" in value or "\\" in value for value in values)
    assert any("&#60;b&#62;" in value for value in values)


# -- nothing else appears -----------------------------------------------------------------------

CHANGES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "population": ({"population": "Zzyzx"}, [("Zzyzx", "Patients of the county hospital")]),
    "ledger_id": (
        {"ledger_id": "zzyzx-0"},
        [("zzyzx-0", "0d6f34c8-64a5-4a9d-9a55-6a8f0c2b7d11")],
    ),
    "head": ({"head": "ef" * 32}, [("ef" * 32, "ab" * 32)]),
    "sequence": ({"sequence": 90817}, [("90817", "27")]),
    "datasets": (
        {"datasets": ("admissions 2025", "zzyzx")},
        [("zzyzx", "admissions 2026")],
    ),
    "spent": ({"spent": 2.987}, [("2.987", "2.205")]),
    "spent_if_fixed": ({"spent_if_fixed": 1.987}, [("1.987", "2.106")]),
    "remaining": ({"remaining": 0.987}, [("0.987", "1.734")]),
    "versions": (
        {"versions": {"dpsynth": "7.8.9", "dp-accounting": "0.6.0", "python": "3.11.2"}},
        [("7.8.9", "0.1.0")],
    ),
    "release": (
        {
            "releases": (
                StatementRelease(
                    id="zzyzx",
                    name="Admissions for teaching",
                    day="2026-04-10",
                    table_sha256="cd" * 32,
                    charge_ids=tuple(c.id for c in statement().charges[:2]),
                    epsilon=1.62,
                ),
            )
        },
        [("zzyzx", "b3c4d5e6-1111-4000-8000-000000000001")],
    ),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_field_changes_only_its_own_places(field: str, format: str) -> None:
    changes, back = CHANGES[field]
    before, after = draw(statement(), format), draw(statement(**changes), format)
    for new, old in back:
        assert new not in before
        after = after.replace(new, old)
    assert after == before


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Statement)])
def test_every_field_is_on_the_page_and_in_the_document(field: str) -> None:
    """The other way round: no field is forgotten."""
    found = statement()
    changed: dict[str, Any] = {
        "unit": PrivacyUnit(column="patient_id", max_rows=5),
        "n_policy": "declared",
        "budget": Budget(epsilon=4.0, delta=1e-5),
        "filter": "zcdp",
        "capacity_used": 0.25,
        "curve": ((0.75, 0.05),),
        "meaning": dataclasses.replace(found.meaning, tpr_at_1_percent=0.5),
        "charges": (*found.charges[:4], dataclasses.replace(found.charges[4], day="2026-06-02")),
        "releases": (),
    }
    changed |= {name: new[name] for name, (new, _) in CHANGES.items() if name in new}
    if field == "capacity_used":
        other = statement(charges=found.charges[:1], releases=(), capacity_used=0.25)
    else:
        other = dataclasses.replace(found, **{field: changed[field]})
    for format in ("json", "html"):
        assert draw(other, format) != draw(found, format)


# -- numbers and bars -----------------------------------------------------------------------------


def test_numbers_are_rounded_to_the_safe_side() -> None:
    assert (up(1.2341), up(2.0), up(0.0)) == ("1.235", "2.000", "0.000")
    assert (down(1.2349), down(0.0)) == ("1.234", "0.000")
    assert (percent(0.1 + 0.2), percent(0.25001), percent(1.0)) == ("30.0%", "25.1%", "100.0%")
    assert (chance(0.66391), chance(0.5)) == ("66.40%", "50.00%")
    assert (power(1e-5), power(1.201e-9), power(0.0), power(0.11)) == (
        "10⁻⁵",
        "1.21 × 10⁻⁹",
        "0",
        "0.11",
    )
    assert (power(9.999e-6), power(1.0)) == ("10⁻⁵", "1")
    assert (factor(math.exp(1)), factor(1.0), factor(12345.6)) == ("2.72", "1.00", "12,346")
    assert factor(1e300) == "more than 1,000,000"


@settings(deadline=None, max_examples=60)
@given(statements())
def test_bars_join_up_and_end_at_the_capacity_used(found: Statement) -> None:
    bars = waterfall(found)
    counted = [c for c in found.charges if c.counts]
    assert bool(bars) == bool(counted)
    ends = [0.0, *(bar.end for bar in bars)]
    assert all(bar.start == before for bar, before in zip(bars, ends, strict=False))
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(found.capacity_used, abs=1e-6)
    assert math.fsum(bar.share for bar in bars) == pytest.approx(found.capacity_used, abs=1e-6)


@pytest.mark.parametrize("n", [1, 8, 9, 24, 25, 60, 1000])
def test_the_figure_stays_legible_however_many_charges(n: int) -> None:
    share = 0.8 / n
    parts = (share / 4, share / 4, share / 2)
    charges = tuple(charge(i, share=share, step_shares=parts) for i in range(1, n + 1))
    bars = waterfall(statement(charges=charges, capacity_used=0.8, releases=()))
    assert len(bars) <= MAX_BARS
    assert bars[-1].end == pytest.approx(0.8)
    assert bars[0].label.startswith("1")
    expected = {1: 3, 8: 24, 9: 9, 24: 24, 25: 13, 60: 20, 1000: 24}
    assert len(bars) == expected[n]
    assert len({bar.label for bar in bars}) == len(bars)


def test_bars_name_their_charges_by_the_numbers_of_the_table() -> None:
    labels = [bar.label for bar in waterfall(statement())]
    assert labels[0] == "1 · dp-vae: discover categories"
    assert labels[-1] == "5 · independent"
    assert [bar.open for bar in waterfall(statement())] == [False] * 7 + [True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Within budget"),
        ({"remaining": 0.0}, "Exhausted"),
        ({"spent": 3.001}, "Over budget"),
    ],
)
def test_the_verdict_follows_from_the_figures(changes: dict[str, Any], words: str) -> None:
    assert f"<strong>{words}</strong>" in to_html(statement(**changes))


@pytest.mark.parametrize("kind", list(FilterKind))
def test_every_stop_rule_is_named_in_words(kind: FilterKind) -> None:
    assert len(filter_words(statement(filter=str(kind))).split()) > 3
