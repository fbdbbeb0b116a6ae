"""The whole evaluation: good tables, the traps of other suites, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import benchmarks
from benchmarks import detection, evaluate, prediction
from benchmarks.report import UtilityReport
from benchmarks.uses import Thresholds
from dpsynth.errors import DataError, UsageError
from dpsynth.evidence import Severity, Verdict, table_sha256
from dpsynth.privacy import Budget
from dpsynth.schema import Schema
from tests.benchmarks.conftest import pair_frame, pair_schema, schema_of, shuffled
from tests.conftest import patients_frame, patients_schema

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "_ITERATIONS", 30)
    monkeypatch.setattr(prediction, "DRAWS", 200)


def patients(synthetic: pd.DataFrame, n: int = 300, **options: Any) -> UtilityReport:
    real, held = patients_frame(n, seed=1), patients_frame(n, seed=2)
    return evaluate(synthetic, real, held, patients_schema(), **options)


def codes(report: UtilityReport) -> set[str]:
    return {finding.code for finding in report.findings}


def without_time(report: UtilityReport) -> dict[str, Any]:
    return {key: value for key, value in report.to_dict().items() if key != "created"}


def test_a_fresh_sample_passes() -> None:
    frames = [pair_frame(1200, seed) for seed in (3, 1, 2)]
    report = evaluate(*frames, pair_schema(), table_sha256="0" * 64)
    assert report.verdict is Verdict.PASS
    assert codes(report) == {"DPS319", "DPS321"}
    assert report["validity"].value == 1.0
    assert report.evidence().verdict is Verdict.PASS


def test_every_metric_has_a_direction_and_a_defined_value() -> None:
    report = patients(patients_frame(300, seed=3))
    frame = report.frame()
    assert frame["name"].is_unique
    assert np.isfinite(frame["value"]).all()
    assert set(frame["direction"]) == {"lower", "higher"}
    families = {name.partition(".")[0] for name in frame["name"]}
    assert families == {
        "validity", "tvd1", "tvd2", "tvd3", "dependence", "tstr", "trtr", "gap", "dummy", "c2st",
        "queries", "support", "ks", "wasserstein", "tails", "workload", "pmse", "manifold",
        "hellinger", "ranking", "importance",
    }  # fmt: skip
    bounded = frame["ci_low"].notna()
    assert (frame["ci_low"] <= frame["value"])[bounded].all()
    assert (frame["value"] <= frame["ci_high"])[bounded].all()
    assert "DPS317" in codes(report)


def test_row_order_and_repetition_change_nothing() -> None:
    schema = patients_schema()
    frames = [patients_frame(200, seed=seed) for seed in (3, 1, 2)]
    one = evaluate(*frames, schema)
    other = evaluate(*(shuffled(frame) for frame in frames), schema)
    assert without_time(one) == without_time(other)
    assert without_time(evaluate(*frames, schema, seed=1)) != without_time(one)


def test_the_scaled_table_and_the_invented_correlation_are_flagged() -> None:
    real, held, ours = (pair_frame(1200, seed) for seed in (1, 2, 3))
    scaled = evaluate(ours.assign(x=ours["x"] * 1000 + 1e6), real, held, pair_schema())
    assert {"DPS311", "DPS314"} <= codes(scaled)
    assert scaled.verdict is Verdict.REVIEW
    assert "x" in str(scaled)
    invented = evaluate(ours.assign(y=ours["x"] / 100), real, held, pair_schema())
    assert "DPS312" in codes(invented)
    assert invented.verdict is Verdict.REVIEW


def test_rows_outside_the_schema_block() -> None:
    ours = patients_frame(300, seed=3).assign(ward="z")
    report = patients(ours, table_sha256="0" * 64)
    (error,) = [f for f in report.findings if f.severity is Severity.ERROR]
    assert error.code == "DPS310"
    assert "ward" in error.message
    assert report["validity"].value == pytest.approx(6 / 7)
    assert report.evidence().verdict is Verdict.FAIL


def test_only_the_released_table_and_the_schema_can_block() -> None:
    """A gate that refuses because of real rows would leak them."""
    bad = patients_frame(300, seed=2).assign(ward="z", age=4e4, died=True)
    report = evaluate(patients_frame(300, seed=3), bad, bad, patients_schema())
    assert report.verdict is not Verdict.FAIL


def test_paths_are_read_and_digested(tmp_path: Path) -> None:
    frames = {name: patients_frame(120, seed=i) for i, name in enumerate("sfh")}
    for name, frame in frames.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    by_path = evaluate(
        tmp_path / "s.csv", str(tmp_path / "f.csv"), tmp_path / "h.csv", patients_schema()
    )
    assert by_path.table_sha256 == table_sha256(tmp_path / "s.csv")
    by_frame = evaluate(*frames.values(), patients_schema(), table_sha256=by_path.table_sha256)
    assert without_time(by_path) == without_time(by_frame)
    with pytest.raises(UsageError, match="not bound"):
        evaluate(*frames.values(), patients_schema()).evidence()


def test_parts_are_announced_and_terms_are_kept() -> None:
    said: list[str] = []
    terms = {"budget": Budget(epsilon=1.0, delta=1e-6), "thresholds": Thresholds(two_way=0.3)}
    report = patients(patients_frame(120, seed=3), n=120, progress=said.append, **terms)
    assert said[0] == "tables"
    assert len(said) == len(set(said)) > 5
    assert not any(character.isdigit() for part in said for character in part)
    assert (report.budget, report.thresholds) == (terms["budget"], terms["thresholds"])
    assert report.unit == "one row"


@pytest.mark.parametrize("role", ["synthetic", "fit", "holdout"])
def test_a_single_row_is_refused_by_name(role: str) -> None:
    tables = {name: patients_frame(50) for name in ("synthetic", "fit", "holdout")}
    tables[role] = patients_frame(1)
    with pytest.raises(DataError, match=f"{role} table") as refusal:
        evaluate(schema=patients_schema(), **tables)
    assert refusal.value.exit_code == 3


@pytest.mark.parametrize("seed", [-1, 1.5, True, None])
def test_a_wrong_seed_is_refused(seed: Any) -> None:
    with pytest.raises(UsageError, match="seed"):
        patients(patients_frame(20), seed=seed)


def test_strange_tables_never_crash() -> None:
    everything = schema_of(
        {
            "empty": {"kind": "real", "bounds": [0, 1], "missing": True},
            "same": {"kind": "integer", "bounds": [0, 9]},
            "huge": {"kind": "real", "bounds": "discover", "source": "dp"},
            "many": {"kind": "categorical", "categories": "discover", "source": "dp"},
            "when": {"kind": "datetime", "bounds": ["2000-01-01", "2030-01-01"], "unit": "second"},
            "t": {"kind": "categorical", "categories": ["0", "1", "2"], "role": "target"},
        }
    )

    def frame(n: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        huge = rng.standard_cauchy(n) * 1e300
        huge[0], huge[-1] = np.inf, np.nan
        return pd.DataFrame(
            {
                "empty": np.full(n, np.nan),
                "same": np.ones(n),
                "huge": huge,
                "many": [f"level {i}" for i in rng.integers(0, 10**6, n)],
                "when": pd.Timestamp("2001-01-01") + pd.to_timedelta(rng.integers(0, 9**9, n), "s"),
                "t": rng.choice(["0", "1.0", " 2"], n),
            }
        )

    for n in (2, 3, 60):
        report = evaluate(frame(n, 3), frame(n, 1), frame(n + 7, 2), everything)
        json.dumps(report.to_dict(), allow_nan=False)
        assert str(report)
    swapped = evaluate(frame(60, 3).assign(t="0"), frame(60, 1), frame(60, 2), everything)
    assert "DPS316" in codes(swapped)


def test_no_cell_value_is_shown() -> None:
    def marked(seed: int) -> pd.DataFrame:
        frame = patients_frame(60, seed=seed).astype({"age": float})
        frame.loc[0, "age"] = 87654321.0
        frame.loc[1, "ward"] = "s3ntinel"
        return frame

    report = evaluate(marked(3), marked(1), marked(2), patients_schema(), table_sha256="0" * 64)
    shown = f"{report}{report!r}{json.dumps(report.to_dict())}{report.evidence().to_json()}"
    shown += f"{report.to_html()}{report._repr_html_()}"
    assert "s3ntinel" not in shown
    assert "87654321" not in shown
    for finding in report.findings:
        assert not any(character.isdigit() for character in finding.message)


def test_importing_the_package_is_light() -> None:
    script = "import sys, benchmarks; benchmarks.evaluate; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"sklearn", "numpy", "pandas", "scipy", "pyarrow", "torch"}


def test_the_function_keeps_its_name_whatever_is_imported() -> None:
    from benchmarks.evaluate import evaluate as by_module

    assert benchmarks.evaluate is by_module
    assert callable(benchmarks.evaluate)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real tables are not here")
def test_a_real_table_against_itself() -> None:
    spec = json.loads((SHARED / "adult" / "spec.json").read_text())
    columns: dict[str, dict[str, Any]] = {}
    for name, fact in spec["columns"].items():
        if fact["kind"] == "numeric":
            columns[name] = {"kind": "integer", "bounds": [fact["min"], fact["max"]]}
        else:
            columns[name] = {"kind": "categorical", "categories": fact["categories"]}
    columns[spec["target"]]["role"] = "target"
    schema: Schema = schema_of(columns)
    rows = pd.read_csv(SHARED / "adult" / "train.csv", nrows=4500)
    ours, real, held = rows[:1500], rows[1500:3000], rows[3000:]
    report = evaluate(ours, real, held, schema)
    assert report.verdict is Verdict.PASS, report.findings
    assert report["tvd2.mean"].value == pytest.approx(report["tvd2.mean"].floor, rel=0.15)
    assert report["c2st.boosting.auc"].value == pytest.approx(0.5, abs=0.04)
    assert report["trtr.boosting.auroc"].value > 0.85
    assert abs(report["gap.boosting.auroc"].value) < 0.03
