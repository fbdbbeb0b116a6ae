"""Seal a release: from a table, a model and evidence to a folder that may leave the house."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from dpsynth import __version__
from dpsynth.errors import GateError, IntegrityError
from dpsynth.evidence import Evidence, Verdict
from dpsynth.files import csv_bytes, parquet_bytes
from dpsynth.ledger import Ledger
from dpsynth.privacy import canonical_sha256
from dpsynth.release import layout, manifest, tables
from dpsynth.release.contents import rendered, require_tools
from dpsynth.release.facts import PublicationFacts
from dpsynth.synthesizer import Synthesizer

_LIBRARIES = (
    "dp-accounting",
    "numpy",
    "opendp",
    "pandas",
    "pyarrow",
    "randomgen",
    "torch",
    "opacus",
)
_BLOCKS = {
    "utility": ("DPS302", "the utility evidence of this table does not pass its gate."),
    "audit": ("DPS303", "the audit blocks this table."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    """One evidence of the bundle, with its file name and bytes."""

    name: str
    item: Evidence
    content: bytes


def seal(
    synthetic: pd.DataFrame,
    model: Synthesizer,
    *,
    ledger: Ledger,
    evidence: Sequence[Evidence],
    out: Path,
    internal: Path,
    facts: PublicationFacts | None = None,
    criteria: Mapping[str, Any] | None = None,
) -> Path:
    """Write the release folder, or refuse.

    Parameters
    ----------
    synthetic : DataFrame, shape (n_rows, n_columns)
        The table that was evaluated, as :meth:`Synthesizer.sample` returned it.
    model : Synthesizer
        The fitted model it came from.
    ledger : Ledger
        The book in which the fit stands.
    evidence : sequence of Evidence
        At least one of utility and one of an audit, all of them about this very table; one block
        among them is enough to refuse. What may be published goes into the bundle, the rest to
        ``internal``. Figures of disclosure ``dp`` name their charge, which the release then
        includes.
    out : Path
        Folder to create; must not exist.
    internal : Path
        Confidential folder; created if there is none.
    facts : PublicationFacts, optional
        What the custodian states. Without it there is no draft for the deployments registry, and
        the other files say that nothing was stated.
    criteria : mapping, optional
        Thresholds that were fixed before the rows were read; the manifest holds their digest.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    GateError
        If the model was made with a fixed seed or a schema fact comes from the data, or the
        evidence does not suffice.
    IntegrityError
        If ``out`` exists, or the ledger does not verify.
    MissingExtraError
        If the extra ``report`` is not installed.

    Privacy
    -------
    What is in ``out`` depends on the schema, the plan, the ledger, the synthetic table, evidence
    that may be published, and what the custodian states. Evidence that was computed from real rows
    goes to ``internal``, and nothing derived from it goes to ``out``.

    Notes
    -----
    The folder appears in one step, when all files are on disk: whatever stops this function leaves
    no bundle, or the whole one.
    """
    refuse_existing(out)
    require_tools()
    if not model.privacy_["releasable"]:
        raise GateError(
            "the model was made with a fixed noise seed, or with schema facts taken from the data.",
            code="DPS301",
            fix="fit again with operating system entropy and a schema of public facts.",
        )
    content = csv_bytes(synthetic)
    digest = _sha256(content)
    _require_evidence(evidence, digest)
    ledger.check()
    charges = _charges(model, evidence)
    _require_unblocked(ledger, digest, fit=charges[0])
    _require_purchase(criteria, evidence)
    if not ledger.fixed_in_advance(charges):
        raise GateError(
            "figures were booked after the fit had read rows: what the release costs can then not "
            "be composed as parameters that were fixed in advance.",
            code="DPS304",
            fix="book them before the fit, as dpsynth release does, or leave them out.",
        )
    title = model.schema.name if facts is None else facts.title
    published = _published(evidence)
    files: dict[str, bytes] = {
        layout.CSV: content,
        layout.PARQUET: parquet_bytes(synthetic, tables.parquet_marks(digest)),
        layout.SCHEMA: model.schema.to_toml().encode(),
        **{f"{layout.EVIDENCE}/{p.name}": p.content for p in published},
    }
    document = manifest.complete(
        {
            "name": title,
            "created": datetime.now(UTC).date().isoformat(),
            "rows": len(synthetic),
            "files": {name: _sha256(data) for name, data in files.items()},
            "plan": model.plan_.spec(),
            "noise": model.privacy_["noise"],
            "ledger": _ledger_part(ledger, charges, model.privacy_["ledger"]),
            "evidence": [manifest.evidence_entry(p.name, p.item, _sha256(p.content))
                         for p in published],
            "confidential": sorted({item.kind for item in evidence if not item.is_public}),
            "criteria": None if criteria is None else {
                "sha256": canonical_sha256(criteria)
            },
            "publication": None if facts is None else facts.to_dict(),
            "software": {"python": platform.python_version(), **_versions()},
        },
        model.schema,
    )  # fmt: skip
    text = manifest.to_json(document)
    # Read back: tuples become lists, and what the schema of manifests refuses is not written.
    document = manifest.from_json(text)
    pages = rendered(document, model.schema, [p.item for p in published])
    files |= {name: page.encode() for name, page in pages.items()}
    files[layout.MANIFEST] = text.encode()
    files[layout.SUMS] = sums(files).encode()
    make_internal(internal)
    for name, item in _named([item for item in evidence if not item.is_public]):
        item.write(internal / name)
    # Entered first: a ledger that names a release which a crash prevented is no harm.
    _write_folder(
        files,
        out,
        just_before=lambda: ledger.record_release(title, table_sha256=digest, charges=charges),
    )
    return out


def make_internal(path: Path) -> None:
    """Make the folder of what was computed from real rows; only its owner may look into it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def refuse_existing(path: Path) -> None:
    """Raise if a folder would be overwritten."""
    if os.path.lexists(path):
        raise IntegrityError(
            f"{str(path)!r} exists, and a release is never overwritten.",
            code="DPS601",
            fix="choose another name or move the old one away.",
        )


