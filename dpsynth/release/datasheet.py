"""The datasheet of a release in Markdown, from the manifest and the schema alone.

References
----------
Gebru et al., "Datasheets for Datasets", Communications of the ACM 64(12), 2021.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dpsynth.certificate.figures import percent, power, up
from dpsynth.certificate.wording import mechanism_words
from dpsynth.release import guarantee, layout, limits
from dpsynth.release.croissant import describe
from dpsynth.schema import Schema

NOT_STATED = "Not stated by the custodian."

_ACTIVE = re.compile(r"([\\`*_\[\]<>&|#])")
_HEADING = re.compile(r"^(\s*)#", re.M)


def to_datasheet(manifest: Mapping[str, Any], schema: Schema) -> str:
    """Return the text.

    Parameters
    ----------
    manifest : mapping
        The manifest of the release.
    schema : Schema
        The released schema.

    Notes
    -----
    Texts of the custodian keep their Markdown, but for headings and HTML; names are escaped.
    """
    facts = {name: _told(value) for name, value in (manifest["publication"] or {}).items()}
    sections = {
        "Motivation and permitted use": _use(facts),
        "Source": _source(manifest, facts),
        "Unit of privacy": _unit(manifest),
        "Guarantee": _guarantee(manifest),
        "What is not protected": _bullets(map(plain, manifest["unprotected_quantities"])),
        "Method": _method(manifest),
        "Columns": _columns(schema),
        "Validation": _validation(manifest),
        "Fit for, not fit for": _fitness(facts),
        "Small groups": [
            facts.get("subgroups", NOT_STATED),
            "",
            "The guarantee is for one unit: for k units together ε is k times as large. What this "
            "table says about a group of a few units is mostly noise.",
        ],
        "Inference": [
            limits.GENERAL[1],
            "",
            "Recommended: use the table to write and test an analysis, and ask the custodian to "
            "run it on the real rows for anything that is published.",
        ],
        "Known limits": _bullets(limits.known(manifest)),
        "Maintenance, withdrawal, contact": [
            f"Maintenance: {facts.get('maintenance', NOT_STATED)}",
            "",
            f"Contact: {facts.get('contact', NOT_STATED)}",
            "",
            f"Terms of use: {facts.get('licence', NOT_STATED)}",
        ],
        "Cumulative budget": _cumulative(manifest),
        "Files and checks": [
            f"`{layout.SUMS}` has the digest of every file. `dpsynth verify FOLDER` checks all of "
            "them, recomputes the guarantee from the plan and holds every row against the schema; "
            "no sensitive data is needed.",
        ],
    }
    title = plain(facts.get("title", schema.name))
    lines = [f"# Datasheet: {title}", "", f"Release `{manifest['id']}`."]
    for heading, body in sections.items():
        lines += ["", f"## {heading}", "", *body]
    return "\n".join(lines) + "\n"


def _told(value: object) -> Any:  # noqa: ANN401
    """Return a custodian's text without the means to pose as a section of this sheet."""
    if not isinstance(value, str):
        return value
    return _HEADING.sub(r"\1\\#", value.replace("<", "\\<"))


def plain(text: str) -> str:
    """Escape what Markdown would take for markup, and keep it on one line."""
    return _ACTIVE.sub(r"\\\1", " ".join(text.split()))


def _use(facts: Mapping[str, Any]) -> list[str]:
    return [
        facts.get("description", NOT_STATED),
        "",
        f"Intended use: {facts.get('intended_use', NOT_STATED)}",
        "",
        f"Published by: {', '.join(map(plain, facts.get('curators', [NOT_STATED])))}",
    ]


