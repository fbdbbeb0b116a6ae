"""Seal and verify: what is refused, what is found, and what never gets in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import GateError, IntegrityError
from dpsynth.evidence import Evidence, Verdict, table_sha256
from dpsynth.release import seal, verify
from dpsynth.table import write_frame
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema


@pytest.fixture(scope="module")
def fitted() -> tuple[dp.Independent, dp.Ledger]:
    schema = patients_schema()
    ledger = open_ledger(schema)
    model = dp.Independent(schema)
    model.fit(patients_frame(900), budget=BUDGET, ledger=ledger, dataset="patients")
    return model, ledger


def evidence_for(frame: pd.DataFrame, folder: Path, verdict: Verdict = Verdict.PASS) -> Evidence:
    path = folder / "as-written.csv"
    write_frame(frame, path)
    return Evidence(
        kind="utility",
        table_sha256=table_sha256(path),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics={"tvd1": 0.123456789},
        findings=(),
        verdict=verdict,
        disclosure="internal",
    )


def sealed(fitted: tuple, folder: Path) -> Path:
    model, ledger = fitted
    synthetic = model.sample(80)
    return seal(
        synthetic,
        model,
        ledger=ledger,
        evidence=[evidence_for(synthetic, folder)],
        out=folder / "release",
        internal=folder / "internal",
    )


def test_a_sealed_release_verifies(fitted: tuple, tmp_path: Path) -> None:
    bundle = sealed(fitted, tmp_path)
    checks = verify(bundle)
    assert all(check.passed for check in checks), [c for c in checks if not c.passed]
    assert sorted(p.name for p in bundle.iterdir()) == [
        "GUARANTEE.txt",
        "SHA256SUMS",
        "manifest.json",
        "schema.toml",
        "synthetic.csv",
    ]


def test_the_manifest_states_the_whole_argument(fitted: tuple, tmp_path: Path) -> None:
    manifest = json.loads((sealed(fitted, tmp_path) / "manifest.json").read_text())
    privacy = manifest["privacy"]
    assert privacy["epsilon"] <= BUDGET.epsilon
    assert len(privacy["epsilon_at_delta"]) >= 5
    assert list(privacy["epsilon_at_delta"].values()) == sorted(
        privacy["epsilon_at_delta"].values()
    )
    assert privacy["plan"]["charges"][0]["mechanism"]["kind"] == "discrete_gaussian"
    assert manifest["versions"]["dpsynth"]
    assert manifest["unprotected_quantities"]


def test_nothing_computed_from_real_rows_is_in_the_release(fitted: tuple, tmp_path: Path) -> None:
    bundle = sealed(fitted, tmp_path)
    everything = b"".join(p.read_bytes() for p in bundle.iterdir())
    assert b"0.123456789" not in everything
    assert b"internal" not in everything
    assert b"0.123456789" in (tmp_path / "internal" / "utility.json").read_bytes()


def test_a_release_is_never_overwritten(fitted: tuple, tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    with pytest.raises(IntegrityError) as refusal:
        sealed(fitted, tmp_path)
    assert refusal.value.exit_code == 6
    assert not (tmp_path / "internal").exists()


def test_evidence_of_another_table_is_refused(fitted: tuple, tmp_path: Path) -> None:
    model, ledger = fitted
    other = evidence_for(model.sample(80), tmp_path)
    with pytest.raises(GateError, match="belongs to this table") as refusal:
        seal(
            model.sample(80),
            model,
            ledger=ledger,
            evidence=[other],
            out=tmp_path / "release",
            internal=tmp_path / "internal",
        )
    assert refusal.value.exit_code == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["as-written.csv"]


def test_failing_evidence_is_refused(fitted: tuple, tmp_path: Path) -> None:
    model, ledger = fitted
    synthetic = model.sample(80)
    with pytest.raises(GateError, match="DPS302"):
        seal(
            synthetic,
            model,
            ledger=ledger,
            evidence=[evidence_for(synthetic, tmp_path, Verdict.FAIL)],
            out=tmp_path / "release",
            internal=tmp_path / "internal",
        )
    assert not (tmp_path / "release").exists()


def test_an_audit_that_blocks_is_not_outvoted(fitted: tuple, tmp_path: Path) -> None:
    model, ledger = fitted
    synthetic = model.sample(80)
    passed = evidence_for(synthetic, tmp_path)
    blocked = replace(passed, kind="audit", verdict=Verdict.FAIL)
    with pytest.raises(GateError, match="DPS303"):
        seal(
            synthetic,
            model,
            ledger=ledger,
            evidence=[blocked, passed, replace(passed, kind="audit")],
            out=tmp_path / "release",
            internal=tmp_path / "internal",
        )
    assert not (tmp_path / "release").exists()


@pytest.mark.parametrize("why", ["fixed seed", "schema from the data"])
def test_a_model_that_is_not_releasable_is_refused(why: str, tmp_path: Path) -> None:
    document = patients_schema().to_dict()
    if why == "schema from the data":
        document["columns"]["age"]["source"] = "data"
    schema = dp.Schema.from_dict(document)
    ledger = open_ledger(schema)
    noise = dp.NoiseSource.seeded(1) if why == "fixed seed" else None
    model = dp.Independent(schema).fit(
        patients_frame(300), budget=BUDGET, ledger=ledger, dataset="patients", noise=noise
    )
    with pytest.raises(GateError, match="DPS301"):
        sealed((model, ledger), tmp_path)
    assert not (tmp_path / "release").exists()


def test_any_changed_byte_is_found(fitted: tuple, tmp_path: Path) -> None:
    bundle = sealed(fitted, tmp_path)
    rng = np.random.default_rng(0)
    for _ in range(60):
        path = rng.choice(sorted(bundle.iterdir()))
        original = path.read_bytes()
        changed = bytearray(original)
        changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(changed))
        assert not all(check.passed for check in verify(bundle)), path.name
        path.write_bytes(original)
    assert all(check.passed for check in verify(bundle))


def reseal(bundle: Path) -> None:
    """Repair the checksums, as somebody who tampers would."""
    from dpsynth.release import SUMS, _sums

    (bundle / SUMS).write_text(_sums(bundle), encoding="utf-8")


def edit_manifest(bundle: Path, change: object) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    reseal(bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["privacy"].update(epsilon=0.1),
        lambda m: m["privacy"]["epsilon_at_delta"].update({"1e-06": 0.01}),
        lambda m: m["privacy"]["plan"]["charges"][0]["mechanism"].update(sigma=1e6),
        lambda m: m["privacy"]["noise"].update(releasable=False),
        lambda m: m["table"].update(rows=1),
        lambda m: m.pop("privacy"),
        lambda m: m.update(format="other"),
    ],
)
def test_an_edited_manifest_is_found_even_with_new_checksums(
    fitted: tuple, tmp_path: Path, change: object
) -> None:
    bundle = sealed(fitted, tmp_path)
    edit_manifest(bundle, change)
    assert not all(check.passed for check in verify(bundle))


def test_a_row_outside_the_schema_is_found_by_column(fitted: tuple, tmp_path: Path) -> None:
    bundle = sealed(fitted, tmp_path)
    table = bundle / "synthetic.csv"
    frame = pd.read_csv(table)
    frame.loc[0, "age"] = 4000
    frame.to_csv(table, index=False)
    edit_manifest(bundle, lambda m: m["table"].update(sha256=table_sha256(table)))
    failed = [check for check in verify(bundle) if not check.passed]
    assert any("age" in check.detail for check in failed)
    assert not any("4000" in check.detail for check in failed)


def test_extra_and_missing_files_are_found(fitted: tuple, tmp_path: Path) -> None:
    bundle = sealed(fitted, tmp_path)
    (bundle / "extra.txt").write_text("x")
    assert not all(check.passed for check in verify(bundle))
    (bundle / "extra.txt").unlink()
    (bundle / "schema.toml").unlink()
    assert not all(check.passed for check in verify(bundle))


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="DPS603"):
        verify(tmp_path)
