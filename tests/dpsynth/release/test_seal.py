"""Seal: what is refused, and what goes where."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

import dpsynth as dp
from dpsynth.codec import CodecSettings
from dpsynth.errors import GateError, IntegrityError
from dpsynth.evidence import Evidence, Verdict
from dpsynth.release import verify
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema
from tests.dpsynth.release.examples import (
    CANARIES,
    SECRET,
    Fitted,
    evidence,
    files_of,
    internal_evidence,
    sealed,
)

ALWAYS = {
    "DATASHEET.md",
    "GUARANTEE.txt",
    "SHA256SUMS",
    "croissant.json",
    "manifest.json",
    "report.html",
    "schema.toml",
    "synthetic.csv",
    "synthetic.parquet",
}


def test_a_release_with_everything_verifies(whole: Path) -> None:
    checks = verify(whole)
    assert all(check.passed for check in checks), [c for c in checks if not c.passed]
    assert set(files_of(whole)) == ALWAYS | {
        "dp-registry.yaml",
        "evidence/audit-post-processing.json",
        "evidence/utility-public-reference.json",
    }


def test_without_facts_and_public_evidence_the_rest_says_so(fitted: Fitted, tmp_path: Path) -> None:
    frame = fitted[0].sample(40)
    bundle = sealed(fitted, tmp_path, frame=frame, items=internal_evidence(frame))
    assert set(files_of(bundle)) == ALWAYS
    assert all(check.passed for check in verify(bundle))
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["registry"] is manifest["publication"] is manifest["criteria"] is None
    assert "Not stated by the custodian" in (bundle / "DATASHEET.md").read_text()
    report = (bundle / "report.html").read_text()
    assert "No audit that may be published" in report
    assert "None was bought from the privacy budget" in report


def test_nothing_computed_from_real_rows_is_in_the_release(whole: Path) -> None:
    everything = b"".join(files_of(whole).values())
    inside = whole.with_name("release-internal")
    assert repr(SECRET).encode() not in everything
    assert b"release-internal" not in everything
    for kind in ("utility", "audit"):
        assert repr(SECRET).encode() in (inside / f"{kind}.json").read_bytes()
    assert inside.stat().st_mode & 0o077 == 0


def test_the_manifest_states_the_whole_argument(whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    privacy, ledger = manifest["privacy"], manifest["ledger"]
    assert privacy["epsilon"] <= BUDGET.epsilon
    epsilons = [pair["epsilon"] for pair in privacy["epsilon_at_delta"]]
    assert len(epsilons) >= 5
    assert epsilons == sorted(epsilons)
    assert privacy["plan"]["charges"][0]["mechanism"]["kind"] == "discrete_gaussian"
    assert ledger["charges"][0]["mechanisms"] == privacy["plan"]["charges"]
    assert 0 < ledger["charges"][0]["share"] <= ledger["cumulative"]["capacity_used"] <= 1
    assert manifest["validation"]["gate"]["beta"] == pytest.approx(1e-6 * math.exp(-BUDGET.epsilon))
    assert manifest["validation"]["confidential"] == ["audit", "utility"]
    assert len(manifest["criteria"]["sha256"]) == 64
    assert manifest["software"]["dpsynth"]


def test_no_time_of_day_is_in_the_release(whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", manifest["created"])
    for name, content in files_of(whole).items():
        if name != "synthetic.parquet":
            times = re.findall(rb"\d{2}:\d{2}:\d{2}", content)
            assert set(times) <= {b"00:00:00"}, name


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_a_release_is_never_overwritten(fitted: Fitted, tmp_path: Path, what: str) -> None:
    place = tmp_path / "release"
    if what == "folder":
        place.mkdir()
    elif what == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(IntegrityError, match="never overwritten") as refusal:
        sealed(fitted, tmp_path)
    assert refusal.value.exit_code == 6
    assert [p.name for p in tmp_path.iterdir()] == ["release"]


def test_a_folder_that_appears_meanwhile_is_not_overwritten(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = dp.Ledger.record_release

    def slow(self: dp.Ledger, *args: object, **options: object) -> None:
        entered(self, *args, **options)  # type: ignore[arg-type]
        (tmp_path / "release").mkdir()
        (tmp_path / "release" / "theirs").write_text("theirs")

    monkeypatch.setattr(dp.Ledger, "record_release", slow)
    with pytest.raises(IntegrityError, match="never overwritten"):
        sealed(fitted, tmp_path)
    assert [p.name for p in (tmp_path / "release").iterdir()] == ["theirs"]


def refused(fitted: Fitted, folder: Path, items: list[Evidence], frame: object, why: str) -> None:
    before = sorted(p.name for p in folder.iterdir())
    with pytest.raises(GateError, match=why) as refusal:
        sealed(fitted, folder, frame=frame, items=items)  # type: ignore[arg-type]
    assert refusal.value.exit_code == 5
    assert sorted(p.name for p in folder.iterdir()) == before


@pytest.mark.parametrize("kind", ["utility", "audit"])
def test_evidence_of_both_kinds_must_be_about_this_table(
    fitted: Fitted, tmp_path: Path, kind: str
) -> None:
    frame, other = fitted[0].sample(40), fitted[0].sample(40)
    both = internal_evidence(frame)
    rest = [item for item in both if item.kind != kind]
    refused(fitted, tmp_path, rest, frame, f"no {kind} evidence belongs to this table")
    refused(
        fitted,
        tmp_path,
        [*rest, evidence(other, kind)],
        frame,
        f"no {kind} evidence belongs to this table",
    )
    refused(fitted, tmp_path, [*both, evidence(other, kind)], frame, "belongs to another table")


@pytest.mark.parametrize(("kind", "code"), [("utility", "DPS302"), ("audit", "DPS303")])
@pytest.mark.parametrize("disclosure", ["internal", "post-processing"])
def test_one_block_is_not_outvoted(
    fitted: Fitted, tmp_path: Path, kind: str, code: str, disclosure: str
) -> None:
    frame = fitted[0].sample(40)
    blocked = evidence(frame, kind, verdict=Verdict.FAIL, disclosure=disclosure)
    refused(fitted, tmp_path, [blocked, *internal_evidence(frame)], frame, code)


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


def test_another_ledger_is_refused(fitted: Fitted, tmp_path: Path) -> None:
    model, _ = fitted
    with pytest.raises(IntegrityError, match="DPS607"):
        sealed((model, open_ledger(model.schema)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_figures_that_were_bought_are_part_of_the_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = patients_schema()
    ledger = dp.Ledger.in_memory(
        dataset="patients", budget=dp.Budget(epsilon=4.0, delta=1e-5), unit=schema.unit
    )
    model, other = dp.Independent(schema), dp.Independent(schema)
    for fitted in (model, other):
        fitted.fit(
            patients_frame(600),
            budget=dp.Budget(epsilon=1.0, delta=1e-5),
            ledger=ledger,
            dataset="patients",
        )
    frame = model.sample(30)
    bought = evidence(
        frame,
        disclosure="dp",
        metrics={"metrics": {}, "paid": {"ledger": {"charge": other.privacy_["ledger"]["charge"]}}},
    )
    items = [bought, *internal_evidence(frame)]
    with pytest.raises(GateError, match="after the fit had read rows"):
        sealed((model, ledger), tmp_path / "late", frame=frame, items=items)
    monkeypatch.setattr(dp.Ledger, "fixed_in_advance", lambda *_: True)
    bundle = sealed((model, ledger), tmp_path, frame=frame, items=items)
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert len(manifest["ledger"]["charges"]) == 2
    assert manifest["privacy"]["epsilon"] > 1.2 > model.privacy_["epsilon"]
    assert all(check.passed for check in verify(bundle))
    unpaid = replace(bought, metrics={"metrics": {}})
    with pytest.raises(GateError, match="DPS304"):
        sealed((model, ledger), tmp_path / "b", frame=frame, items=[unpaid, *items[1:]])


@pytest.mark.parametrize("canaries", ["text", {}, {**CANARIES, "bounds": [{}]}])
def test_public_evidence_of_another_form_is_refused(
    fitted: Fitted, tmp_path: Path, canaries: object
) -> None:
    frame = fitted[0].sample(20)
    other = evidence(frame, "audit", disclosure="post-processing", metrics={"canaries": canaries})
    with pytest.raises(IntegrityError, match="does not have its form"):
        sealed(fitted, tmp_path, frame=frame, items=[*internal_evidence(frame), other])
    assert not list(tmp_path.iterdir())


def test_the_winner_of_a_private_search_can_be_released(tmp_path: Path) -> None:
    schema = patients_schema()
    ledger = open_ledger(schema)
    model = dp.PrivateSearch(
        [dp.Independent(schema), dp.Independent(schema, codec=CodecSettings(numeric_codes=6))],
        score=dp.TwoWayScore(),
        mean_trials=3.0,
    ).fit(patients_frame(600), budget=BUDGET, ledger=ledger, dataset="patients")
    bundle = sealed((model, ledger), tmp_path)  # type: ignore[arg-type]
    checks = verify(bundle)
    assert all(check.passed for check in checks), [c for c in checks if not c.passed]
    assert "private selection" in json.loads((bundle / "manifest.json").read_text())["tuning"]


def test_the_ledger_names_the_release(fitted: Fitted, tmp_path: Path) -> None:
    sealed(fitted, tmp_path)
    (line, *_) = reversed(fitted[1].statement().releases)
    assert line.name == fitted[0].schema.name
    assert line.charge_ids == (fitted[0].privacy_["ledger"]["charge"],)
