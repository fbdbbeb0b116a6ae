"""A small release to test with, and the evidence that it needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import dpsynth as dp
from dpsynth.evidence import Evidence, Finding, Severity, Verdict
from dpsynth.files import csv_bytes
from dpsynth.release import PublicationFacts, seal
from dpsynth.release.layout import SIGNATURE, SUMS
from dpsynth.release.manifest import to_json
from dpsynth.release.sealing import sums
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema

CREATED = "2026-04-10T09:00:00+00:00"
SECRET = 0.123456789
"""A figure from real rows: it must never be found in a release."""

Fitted = tuple[dp.Independent, dp.Ledger]

_BOUND = {
    "quantity": "epsilon",
    "lower": 0.7,
    "point": 0.9,
    "confidence": 0.95,
    "delta": 1e-5,
    "assumptions": ["one fair coin per canary"],
}
CANARIES = {
    "mechanism": {"kind": "gaussian"},
    "mode": "surrogate",
    "canaries": 1000,
    "guesses": [100],
    "claim": 1.911,
    "delta": 1e-5,
    "conformance": {**_BOUND, "method": "d′", "ceiling": None},
    "bounds": [{**_BOUND, "method": "one run", "ceiling": 4.755}],
    "expected": 1.5,
    "p_value": 0.4,
    "runs": 1,
}
FIGURES = {
    "tvd1.mean": {
        "value": 0.05, "ci_low": 0.04, "ci_high": 0.06, "floor": 0.02, "direction": "lower",
    },
    "tstr.boosting.auroc": {"value": 0.77, "floor": 0.84, "direction": "higher"},
}  # fmt: skip


def fit(frame: pd.DataFrame | None = None, *, noise: dp.NoiseSource | None = None) -> Fitted:
    """Return a model that was fitted to a table of patients, and its ledger."""
    schema = patients_schema(id="patient", max_rows=3)
    ledger = open_ledger(schema)
    model = dp.Independent(schema).fit(
        patients_frame(900) if frame is None else frame,
        budget=BUDGET,
        ledger=ledger,
        dataset="patients",
        noise=noise,
    )
    return model, ledger


def digest_of(frame: pd.DataFrame) -> str:
    return hashlib.sha256(csv_bytes(frame)).hexdigest()


def evidence(frame: pd.DataFrame, kind: str = "utility", **changes: Any) -> Evidence:
    """Return evidence from real rows about a table."""
    fields: dict[str, Any] = {
        "kind": kind,
        "table_sha256": digest_of(frame),
        "created": CREATED,
        "metrics": {"secret": SECRET},
        "findings": (),
        "verdict": Verdict.PASS,
        "disclosure": "internal",
    }
    return Evidence(**{**fields, **changes})


def internal_evidence(frame: pd.DataFrame) -> list[Evidence]:
    return [evidence(frame), evidence(frame, "audit")]


def public_evidence(frame: pd.DataFrame) -> list[Evidence]:
    note = Finding("DPS444", Severity.INFO, "the canary audit could not have certified all of it.")
    return [
        evidence(
            frame,
            "audit",
            disclosure="post-processing",
            metrics={"canaries": CANARIES, "meaning": "bounds from below"},
            findings=(note,),
            verdict=Verdict.INCONCLUSIVE,
        ),
        evidence(
            frame,
            disclosure="public-reference",
            metrics={"notice": "compared with public rows", "metrics": FIGURES},
        ),
    ]


def facts(**changes: Any) -> PublicationFacts:
    stated: dict[str, Any] = {
        "title": "Synthetic admissions",
        "curators": ("County hospital",),
        "description": "A synthetic table of admissions.",
        "intended_use": "Teaching.",
        "not_for": "Decisions about people.",
        "population": "Patients of the county hospital",
        "period": "2021 to 2023",
        "region": "Testland",
        "contact": "the data desk",
        "licence": "CC BY 4.0",
        "maintenance": "Kept for five years.",
        "registry_authors": ("A. Nobody",),
        "data_source": "Static",
    }
    return PublicationFacts(**{**stated, **changes})


def sealed(
    fitted: Fitted,
    folder: Path,
    *,
    frame: pd.DataFrame | None = None,
    items: Sequence[Evidence] | None = None,
    rows: int = 40,
    **options: Any,
) -> Path:
    """Seal a small release in a folder."""
    model, ledger = fitted
    frame = model.sample(rows) if frame is None else frame
    if items is None:
        items = [*internal_evidence(frame), *public_evidence(frame)]
    return seal(
        frame,
        model,
        ledger=ledger,
        evidence=items,
        out=folder / "release",
        internal=folder / "release-internal",
        **options,
    )


def files_of(bundle: Path) -> dict[str, bytes]:
    """Return the files of a release by name."""
    return {
        path.relative_to(bundle).as_posix(): path.read_bytes()
        for path in sorted(bundle.rglob("*"))
        if path.is_file()
    }


def put_sums_right(bundle: Path) -> None:
    """Repair the checksums, as somebody who tampers would."""
    files = files_of(bundle)
    rest = {name: content for name, content in files.items() if name not in (SUMS, SIGNATURE)}
    (bundle / SUMS).write_text(sums(rest), encoding="utf-8")


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest, keep its form, and repair the checksums."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(to_json(document), encoding="utf-8")
    put_sums_right(bundle)
