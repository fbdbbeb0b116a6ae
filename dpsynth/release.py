"""Seal a release, verify a release.

A release is a folder that may leave the house: the synthetic table, its schema, a manifest with
the whole privacy argument, and checksums. What was computed from real rows goes into a second,
confidential folder and is never named in the first.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dpsynth import __version__
from dpsynth.accountant import Accountant
from dpsynth.errors import DPSynthError, GateError, IntegrityError
from dpsynth.evidence import Evidence, Verdict, table_sha256
from dpsynth.ledger import Ledger
from dpsynth.privacy import mechanism_from_spec
from dpsynth.schema import Schema
from dpsynth.synthesizer import Synthesizer, plan_from_spec
from dpsynth.table import read_frame, violations, write_frame

FORMAT = "dpsynth.manifest/1"

TABLE, SCHEMA, MANIFEST, GUARANTEE, SUMS = (
    "synthetic.csv",
    "schema.toml",
    "manifest.json",
    "GUARANTEE.txt",
    "SHA256SUMS",
)

_REPORTED_DELTAS = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
_LIBRARIES = (
    "dp-accounting",
    "numpy",
    "opendp",
    "pandas",
    "randomgen",
    "torch",
    "opacus",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of a verification: what was looked at, and whether it holds."""

    name: str
    passed: bool
    detail: str = ""


def seal(
    synthetic: pd.DataFrame,
    model: Synthesizer,
    *,
    ledger: Ledger,
    evidence: Sequence[Evidence],
    out: Path,
    internal: Path,
) -> Path:
    """Write the release folder, or refuse.

    Parameters
    ----------
    synthetic : DataFrame
        The table that was evaluated, as :meth:`Synthesizer.sample` returned it.
    model : Synthesizer
        The fitted model it came from.
    ledger : Ledger
        The book in which the fit stands.
    evidence : sequence of Evidence
        At least one utility evidence that carries this table's digest. One block among what is
        given for it, of an audit too, is enough to refuse.
    out : Path
        Folder to create; must not exist.
    internal : Path
        Confidential folder; created if there is none.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    GateError
        If the model was made with a fixed seed or a schema fact comes from the data, or if no
        passing evidence belongs to this very table.
    IntegrityError
        If ``out`` exists, or the ledger does not verify.

    Privacy
    -------
    Everything in ``out`` is the schema, the plan, the noise description, and the synthetic table.
    The evidence was computed from real rows: it goes to ``internal`` and nothing derived from it
    goes to ``out``.
    """
    refuse_existing(out)
    if not model.privacy_["releasable"]:
        raise GateError(
            "the model was made with a fixed noise seed, or with schema facts taken from the data.",
            code="DPS301",
            fix="fit again with operating system entropy and a schema of public facts.",
        )
    ledger.check()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".sealing-") as scratch:
        public = Path(scratch) / "public"
        public.mkdir()
        write_frame(synthetic, public / TABLE)
        digest = table_sha256(public / TABLE)
        _require_evidence(evidence, digest)
        model.schema.write(public / SCHEMA)
        manifest = _manifest(model, synthetic, digest, _sha256(public / SCHEMA))
        (public / MANIFEST).write_text(_json(manifest), encoding="utf-8")
        (public / GUARANTEE).write_text(_guarantee(model, manifest), encoding="utf-8")
        (public / SUMS).write_text(_sums(public), encoding="utf-8")
        make_internal(internal)
        for item in evidence:
            item.write(internal / f"{item.kind}.json")
        # Entered first: a ledger that names a release which a crash prevented is no harm.
        ledger.record_release(
            out.name, table_sha256=digest, charges=[model.privacy_["ledger"]["charge"]]
        )
        public.rename(out)
    return out