def sums(files: Mapping[str, bytes]) -> str:
    """Return the text of ``SHA256SUMS`` for files by name, as ``sha256sum -c`` reads it."""
    return "".join(f"{_sha256(files[name])}  {name}\n" for name in sorted(files))


def _write_folder(
    files: Mapping[str, bytes], out: Path, *, just_before: Callable[[], None]
) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".sealing-") as scratch:
        public = Path(scratch) / "public"
        public.mkdir()
        folders = {public}
        for name, content in files.items():
            path = public / name
            path.parent.mkdir(exist_ok=True)
            folders.add(path.parent)
            _write(path, content)
        for folder in folders:
            _sync_folder(folder)
        just_before()
        refuse_existing(out)
        try:
            public.rename(out)
        except OSError:
            # Somebody made it meanwhile: a folder that is not empty is not replaced.
            refuse_existing(out)
            raise
    _sync_folder(out.parent)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _require_evidence(evidence: Sequence[Evidence], digest: str) -> None:
    bound = [item for item in evidence if item.table_sha256 == digest]
    for kind, (code, message) in _BLOCKS.items():
        found = [item for item in bound if item.kind == kind]
        if not found:
            raise GateError(
                f"no {kind} evidence belongs to this table.",
                fix="evaluate and audit the table that is released.",
            )
        if any(item.verdict == Verdict.FAIL for item in found):
            raise GateError(message, code=code)
    if len(bound) < len(evidence):
        raise GateError(
            "some evidence belongs to another table.", fix="give the evidence of this table only."
        )


