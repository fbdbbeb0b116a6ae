"""The page: one file without scripts or requests, readable by everybody, on screen and on paper."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from dpsynth.certificate.outline import CUSTODIAN, outline
from dpsynth.certificate.page import to_html
from tests.dpsynth.certificate.examples import charge, statement
from tests.dpsynth.certificate.html_tree import Page, contrast, parse

TEXT = to_html(statement())
SVG = "html/body/main/figure/svg"


@pytest.fixture(scope="module")
def page() -> Page:
    return parse(TEXT)


def test_it_is_well_formed(page: Page) -> None:
    assert not page.problems
    assert TEXT.startswith("<!DOCTYPE html>")
    assert len(TEXT) < 100_000


def test_nothing_runs_and_nothing_is_fetched(page: Page) -> None:
    policy = next(m for m in page.all("meta") if m.get("http-equiv"))
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    rest = TEXT.replace("http-equiv", "")
    for word in ("<script", "javascript", "http", "url(", "@import", "//", "<link", "<img", "<use"):
        assert word not in rest
    for _, attributes, _ in page.elements:
        assert not any(name.startswith("on") or name == "src" for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_the_language_and_the_landmarks_are_stated(page: Page) -> None:
    assert page.all("html") == [{"lang": "en-GB"}]
    assert page.tags.count("main") == page.tags.count("h1") == 1
    assert [where for tag, _, where in page.elements if tag == "title"] == ["html/head", SVG]
    ids = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    assert {"href": "#main", "class": "skip"} in page.all("a")
    assert "main" in ids


def test_headings_do_not_skip_a_level(page: Page) -> None:
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert levels.count(2) == 7


def test_every_table_has_a_caption_and_every_header_a_scope(page: Page) -> None:
    n = page.tags.count("table")
    assert n == page.tags.count("caption") == 9
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    headers = 0
    for tag, attributes, where in page.elements:
        if "tbody" in where and tag == "tr":
            headers += 1
        if "tbody" in where and tag == "th":
            assert attributes == {"scope": "row"}
            headers -= 1
    assert headers == 0  # every row of a body has a header of its own


def test_what_scrolls_can_be_reached_and_has_a_name(page: Page) -> None:
    ids = {a["id"] for _, a, _ in page.elements if "id" in a}
    regions = [a for a in page.all("div") if a.get("class") == "wide"]
    assert len(regions) == 9
    assert all(a["tabindex"] == "0" and a["aria-labelledby"] in ids for a in regions)


def test_the_figure_has_a_title_a_description_and_a_table(page: Page) -> None:
    (figure,) = page.all("svg")
    assert figure["role"] == "img"
    ids = {a["id"] for _, a, _ in page.elements if "id" in a}
    assert set((figure["aria-labelledby"] or "").split()) <= ids
    assert page.tags.count("desc") == 1
    for label in ("1 · dp-vae: gradients", "5 · independent"):
        assert page.text.count(label) == 2  # in the figure and in its table
    bars = [a for a in page.all("rect") if (a.get("class") or "").startswith("bar")]
    widths = [float((a["width"] or "").rstrip("%")) for a in bars]
    assert sum(widths) == pytest.approx(53.75, abs=0.01)
    # What has not ended differs by outline and word, not by colour alone.
    assert [a["class"] for a in bars].count("bar open") == 1
    assert "5 · independent (open)" in page.text


def test_colours_have_contrast_in_light_dark_and_print() -> None:
    schemes = re.findall(r"--page: [^}]*", TEXT)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
        for name in ("text", "quiet", "link"):
            assert contrast(colours[name], colours["page"]) >= 4.5
        for name in ("bar", "limit"):  # graphics: 3 to 1, against the page and the track
            assert contrast(colours[name], colours["page"]) >= 3
            assert contrast(colours[name], colours["track"]) >= 3
        assert contrast(colours["bar"], colours["before"]) >= 3


def test_it_prints_on_a4_and_follows_the_preferred_scheme() -> None:
    assert "size: A4" in TEXT
    assert "prefers-color-scheme: dark" in TEXT


def test_it_says_what_the_numbers_mean(page: Page) -> None:
    for words in ("9.08", "66.40%", "32.80%", "3.92%", "0.75%", "a coin does so 50%"):
        assert words in page.text
    assert "Stopped early; gradients: 250 run" in page.text


def test_an_empty_book_has_a_page() -> None:
    text = to_html(
        statement(charges=(), releases=(), curve=(), versions={}, capacity_used=0.0, spent=0.0)
    )
    page = parse(text)
    assert not page.problems
    assert "Nothing was spent." in page.text
    assert "svg" not in page.tags


@pytest.mark.parametrize("n", [1, 60])
def test_few_and_many_charges_have_a_page(n: int) -> None:
    charges = tuple(charge(i, share=0.5 / n, step_shares=None) for i in range(n))
    page = parse(to_html(statement(charges=charges, releases=(), capacity_used=0.5)))
    assert not page.problems
    bars = [a for a in page.all("rect") if a.get("class") == "bar"]
    assert len(bars) == (1 if n == 1 else 20)


def test_the_outline_answers_from_fields_or_asks_the_custodian() -> None:
    questions = outline(statement())
    assert len({q.question for q in questions}) == len(questions)
    for question in questions:
        assert question.known != (CUSTODIAN in question.answer)
    assert {q.topic for q in questions if not q.known} >= {"Bounds", "Utility", "Exposure"}
    said = {q.question: q.answer for q in questions}
    assert "ε = 2.205" in said["Which variant of differential privacy, and how strong?"]
    assert "patient_id" in said["Who is protected?"]
    # No section of the publication is quoted by number.
    assert not any(re.search(r"[Ss]ection|§", q.question + q.answer) for q in questions)
