"""Evidence is frozen, bound to one file, and reads back only what it wrote."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.errors import DataError, IntegrityError, UsageError
from dpsynth.evidence import Evidence, Finding, Severity, Verdict, table_sha256
from tests.dpsynth.test_imports import modules_after

SENTINEL = "s3ntinel-value"


def evidence(**changes: Any) -> Evidence:
    fields: dict[str, Any] = {
        "kind": "utility",
        "table_sha256": "0" * 64,
        "created": "2026-11-23T12:00:00+00:00",
        "metrics": {"tvd1.mean": {"value": 0.25, "direction": "lower"}, "names": ["a", None, True]},
        "findings": (Finding("DPS311", Severity.WARNING, "a column is far off."),),
        "verdict": Verdict.REVIEW,
        "disclosure": "internal",
    }
    return Evidence(**{**fields, **changes})


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    metrics=st.dictionaries(st.text(), plain, max_size=4),
    verdict=st.sampled_from(Verdict),
    message=st.text(min_size=1),
)
def test_json_gives_back_what_went_in(metrics: dict, verdict: Verdict, message: str) -> None:
    before = evidence(
        metrics=metrics, verdict=verdict, findings=[Finding("DPS1", Severity.INFO, message)]
    )
    after = Evidence.from_json(before.to_json())
    assert after == before
    assert after.to_json() == before.to_json()


def test_only_internal_evidence_stays_in_the_house() -> None:
    assert not evidence().is_public
    for disclosure in ("public-reference", "dp", "post-processing"):
        assert evidence(disclosure=disclosure).is_public


def test_files_are_written_once_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    evidence().write(path)
    assert Evidence.read(path) == evidence()
    with pytest.raises(IntegrityError, match="not overwritten") as refusal:
        evidence(kind="audit").write(path)
    assert refusal.value.exit_code == 6
    assert Evidence.read(path).kind == "utility"
    with pytest.raises(UsageError, match="cannot write"):
        evidence().write(tmp_path / "nowhere" / "evidence.json")
    with pytest.raises(DataError, match="no readable file"):
        Evidence.read(tmp_path / "absent.json")


def test_nothing_can_be_changed_afterwards() -> None:
    source: dict[str, Any] = {"a": {"b": [1, 2]}}
    item = evidence(metrics=source)
    source["a"]["b"].append(3)
    assert json.loads(item.to_json())["metrics"] == {"a": {"b": [1, 2]}}
    with pytest.raises(TypeError):
        item.metrics["a"]["c"] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        item.verdict = Verdict.PASS  # pyright: ignore[reportAttributeAccessIssue]
    assert hash(item) == hash(evidence(metrics={}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "quality"),
        ("kind", ["utility"]),
        ("table_sha256", "0" * 63),
        ("table_sha256", "A" * 64),
        ("table_sha256", None),
        ("created", "yesterday"),
        ("created", "2026-11-23T12:00:00"),
        ("metrics", [("a", 1)]),
        ("metrics", {"a": math.nan}),
        ("metrics", {"a": {"b": [math.inf]}}),
        ("metrics", {1: 2.0}),
        ("metrics", {"a": {1, 2}}),
        ("findings", ("DPS311",)),
        ("verdict", "fine"),
        ("disclosure", "public"),
    ],
)
def test_malformed_fields_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=field):
        evidence(**{field: value})


def changed(**changes: object) -> str:
    return json.dumps({**json.loads(evidence().to_json()), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{" * 50_000,
        evidence().to_json()[:-20],
        evidence().to_json() + "{}",
        evidence().to_json().replace("0.25", "NaN"),
        evidence().to_json().replace("0.25", "1e999"),
        evidence().to_json().replace('"kind"', '"kind": "audit", "kind"'),
        changed(extra=1),
        changed(format="dpsynth.evidence/2"),
        changed(findings=[{"code": "DPS1", "severity": "info"}]),
        changed(findings=[{"code": "DPS1", "severity": "failure", "message": "m"}]),
        changed(findings={}),
        changed(metrics=[]),
        changed(verdict="pass"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match=r"no dpsynth\.evidence/1 document") as refusal:
        Evidence.from_json(text)
    assert refusal.value.exit_code == 6


def test_a_missing_field_is_refused() -> None:
    document = json.loads(evidence().to_json())
    for name in document:
        rest = {key: value for key, value in document.items() if key != name}
        with pytest.raises(IntegrityError):
            Evidence.from_json(json.dumps(rest))


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(IntegrityError):
        Evidence.from_json(b"\xff\xfe\xfa")


def test_no_value_in_a_message_or_repr() -> None:
    shown = repr(evidence(metrics={"cell": SENTINEL}))
    assert SENTINEL not in shown
    for text in (changed(verdict=SENTINEL), changed(created=SENTINEL), f'{{"{SENTINEL}'):
        with pytest.raises(IntegrityError) as refusal:
            Evidence.from_json(text)
        assert SENTINEL not in str(refusal.value)
        assert refusal.value.__suppress_context__


def test_gate_words_never_claim_too_much() -> None:
    assert {str(verdict) for verdict in Verdict} == {
        "no-violation-found",
        "review",
        "inconclusive",
        "block",
    }


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\n1,2\n")
    assert table_sha256(path) == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    path.write_bytes(b"a,b\n1,2\r\n")
    assert table_sha256(path) != hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    with pytest.raises(DataError):
        table_sha256(tmp_path / "absent.csv")


def test_reading_evidence_needs_the_standard_library_only() -> None:
    loaded = modules_after("import dpsynth.evidence")
    assert not loaded & {"numpy", "pandas", "pyarrow", "scipy", "sklearn", "torch"}
