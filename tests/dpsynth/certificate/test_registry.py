"""The registry draft fits the registry's own schema; missing facts are named together."""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from hypothesis import given, settings

from dpsynth.certificate import DeploymentFacts, Statement, registry, render
from dpsynth.certificate.facts import Sector
from dpsynth.errors import DPSynthError, UsageError
from tests.dpsynth.certificate.examples import facts, statement, statements

FOLDER = resources.files("dpsynth.certificate")
SCHEMA_TEXT = FOLDER.joinpath("deployments-schema.yaml").read_text("utf-8")
SCHEMA = yaml.safe_load(SCHEMA_TEXT)
COMPLETE: dict[str, Any] = {
    "sector": "Healthcare",
    "actors": "The hospital is trusted.\n\nReaders are not.",
    "data_domain": "Any table that fits the schema.",
    "unprotected_quantities": "None.",
    "preprocessing": "None: bounds come from the codebook.",
    "justification": "Decided by the board.",
    "security": "One locked machine.",
    "post_processing": "Decoding of bins.",
    "sources": "A report.",
    "notes": "A note.",
}


def problems(document: Any) -> list[str]:
    kind = jsonschema.Draft7Validator
    return [
        e.message for e in kind(SCHEMA, format_checker=kind.FORMAT_CHECKER).iter_errors(document)
    ]


def draft(found: Statement | None = None, **changes: Any) -> dict[str, Any]:
    return yaml.safe_load(render(found or statement(), "registry-yaml", facts=facts(**changes)))


def test_the_schema_is_the_one_that_the_notice_names() -> None:
    notice = FOLDER.joinpath("NOTICE").read_text("utf-8")
    assert hashlib.sha256(SCHEMA_TEXT.encode()).hexdigest() in notice
    assert "MIT License" in notice
    assert re.search(r"commit [0-9a-f]{40}", notice)


@settings(deadline=None, max_examples=30)
@given(statements())
def test_a_draft_of_any_statement_fits(found: Statement) -> None:
    assert not problems(draft(found))
    assert not problems(draft(found, **COMPLETE))


def test_the_draft_says_what_the_statement_says() -> None:
    document = draft()
    body = document["deployment"]
    assert (document["status"], document["tier"]) == ("Draft", 2)
    assert document["url_slug"] == "synthetic-admissions-county-hospital-2026"
    assert body["privacy_loss"]["privacy_parameters"] == {"epsilon": 2.205, "delta": 1e-5}
    assert body["basic"]["data_product_type"] == "Synthetic data"
    assert body["deployment_model"]["release_type"] == "One release"
    assert "patient_id" in body["privacy_loss"]["privacy_unit_details"]
    assert "gradients" in body["implementation"]["mechanisms"]
    assert "; of it gradients: 250 run\n" in body["implementation"]["mechanisms"]
    assert "3. " not in body["implementation"]["mechanisms"]  # aborted: it touched nothing


def test_with_the_custodians_answers_it_has_every_field_that_needs_an_answer() -> None:
    document = draft(**COMPLETE)
    assert document["tier"] == 3
    wanted = {
        (section, name)
        for section, part in SCHEMA["properties"]["deployment"]["properties"].items()
        for name in part["properties"]
    }
    given_ = {(s, name) for s, part in document["deployment"].items() for name in part}
    assert {name for _, name in wanted - given_} == {
        "model_name_details",
        "data_source_type_details",
        "access_type_details",
    }


def test_the_draft_passes_the_registrys_own_check_of_quoting() -> None:
    text = render(statement(), "registry-yaml", facts=facts(**COMPLETE))
    styles = {getattr(token, "style", None) for token in yaml.scan(text)}
    assert styles <= {None, "", "|", "'", '"'}
    assert "|" in styles


def test_a_draft_that_does_not_fit_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = registry._document
    monkeypatch.setattr(registry, "_document", lambda *a: {**whole(*a), "tier": 9})
    with pytest.raises(DPSynthError, match="tier") as caught:
        registry.to_registry(statement(), facts())
    assert "9" not in str(caught.value).replace("DPS523", "")


def test_the_sectors_are_the_schemas() -> None:
    basic = SCHEMA["properties"]["deployment"]["properties"]["basic"]["properties"]
    assert tuple(basic["data_product_sector"]["enum"]) == get_args(Sector)


# -- facts --------------------------------------------------------------------------------------

TOML = """
name = "Synthetic admissions"
curators = ["County hospital"]
description = '''
A table
of admissions.'''
intended_use = "Teaching."
region = "Testland"
publication_date = 2026-04-10
registry_authors = ["A. Nobody"]
data_source = "Static"
"""


def read(tmp_path: Path, text: str) -> DeploymentFacts:
    path = tmp_path / "facts.toml"
    path.write_text(text, encoding="utf-8")
    return DeploymentFacts.read(path)


def test_facts_are_read_from_toml(tmp_path: Path) -> None:
    found = read(tmp_path, TOML)
    assert found == facts(description="A table\nof admissions.")
    assert read(tmp_path, TOML.replace("2026-04-10", '"2026-04-10"')) == found


def test_one_error_names_all_that_is_missing_or_unknown(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, 'name = "x"\nsektor = "Health"\n')
    for name in (*DeploymentFacts.required()[1:], "sektor"):
        assert name in str(caught.value)
    assert "'name' is missing" not in str(caught.value)


def test_one_error_names_all_that_is_malformed() -> None:
    with pytest.raises(UsageError) as caught:
        facts(curators=(), sector="Magic", publication_date="10.4.2026", name="\x00", notes=" ")
    for name in ("curators", "sector", "publication_date", "name", "notes"):
        assert f"{name} must be" in str(caught.value)
    assert "Magic" not in str(caught.value)


@pytest.mark.parametrize("text", ["name = ", "name = 1\nname = 2"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="not TOML"):
        read(tmp_path, text)
    with pytest.raises(UsageError, match="no readable file"):
        DeploymentFacts.read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(UsageError, match="UTF-8"):
        DeploymentFacts.read(tmp_path / "latin.toml")
