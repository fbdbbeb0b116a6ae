"""The whole chain: what it leaves behind when it ends well, is stopped, refused or killed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth import workflow
from dpsynth.criteria import Audit, Criteria, Purchase
from dpsynth.errors import BudgetError, GateError, IntegrityError, UsageError
from dpsynth.evidence import Evidence, Verdict, table_sha256
from dpsynth.files import csv_bytes
from dpsynth.ledger import ChargeState
from dpsynth.marginals.independent import Independent
from dpsynth.privacy import canonical_sha256
from dpsynth.release import seal, verify
from privacy_audits.gate import Policy
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema

SENTINEL = "Zebrastreifen"
FEW = Criteria(audit=Audit(canaries=40), policy=Policy(alpha=1e-7))
"""Canaries enough to see that they are there, and no false stop in the life of these tests."""


class Copying(Independent):
    """A generator that hands out the rows it was fitted to; its charges are in order."""

    def fit(self, data: Any, **options: Any) -> Copying:
        super().fit(data, **options)
        self._rows = data.fitted[[column.name for column in self.schema.modelled]]
        return self

    def sample(self, n: int | None = None, **options: Any) -> pd.DataFrame:
        rng = np.random.default_rng()
        honest = super().sample(n, **options)
        drawn = self._rows.iloc[rng.integers(0, len(self._rows), len(honest))]
        return honest.assign(**{name: drawn[name].to_numpy() for name in drawn})


def run(
    out: Path,
    *,
    model: type[Independent] = Independent,
    criteria: Criteria = FEW,
    rows: int = 2400,
    budget: dp.Budget = BUDGET,
    ledger: dp.Ledger | None = None,
    schema: dp.Schema | None = None,
    **options: Any,
) -> tuple[workflow.Released, dp.Ledger]:
    schema = schema or patients_schema(id="patient", max_rows=3)
    ledger = ledger or open_ledger(schema, dp.Budget(epsilon=9, delta=1e-5))
    done = workflow.release(
        patients_frame(rows),
        model(schema),
        budget=budget,
        ledger=ledger,
        dataset="patients",
        out=out,
        criteria=criteria,
        **options,
    )
    return done, ledger


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[workflow.Released, dp.Ledger]:
    import os

    os.environ.setdefault("DPSYNTH_STATE", str(tmp_path_factory.mktemp("state")))
    criteria = replace(FEW, purchase=Purchase(epsilon=0.5, one_way=0.9))
    return run(tmp_path_factory.mktemp("chain") / "release", criteria=criteria)


def test_a_finished_release_verifies_and_keeps_the_rest_in_the_house(finished) -> None:
    done, ledger = finished
    checks = verify(done.bundle)
    assert all(check.passed for check in checks), [c for c in checks if not c.passed]
    assert {path.name for path in done.internal.iterdir()} >= {
        "model.dpsynth", "fit.csv", "holdout.csv", "coins.json", "utility.html", "audit.html",
        "utility.json", "audit.json",
    }  # fmt: skip
    assert done.internal.stat().st_mode & 0o077 == 0
    # A copy of a file leaves the protection of its folder behind.
    for name in ("fit.csv", "holdout.csv", "coins.json", "utility.html", "audit.html"):
        assert (done.internal / name).stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in (done.bundle / "evidence").iterdir()) == [
        "audit-post-processing.json",
        "utility-dp.json",
    ]
    assert len(ledger.summary().charges) == 2


def test_criteria_are_hashed_first_and_stand_in_manifest_and_ledger(finished) -> None:
    done, ledger = finished
    criteria = replace(FEW, purchase=Purchase(epsilon=0.5, one_way=0.9))
    fixed = canonical_sha256(criteria.to_dict())
    manifest = (done.bundle / "manifest.json").read_text(encoding="utf-8")
    assert fixed in manifest
    lines = ledger.verdicts(table_sha256(done.bundle / "synthetic.csv"))
    assert {line.criteria_sha256 for line in lines} == {fixed}
    assert {line.kind for line in lines} == {"audit", "utility"}


def test_an_audit_of_the_release_can_be_repeated_with_its_coins(finished) -> None:
    from privacy_audits.attacks import Coins

    done, _ = finished
    coins = Coins.read(done.internal / "coins.json")
    coins.check_files(done.internal / "fit.csv", done.internal / "holdout.csv")
    fitted, held = (pd.read_csv(done.internal / f"{name}.csv") for name in ("fit", "holdout"))
    assert not set(fitted["patient"]) & set(held["patient"])
    assert 0.7 < len(fitted) / (len(fitted) + len(held)) < 0.9


def test_an_overfitted_generator_is_stopped_and_the_report_says_why(tmp_path: Path) -> None:
    out = tmp_path / "release"
    schema = patients_schema()
    ledger = open_ledger(schema)
    options = {"budget": dp.Budget(epsilon=0.5, delta=1e-5), "ledger": ledger, "schema": schema}
    with pytest.raises(GateError, match="audit blocks") as refusal:
        run(out, model=Copying, **options)
    assert refusal.value.exit_code == 5
    assert refusal.value.code == "DPS303"
    assert not out.exists()
    internal = tmp_path / "release-internal"
    assert "BLOCK" in (internal / "audit.html").read_text(encoding="utf-8")
    audit = Evidence.read(internal / "audit-internal.json")
    assert audit.verdict is Verdict.FAIL
    assert any(finding.severity == "error" for finding in audit.findings)
    assert (internal / "utility.html").exists()
    # The budget is spent, and the verdict stays.
    (charge,) = ledger.summary().charges
    assert charge.state is ChargeState.COMMITTED
    assert Verdict.FAIL in {line.verdict for line in ledger.verdicts(audit.table_sha256)}
    # The same place is not used again.
    with pytest.raises(IntegrityError, match="exists"):
        run(out, **options)


def test_whoever_stops_after_the_audit_has_its_verdict_in_the_ledger(tmp_path: Path) -> None:
    schema = patients_schema()
    ledger = open_ledger(schema)
    drawn: list[pd.DataFrame] = []

    class Watched(Copying):
        def sample(self, n: int | None = None, **options: Any) -> pd.DataFrame:
            drawn.append(super().sample(n, **options))
            return drawn[-1]

    def stop(stage: str) -> None:
        if stage.startswith("measuring"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            tmp_path / "release", model=Watched, schema=schema, ledger=ledger,
            budget=dp.Budget(epsilon=0.5, delta=1e-5), say=stop,
        )  # fmt: skip
    assert "BLOCK" in (tmp_path / "release-internal" / "audit.html").read_text(encoding="utf-8")
    lines = ledger.verdicts(hashlib.sha256(csv_bytes(drawn[0])).hexdigest())
    assert ("audit", Verdict.FAIL) in {(line.kind, line.verdict) for line in lines}


def test_a_table_that_was_blocked_once_is_never_sealed(tmp_path: Path) -> None:
    schema = patients_schema()
    ledger = open_ledger(schema)
    model = Independent(schema).fit(
        patients_frame(600), budget=BUDGET, ledger=ledger, dataset="patients"
    )
    synthetic = model.sample(80)
    synthetic.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.csv").write_bytes(csv_bytes(synthetic))
    clean = [
        Evidence(
            kind=kind,  # type: ignore[arg-type]
            table_sha256=table_sha256(tmp_path / "t.csv"),
            created="2026-11-26T00:00:00+00:00",
            metrics={},
            findings=(),
            verdict=Verdict.PASS,
            disclosure="internal",
        )
        for kind in ("utility", "audit")
    ]
    ledger.record_verdict(replace(clean[1], verdict=Verdict.FAIL))
    with pytest.raises(GateError, match="the ledger holds a verdict"):
        seal(
            synthetic, model, ledger=ledger, evidence=clean, out=tmp_path / "r",
            internal=tmp_path / "i",
        )  # fmt: skip
    assert not (tmp_path / "r").exists()


def test_a_bought_figure_beyond_its_limit_stops_the_table(tmp_path: Path) -> None:
    criteria = replace(FEW, purchase=Purchase(epsilon=2.0, two_way=1e-6))
    with pytest.raises(GateError, match="utility evidence") as refusal:
        run(tmp_path / "release", criteria=criteria)
    assert refusal.value.code == "DPS302"
    assert not (tmp_path / "release").exists()
    bought = Evidence.read(tmp_path / "release-internal" / "utility-dp.json")
    assert [finding.code for finding in bought.findings if finding.severity == "error"] == [
        "DPS356"
    ]


def test_a_limit_on_what_is_not_bought_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    whole = patients_schema()
    (column,) = [c for c in whole.modelled if c.name == "age"]
    schema = replace(whole, columns=(column,))
    ledger = open_ledger(schema)
    criteria = Criteria(purchase=Purchase(epsilon=0.5, two_way=0.2))
    budget = dp.Budget(epsilon=1, delta=1e-5)
    out = tmp_path / "release"
    with pytest.raises(UsageError, match="DPS354"):
        run(out, ledger=ledger, schema=schema, budget=budget, criteria=criteria)
    assert {line.state for line in ledger.summary().charges} == {ChargeState.ABORTED}
    assert not any(tmp_path.iterdir())


def test_what_could_never_be_sealed_spends_nothing(tmp_path: Path) -> None:
    schema = patients_schema()
    ledger = open_ledger(schema)
    with pytest.raises(GateError, match="DPS301"):
        run(tmp_path / "release", ledger=ledger, schema=schema, noise=dp.NoiseSource.seeded(1))
    assert ledger.summary().charges == ()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("epsilon", [float("nan"), float("inf"), -1.0])
def test_a_limit_cannot_be_lost_with_a_price_that_is_no_number(epsilon: float) -> None:
    with pytest.raises(UsageError, match="epsilon"):
        Purchase(epsilon=epsilon, one_way=0.1)


def test_of_two_runs_for_one_name_the_second_spends_nothing(tmp_path: Path) -> None:
    schema = patients_schema()
    ledger = open_ledger(schema, dp.Budget(epsilon=9, delta=1e-5))
    refused: list[IntegrityError] = []

    def meanwhile(stage: str) -> None:
        if "fitting" in stage and not refused:
            with pytest.raises(IntegrityError, match="DPS601") as refusal:
                run(tmp_path / "release", ledger=ledger, schema=schema, say=meanwhile)
            refused.append(refusal.value)

    done, _ = run(tmp_path / "release", ledger=ledger, schema=schema, say=meanwhile)
    assert refused
    assert done.bundle.is_dir()
    assert len(ledger.summary().charges) == 1


def test_a_ledger_without_room_for_both_refuses_before_the_table_is_opened(tmp_path: Path) -> None:
    schema = patients_schema()
    ledger = open_ledger(schema)
    with pytest.raises(BudgetError):
        workflow.release(
            tmp_path / "there-is-no-table.csv",
            Independent(schema),
            budget=BUDGET,
            ledger=ledger,
            dataset="patients",
            out=tmp_path / "release",
            criteria=Criteria(purchase=Purchase(epsilon=2.9)),
        )
    # What was booked for the figures is given back.
    assert {line.state for line in ledger.summary().charges} == {ChargeState.ABORTED}
    assert not any(tmp_path.iterdir())


def test_nothing_of_a_planted_value_leaves_the_house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = patients_schema()
    frame = patients_frame(2400)
    frame["ward"] = frame["ward"].astype(object)
    frame.loc[:40, "ward"] = SENTINEL
    frame["stay"] = frame["stay"].where(frame.index != 7, 77777.25)
    said: list[str] = []
    done = workflow.release(
        frame,
        Independent(schema),
        budget=BUDGET,
        ledger=open_ledger(schema),
        dataset="patients",
        out=tmp_path / "release",
        criteria=FEW,
        say=said.append,
    )
    public = b"".join(p.read_bytes() for p in sorted(done.bundle.rglob("*")) if p.is_file())
    spoken = capsys.readouterr()
    for text in (public.decode("utf-8", "replace"), "".join(said), spoken.out, spoken.err):
        assert SENTINEL not in text
        assert "77777" not in text
    assert b"internal" not in public.replace(b"figures stay internal", b"")


KILLED = """
import os, sys
from pathlib import Path
import dpsynth as dp
from dpsynth import workflow
from dpsynth.criteria import Audit, Criteria
from dpsynth.marginals.independent import Independent
from privacy_audits.gate import Policy
from tests.conftest import BUDGET, patients_frame, patients_schema