def _require_unblocked(ledger: Ledger, digest: str, *, fit: str) -> None:
    """Refuse a table that was ever blocked, and all tables of a fit that an audit blocked.

    Repeating an audit until it passes proves nothing, and a mechanism that was refuted is not
    mended by drawing other rows from it.
    """
    blocked = [
        line
        for line in ledger.verdicts(digest, charge_id=fit)
        if line.verdict == Verdict.FAIL and (line.kind == "audit" or line.table_sha256 == digest)
    ]
    if blocked:
        code, _ = _BLOCKS[blocked[0].kind]
        raise GateError(
            "the ledger holds a verdict that blocks this table.",
            code=code,
            fix="find the mistake, and fit again, which is another charge.",
        )


def _require_purchase(criteria: Mapping[str, Any] | None, evidence: Sequence[Evidence]) -> None:
    """Refuse a release whose criteria ask for figures that are not there."""
    wanted = (criteria or {}).get("purchase", {}).get("epsilon", 0.0) > 0
    if wanted and not any(item.disclosure == "dp" for item in evidence):
        raise GateError(
            "the criteria ask for bought figures, and there are none.",
            code="DPS304",
            fix="release with dpsynth.workflow.release, which buys them.",
        )


def _charges(model: Synthesizer, evidence: Sequence[Evidence]) -> list[str]:
    charges = [model.privacy_["ledger"]["charge"]]
    for item in evidence:
        if item.disclosure != "dp":
            continue
        try:
            charges.append(str(item.metrics["paid"]["ledger"]["charge"]))
        except (KeyError, TypeError):
            raise GateError(
                "evidence that was bought does not name the charge that paid for it.",
                code="DPS304",
                fix="buy it from the ledger of this release.",
            ) from None
    return list(dict.fromkeys(charges))


def _ledger_part(
    ledger: Ledger, charges: Sequence[str], anchor: Mapping[str, Any]
) -> dict[str, Any]:
    statement = ledger.statement()
    lines = {line.id: line.to_dict() for line in statement.charges}
    if not set(charges) <= set(lines):
        raise IntegrityError(
            "the ledger does not hold the charges that paid for this release.",
            code="DPS607",
            fix="give the ledger in which the fit was booked.",
        )
    return {
        "ledger_id": statement.ledger_id,
        # As the fit left it: what is entered later may be a verdict, and depend on real rows.
        "sequence": anchor["sequence"],
        "head": anchor["head"],
        "population": statement.population,
        "filter": statement.filter,
        "n_policy": statement.n_policy,
        "budget": {"epsilon": statement.budget.epsilon, "delta": statement.budget.delta},
        "charges": [lines[charge] for charge in charges],
        "cumulative": {
            "epsilon": statement.spent,
            "capacity_used": statement.capacity_used,
            "charges": sum(line.counts for line in statement.charges),
            "releases": len(statement.releases) + 1,
        },
    }


def _published(evidence: Sequence[Evidence]) -> list[_Published]:
    public = [_of_the_day(item) for item in evidence if item.is_public]
    return [
        _Published(name=name, item=item, content=item.to_json().encode())
        for name, item in _named(public)
    ]


def _of_the_day(item: Evidence) -> Evidence:
    # Times of day would tell how long evaluations took, and those read real rows.
    day = datetime.fromisoformat(item.created).astimezone(UTC).date()
    return replace(item, created=f"{day.isoformat()}T00:00:00+00:00")


def _named(evidence: Sequence[Evidence]) -> list[tuple[str, Evidence]]:
    """Return evidence with file names: what it is and, where it is public, why it may be."""
    named: dict[str, Evidence] = {}
    for item in sorted(evidence, key=lambda item: (item.kind, item.disclosure)):
        stem = f"{item.kind}-{item.disclosure}" if item.is_public else item.kind
        name, number = f"{stem}.json", 1
        while name in named:
            number += 1
            name = f"{stem}-{number}.json"
        named[name] = item
    return list(named.items())


def _versions() -> dict[str, str]:
    found = {"dpsynth": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
