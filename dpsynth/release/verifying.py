"""Verify a release as its recipient: no sensitive data is needed.

Checksums come first. What a file says is looked at only if they hold: a folder that is known to be
damaged is not parsed.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from dpsynth import __version__
from dpsynth.errors import DPSynthError, IntegrityError, MissingExtraError
from dpsynth.evidence import Evidence
from dpsynth.release import guarantee, layout, manifest, signing, tables
from dpsynth.release.contents import rendered, require_tools
from dpsynth.release.registry import statement_of
from dpsynth.schema import Schema
from dpsynth.synthesizer import plan_from_spec
from dpsynth.table import read_frame, violations

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]+)")
_ALWAYS = {
    layout.CSV,
    layout.PARQUET,
    layout.SCHEMA,
    layout.MANIFEST,
    layout.CROISSANT,
    layout.DATASHEET,
    layout.REPORT,
    layout.GUARANTEE,
}
_UNREADABLE = (
    DPSynthError,
    pa.ArrowException,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    RecursionError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of a verification: what was looked at, and whether it holds.

    Parameters
    ----------
    name : str
        What was looked at.
    passed : bool
        Whether it holds.
    detail : str
        What fails, or how far the check goes; empty where the name says all.
    """

    name: str
    passed: bool
    detail: str = ""


def verify(folder: str | Path, *, key: str | Path | None = None) -> tuple[Check, ...]:
    """Check a release.

    Parameters
    ----------
    folder : path
        The release.
    key : path, optional
        The custodian's public key; then a signature must be there and hold.

    Returns
    -------
    tuple of Check
        One per question; a release is sound when all have passed.

    Raises
    ------
    IntegrityError
        If the folder is no release at all.
    UsageError
        If the key's file holds no public key.
    MissingExtraError
        If the extra ``report`` is not installed.
    """
    folder = Path(folder)
    if not (folder / layout.SUMS).is_file() or not (folder / layout.MANIFEST).is_file():
        raise IntegrityError(f"{str(folder)!r} is not a dpsynth release.", code="DPS603")
    require_tools()
    checks = [*_sums(folder), *_signature(folder, key)]
    if not all(check.passed for check in checks):
        detail = "not looked at: a file or the list of files was changed"
        return (*checks, Check(name="contents", passed=False, detail=detail))
    return (*checks, *_contents(folder))


# -- files ---------------------------------------------------------------------------------------


def _sums(folder: Path) -> Iterator[Check]:
    path = folder / layout.SUMS
    listed = None if path.is_symlink() else _listed(path.read_bytes())
    yield Check(
        name=f"{layout.SUMS} is well-formed",
        passed=listed is not None,
        detail=""
        if listed is not None
        else "a line is no digest with a name, or out of order, or it is a link",
    )
    if listed is None:
        return
    present = _present(folder)
    allowed = {*listed, layout.SUMS, layout.SIGNATURE}
    wrong = [*sorted(set(listed) - present), *sorted(present - allowed)]
    wrong += sorted(_ALWAYS - set(listed))
    yield Check(
        name="the folder holds the listed files and no other",
        passed=not wrong,
        detail=f"missing or too much: {', '.join(map(_shown, dict.fromkeys(wrong)))}"
        if wrong
        else "",
    )
    for name, digest in listed.items():
        path = folder / name
        is_plain = path.is_file() and not path.is_symlink()
        yield Check(
            name=f"checksum of {name}", passed=is_plain and _sha256(path.read_bytes()) == digest
        )


def _listed(content: bytes) -> dict[str, str] | None:
    """Return digests by name; None unless the bytes are what sealing writes."""
    try:
        lines = content.decode("ascii").split("\n")
    except UnicodeDecodeError:
        return None
    found = [_LINE.fullmatch(line) for line in lines[:-1]]
    if lines[-1] or not found or not all(found):
        return None
    names = [match[2] for match in found if match]
    if names != sorted(set(names)) or any(not _is_inside(name) for name in names):
        return None
    return {match[2]: match[1] for match in found if match}


def _shown(name: str) -> str:
    """Return a name that a stranger chose as a terminal may see it."""
    return name if name.isprintable() and name.isascii() else ascii(name)