def _source(manifest: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    dataset = plain(manifest["ledger"]["charges"][0]["dataset"])
    return _bullets(
        (
            f"Dataset: {dataset}, about {plain(manifest['ledger']['population'])}. It stays with "
            "its custodian.",
            f"Population: {facts.get('population', NOT_STATED)}",
            f"Period: {facts.get('period', NOT_STATED)}",
            f"Region: {facts.get('region', NOT_STATED)}",
            f"Collection: {facts.get('collection', NOT_STATED)}",
            f"Preparation of the rows: {facts.get('preprocessing', NOT_STATED)}",
        )
    )


def _unit(manifest: Mapping[str, Any]) -> list[str]:
    unit = guarantee.unit_of(manifest)
    bound = (
        "Every row is a unit of its own: a person with several rows is protected in each of them, "
        "not in all together."
        if unit.column is None
        else f"Of every unit at most {unit.max_rows} rows are used, chosen at random."
    )
    return [
        f"Protected: {plain(guarantee.unit_words(unit))}. Neighbouring relation: "
        f"{plain(str(unit.relation))}.",
        "",
        bound,
    ]


def _guarantee(manifest: Mapping[str, Any]) -> list[str]:
    privacy = manifest["privacy"]
    rows = [f"| {power(p['delta'])} | {up(p['epsilon'])} |" for p in privacy["epsilon_at_delta"]]
    said = [line for text in guarantee.sentences(manifest) for line in (plain(text), "")]
    return [
        f"ε = {up(privacy['epsilon'])} at δ = {power(privacy['delta'])}, for {privacy['domain']}.",
        "",
        *said,
        "The same guarantee at other δ:",
        "",
        "| δ | ε |",
        "|---|---|",
        *rows,
    ]


def _method(manifest: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{plain(line['step'])}: {plain(mechanism_words(line['mechanism']))}"
        for charge in manifest["ledger"]["charges"]
        for line in charge["mechanisms"]
    ]
    noise = manifest["privacy"]["noise"]
    return [
        f"`{manifest['method']['name']}` of dpsynth {manifest['software']['dpsynth']}. What read "
        "the rows:",
        "",
        *_bullets(lines),
        "",
        f"Noise: {noise['source']}; {noise['integer']}; {noise['real']}. After it: "
        f"{'; '.join(manifest['post_processing'])}.",
        "",
        manifest["tuning"],
    ]


def _columns(schema: Schema) -> list[str]:
    rows = [
        f"| {plain(c.name)} | {plain(describe(c))} | {plain(c.source or '–')} |"
        for c in schema.columns
    ]
    return ["| column | what the schema says | source of that |", "|---|---|---|", *rows]


def _validation(manifest: Mapping[str, Any]) -> list[str]:
    validation = manifest["validation"]
    files = [
        f"`{e['file']}`: {e['kind']}, {e['disclosure']}, verdict: {e['verdict']}"
        for e in validation["evidence"]
    ]
    criteria = manifest["criteria"]
    fixed = (
        "No digest of criteria was recorded."
        if criteria is None
        else "Criteria were fixed before the rows were read; digest of their text: "
        f"`{criteria['sha256']}`."
    )
    return [
        *_bullets((*validation["statements"], fixed)),
        *(["", "Evidence:", "", *_bullets(files)] if files else []),
    ]


def _fitness(facts: Mapping[str, Any]) -> list[str]:
    return [
        "| fit for | not fit for |",
        "|---|---|",
        f"| {_cell(facts.get('intended_use', NOT_STATED))} | "
        f"{_cell(facts.get('not_for', NOT_STATED))} |",
        "",
        f"Figures behind it, where they may be published, are in `{layout.REPORT}`.",
    ]


def _cumulative(manifest: Mapping[str, Any]) -> list[str]:
    ledger = manifest["ledger"]
    together, budget = ledger["cumulative"], ledger["budget"]
    return [
        f"All releases about {plain(ledger['population'])} together, this one included, have cost "
        f"ε = {up(together['epsilon'])} of ε = {up(budget['epsilon'])} at "
        f"δ = {power(budget['delta'])}: {percent(together['capacity_used'])} of what may ever be "
        f"spent. Charges: {together['charges']}; releases: {together['releases']}. Publications "
        "that did not go through the ledger are not in it.",
    ]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _bullets(items: Iterable[str]) -> list[str]:
    return [f"- {item}" for item in items]