folder, stage = Path(sys.argv[1]), sys.argv[2]

def say(words):
    if words.startswith(stage):
        os._exit(9)

schema = patients_schema()
with dp.Ledger.open(folder / "ledger.db") as ledger:
    workflow.release(
        patients_frame(1200), Independent(schema), budget=BUDGET, ledger=ledger,
        dataset="patients", out=folder / "release", say=say,
        criteria=Criteria(audit=Audit(canaries=40), policy=Policy(alpha=1e-7)),
    )
"""


@pytest.mark.parametrize("stage", ["booking", "attacking", "sealing"])
def test_a_kill_leaves_no_bundle_and_a_ledger_that_verifies(stage: str, tmp_path: Path) -> None:
    schema = patients_schema()
    with dp.Ledger.create(
        tmp_path / "ledger.db",
        population="p",
        dataset="patients",
        budget=BUDGET,
        unit=schema.unit,
    ):
        pass
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), stage]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == 9, ended.stderr[-500:]
    assert not (tmp_path / "release").exists()
    with dp.Ledger.open(tmp_path / "ledger.db") as ledger:
        ledger.recover()
        summary = ledger.check()
    states = {line.state for line in summary.charges}
    assert states == (set() if stage == "booking" else {ChargeState.COMMITTED})
    assert summary.releases == ()
    assert json.dumps(summary.to_dict())


def test_too_few_people_for_an_audit_do_not_stop_a_release(tmp_path: Path) -> None:
    """Whether they are too few follows from the number of rows, which is private."""
    done, ledger = run(tmp_path / "release", rows=420)
    assert done.audit.verdict is Verdict.INCONCLUSIVE
    assert done.audit.table.membership == ()
    assert "DPS442" in {finding.code for finding in done.audit.decision.findings}
    assert (done.bundle / "evidence" / "audit-post-processing.json").is_file()
    assert all(check.passed for check in verify(done.bundle))
    assert {line.verdict for line in ledger.verdicts(done.audit.table_sha256 or "")} >= {
        Verdict.INCONCLUSIVE
    }


def _clean(frame: pd.DataFrame) -> list[Evidence]:
    import hashlib

    from dpsynth.files import csv_bytes

    return [
        Evidence(
            kind=kind,  # type: ignore[arg-type]
            table_sha256=hashlib.sha256(csv_bytes(frame)).hexdigest(),
            created="2026-11-26T00:00:00+00:00",
            metrics={},
            findings=(),
            verdict=Verdict.PASS,
            disclosure="internal",
        )
        for kind in ("utility", "audit")
    ]


def test_a_fit_that_an_audit_blocked_releases_no_other_table(tmp_path: Path) -> None:
    schema = patients_schema()
    ledger = open_ledger(schema)
    options = {"budget": dp.Budget(epsilon=0.5, delta=1e-5), "ledger": ledger, "schema": schema}
    with pytest.raises(GateError, match="audit blocks"):
        run(tmp_path / "release", model=Copying, **options)
    model = dp.load(tmp_path / "release-internal" / "model.dpsynth")
    other = model.sample(60)
    with pytest.raises(GateError, match="the ledger holds a verdict"):
        seal(
            other, model, ledger=ledger, evidence=_clean(other), out=tmp_path / "b",
            internal=tmp_path / "c",
        )  # fmt: skip


def test_criteria_that_ask_for_figures_are_not_met_without_them(tmp_path: Path) -> None:
    schema = patients_schema()
    ledger = open_ledger(schema)
    model = Independent(schema).fit(
        patients_frame(600), budget=BUDGET, ledger=ledger, dataset="patients"
    )
    frame = model.sample(60)
    with pytest.raises(GateError, match="ask for bought figures"):
        seal(
            frame, model, ledger=ledger, evidence=_clean(frame), out=tmp_path / "b",
            internal=tmp_path / "c", criteria=Criteria(purchase=Purchase(epsilon=0.1)).to_dict(),
        )  # fmt: skip
