"""Verdicts stay in the book, on every database; nothing of them leaves it."""

from __future__ import annotations

import json

import pytest

from dpsynth.errors import IntegrityError
from dpsynth.evidence import Evidence, Verdict
from dpsynth.ledger import Ledger
from dpsynth.ledger.entries import next_entry
from tests.dpsynth.ledger.conftest import BUDGET, UNIT

_BODIES = "SELECT body FROM entry WHERE kind = 'judged'"


def _evidence(table: str = "a", verdict: Verdict = Verdict.FAIL) -> Evidence:
    return Evidence(
        kind="audit",
        table_sha256=table * 64,
        created="2026-11-26T00:00:00+00:00",
        metrics={"auc": 0.987654321},
        findings=(),
        verdict=verdict,
        disclosure="internal",
    )


def test_a_verdict_stays_and_an_audit_that_is_repeated_does_not_hide_it(address: str) -> None:
    with Ledger.create(
        address, population="people", dataset="d", budget=BUDGET, unit=UNIT
    ) as ledger:
        ledger.record_verdict(_evidence(), criteria_sha256="c" * 64)
        ledger.record_verdict(_evidence("b"))
        ledger.record_verdict(_evidence(verdict=Verdict.PASS))
    with Ledger.open(address) as ledger:
        ledger.check()
        found = ledger.verdicts("a" * 64)
        assert [line.verdict for line in found] == [Verdict.FAIL, Verdict.PASS]
        assert [line.criteria_sha256 for line in found] == ["c" * 64, None]
        assert ledger.verdicts("d" * 64) == ()
        assert "987654321" not in str(_bodies(ledger))


def test_what_leaves_the_ledger_names_no_verdict(address: str) -> None:
    with Ledger.create(
        address, population="people", dataset="d", budget=BUDGET, unit=UNIT
    ) as ledger:
        before = ledger.statement().to_dict()
        ledger.record_verdict(_evidence())
        after = ledger.statement().to_dict()
        # The head moves and times may; all else is the same. What moves it cannot be guessed: a
        # published head would tell which of four verdicts it was.
        ledger.record_verdict(_evidence())
        bodies = _bodies(ledger)
        assert len(set(bodies)) == 2
        assert all(len(json.loads(body)["nonce"]) == 32 for body in bodies)
    assert "block" not in str(after)
    assert set(before) == set(after)
    assert before["charges"] == after["charges"]


def test_a_verdict_that_nobody_knows_is_damage(address: str) -> None:
    with Ledger.create(
        address, population="people", dataset="d", budget=BUDGET, unit=UNIT
    ) as ledger:
        ledger.record_verdict(_evidence())
        body = {**json.loads(_bodies(ledger)[0]), "verdict": "splendid"}
        with ledger._store.reading():
            replay = ledger._store.verify()
    with pytest.raises(IntegrityError, match="malformed"):
        replay.feed(next_entry(replay.head, "judged", "2026-11-26T00:00:00+00:00", body))


def _bodies(ledger: Ledger) -> list[str]:
    with ledger._store.reading():
        return [row["body"] for row in ledger._store.rows(_BODIES)]
