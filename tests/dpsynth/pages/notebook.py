"""What every fragment must be, whatever it shows."""

from __future__ import annotations

import re

from tests.dpsynth.certificate.html_tree import Page, parse

_HARMLESS = {
    "div", "p", "strong", "em", "table", "caption", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def checked(text: str | None) -> Page:
    """Read a fragment that is well formed, accessible, inert and at home in any notebook."""
    assert text is not None
    page = parse(text)
    assert page.problems == []
    assert set(page.tags) <= _HARMLESS
    assert page.tags.count("caption") == page.tags.count("table")
    assert {cell.get("scope") for cell in page.all("th")} <= {"row", "col"}
    assert all(region["aria-label"] for region in page.all("div") if "role" in region)
    # Two objects in one notebook: nothing may need to be unique.
    assert not any("id" in attributes for _, attributes, _ in page.elements)
    for _, attributes, _ in page.elements:
        assert set(attributes) <= {"class", "role", "tabindex", "aria-label", "style", "scope"}
        # Colours and backgrounds are the notebook's own.
        style = attributes.get("style") or ""
        assert not re.search(r"background|#|rgb|url|color:(?!inherit)", style)
    assert "nan" not in re.split(r"\W+", page.text)
    assert "None" not in page.text
    return page