def make_internal(path: Path) -> None:
    """Make the folder of what was computed from real rows; only its owner may look into it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def refuse_existing(path: Path) -> None:
    """Raise if a folder would be overwritten."""
    if path.exists():
        raise IntegrityError(
            f"{str(path)!r} exists, and a release is never overwritten.",
            code="DPS601",
            fix="choose another name or move the old one away.",
        )


def _require_evidence(evidence: Sequence[Evidence], digest: str) -> None:
    bound = [item for item in evidence if item.kind == "utility" and item.table_sha256 == digest]
    if not bound:
        raise GateError(
            "no utility evidence belongs to this table.", fix="evaluate the table that is released."
        )
    if any(item.verdict == Verdict.FAIL for item in bound):
        raise GateError("the utility evidence of this table does not pass its gate.", code="DPS302")
    audits = [item for item in evidence if item.kind == "audit" and item.table_sha256 == digest]
    if any(item.verdict == Verdict.FAIL for item in audits):
        raise GateError("the audit blocks this table.", code="DPS303")


def _manifest(
    model: Synthesizer, synthetic: pd.DataFrame, table_digest: str, schema_digest: str
) -> dict[str, Any]:
    plan, privacy = model.plan_, model.privacy_
    accountant = Accountant(plan.mechanisms)
    deltas = sorted({*_REPORTED_DELTAS, plan.budget.delta}, reverse=True)
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "table": {"file": TABLE, "sha256": table_digest, "rows": len(synthetic)},
        "schema": {
            "file": SCHEMA,
            "sha256": schema_digest,
            "sources": {c.name: c.source for c in model.schema.columns},
        },
        "method": {"name": plan.method, "parameters": plan.parameters},
        "privacy": {
            "epsilon": privacy["epsilon"],
            "delta": plan.budget.delta,
            "unit": plan.unit.describe(),
            "neighbouring_relation": str(plan.unit.relation),
            "epsilon_at_delta": {repr(d): accountant.certificate(d) for d in deltas},
            "accountant": "dp-accounting PLD and RDP, the smaller; parameters fixed in advance",
            "plan": plan.spec(),
            "plan_sha256": plan.digest(),
            "ledger": privacy["ledger"],
            "noise": privacy["noise"],
            "domain": "tables with at least one row",
        },
        "unprotected_quantities": _unprotected(model.schema),
        "post_processing": ["sampling from the fitted model", "decoding of codes to values"],
        "audit": "no membership-inference audit is part of this release",
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _unprotected(schema: Schema) -> list[str]:
    facts = [
        "everything stated in the schema",
        "that the table has at least one row and is well-formed",
        "that the evaluation of this table did not stop the release",
    ]
    if schema.rows is not None:
        facts.append("the number of rows")
    return facts


def _versions() -> dict[str, str]:
    found = {"dpsynth": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _guarantee(model: Synthesizer, manifest: Mapping[str, Any]) -> str:
    accountant = Accountant(model.plan_.mechanisms)
    privacy = manifest["privacy"]
    return (
        f"This table is synthetic. It was drawn from a model that was fitted with differential "
        f"privacy.\n\nProtected: {privacy['unit']}; neighbouring relation "
        f"{privacy['neighbouring_relation']}.\nGuarantee: ε = {privacy['epsilon']}, "
        f"δ = {privacy['delta']}.\n\n{accountant.explain(privacy['delta'])}\n\n"
        f"Not protected: {'; '.join(manifest['unprotected_quantities'])}.\n"
    )


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sums(folder: Path) -> str:
    names = sorted(p.name for p in folder.iterdir() if p.name != SUMS)
    return "".join(f"{_sha256(folder / name)}  {name}\n" for name in names)


def verify(folder: str | Path) -> tuple[Check, ...]:
    """Check a release as its recipient: no sensitive data is needed.

    Parameters
    ----------
    folder : path
        The release.

    Returns
    -------
    tuple of Check
        One per question; a release is sound when all have passed.

    Raises
    ------
    IntegrityError
        If the folder is no release at all.
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file() or not (folder / MANIFEST).is_file():
        raise IntegrityError(f"{str(folder)!r} is not a dpsynth release.", code="DPS603")
    checks = _verify_sums(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        checks += _verify_manifest(folder, manifest)
    except (KeyError, TypeError, ValueError, OSError, DPSynthError) as error:
        detail = str(error) if isinstance(error, DPSynthError) else "it cannot be read"
        checks.append(Check(name="manifest", passed=False, detail=detail))
    return tuple(checks)


def _verify_sums(folder: Path) -> list[Check]:
    listed: dict[str, str] = {}
    for line in (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    present = {p.name for p in folder.iterdir()} - {SUMS}
    checks = [
        Check(
            name=f"checksum of {name}",
            passed=(folder / name).is_file() and _sha256(folder / name) == digest,
        )
        for name, digest in sorted(listed.items())
        if Path(name).name == name
    ]
    expected = {TABLE, SCHEMA, MANIFEST, GUARANTEE}
    checks.append(
        Check(
            name="files",
            passed=present == set(listed) == expected,
            detail="the folder holds the listed files and no other",
        )
    )
    return checks


def _verify_manifest(folder: Path, manifest: Mapping[str, Any]) -> list[Check]:
    privacy = manifest["privacy"]
    plan = plan_from_spec(privacy["plan"])
    schema = Schema.read(folder / SCHEMA)
    accountant = Accountant(mechanism_from_spec(c["mechanism"]) for c in privacy["plan"]["charges"])
    recomputed = {
        delta: accountant.certificate(float(delta)) for delta in privacy["epsilon_at_delta"]
    }
    frame = read_frame(folder / TABLE)
    broken = violations(frame, schema)
    return [
        Check(name="manifest format", passed=manifest["format"] == FORMAT),
        Check(
            name="manifest names this table",
            passed=manifest["table"]["sha256"] == table_sha256(folder / TABLE)
            and manifest["table"]["rows"] == len(frame),
        ),
        Check(
            name="manifest names this schema",
            passed=manifest["schema"]["sha256"] == _sha256(folder / SCHEMA)
            and plan.schema_sha256 == schema.digest()
            and plan.unit == schema.unit,
        ),
        Check(name="plan digest", passed=plan.digest() == privacy["plan_sha256"]),
        Check(
            name="ε recomputed from the events",
            passed=all(
                np.isclose(recomputed[d], e, rtol=0, atol=2e-3)
                for d, e in privacy["epsilon_at_delta"].items()
            )
            and privacy["delta"] == plan.budget.delta
            and np.isclose(
                privacy["epsilon"], accountant.certificate(plan.budget.delta), rtol=0, atol=2e-3
            )
            and privacy["epsilon"] <= plan.budget.epsilon + 2e-3,
        ),
        Check(
            name="noise from the operating system",
            passed=privacy["noise"]["releasable"] is True,
        ),
        Check(
            name="no schema fact comes from the data",
            passed=not schema.research,
        ),
        Check(
            name="every row fits the schema",
            passed=not broken,
            detail=f"columns that do not: {', '.join(broken)}" if broken else "",
        ),
    ]
