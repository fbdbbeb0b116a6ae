"""The reference names every public object, and commands in the documentation exist."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from dpsynth.cli import app
from dpsynth.methods import METHODS
from tests.docs.walkthrough import blocks, commands

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ENTRIES = {
    name
    for page in (ROOT / "docs" / "api").glob("*.md")
    for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.M)
}
PACKAGES = [
    "benchmarks",
    "benchmarks.disclosure",
    "benchmarks.inference",
    "benchmarks.simulators",
    "dpsynth",
    "dpsynth.certificate",
    "dpsynth.filters",
    "dpsynth.ledger",
    "dpsynth.release",
    "privacy_audits.attacks",
    "privacy_audits.canaries",
    "privacy_audits.conformance",
    "privacy_audits.estimate",
    "privacy_audits.games",
    "privacy_audits.shadow",
]


def defined_at(package: str, name: str) -> str:
    thing = getattr(importlib.import_module(package), name)
    module = getattr(thing, "__module__", package)
    return f"{module}.{name}" if isinstance(module, str) else f"{package}.{name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_entry(package: str) -> None:
    entries = ENTRIES | {defined_at(*entry.rsplit(".", 1)) for entry in ENTRIES}
    for name in importlib.import_module(package).__all__:
        assert {f"{package}.{name}", defined_at(package, name)} & entries, name


def shown_commands() -> list[tuple[str, str]]:
    """Return (page, command line) of all blocks; lines with something left out are not whole."""
    found = []
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.kind in ("", "console"):
                lines = [line.partition(" > ")[0] for line in commands(block.body)]
                found += [(page.name, line) for line in lines if line.startswith("dpsynth ")]
    return [(page, line) for page, line in found if not re.search(r"\.\.\.|[\[|]", line)]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_page_with_its_proof(method: str) -> None:
    text = (ROOT / "docs" / "methods" / f"{method}.md").read_text(encoding="utf-8")
    _, _, proof = text.partition("## Why it is private\n")
    proof = proof.partition("\n## ")[0]
    assert "unit" in proof
    assert re.search("histogram_event|poisson_sampled_gaussian|pate_vote", proof), "no event"


def test_every_command_that_is_shown_is_one() -> None:
    shown = shown_commands()
    assert len({page for page, _ in shown}) > 8
    for page, line in shown:
        try:
            app.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)
        except Exception as error:
            pytest.fail(f"{page}: {line}: {error}")


def test_every_command_that_is_mentioned_is_one() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for first, second in re.findall(r"`dpsynth ([a-z]+) ?([a-z]*)", text):
            assert first in app, f"{page.name}: {first}"
            if second and first in ("ledger", "schema"):
                assert second in app[first], f"{page.name}: {first} {second}"
