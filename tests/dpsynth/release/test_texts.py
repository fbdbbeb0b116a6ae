"""Catalogue, registry and datasheet: what they must have, from the manifest alone."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from scipy import stats

from dpsynth.privacy import Budget, Gaussian
from dpsynth.release.croissant import to_croissant
from dpsynth.release.datasheet import to_datasheet
from dpsynth.release.guarantee import figures, gate_terms
from dpsynth.schema import Schema

ADD = "add_remove"


@pytest.fixture
def manifest(whole: Path) -> dict[str, Any]:
    return json.loads((whole / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture
def schema(whole: Path) -> Schema:
    return Schema.read(whole / "schema.toml")


def test_the_catalogue_file_has_what_croissant_asks_for(
    whole: Path, manifest: dict[str, Any], schema: Schema
) -> None:
    document = json.loads((whole / "croissant.json").read_text(encoding="utf-8"))
    assert document["@type"] == "sc:Dataset"
    assert document["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    for name in ("name", "description", "license", "creator", "datePublished", "version"):
        assert document[name]
    files = {f["@id"]: f for f in document["distribution"]}
    assert {name: f["sha256"] for name, f in files.items()} == {
        entry["file"]: entry["sha256"] for entry in manifest["table"]["files"]
    }
    assert all(f["@type"] == "cr:FileObject" and f["encodingFormat"] for f in files.values())
    (rows,) = document["recordSet"]
    assert [f["source"]["extract"]["column"] for f in rows["field"]] == [
        column.name for column in schema.columns
    ]
    assert all(f["source"]["fileObject"]["@id"] in files for f in rows["field"])
    kinds = {f["name"]: f["dataType"] for f in rows["field"]}
    assert kinds["age"] == "sc:Integer"
    assert kinds["ward"] == "sc:Text"
    assert kinds["admitted"] == "sc:DateTime"
    ids = [f["@id"] for f in rows["field"]]
    assert len(set(ids)) == len(ids)
    # Every prefix and every plain term that is used is declared.
    context = document["@context"]
    for key in document:
        assert key.startswith("@") or key.partition(":")[0] in context or "@vocab" in context
    assert document["prov:wasDerivedFrom"]["@type"] == "prov:Entity"
    assert document["prov:wasGeneratedBy"]["@type"] == "prov:Activity"


def test_without_facts_the_catalogue_file_states_no_licence(
    manifest: dict[str, Any], schema: Schema
) -> None:
    document = json.loads(to_croissant({**manifest, "publication": None}, schema))
    assert "license" not in document
    assert "rai:dataUseCases" not in document
    assert document["name"] == "patients"


def test_the_registry_draft_is_about_this_release(whole: Path, manifest: dict[str, Any]) -> None:
    draft = yaml.safe_load((whole / "dp-registry.yaml").read_text(encoding="utf-8"))
    parts = draft["deployment"]
    assert draft["status"] == "Draft"
    assert parts["basic"]["name"] == "Synthetic admissions"
    assert parts["basic"]["publication_date"] == manifest["created"]
    assert parts["privacy_loss"]["privacy_parameters"] == {
        "epsilon": manifest["privacy"]["epsilon"],
        "delta": manifest["privacy"]["delta"],
    }
    assert "charges of this release (1)" in parts["privacy_loss"]["privacy_parameters_details"]
    assert "together cost" in parts["administrative"]["notes"]


def test_the_datasheet_has_its_sections(whole: Path) -> None:
    text = (whole / "DATASHEET.md").read_text(encoding="utf-8")
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "Motivation and permitted use",
        "Source",
        "Unit of privacy",
        "Guarantee",
        "What is not protected",
        "Method",
        "Columns",
        "Validation",
        "Fit for, not fit for",
        "Small groups",
        "Inference",
        "Known limits",
        "Maintenance, withdrawal, contact",
        "Cumulative budget",
        "Files and checks",
    ]
    assert text.count("\n\n\n") == 0


def test_names_in_the_datasheet_are_not_taken_for_markup(manifest: dict[str, Any]) -> None:
    schema = Schema.from_dict(
        {
            "table": {"name": "t", "rows": "private"},
            "columns": {"a|b<i>*": {"kind": "integer", "bounds": [0, 9], "source": "`book`"}},
        }
    )
    assert "| a\\|b\\<i\\>\\* |" in to_datasheet(manifest, schema)
    assert "\\`book\\`" in to_datasheet(manifest, schema)


def test_a_text_of_the_custodian_cannot_pose_as_a_section(
    manifest: dict[str, Any], schema: Schema
) -> None:
    said = {**manifest["publication"], "description": "Rows.\n\n## Guarantee\n<script>x</script>"}
    text = to_datasheet({**manifest, "publication": said}, schema)
    assert [line for line in text.splitlines() if line == "## Guarantee"] == ["## Guarantee"]
    assert "\\## Guarantee" in text
    assert not re.search(r"(?<!\\)<script", text)


def test_a_stray_parquet_file_says_what_it_is(whole: Path, manifest: dict[str, Any]) -> None:
    marks = pq.read_schema(whole / "synthetic.parquet").metadata
    assert marks[b"dpsynth.synthetic"] == b"true"
    assert marks[b"dpsynth.release"].decode() == manifest["id"]
    assert marks[b"dpsynth.table_sha256"].decode() == manifest["table"]["sha256"]


def test_the_figures_are_those_of_the_closed_form() -> None:
    mu = 0.5
    found = figures((Gaussian(relation=ADD, noise_multiplier=1 / mu),), 1e-5)
    # Gaussian differential privacy: the trade-off curve is Φ(Φ⁻¹(1-α) - μ).
    for point in found["tradeoff"]:
        exact = stats.norm.cdf(stats.norm.isf(point["false_positive_rate"]) - mu)
        assert exact - 2e-3 <= point["false_negative_rate"] <= exact + 1e-9
    advantage = 2 * stats.norm.cdf(mu / 2) - 1
    assert found["meaning"]["advantage"] == pytest.approx(advantage, abs=1e-3)
    assert found["meaning"]["advantage"] >= advantage - 1e-9
    assert found["epsilon"] == pytest.approx(1.9931, abs=2e-3)


@pytest.mark.parametrize("epsilon", [0.9, 1.0, 2.5])
def test_the_gate_costs_what_its_false_stops_cost(epsilon: float) -> None:
    terms = gate_terms(Budget(epsilon=1.0, delta=1e-5), epsilon)
    assert terms["beta"] == pytest.approx(1e-6 * math.exp(-1))
    assert terms["delta_with_gate"] == pytest.approx(1e-5 + math.exp(epsilon) * terms["beta"])
