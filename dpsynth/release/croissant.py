"""Croissant 1.1 metadata (JSON-LD) for catalogues, from the manifest and the schema alone.

References
----------
MLCommons, "Croissant Format Specification 1.1"; W3C, "PROV-O"; MLCommons, "Croissant RAI 1.0".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dpsynth.certificate.figures import power, up
from dpsynth.release import guarantee, layout
from dpsynth.schema import Column, Kind, Schema

CONFORMS_TO = (
    "http://mlcommons.org/croissant/1.1",
    "http://mlcommons.org/croissant/RAI/1.0",
)

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_TYPES = {
    Kind.INTEGER: "sc:Integer",
    Kind.REAL: "sc:Float",
    Kind.DATETIME: "sc:DateTime",
    Kind.BOOLEAN: "sc:Boolean",
    Kind.KEY: "sc:Integer",
}
_FORMATS = {layout.CSV: "text/csv", layout.PARQUET: "application/vnd.apache.parquet"}


def to_croissant(manifest: Mapping[str, Any], schema: Schema) -> str:
    """Return the JSON-LD document.

    Parameters
    ----------
    manifest : mapping
        The manifest of the release.
    schema : Schema
        The released schema.
    """
    facts = manifest["publication"] or {}
    name = facts.get("title", schema.name)
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "@id": manifest["id"],
        "name": name,
        "description": facts.get("description", f"Synthetic table {schema.name}."),
        "conformsTo": list(CONFORMS_TO),
        "identifier": manifest["id"],
        "version": "1.0.0",
        "datePublished": manifest["created"],
        "inLanguage": "en",
        "isLiveDataset": False,
        **_stated(facts),
        "distribution": [_file(entry) for entry in manifest["table"]["files"]],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "rows",
                "name": "rows",
                "description": f"Synthetic rows: {manifest['table']['rows']}.",
                "field": [_field(column) for column in schema.columns],
            }
        ],
        "prov:wasDerivedFrom": {
            "@id": f"urn:dpsynth:restricted-source:{manifest['ledger']['ledger_id']}",
            "@type": "prov:Entity",
            "sc:name": manifest["ledger"]["charges"][0]["dataset"],
            "sc:conditionsOfAccess": "Restricted: the source stays with its custodian.",
        },
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "sc:name": f"Differentially private synthesis with {manifest['method']['name']}",
            "prov:wasAssociatedWith": {
                "@type": "prov:SoftwareAgent",
                "sc:name": f"dpsynth {manifest['software']['dpsynth']}",
            },
        },
        **_responsible(manifest, facts),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _stated(facts: Mapping[str, Any]) -> dict[str, Any]:
    if not facts:
        return {}
    return {
        "license": facts["licence"],
        "creator": [{"@type": "sc:Organization", "name": curator} for curator in facts["curators"]],
        "usageInfo": f"For: {facts['intended_use']} Not for: {facts['not_for']}",
        "spatialCoverage": facts["region"],
        "temporalCoverage": facts["period"],
    }


def _responsible(manifest: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    privacy = manifest["privacy"]
    out = {
        "rai:dataPreprocessingProtocol": manifest["post_processing"],
        "rai:personalSensitiveInformation": (
            f"Synthetic rows under ε = {up(privacy['epsilon'])} at δ = {power(privacy['delta'])} "
            f"for {guarantee.unit_words(guarantee.unit_of(manifest))}. Not protected: "
            f"{'; '.join(manifest['unprotected_quantities'])}."
        ),
    }
    if facts:
        out["rai:dataUseCases"] = facts["intended_use"]
        out["rai:dataLimitations"] = facts["not_for"]
        out["rai:dataReleaseMaintenancePlan"] = facts["maintenance"]
    if "collection" in facts:
        out["rai:dataCollection"] = facts["collection"]
    if "subgroups" in facts:
        out["rai:dataBiases"] = facts["subgroups"]
    return out


def _file(entry: Mapping[str, str]) -> dict[str, Any]:
    name = entry["file"]
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": _FORMATS[name],
        "sha256": entry["sha256"],
    }


def _field(column: Column) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"rows/{column.name}",
        "name": column.name,
        "description": describe(column),
        "dataType": _TYPES.get(column.kind, "sc:Text"),
        "source": {"fileObject": {"@id": layout.CSV}, "extract": {"column": column.name}},
    }


def describe(column: Column) -> str:
    """Say in one sentence what the schema says about a column."""
    if column.kind is Kind.KEY:
        return "Key, numbered afresh: it names nobody."
    said = str(column.kind)
    if isinstance(column.categories, tuple):
        said += f" with {len(column.categories)} declared levels"
    if column.bounds is not None and not isinstance(column.bounds, str):
        low, high = column.to_dict()["bounds"]
        said += f" from {low} to {high}"
    if column.unit is not None:
        said += f", in units of one {column.unit}"
    if column.missing:
        said += ", may be missing"
    return f"{said[0].upper()}{said[1:]}."
