"""The manifest: its JSON Schema, its form, and what follows from what."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dpsynth.errors import IntegrityError, UsageError
from dpsynth.release import PublicationFacts
from dpsynth.release.manifest import SCHEMA_FILE, complete, from_json, stated_in, to_json
from dpsynth.schema import Schema
from tests.dpsynth.release.examples import facts

SCHEMA = json.loads(resources.files("dpsynth.release").joinpath(SCHEMA_FILE).read_text("utf-8"))
FREE = ("parameters", "sources", "software", "mechanism", "steps_run")
"""Objects whose names are those of a method, columns, libraries, a mechanism or its steps."""


@pytest.fixture
def document(whole: Path) -> dict[str, Any]:
    return json.loads((whole / "manifest.json").read_text(encoding="utf-8"))


def objects(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
        for name, value in document.items():
            if name not in FREE:
                yield from objects(value)
    elif isinstance(document, list):
        for value in document:
            yield from objects(value)


def test_the_schema_is_a_schema_and_closed(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for part in objects(SCHEMA):
        if part.get("type") == "object" and "required" in part and "propertyNames" not in part:
            assert part["additionalProperties"] is False
    facts_schema = SCHEMA["properties"]["publication"]["anyOf"][0]
    assert set(facts_schema["properties"]) == {f.name for f in fields(PublicationFacts)}
    assert set(facts_schema["required"]) == set(PublicationFacts.required())
    assert set(SCHEMA["properties"]) == set(document)


def test_every_object_refuses_an_extra_and_a_missing_field(document: dict[str, Any]) -> None:
    optional = {f.name for f in fields(PublicationFacts)} - set(PublicationFacts.required())
    n = len(list(objects(document)))
    assert n > 25
    for i in range(n):
        more = copy.deepcopy(document)
        list(objects(more))[i]["extra"] = 1
        with pytest.raises(IntegrityError, match="does not fit its JSON Schema"):
            from_json(to_json(more))
        for name in set(list(objects(document))[i]) - optional:
            less = copy.deepcopy(document)
            del list(objects(less))[i][name]
            with pytest.raises(IntegrityError):
                from_json(to_json(less))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(format="dpsynth.manifest/2"),
        lambda m: m["privacy"]["noise"].update(releasable=False),
        lambda m: m["privacy"]["noise"].update(source="fixed seed"),
        lambda m: m["schema"]["sources"].update(age="data"),
        lambda m: m["validation"]["evidence"][0].update(disclosure="internal"),
        lambda m: m["validation"]["evidence"][0].update(verdict="block"),
        lambda m: m["validation"]["evidence"][0].update(file="evidence/../outside.json"),
        lambda m: m["ledger"]["charges"].clear(),
        lambda m: m["ledger"]["charges"][0].update(state="aborted"),
        lambda m: m.update(created="yesterday"),
    ],
)
def test_what_no_release_may_say_does_not_fit(document: dict[str, Any], change: Any) -> None:
    change(document)
    with pytest.raises(IntegrityError, match="does not fit its JSON Schema") as refusal:
        from_json(to_json(document))
    assert "yesterday" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"a": NaN}', "[" * 100_000])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        from_json(text)


def test_only_one_text_is_the_canonical_one(document: dict[str, Any]) -> None:
    text = to_json(document)
    assert from_json(text) == document
    for other in (text + "\n", text.replace("\n", "\r\n"), json.dumps(document), " " + text):
        with pytest.raises(IntegrityError, match="canonical"):
            from_json(other)


def test_what_is_stated_gives_the_rest(document: dict[str, Any], whole: Path) -> None:
    again = complete(stated_in(document), Schema.read(whole / "schema.toml"))
    assert json.loads(to_json(again)) == document


@pytest.mark.parametrize(
    "changes",
    [
        {"title": ""},
        {"curators": ()},
        {"curators": "us"},
        {"data_source": "Other"},
        {"sector": "X"},
    ],
)
def test_malformed_facts_are_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(changes))):
        facts(**changes)


def test_facts_come_back_from_a_document_and_nothing_else_does() -> None:
    stated = facts(sector="Healthcare").to_dict()
    assert PublicationFacts.from_dict(stated) == facts(sector="Healthcare")
    with pytest.raises(UsageError, match=r"(?s)unknown key 'name'.*'title' is missing"):
        PublicationFacts.from_dict(
            {"name": "x", **{k: v for k, v in stated.items() if k != "title"}}
        )
