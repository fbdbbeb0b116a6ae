"""The public page: readable by everybody, on screen and on paper, and nothing runs in it."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from dpsynth.evidence import Evidence, Verdict
from dpsynth.release.page import to_html
from dpsynth.schema import Schema
from tests.dpsynth.certificate.html_tree import Page, parse
from tests.dpsynth.release.examples import Fitted, internal_evidence, sealed


@pytest.fixture(scope="module")
def text(whole: Path) -> str:
    return (whole / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return parse(text)


def test_it_is_well_formed_and_small(page: Page, text: str) -> None:
    assert not page.problems
    assert text.startswith("<!DOCTYPE html>")
    assert len(text) < 200_000


def test_nothing_runs_and_nothing_is_fetched(page: Page, text: str) -> None:
    policy = next(m for m in page.all("meta") if m.get("http-equiv"))
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    rest = text.replace("http-equiv", "")
    for word in ("<script", "javascript", "http", "url(", "@import", "//", "<link", "<img", "<use"):
        assert word not in rest
    for _, attributes, _ in page.elements:
        assert not any(name.startswith("on") or name == "src" for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_language_landmarks_and_identifiers(page: Page) -> None:
    assert page.all("html") == [{"lang": "en-GB"}]
    assert page.tags.count("main") == page.tags.count("h1") == 1
    ids = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    assert {"href": "#main", "class": "skip"} in page.all("a")
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_and_figures_have_names(page: Page) -> None:
    ids = {a["id"] for _, a, _ in page.elements if "id" in a}
    assert page.tags.count("table") == page.tags.count("caption") > 8
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    regions = [a for a in page.all("div") if a.get("class") == "wide"]
    assert len(regions) == page.tags.count("table")
    assert all(a["tabindex"] == "0" and a["aria-labelledby"] in ids for a in regions)
    (figure,) = page.all("svg")
    assert figure["role"] == "img"
    assert page.tags.count("desc") == 1


def test_sections_come_in_the_order_in_which_they_matter(text: str) -> None:
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings == [
        "The guarantee in plain words",
        "What it cost",
        "Audits",
        "What it is good for",
        "Limits and known failures",
        "What is not protected",
        "Where it comes from",
        "How to check it",
    ]


def test_it_says_what_the_numbers_mean(page: Page, whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    said = " ".join(page.text.split())
    guess = manifest["privacy"]["meaning"]["best_guess"]
    assert re.search(rf"correctly at most {100 * guess:.1f}\d?% of the time; a coin", said)
    for words in (
        f"ε = {manifest['privacy']['epsilon']:.3f} at δ = 10⁻⁵",
        "1.911",  # claimed of the mechanism under the canaries
        "4.755",  # ceiling
        "DPS444",
        "2.5 times what sampling alone gives",
        "tstr.boosting.auroc = 0.770",
        "Decisions about people.",
        "no relation between columns is kept",
        "everything stated in the schema",
        manifest["table"]["sha256"],
    ):
        assert words in said, words
    assert "is private" not in said


def test_without_figures_it_says_why(fitted: Fitted, tmp_path: Path) -> None:
    frame = fitted[0].sample(20)
    bundle = sealed(fitted, tmp_path, frame=frame, items=internal_evidence(frame))
    page = parse((bundle / "report.html").read_text(encoding="utf-8"))
    assert not page.problems
    assert "lie outside the guarantee: they are not shown" in page.text
    assert page.text.count("not stated") >= 5
    assert "Not stated by the custodian." in page.text


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.REVIEW])
def test_the_strip_shows_the_gravest_verdict(whole: Path, verdict: Verdict) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    schema = Schema.read(whole / "schema.toml")
    audit = Evidence.read(whole / "evidence" / "audit-post-processing.json")
    items = [
        Evidence(**{name: getattr(audit, name) for name in Evidence.__slots__} | {"verdict": v})
        for v in (Verdict.PASS, verdict)
    ]
    page = parse(to_html(manifest, schema, items))
    assert not page.problems
    strip = {"no-violation-found": "No violation", "review": "asks a person"}
    assert strip.get(str(verdict), "could not have seen everything") in page.text


def test_names_are_not_taken_for_markup(whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    manifest["publication"]["title"] = "<script>x</script>"
    manifest["ledger"]["population"] = "<b>people</b> & others"
    text = to_html(manifest, Schema.read(whole / "schema.toml"), [])
    assert not parse(text).problems
    assert "<script" not in text
    assert "<b>" not in text
