"""The confidential page: well formed, accessible, printable, and without any request."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.page import VERDICTS, bullet, to_html
from benchmarks.report import BANNER
from benchmarks.scorecard import Line
from dpsynth.errors import IntegrityError
from dpsynth.evidence import Finding, Severity, Verdict
from tests.benchmarks.reports import COLUMNS, details, full_report, metric
from tests.dpsynth.certificate.html_tree import Page, contrast, parse
from tests.dpsynth.pages.notebook import checked

TEXT = to_html(full_report())
EMPTY = to_html(
    full_report(metrics=(), worst={}, tables={}, findings=(), budget=None, table_sha256=None)
)


@pytest.fixture(scope="module", params=[TEXT, EMPTY], ids=["full", "empty"])
def page(request: pytest.FixtureRequest) -> Page:
    return parse(request.param)


def test_the_page_is_well_formed_and_asks_for_nothing(page: Page) -> None:
    assert page.problems == []
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("header") == 1
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    for text in (TEXT, EMPTY):
        assert "http:" not in text
        assert "https:" not in text
        assert "url(" not in text
        assert "default-src 'none'" in text
        assert len(text) < 1_500_000


def test_names_are_escaped() -> None:
    assert "people &amp; &lt;places&gt;" in TEXT
    assert "<places>" not in TEXT
    assert "ward <b>" not in TEXT
    assert "ward <b>" in parse(TEXT).text


def test_identifiers_are_unique_and_every_reference_has_a_target(page: Page) -> None:
    ids = [a["id"] or "" for _, a, _ in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes, _ in page.elements:
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)
    (skip,) = page.all("a")
    assert (skip["href"] or "")[1:] in ids


def test_headings_do_not_skip_a_level(page: Page) -> None:
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_have_captions_and_headers_have_scopes(page: Page) -> None:
    assert page.tags.count("caption") == page.tags.count("table") > 2
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    assert all(
        region.get("tabindex") == "0" and region.get("aria-labelledby")
        for region in page.all("div")
        if region.get("class") == "wide"
    )


def test_every_figure_has_a_name_a_description_a_take_away_and_a_table() -> None:
    page = parse(TEXT)
    drawings = [a for a in page.all("svg") if a.get("role") == "img"]
    assert all(len((a["aria-labelledby"] or "").split()) == 2 for a in drawings)
    assert all(a.get("role") == "img" or a.get("aria-hidden") == "true" for a in page.all("svg"))
    assert page.tags.count("figure") == page.tags.count("figcaption") == 10
    assert page.tags.count("details") == 11  # and the list of all figures
    assert page.tags.count("details") == page.tags.count("summary")
    assert page.tags.count("desc") == len(drawings)


@pytest.mark.parametrize("name", sorted(details()))
def test_a_figure_without_details_says_that_it_was_not_measured(name: str) -> None:
    without = parse(
        to_html(full_report(tables={key: v for key, v in details().items() if key != name}))
    )
    lost = 2 if name == "pairs" else 1
    assert without.tags.count("figure") == 10 - lost
    assert without.problems == []
    said = {
        "importance": "same columns was not measured",
        "inference": "inference was not measured",
        "subgroups": "groups were not measured",
    }
    assert said.get(name, "not kept") in without.text


def test_uses_come_before_the_scorecard_and_that_before_the_worst() -> None:
    text = parse(TEXT).text
    order = ["REVIEW", "Fit for what", "Scorecard", "Worst columns", "Method", "Limits", "Glossary"]
    places = [text.index(word) for word in order]
    assert places == sorted(places)


def test_verdicts_of_uses_have_a_sign_beside_their_colour() -> None:
    text = parse(TEXT).text
    for words in ("✓ fit", "✗ not fit", "? cannot tell", "– not measured"):
        assert words in text


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_words(verdict: Verdict) -> None:
    finding = {
        Verdict.FAIL: (Finding("DPS310", Severity.ERROR, "m."),),
        Verdict.REVIEW: (Finding("DPS311", Severity.WARNING, "m."),),
        Verdict.INCONCLUSIVE: (Finding("DPS317", Severity.INFO, "m."),),
        Verdict.PASS: (),
    }
    report = full_report(findings=finding[verdict])
    assert report.verdict is verdict
    assert f"<strong>{VERDICTS[verdict]}</strong>" in to_html(report)


def test_it_is_stamped_on_screen_and_on_every_printed_page() -> None:
    assert BANNER in parse(TEXT).text
    assert re.search(r'@top-left \{ content: "CONFIDENTIAL', TEXT)
    assert re.search(r'class="stamp" aria-hidden="true">CONFIDENTIAL', TEXT)
    assert re.search(r"@media print \{.*\.stamp \{ display: block; position: fixed", TEXT, re.S)
    assert "size: A4" in TEXT
    assert "details::details-content { content-visibility: visible" in TEXT


def test_colours_of_figures_have_contrast_in_light_dark_and_print() -> None:
    schemes = re.findall(r"--synthetic: [^}]*", TEXT)
    pages = re.findall(r"--page: (#\w+)", TEXT)
    assert len(schemes) == len(pages) == 3
    for scheme, background in zip(schemes, pages, strict=True):
        colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
        assert contrast(colours["good"], background) >= 4.5
        for name in ("synthetic", "real", "third", "lost"):
            assert contrast(colours[name], background) >= 3


def test_the_number_of_rows_is_not_shown() -> None:
    counted = full_report(metrics=(metric("tvd1.mean", 0.1, floor=0.05, n=43_217),))
    for text in (to_html(counted), counted._repr_html_()):
        assert "43217" not in text
        assert "43,217" not in text


def test_the_same_report_gives_the_same_page() -> None:
    assert to_html(full_report()) == TEXT


def test_a_saved_page_is_for_its_owner_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    full_report().save(path)
    assert path.read_text(encoding="utf-8") == TEXT
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(IntegrityError, match="DPS601"):
        full_report().save(path)


def test_a_notebook_shows_the_scorecard_stamped(monkeypatch: pytest.MonkeyPatch) -> None:
    page = checked(full_report()._repr_html_())
    assert page.tags.count("table") == 4
    assert page.text.lstrip().startswith(f"CONFIDENTIAL: {BANNER}")
    for text in ("REVIEW", "2-way distance", "not measured", "✓ fit", "people & <places>"):
        assert text in page.text
    assert all(found.code in page.text for found in full_report().findings)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert full_report()._repr_html_() is None


def test_drawings_are_those_of_the_page_and_stand_alone() -> None:
    drawn = full_report().figures()
    page = parse(TEXT)
    named = [a["aria-labelledby"] for a in page.all("svg") if a.get("role") == "img"]
    assert [f"{name}-title {name}-text" for name in drawn] == named
    for name, text in drawn.items():
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("id") == name
        # But for its name space, it asks for nothing and is what the page has.
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "", 1)
        assert text.partition("</style>")[2].strip() in TEXT
        used = set(re.findall(r"var\((--\w+)\)", text))
        assert used <= set(re.findall(r"(--\w+):", text))
    assert full_report(metrics=(), worst={}, tables={}).figures() == {}


def test_bullets_run_from_better_to_worse() -> None:
    def places(**fields: object) -> dict[str, float]:
        found = metric("m", **fields)  # type: ignore[arg-type]
        drawn = bullet(Line(label="l", meaning="m", metric=found))
        assert drawn is not None
        return {mark.shape: mark.place for mark in drawn.marks}

    lower = places(value=0.2, floor=0.1, references={"x": 0.9}, landmark="x")
    assert lower["tick"] < lower["circle"] < lower["cross"]
    higher = places(value=0.8, floor=0.9, references={"x": 0.5}, landmark="x", direction="higher")
    assert higher["tick"] < higher["circle"] < higher["cross"]
    alone = places(value=0.02, floor=0.01)
    assert alone["circle"] < 0.1  # not the worst there could be
    assert bullet(Line(label="l", meaning="m", metric=None)) is None


def test_maps_show_the_worst_columns_of_a_wide_table() -> None:
    names = [f"column {k:02}" for k in range(40)]
    pairs = tuple(
        {"a": a, "b": b, "tvd": 0.9 if b == "column 39" else 0.1, "floor": 0.05}
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    )
    text = to_html(full_report(tables={"pairs": pairs}))
    drawn = text[text.index('class="map"') : text.index("</svg>", text.index('class="map"'))]
    assert drawn.count('class="axis"') == 24
    assert "column 39" in drawn
    assert COLUMNS[0] not in drawn
