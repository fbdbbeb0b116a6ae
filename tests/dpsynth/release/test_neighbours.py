"""Nothing but what was charged tells two neighbouring tables apart."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth import workflow
from dpsynth.evidence import Verdict
from dpsynth.release import verify
from dpsynth.table import read_frame
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema
from tests.dpsynth.release.examples import (
    Fitted,
    evidence,
    facts,
    files_of,
    fit,
    public_evidence,
    sealed,
)

SENTINELS = ("s3ntinel-ward", "s3ntinel-person", "77123", "s3ntinel-extra")


def neighbours() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two tables that differ in all rows of one patient."""
    one = patients_frame(900)
    other = one.copy()
    rows = other["patient"] == 7
    assert rows.sum() == 3
    other.loc[rows, ["sex", "ward", "grade", "age", "stay"]] = ["M", "c", "high", 95, 89.9]
    other.loc[rows, "died"] = ~other.loc[rows, "died"]
    return one, other


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> tuple[Fitted, Fitted]:
    """Models of two neighbouring tables that were fitted with the same noise."""
    earnest = dp.NoiseSource.from_entropy().describe()
    monkeypatch.setattr(dp.NoiseSource, "releasable", property(lambda self: True))
    monkeypatch.setattr(dp.NoiseSource, "describe", lambda self: earnest)
    one, other = neighbours()
    return (
        fit(one, noise=dp.NoiseSource.seeded(5)),
        fit(other, noise=dp.NoiseSource.seeded(5)),
    )


def named(bundle: Path) -> Mapping[str, bytes]:
    """Return the files without time and identifiers of the ledger, which are random."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    ledger = manifest["ledger"]
    replaced = {
        manifest["created"]: "TIME",
        ledger["charges"][0]["id"]: "CHARGE",
        ledger["ledger_id"]: "LEDGER",
        ledger["head"]: "HEAD",
    }
    out = {}
    for name, content in files_of(bundle).items():
        if name == "SHA256SUMS":
            content = b"\n".join(sorted(line[66:] for line in content.splitlines()))
        for value, word in replaced.items():
            content = content.replace(value.encode(), word.encode())
        out[name] = content
    return out


def test_with_the_same_table_two_neighbours_give_the_same_bytes(
    pair: tuple[Fitted, Fitted], tmp_path: Path
) -> None:
    frame = pair[0][0].sample(40, seed=1)
    seen = []
    for number, fitted in enumerate(pair):
        # What was computed from real rows differs, as it would.
        secret = {"tvd1.mean": {"value": 0.1 + number}, "copies": number}
        verdict = (Verdict.PASS, Verdict.REVIEW)[number]
        fitted[1].record_verdict(evidence(frame, verdict=verdict))
        items = [
            evidence(frame, metrics=secret, verdict=verdict),
            evidence(frame, "audit", metrics=secret),
            *public_evidence(frame),
        ]
        folder = tmp_path / str(number)
        folder.mkdir()
        bundle = sealed(fitted, folder, frame=frame, items=items, facts=facts())
        seen.append(named(bundle))
        # The anchor is that of the fit: the verdict, which depends on real rows, is not in it.
        ledger = json.loads((bundle / "manifest.json").read_text())["ledger"]
        assert ledger["head"] == fitted[0].privacy_["ledger"]["head"]
    one, other = seen
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


def test_with_tables_of_their_own_they_differ_in_the_table_and_its_digests_alone(
    pair: tuple[Fitted, Fitted], tmp_path: Path
) -> None:
    seen, digests = [], []
    for number, fitted in enumerate(pair):
        folder = tmp_path / str(number)
        folder.mkdir()
        frame = fitted[0].sample(40, seed=1)
        bundle = sealed(fitted, folder, frame=frame, facts=facts())
        files = dict(named(bundle))
        manifest = json.loads((bundle / "manifest.json").read_text())
        entries = [*manifest["table"]["files"], *manifest["validation"]["evidence"]]
        for content in (files.pop("synthetic.csv"), files.pop("synthetic.parquet")):
            assert content
        for entry in entries:
            files = {
                n: c.replace(entry["sha256"].encode(), entry["file"].encode())
                for n, c in files.items()
            }
        seen.append(files)
        digests.append(manifest["table"]["sha256"])
    assert digests[0] != digests[1]
    assert seen[0] == seen[1]


def test_planted_values_are_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    schema = patients_schema(id="patient", max_rows=3)
    frame = patients_frame(2400)
    frame["patient"] = frame["patient"].astype(str)
    frame["age"] = frame["age"].astype("int64")
    rng = np.random.default_rng(0)
    rows = rng.choice(len(frame), 30, replace=False)
    frame.loc[rows[:10], "ward"] = SENTINELS[0]
    frame.loc[rows[10:20], "patient"] = SENTINELS[1]
    frame.loc[rows[20:], "age"] = int(SENTINELS[2])
    frame["notes"] = SENTINELS[3]
    done = workflow.release(
        frame,
        dp.Independent(schema),
        budget=BUDGET,
        ledger=open_ledger(schema),
        dataset="patients",
        out=tmp_path / "release",
    )
    assert all(check.passed for check in verify(done.bundle))
    released = b"".join(files_of(done.bundle).values())
    # Parquet compresses: its cells are looked at as well.
    released += read_frame(done.bundle / "synthetic.parquet").to_csv().encode()
    printed = capsys.readouterr()
    seen = released.decode("utf-8", "replace") + caplog.text + printed.out + printed.err
    for sentinel in SENTINELS:
        assert sentinel not in seen
