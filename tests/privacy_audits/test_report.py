"""An audit from tables to verdict, evidence and page."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.cli import main
from dpsynth.errors import IntegrityError, UsageError
from dpsynth.evidence import Evidence, Verdict, table_sha256
from dpsynth.noise import NoiseSource
from privacy_audits.attacks import Design, split_audit
from privacy_audits.audit import audit
from privacy_audits.gate import Policy
from privacy_audits.report import BANNER, AuditReport
from tests.conftest import open_ledger, patients_frame, patients_schema
from tests.dpsynth.certificate.html_tree import parse
from tests.dpsynth.pages.notebook import checked

CLAIM = dp.Budget(epsilon=3.0, delta=1e-5)
SENTINEL = "ZQXSENTINEL7"


def schema() -> dp.Schema:
    document = patients_schema().to_dict()
    document["columns"]["ward"]["categories"] = ["a", "b", "c", SENTINEL]
    return dp.Schema.from_dict(document)


def rows(n: int, seed: int) -> pd.DataFrame:
    frame = patients_frame(n, seed=seed).drop(columns="patient")
    frame.loc[frame.index[:3], "ward"] = SENTINEL
    return frame


FITTED, HELD_OUT = rows(900, 0), rows(800, 1)


def attacked(synthetic: pd.DataFrame, **more: object) -> AuditReport:
    return audit(synthetic, FITTED, HELD_OUT, schema(), claim=CLAIM, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fresh() -> AuditReport:
    return attacked(rows(900, 2), table_sha256="0" * 64)


@pytest.fixture(scope="module")
def copied() -> AuditReport:
    return attacked(FITTED.sample(900, replace=True, random_state=3), table_sha256="0" * 64)


def test_a_fresh_table_is_not_suspected_and_copies_are_blocked(
    fresh: AuditReport, copied: AuditReport
) -> None:
    assert fresh.verdict == Verdict.INCONCLUSIVE
    assert {"DPS442", "DPS443"} <= {finding.code for finding in fresh.decision.findings}
    assert copied.verdict == Verdict.FAIL
    assert copied.decision.findings[0].code == "DPS423"


def test_a_value_outside_the_domain_blocks() -> None:
    strange = rows(900, 2)
    strange.loc[5, "ward"] = "elsewhere"
    report = attacked(strange)
    assert report.verdict == Verdict.FAIL
    (first, *_) = report.decision.findings
    assert first.code == "DPS421"
    assert "ward" in first.message
    assert "elsewhere" not in str(report)


def test_evidence_is_bound_to_the_table_and_survives_json(fresh: AuditReport) -> None:
    evidence = fresh.evidence()
    assert (evidence.kind, evidence.disclosure, evidence.verdict) == (
        "audit",
        "internal",
        Verdict.INCONCLUSIVE,
    )
    assert Evidence.from_json(evidence.to_json()) == evidence
    assert "ceiling" in evidence.to_json()
    unbound = attacked(rows(900, 2))
    with pytest.raises(UsageError, match="not bound"):
        unbound.evidence()


def test_no_output_calls_a_table_private_or_carries_a_value(
    fresh: AuditReport, copied: AuditReport, tmp_path: Path
) -> None:
    for name, report in (("fresh", fresh), ("copied", copied)):
        path = tmp_path / f"{name}.html"
        report.save(path)
        texts = [str(report), json.dumps(report.to_dict()), path.read_text(), repr(report)]
        for text in texts:
            assert "private" not in text.lower()
            assert SENTINEL not in text
        assert all("confidential" in text.lower() for text in texts)
        assert not any(character.isdigit() for character in repr(report))


def test_bounds_never_exceed_estimates_and_ceilings_are_always_printed(
    fresh: AuditReport, copied: AuditReport
) -> None:
    for report in (fresh, copied):
        frame = report.frame()
        assert (frame["lower"] <= frame["value"]).all()
        assert (frame["value"] <= frame["upper"]).all()
        for attack in report.table.membership:
            assert f"{attack.one_run.ceiling:.2f}" in str(report)
        assert "ceiling" in str(report)


def test_the_page_is_well_formed_accessible_and_asks_for_nothing(
    copied: AuditReport, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    copied.save(path)
    text = path.read_text()
    page = parse(text)
    assert page.problems == []
    assert page.tags.count("h1") == page.tags.count("main") == 1
    assert page.tags.count("caption") == page.tags.count("table")
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert "http:" not in text
    assert "https:" not in text
    identifiers = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    for figure in page.all("svg"):
        assert figure.get("role") == "img" or figure.get("aria-hidden") == "true"
    assert "BLOCK" in page.text
    with pytest.raises(IntegrityError, match="DPS601"):
        copied.save(path)


def test_a_notebook_shows_the_stamp_the_verdict_and_no_value(
    fresh: AuditReport, copied: AuditReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for report, verdict in ((fresh, "INCONCLUSIVE"), (copied, "BLOCK")):
        page = checked(report._repr_html_())
        assert page.text.lstrip().startswith(f"CONFIDENTIAL: {BANNER}")
        assert f"patients: {verdict}" in page.text
        assert all(found.code in page.text for found in report.decision.findings)
        assert all(attack.name in page.text for attack in report.table.membership)
        assert all(gap.name in page.text for gap in report.table.gaps)
        assert "HEURISTIC" in page.text
        assert SENTINEL not in page.text
        # Records are not counted.
        assert not {"900", "800"} & set(page.text.split())
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert fresh._repr_html_() is None


def test_drawings_are_those_of_the_page_and_stand_alone(fresh: AuditReport, tmp_path: Path) -> None:
    fresh.save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    drawn = fresh.figures()
    assert list(drawn) == ["bounds", "areas", "roc"]
    for text in drawn.values():
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert text.partition("</style>")[2].strip() in page
        assert SENTINEL not in text


def test_recorded_coins_make_the_bound_one(fresh: AuditReport) -> None:
    assert "HEURISTIC" in str(fresh)
    table = pd.concat([FITTED, HELD_OUT], ignore_index=True)
    split = split_audit(
        table, schema(), design=Design(audited=0.6, reference=0.2), rng=np.random.default_rng(0)
    )
    report = audit(
        rows(900, 2), split.fitted, split.held_out, schema(), claim=CLAIM, coins=split.coins
    )
    assert "HEURISTIC" not in str(report)


def test_a_model_brings_its_claim_and_its_canaries(tmp_path: Path) -> None:
    facts = patients_schema()
    model = dp.Independent(facts)
    ledger = open_ledger(facts)
    model.fit(rows(900, 0).assign(ward="a"), budget=CLAIM, ledger=ledger, dataset="patients")
    frame = model.sample(400)
    report = audit(
        frame, rows(900, 0).assign(ward="a"), rows(800, 1).assign(ward="a"), facts, model=model,
        canaries=120, policy=Policy(least_holdout=300),
    )  # fmt: skip
    assert report.claim == CLAIM
    assert report.canaries is not None
    assert report.canaries.mode == "surrogate"
    assert all(
        sentence in " ".join(str(report).split()) for sentence in report.canaries.sentences()
    )
    with pytest.raises(UsageError, match="another budget"):
        audit(frame, FITTED, HELD_OUT, facts, model=model, claim=dp.Budget(epsilon=9, delta=1e-5))
    with pytest.raises(UsageError, match="another schema"):
        audit(frame, FITTED, HELD_OUT, schema(), model=model)


def test_public_evidence_does_not_depend_on_real_rows(
    fresh: AuditReport, copied: AuditReport
) -> None:
    model = dp.Independent(schema())
    model.fit(FITTED, budget=CLAIM, ledger=open_ledger(schema(), CLAIM), dataset="patients")
    whole = attacked_with(model)
    one, other = (
        replace(whole, table=report.table).public_evidence() for report in (fresh, copied)
    )
    assert one == other
    assert one.to_json() == other.to_json()
    assert fresh.verdict != copied.verdict
    assert one.disclosure == "post-processing"
    assert whole.canaries is not None
    assert one.metrics["canaries"]["claim"] == whole.canaries.claim
    assert one.metrics["sentences"] == whole.canaries.sentences()
    planted = replace(whole, canaries=replace(whole.canaries, mode="in-situ")).public_evidence()
    assert planted.metrics["canaries"] is None
    assert planted.verdict == Verdict.INCONCLUSIVE


def attacked_with(model: dp.Independent) -> AuditReport:
    return audit(model.sample(900), FITTED, HELD_OUT, schema(), model=model, table_sha256="0" * 64)


def test_public_evidence_blocks_by_the_table_and_the_canaries_alone() -> None:
    outside = rows(900, 2)
    outside["age"] = outside["age"] + 200
    report = attacked(outside, table_sha256="0" * 64)
    assert report.public_evidence().verdict == Verdict.FAIL
    with pytest.raises(UsageError, match="not bound"):
        attacked(rows(900, 2)).public_evidence()


def test_a_method_without_canaries_leaves_the_audit_inconclusive() -> None:
    facts = patients_schema()
    model = dp.MST(facts)
    model.fit(
        rows(900, 0).assign(ward="a"), budget=CLAIM, ledger=open_ledger(facts), dataset="patients"
    )
    report = audit(
        model.sample(400), rows(900, 0).assign(ward="a"), rows(800, 1).assign(ward="a"), facts,
        model=model, policy=Policy(least_holdout=300),
    )  # fmt: skip
    assert report.canaries is None
    assert any(len(columns) == 2 for columns in model.cliques())
    assert report.verdict == Verdict.INCONCLUSIVE
    (found,) = [f for f in report.decision.findings if f.code == "DPS443"]
    assert "no canaries for mst" in found.message


def test_released_rows_are_units_of_their_own_in_the_run_with_canaries() -> None:
    facts = patients_schema(id="patient", max_rows=2)
    frame = patients_frame(1800)
    fitted, held_out = frame.iloc[:900], frame.iloc[900:]
    model = dp.Independent(facts)
    model.fit(fitted, budget=CLAIM, ledger=open_ledger(facts), dataset="patients")
    report = audit(
        model.sample(400).drop(columns="patient"), fitted, held_out, facts, model=model,
        canaries=50,
    )  # fmt: skip
    assert report.canaries is not None
    assert report.canaries.canaries == 50


def test_counts_without_a_place_for_canaries_leave_the_audit_inconclusive() -> None:
    document = patients_schema().to_dict()
    document["columns"] = {name: document["columns"][name] for name in ("age", "stay")}
    facts = dp.Schema.from_dict(document)
    model = dp.Independent(facts)
    model.fit(FITTED, budget=CLAIM, ledger=open_ledger(facts), dataset="patients")
    report = audit(model.sample(400), FITTED, HELD_OUT, facts, model=model)
    assert report.canaries is None
    assert "DPS443" in {finding.code for finding in report.decision.findings}


def test_without_coins_records_of_another_kind_do_not_block() -> None:
    young, old = rows(1800, 0).assign(age=20, ward="a"), rows(800, 1).assign(age=90, ward="b")
    claim = dp.Budget(epsilon=0.5, delta=1e-5)
    report = audit(young[900:], young[:900], old, schema(), claim=claim)
    assert min(attack.p_exact or 1 for attack in report.table.membership) < 1e-20
    assert report.verdict == Verdict.REVIEW


# -- the command -----------------------------------------------------------------------------------


class Place:
    """A folder with everything that the command reads."""

    def __init__(self, folder: Path, synthetic: pd.DataFrame) -> None:
        self.folder = folder
        self.synthetic = folder / "synthetic.csv"
        synthetic.to_csv(self.synthetic, index=False)
        FITTED.to_csv(folder / "fit.csv", index=False)
        HELD_OUT.to_csv(folder / "holdout.csv", index=False)
        schema().write(folder / "schema.toml")

    def run(self, *more: str) -> int:
        named = {
            "--fit": "fit.csv",
            "--holdout": "holdout.csv",
            "--synthetic": "synthetic.csv",
            "--schema": "schema.toml",
        }
        tokens = [part for name, file in named.items() for part in (name, str(self.folder / file))]
        return main(["audit", *tokens, *more])


def test_the_command_writes_evidence_and_page_and_exits_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path, rows(900, 2))
    evidence, page = tmp_path / "audit.json", tmp_path / "audit.html"
    claim = ["--epsilon", "3", "--delta", "1e-5"]
    code = place.run(*claim, "-o", str(evidence), "--page", str(page), "--json")
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert json.loads(printed.out)["verdict"] == "inconclusive"
    assert Evidence.read(evidence).table_sha256 == table_sha256(place.synthetic)
    assert {file.stat().st_mode & 0o077 for file in (evidence, page)} == {0}
    assert "<h1>" in page.read_text()
    assert place.run(*claim, "-o", str(evidence)) == 6
    assert place.run(*claim, "--page", str(page)) == 6


def test_the_command_exits_5_where_it_blocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path, FITTED)
    evidence = tmp_path / "audit.json"
    assert place.run("--epsilon", "3", "--delta", "1e-5", "-o", str(evidence)) == 5
    printed = capsys.readouterr()
    assert "BLOCK" in printed.out
    assert "DPS303" in printed.err
    # What was found is kept: a person has to see why.
    assert Evidence.read(evidence).verdict == Verdict.FAIL


def test_a_report_that_could_not_be_written_is_refused_before_the_attacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path, FITTED)
    (tmp_path / "file").write_text("in the way")
    claim = ["--epsilon", "3", "--delta", "1e-5"]
    assert place.run(*claim, "--page", str(tmp_path / "file" / "audit.html")) == 2
    assert capsys.readouterr().out == ""
    both = str(tmp_path / "audit.html")
    assert place.run(*claim, "--page", both, "-o", both) == 2
    assert "one file" in capsys.readouterr().err


def test_a_missing_column_is_named_with_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path, FITTED)
    HELD_OUT.drop(columns="ward").to_csv(tmp_path / "holdout.csv", index=False)
    assert place.run() == 3
    assert "DPS250 column 'ward': the held-out table: " in capsys.readouterr().err
    asked = ["split", str(tmp_path / "holdout.csv"), "--schema", str(tmp_path / "schema.toml")]
    assert main([*asked, "-o", str(tmp_path / "parts")]) == 3
    assert "DPS250 column 'ward'" in capsys.readouterr().err
    assert not (tmp_path / "parts").exists()


def test_half_a_claim_is_refused(tmp_path: Path) -> None:
    assert Place(tmp_path, FITTED).run("--epsilon", "3") == 2


def test_noise_of_an_audit_is_not_that_of_a_release() -> None:
    # The audited source that a canary run draws from can never stand behind a release.
    from dpsynth.transcript import Transcript

    assert not NoiseSource.audited(Transcript()).releasable


def test_a_split_by_coins_goes_from_the_command_into_an_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path, rows(900, 2))
    table = tmp_path / "table.csv"
    pd.concat([FITTED, HELD_OUT], ignore_index=True).to_csv(table, index=False)
    facts, parts = str(tmp_path / "schema.toml"), tmp_path / "parts"
    asked = ["split", str(table), "--schema", facts, "-o", str(parts), "--audited", "0.5"]
    assert main(asked) == 0
    assert main(asked) == 6
    sizes = [len(pd.read_csv(parts / name)) for name in ("fit.csv", "holdout.csv")]
    assert sum(sizes) == len(FITTED) + len(HELD_OUT)
    assert (parts / "coins.json").stat().st_mode & 0o077 == 0
    capsys.readouterr()
    code = main(
        [
            "audit", "--fit", str(parts / "fit.csv"), "--holdout", str(parts / "holdout.csv"),
            "--synthetic", str(place.synthetic), "--schema", facts,
            "--coins", str(parts / "coins.json"), "--epsilon", "3", "--delta", "1e-5",
        ]
    )  # fmt: skip
    assert code == 0
    assert "HEURISTIC" not in capsys.readouterr().out
    # Coins of one split speak of its files alone, in their order.
    named = [str(parts / "holdout.csv"), str(parts / "fit.csv")]
    rest = ["--synthetic", str(place.synthetic), "--schema", facts]
    coins = ["--coins", str(parts / "coins.json")]
    assert main(["audit", "--fit", named[0], "--holdout", named[1], *rest, *coins]) == 3
    assert "swapped" in capsys.readouterr().err
    shuffled = pd.read_csv(parts / "fit.csv").sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "shuffled.csv", index=False)
    asked = ["audit", "--fit", str(tmp_path / "shuffled.csv"), "--holdout", named[0], *rest]
    assert main([*asked, *coins]) == 3
    assert "other files" in capsys.readouterr().err
    assert main(["audit", "--fit", named[1], "--holdout", named[1], *rest]) == 3
    assert "one file" in capsys.readouterr().err
