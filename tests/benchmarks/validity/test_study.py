"""The study: what is done is not done again, coverage is what the runs say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.validity import __main__ as command
from benchmarks.validity import coverage, study
from benchmarks.validity.study import Estimated, Outcome, Run


def run(method: str = "mst", repetition: int = 0, epsilon: float | None = 1.0) -> Run:
    return Run(
        table="t", method=method, epsilon=epsilon, delta=1e-5, rows=100, repetition=repetition
    )


def outcome(points: Sequence[float | None], *, repetition: int = 0, method: str = "mst") -> Outcome:
    """One coefficient of truth 0; every standard error is 1."""
    samples = tuple((point, None if point is None else 1.0) for point in points)
    estimated = Estimated(
        formula="y ~ x", coefficient="x", truth=0.0, fit=(0.0, 1.0), samples=samples
    )
    return Outcome(run=run(method, repetition), coefficients=(estimated,), seconds=0.0)


def test_the_plan_asks_every_method_as_often_as_it_should() -> None:
    runs = study.planned(
        ["health"],
        methods=["real", "mst", "dp-vae"],
        epsilons={"real": [], "mst": [1.0, 3.0], "dp-vae": [1.0]},
        delta=1e-5,
        rows=10,
        repetitions={"real": 3, "mst": 3, "dp-vae": 2},
    )
    assert len(runs) == len(set(runs)) == 3 + 2 * 3 + 2
    assert {r.epsilon for r in runs if r.method == "real"} == {None}
    assert [r.repetition for r in runs] == sorted(r.repetition for r in runs)


def test_a_study_is_made_summarised_drawn_and_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["-o", str(tmp_path), "--tables", "health", "--methods", "bootstrap", "independent"]
    asked += ["--epsilon", "10", "--rows", "300", "--repetitions", "2"]
    assert command.main(asked) == 0
    kept = tmp_path / "runs.jsonl"
    lines = kept.read_text().splitlines()
    assert len(lines) == 4
    assert (tmp_path / "coverage.svg").read_text().lstrip().startswith("<?xml")
    assert "| independent | 10 | 2 |" in (tmp_path / "coverage.md").read_text()
    # A line that was cut off is made again and does not swallow what follows; others are kept.
    kept.write_text("\n".join([*lines[:3], lines[3][:50]]))
    capsys.readouterr()
    assert command.main(asked) == 0
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert len(study.read(kept)) == 4
    assert json.loads(kept.read_text().splitlines()[0])["run"]["repetition"] == 0


def test_a_repetition_has_the_same_rows_for_every_method() -> None:
    facts = {"delta": 1e-5, "rows": 300, "repetition": 1}
    one, two = (
        study._make(Run(table="visits", method=method, epsilon=epsilon, **facts))
        for method, epsilon in (("bootstrap", None), ("independent", 1.0))
    )
    assert [c.fit for c in one.coefficients] == [c.fit for c in two.coefficients]
    assert [c.samples for c in one.coefficients] != [c.samples for c in two.coefficients]
    assert all(len(c.samples) == study.SAMPLES for c in one.coefficients)


def test_too_few_repetitions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["-o", str(tmp_path), "--repetitions", "1"]) == 2
    assert "two repetitions" in capsys.readouterr().err


def test_naive_coverage_counts_samples_and_rules_count_runs() -> None:
    # Four of five samples lie within 1.96 standard errors; their mean 0.7 does for every rule.
    (found, _) = coverage.summarise(
        [outcome([0.0, 0.5, -0.5, 1.0, 2.5], repetition=i) for i in range(4)]
    )
    assert found.table == coverage.ALL
    assert found.repetitions == 4
    assert found.coverage["naive"].value == pytest.approx(0.8)
    assert found.coverage["large"].value == 1.0
    assert found.width["naive"] == pytest.approx(1.0)
    assert found.width["large"] == pytest.approx(np.sqrt(1.2))


def test_what_is_not_recovered_covers_nothing() -> None:
    (found, _) = coverage.summarise(
        [outcome([0.0, 0.0, 0.0, 0.0, None], repetition=i) for i in range(3)]
    )
    assert found.coverage["naive"].value == pytest.approx(0.8)
    assert found.coverage["partial"].value == 0.0
    assert found.lost == pytest.approx(0.2)


def test_signs_and_false_positives_are_counted_by_the_size_of_the_effect() -> None:
    def of(truth: float, points: Sequence[float]) -> Estimated:
        pairs = tuple((point, 1.0) for point in points)
        return Estimated(
            formula="y ~ x", coefficient=f"{truth}", truth=truth, fit=(truth, 1.0), samples=pairs
        )

    effects = (of(20.0, [1, 2, 3, -1, 5]), of(-5.0, [1, 2, 3, -1, 5]), of(0.0, [0, 1, 2, -3, 1]))
    made = [Outcome(run=run(repetition=i), coefficients=effects, seconds=0.0) for i in range(2)]
    found = coverage.summarise(made)[0]
    assert (found.strong, found.medium, found.false) == pytest.approx((0.8, 0.2, 0.4))


def test_bias_and_spread_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    shifted = [
        outcome((rng.normal(3.0, 0.5) + np.zeros(5)).tolist(), repetition=i) for i in range(200)
    ]
    (found, _) = coverage.summarise(shifted)
    assert found.bias == pytest.approx(3.0, abs=0.15)
    assert found.spread == pytest.approx(0.5, abs=0.1)
    # Without bias few repetitions show none on average, however wide they spread.
    loose = [
        outcome((rng.normal(0.0, 4.0) + np.zeros(5)).tolist(), repetition=i) for i in range(200)
    ]
    assert coverage.summarise(loose)[0].bias < 0.6


def test_intervals_of_coverage_know_that_a_run_hangs_together() -> None:
    rng = np.random.default_rng(1)
    independent = rng.binomial(10, 0.6, 400) / 10
    together = np.where(rng.random(400) < 0.6, 1.0, 0.0)
    one, two = (coverage.clustered(shares, 4_000) for shares in (independent, together))
    assert two.high - two.low > 2.5 * (one.high - one.low)
    # Clopper and Pearson's golden value: 0 of 10 gives [0, 0.3085].
    assert coverage.clustered(np.zeros(10), 10).high == pytest.approx(0.3085, abs=1e-4)
    assert coverage.clustered(np.ones(10), 1_000).low == pytest.approx(1 - 0.3085, abs=1e-4)
    assert coverage.clustered(np.array([0.5]), 5) == coverage.Share(value=0.5, low=0.0, high=1.0)


def test_the_interval_of_coverage_covers() -> None:
    # Runs with a chance of their own; at least 93 % of 400 intervals contain the mean chance.
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        chances = rng.beta(6, 4, 30)
        found = coverage.clustered(rng.binomial(12, chances) / 12, 360)
        hits += found.low <= 0.6 <= found.high
    assert hits / 400 > 0.93


def test_without_privacy_the_rule_for_one_model_covers_and_naive_does_not() -> None:
    # Rows drawn with replacement: the model is right and nothing is noised.
    runs = [
        Run(table="health", method="bootstrap", epsilon=None, delta=1e-5, rows=800, repetition=i)
        for i in range(60)
    ]
    found = coverage.summarise([study._make(one) for one in runs])[0]
    # In theory 83.4 %, and 95 % for "large"; 13 coefficients × 60 runs vary by about one point.
    assert 0.79 < found.coverage["naive"].value < 0.88
    assert 0.92 < found.coverage["large"].value < 0.98
    assert found.bias < 0.4