def _harmless(text: str) -> str:
    """Return a text with a stranger's words in it without what would move a terminal's cursor."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _is_inside(name: str) -> bool:
    parts = name.split("/")
    is_evidence = len(parts) == 2 and parts[0] == layout.EVIDENCE
    return (len(parts) == 1 or is_evidence) and not set(parts) & {"", ".", ".."}


def _present(folder: Path) -> set[str]:
    """Return everything in a folder but the folder of the evidence itself."""
    found = set()
    for place, folders, names in os.walk(folder):
        where = Path(place).relative_to(folder)
        found |= {(where / name).as_posix() for name in names}
        for name in folders:
            path = where / name
            if path.as_posix() != layout.EVIDENCE or (folder / path).is_symlink():
                found.add(path.as_posix())
    return found


def _signature(folder: Path, key: str | Path | None) -> Iterator[Check]:
    is_there = os.path.lexists(folder / layout.SIGNATURE)
    if key is not None:
        holds = is_there and signing.holds(folder, Path(key))
        detail = "" if holds else "it is not this key's" if is_there else "there is none"
        yield Check(name="signature of the checksums", passed=holds, detail=detail)
    elif is_there:
        yield Check(
            name="signature of the checksums is well-formed",
            passed=signing.is_well_formed(folder),
            detail="whose it is was not checked: give the custodian's public key",
        )


# -- contents ------------------------------------------------------------------------------------


def _contents(folder: Path) -> Iterator[Check]:
    try:
        text = (folder / layout.MANIFEST).read_text(encoding="utf-8")
        document = manifest.from_json(text)
        schema = Schema.read(folder / layout.SCHEMA)
        evidence = [
            Evidence.read(folder / entry["file"]) for entry in document["validation"]["evidence"]
        ]
    except _UNREADABLE as error:
        detail = error.message if isinstance(error, DPSynthError) else "a file cannot be read"
        yield Check(
            name="manifest, schema and evidence are such", passed=False, detail=_harmless(detail)
        )
        return
    yield Check(name="manifest, schema and evidence are such", passed=True)
    questions: tuple[tuple[str, Callable[[], str]], ...] = (
        ("the manifest names these files", lambda: _files(folder, document)),
        ("the manifest follows from plan, ledger and schema", lambda: _derived(document, schema)),
        (
            "the plan is that of schema and first charge",
            lambda: _plan(document, schema),
        ),
        ("the ledger's figures follow from the mechanisms", lambda: _ledger(document)),
        ("no schema fact comes from the data", lambda: "it does" if schema.research else ""),
        ("CSV and Parquet hold the same cells", lambda: _tables(folder, document)),
        ("every row fits the schema", lambda: _rows(folder, document, schema)),
        ("evidence is about this table and may be public", lambda: _evidence(document, evidence)),
    )
    for name, question in questions:
        yield _asked(name, question)
    yield from _rendered(folder, document, schema, evidence)


def _asked(name: str, question: Callable[[], str]) -> Check:
    """Turn the answer of a question, which is empty when all is well, into a check."""
    try:
        wrong = question()
    except MissingExtraError:
        raise
    except _UNREADABLE as error:
        wrong = error.message if isinstance(error, DPSynthError) else "a part cannot be read"
    return Check(name=name, passed=not wrong, detail=_harmless(wrong))


def _files(folder: Path, document: Mapping[str, Any]) -> str:
    entries = [
        *document["table"]["files"],
        document["schema"],
        *document["validation"]["evidence"],
    ]
    wrong = [
        entry["file"]
        for entry in entries
        if _sha256((folder / entry["file"]).read_bytes()) != entry["sha256"]
    ]
    named = {entry["file"] for entry in entries}
    unnamed = {name for name in _present(folder) if name.startswith(f"{layout.EVIDENCE}/")} - named
    if {layout.CSV, layout.PARQUET} - named:
        wrong += sorted({layout.CSV, layout.PARQUET} - named)
    if (folder / layout.REGISTRY).is_file() != (document["registry"] is not None):
        wrong.append(layout.REGISTRY)
    return ", ".join([*wrong, *sorted(unnamed)])


def _derived(document: Mapping[str, Any], schema: Schema) -> str:
    return ", ".join(manifest.problems_of(document, schema))


def _plan(document: Mapping[str, Any], schema: Schema) -> str:
    plan = plan_from_spec(document["privacy"]["plan"])
    first = document["ledger"]["charges"][0]
    wrong = []
    if plan.schema_sha256 != schema.digest() or plan.unit != schema.unit:
        wrong.append("schema")
    if (first["plan_sha256"], first["method"]) != (plan.digest(), plan.method):
        wrong.append("charge")
    lines = [{"step": c.step, "mechanism": c.mechanism.spec()} for c in plan.charges]
    if list(manifest.differences(first["mechanisms"], lines)):
        wrong.append("mechanisms")
    alone = guarantee.epsilon_at(plan.mechanisms, plan.budget.delta)
    if alone > plan.budget.epsilon + manifest.TOLERANCE:
        wrong.append("more than its budget")
    return ", ".join(wrong)


def _ledger(document: Mapping[str, Any]) -> str:
    ledger = document["ledger"]
    # Its constructor refuses shares that do not add up.
    statement = statement_of(document)
    delta, together = ledger["budget"]["delta"], ledger["cumulative"]
    wrong = []
    for charge in ledger["charges"]:
        again = guarantee.epsilon_at(manifest.mechanisms({"charges": [charge]}), delta)
        stopped = charge["steps_run"] is not None
        is_right = math.isclose(
            charge["epsilon_alone"], again, rel_tol=manifest.TOLERANCE, abs_tol=manifest.TOLERANCE
        )
        if not (is_right or (stopped and charge["epsilon_alone"] <= again)):
            wrong.append("epsilon_alone")
        if charge["epsilon_alone"] > together["epsilon"] + manifest.TOLERANCE:
            wrong.append("cumulative.epsilon")
    # Everything that the ledger holds costs at least what this release costs.
    own = guarantee.epsilon_at(manifest.mechanisms(ledger), delta)
    if together["epsilon"] < own - manifest.TOLERANCE:
        wrong.append("cumulative.epsilon")
    if together["epsilon"] > ledger["budget"]["epsilon"] + manifest.TOLERANCE:
        wrong.append("cumulative.epsilon")
    if sum(charge.share for charge in statement.charges) > together["capacity_used"] + 1e-6:
        wrong.append("cumulative.capacity_used")
    if together["charges"] < len(statement.charges):
        wrong.append("cumulative.charges")
    return ", ".join(dict.fromkeys(wrong))


def _tables(folder: Path, document: Mapping[str, Any]) -> str:
    wrong = []
    marks = tables.read_marks(folder / layout.PARQUET)
    if marks != tables.parquet_marks(document["table"]["sha256"]):
        wrong.append("the Parquet file does not say that it is this release")
    if not tables.hold_the_same(folder / layout.CSV, folder / layout.PARQUET):
        wrong.append("the Parquet file, written as CSV, is not the CSV file")
    return "; ".join(wrong)


def _rows(folder: Path, document: Mapping[str, Any], schema: Schema) -> str:
    rows = document["table"]["rows"]
    if tables.rows_in(folder / layout.PARQUET) != rows or _lines(folder / layout.CSV) <= rows:
        return "another number of rows than stated"
    wrong = []
    for name in (layout.CSV, layout.PARQUET):
        frame = read_frame(folder / name)
        broken = violations(frame, schema)
        broken += sorted(set(map(str, frame.columns)) - {column.name for column in schema.columns})
        if broken:
            wrong.append(f"columns that do not: {', '.join(broken)}")
        if len(frame) != rows:
            wrong.append("another number of rows than stated")
    return "; ".join(dict.fromkeys(wrong))


def _evidence(document: Mapping[str, Any], evidence: list[Evidence]) -> str:
    entries = document["validation"]["evidence"]
    paid = {charge["id"] for charge in document["ledger"]["charges"]}
    wrong = []
    for entry, item in zip(entries, evidence, strict=True):
        stated = manifest.evidence_entry(
            entry["file"].removeprefix(f"{layout.EVIDENCE}/"), item, entry["sha256"]
        )
        is_bound = item.table_sha256 == document["table"]["sha256"]
        is_paid = item.disclosure != "dp" or item.metrics["paid"]["ledger"]["charge"] in paid
        if stated != entry or not item.is_public or not is_bound or not is_paid:
            wrong.append(entry["file"])
    return ", ".join(wrong)


def _rendered(
    folder: Path, document: Mapping[str, Any], schema: Schema, evidence: list[Evidence]
) -> Iterator[Check]:
    made_by = document["software"].get("dpsynth")
    other = (
        ""
        if made_by == __version__
        else _harmless(
            f"dpsynth {made_by} made it and this is {__version__}: verify with that version"
        )
    )
    try:
        files = rendered(document, schema, evidence)
    except MissingExtraError:
        raise
    except _UNREADABLE:
        yield Check(name="texts follow from the manifest", passed=False, detail=other)
        return
    for name, text in files.items():
        passed = (folder / name).read_bytes() == text.encode()
        yield Check(
            name=f"{name} says what the manifest says",
            passed=passed,
            detail="" if passed else other,
        )


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
