"""The rule of the gate, case by case."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dpsynth as dp
from dpsynth.errors import UsageError
from dpsynth.evidence import Finding, Severity, Verdict
from privacy_audits.gate import (
    Influence,
    Policy,
    Risk,
    Rule,
    Violation,
    automatic_alpha,
    decide,
)

CLAIM = dp.Budget(epsilon=1.0, delta=1e-5)


def risk(upper: float) -> Risk:
    return Risk(
        code="DPS431",
        name="an attack",
        quantity="AUC",
        upper=upper,
        accepted=0.6,
    )


CLEAN = {
    "policy": Policy(),
    "claim": CLAIM,
    "rules": [Rule(code="DPS411", holds=True, breach="a value lies outside the schema.")],
    "violations": [
        Violation(code="DPS413", name="an attack", p_value=0.4, real_rows=True),
        Violation(code="DPS414", name="the canary audit", p_value=0.9, real_rows=False),
    ],
    "influences": [Influence(code="DPS434", name="an attack", p_value=0.2)],
    "risks": [risk(0.55)],
}


def attack(p_value: float, *, real_rows: bool = True) -> Violation:
    return Violation(code="DPS413", name="an attack", p_value=p_value, real_rows=real_rows)


def test_nothing_found() -> None:
    decision = decide(**CLEAN)  # type: ignore[arg-type]
    assert (decision.verdict, decision.findings) == (Verdict.PASS, ())


def test_a_broken_rule_blocks() -> None:
    broken = Rule(code="DPS411", holds=False, breach="a value lies outside the schema.")
    decision = decide(**{**CLEAN, "rules": [broken]})  # type: ignore[arg-type]
    assert decision.verdict == Verdict.FAIL
    assert [(f.code, f.severity) for f in decision.findings] == [("DPS411", Severity.ERROR)]


def test_canaries_block_at_the_level_of_the_policy() -> None:
    found = [attack(0.5), attack(0.004, real_rows=False)]
    assert decide(**{**CLEAN, "violations": found}).verdict == Verdict.FAIL  # type: ignore[arg-type]
    found = [attack(0.5), attack(0.006, real_rows=False)]  # doubled by Holm
    assert decide(**{**CLEAN, "violations": found}).verdict == Verdict.PASS  # type: ignore[arg-type]


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 4.0])
def test_real_rows_block_only_where_a_false_stop_is_next_to_impossible(epsilon: float) -> None:
    claim = dp.Budget(epsilon=epsilon, delta=1e-5)
    level = automatic_alpha(claim)
    assert math.exp(epsilon) * level <= claim.delta / 10 * (1 + 1e-12)
    for p_value, verdict in [(0.4 * level, Verdict.FAIL), (0.6 * level, Verdict.REVIEW)]:
        found = [attack(p_value), attack(0.5)]
        decision = decide(**{**CLEAN, "claim": claim, "violations": found})  # type: ignore[arg-type]
        assert decision.verdict == verdict


def test_an_automatic_stop_goes_by_the_test_that_holds_in_the_tail() -> None:
    found = [
        Violation(code="DPS413", name="an attack", p_value=0.0, p_tail=1e-4, real_rows=True),
        attack(0.5),
    ]
    assert decide(**{**CLEAN, "violations": found}).verdict == Verdict.REVIEW  # type: ignore[arg-type]


def test_without_a_claim_real_rows_never_block() -> None:
    decision = decide(**{**CLEAN, "claim": None, "violations": [attack(0.0)]})  # type: ignore[arg-type]
    assert decision.verdict == Verdict.REVIEW


def test_influence_goes_to_a_person() -> None:
    pair = [Influence(code="DPS434", name="an attack", p_value=p) for p in (0.004, 0.5)]
    decision = decide(**{**CLEAN, "influences": pair})  # type: ignore[arg-type]
    assert decision.verdict == Verdict.REVIEW
    pair[0] = Influence(code="DPS434", name="an attack", p_value=0.006)  # doubled by Holm
    assert decide(**{**CLEAN, "influences": pair}).verdict == Verdict.PASS  # type: ignore[arg-type]


@pytest.mark.parametrize("upper", [0.61, math.nan, math.inf])
def test_a_risk_that_is_not_bounded_is_not_excluded(upper: float) -> None:
    decision = decide(**{**CLEAN, "risks": [risk(upper)]})  # type: ignore[arg-type]
    assert decision.verdict == Verdict.INCONCLUSIVE
    assert "0.61" not in str(decision.findings)


def test_a_blind_instrument_finds_nothing_and_says_so() -> None:
    blind = Finding("DPS431", Severity.INFO, "too few records were held out.")
    decision = decide(**CLEAN, silent=[blind])  # type: ignore[arg-type]
    assert (decision.verdict, decision.findings) == (Verdict.INCONCLUSIVE, (blind,))
    # A blind instrument does not excuse what another one saw.
    seen = decide(**{**CLEAN, "violations": [attack(0.0)]}, silent=[blind])  # type: ignore[arg-type]
    assert seen.verdict == Verdict.FAIL


def test_false_suspicion_is_as_rare_as_the_policy_says() -> None:
    rng = np.random.default_rng(0)
    rounds, alpha = 4000, 0.05
    suspected = sum(
        decide(
            **{
                **CLEAN,
                "policy": Policy(alpha=alpha),
                "violations": [attack(p, real_rows=k > 0) for k, p in enumerate(rng.random(7))],
            }  # type: ignore[arg-type]
        ).verdict
        != Verdict.PASS
        for _ in range(rounds)
    )
    assert suspected / rounds < alpha + 5 * math.sqrt(alpha * (1 - alpha) / rounds)
    assert suspected / rounds > alpha / 2


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0.0}, {"alpha": 0.7}, {"most_auc": 1.5}, {"least_holdout": 0}]
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Policy(**wrong)  # type: ignore[arg-type]


def test_no_repr_shows_a_figure() -> None:
    for each in (
        attack(0.004),
        Influence(code="DPS434", name="an attack", p_value=0.004),
        risk(0.7),
    ):
        assert "0.004" not in repr(each)
        assert "0.7" not in repr(each)
