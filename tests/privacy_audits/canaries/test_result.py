"""What an audit says of its scores, and its one confirmation."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy import stats

from dpsynth.errors import UsageError
from dpsynth.privacy import Gaussian
from privacy_audits.canaries import CanaryAudit, assess, audit_twice, reference
from privacy_audits.canaries.result import p_value_among

EVENT = Gaussian(relation="add_remove", noise_multiplier=1.0)
DELTA = 1e-5


def scored(rng: np.random.Generator, mu: float = 1.0, m: int = 200) -> reference.Simulated:
    bits = rng.random(m) < 0.5
    return mu * (bits - 0.5) + rng.standard_normal(m), bits


@lru_cache(maxsize=1)
def expected() -> np.ndarray:
    rng = np.random.default_rng(7)
    return reference.separations(lambda: scored(rng))


def audit(seed: int, mu: float = 1.0) -> CanaryAudit:
    rng = np.random.default_rng(seed)
    scores, bits = scored(rng, mu)
    return assess(
        scores,
        bits,
        mechanism=EVENT,
        delta=DELTA,
        mode="surrogate",
        reference=expected(),
        rng=rng,
    )


def test_bounds_stand_beside_claim_and_ceiling():
    result = audit(0)
    assert result.claim == pytest.approx(4.377, abs=2e-3)
    assert result.expected == pytest.approx(4.377, abs=0.3)
    assert result.guesses == (20, 50, 100)
    for bound in (result.conformance, *result.bounds):
        assert bound.delta == DELTA
        assert bound.confidence == pytest.approx(0.95)
        assert bound.lower <= min(bound.point, bound.ceiling)
    assert result.ceiling == result.bounds[0].ceiling


def test_sentences_name_bound_confidence_ceiling_and_claim():
    first, *others, test = audit(0).sentences()
    assert "no ceiling" in first
    assert "p = " in test
    assert "private" not in test
    for sentence in (first, *others):
        assert "ε ≥ " in sentence
        assert "95% confidence" in sentence
        assert "claimed 4.38" in sentence
        assert "private" not in sentence
    assert all("could certify at most" in sentence for sentence in others)


def test_a_summary_is_json_and_says_the_same():
    result = audit(0)
    summary = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert summary["claim"] == result.claim
    assert summary["conformance"]["ceiling"] is None
    assert [part["lower"] for part in summary["bounds"]] == [b.lower for b in result.bounds]


def test_p_values_of_right_code_are_uniform():
    rng = np.random.default_rng(8)
    p = [
        p_value_among(
            reference.separation(*scored(rng)),
            reference.separations(lambda: scored(rng)),  # simulated anew for every audit
        )
        for _ in range(300)
    ]
    assert stats.kstest(p, "uniform").pvalue > 1e-4


def test_twice_the_separation_is_refuted():
    assert audit(0, mu=2.0).violates(alpha=1e-6)


@pytest.mark.parametrize(
    ("values", "runs", "p"),
    [
        ((0.4,), 1, 0.4),
        ((0.004, 0.9), 2, 0.008),
        ((0.006, 0.9), 2, 0.012),
        ((0.009, 1e-4), 2, 2e-4),
    ],
)
def test_a_refutation_is_confirmed_once(values, runs, p):
    left = [replace(audit(0), p_value=value) for value in reversed(values)]
    result = audit_twice(left.pop, alpha=0.01)
    assert not left
    assert (result.runs, result.p_value) == (runs, pytest.approx(p))


def test_a_confirmation_of_something_else_is_refused():
    other = replace(EVENT, noise_multiplier=2.0)
    left = [replace(audit(0), mechanism=other), replace(audit(0), p_value=0.0)]
    with pytest.raises(UsageError, match="same mechanism"):
        audit_twice(left.pop)
