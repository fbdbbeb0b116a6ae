"""A purchase from end to end: what is booked, what is refused, what is shown and what is not."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from benchmarks.disclosure import evaluate_dp, evaluation_plan, reserve_evaluation
from benchmarks.disclosure.bought import BoughtReport
from benchmarks.disclosure.headline import Headline
from dpsynth.accountant import Accountant
from dpsynth.errors import BudgetError, DataError, GateError, IntegrityError, UsageError
from dpsynth.evidence import Evidence, Verdict
from dpsynth.identity import CustodianKey, content_hmac
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, DiscreteGaussian
from tests.conftest import open_ledger, patients_frame, patients_schema
from tests.dpsynth.certificate.html_tree import parse
from tests.dpsynth.pages.notebook import checked

WHOLE = Budget(epsilon=20.0, delta=1e-5)
UNITS = patients_schema(id="patient", max_rows=3)


def buy(
    synthetic: object, data: object, *, schema: dp.Schema = UNITS, epsilon: float = 1.0, **more
) -> BoughtReport:
    settings = {"ledger": open_ledger(schema, WHOLE), "noise": NoiseSource.seeded(3), **more}
    return evaluate_dp(synthetic, data, schema, dataset="patients", epsilon=epsilon, **settings)


def numbers_in(value: object) -> set[float]:
    """All numbers of a JSON document."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return set().union(*map(numbers_in, parts))
    return {float(value)} if isinstance(value, int | float) else set()


def true_figures(data: pd.DataFrame, synthetic: pd.DataFrame, schema: dp.Schema) -> dict:
    """Exact figures, by shares of the public cells."""
    from dpsynth.scoring import cells_of
    from dpsynth.table import conform

    headline = Headline()
    cut = [
        pd.DataFrame(
            {c.name: cells_of(values[c.name], c, cells=16) for c in headline.columns(schema)}
        )
        for values in (conform(data, schema), conform(synthetic, schema))
    ]
    tvd = {}
    for family, marginals in headline.families(schema).items():
        for names in marginals:
            shares = [side.groupby(list(names)).size() / len(side) for side in cut]
            gap = shares[0].sub(shares[1], fill_value=0).abs().sum() / 2
            tvd.setdefault(family, []).append(gap)
    both = [*tvd["2"], *tvd["3"]]
    return {
        "tvd1.mean": np.mean(tvd["1"]),
        "tvd1.max": np.max(tvd["1"]),
        "tvd2.mean": np.mean(tvd["2"]),
        "workload.error": 2 * np.mean(both),
    }


@pytest.mark.parametrize("relation", ["add_remove", "replace_one"])
def test_a_purchase_is_booked_and_its_intervals_hold_the_truth(relation: str) -> None:
    schema = patients_schema(id="patient", max_rows=3, relation=relation)
    ledger = open_ledger(schema, WHOLE)
    data = patients_frame(6000)
    synthetic = patients_frame(2500, seed=1).assign(ward="a")
    report = evaluate_dp(
        synthetic, data, schema, ledger=ledger, dataset="patients", epsilon=2.0,
        noise=NoiseSource.seeded(1),
    )  # fmt: skip
    (line,) = ledger.summary(compose=False).charges
    assert (line.method, str(line.state)) == ("evaluation", "committed")
    assert report.paid["epsilon"] <= 2.0
    assert report.paid["relation"] == relation
    assert report.paid["ledger"] == {
        "ledger_id": ledger.anchor.ledger_id,
        "charge": line.id,
    }
    truth = true_figures(data, synthetic, schema)
    assert [metric.name for metric in report.metrics] == [*truth]
    for metric in report.metrics:
        assert metric.ci_low <= truth[metric.name] <= metric.ci_high
        assert metric.ci_high - metric.ci_low < 0.2
    assert "ward" not in str(report)


def test_intervals_cover_as_often_as_they_say() -> None:
    # 400 purchases with seeds of their own: each figure is missed at most 5 % of the time; more
    # than 47 misses would have a chance below 1e-6.
    data, synthetic = patients_frame(900), patients_frame(500, seed=1).assign(sex="F")
    truth = true_figures(data, synthetic, UNITS)
    headline = Headline()
    from benchmarks.disclosure.bought import figures
    from dpsynth.table import conform, load

    table = load(data, UNITS, rng=np.random.default_rng(0))
    charges = headline.charges(UNITS, sigma=8.0)
    families = {way: len(found) for way, found in headline.families(UNITS).items()}
    drawn = conform(synthetic, UNITS)
    missed = dict.fromkeys(truth, 0)
    errors = []
    for seed in range(400):
        noise = NoiseSource.seeded(seed)
        noisy, _ = headline.release(table, drawn, charges=charges, noise=noise)
        floors = dict.fromkeys(noisy.distances, 0.0)
        for metric in figures(noisy, families=families, floors=floors):
            missed[metric.name] += not metric.ci_low <= truth[metric.name] <= metric.ci_high
            if metric.name == "tvd1.max":
                errors.append(metric.value - truth[metric.name])
    assert max(missed.values()) <= 47
    # And they are no wider than the noise: half of 8 units of 3 rows, over 900 rows.
    assert 0.9 < np.std(errors) / (12 / 900) < 1.5


def test_a_table_that_is_the_data_is_near_zero() -> None:
    data = patients_frame(6000)
    report = buy(data.drop(columns="patient"), data, epsilon=5.0)
    assert all(metric.ci_low == 0.0 for metric in report.metrics)
    assert all(metric.value < 0.02 for metric in report.metrics)


def test_what_was_booked_elsewhere_does_not_pay(tmp_path: Path) -> None:
    ledger, other = open_ledger(UNITS, WHOLE), open_ledger(UNITS, WHOLE)
    ledger.add_dataset("others")
    absent = tmp_path / "never-opened.csv"
    for book, dataset in ((other, "patients"), (ledger, "others")):
        reservation = reserve_evaluation(ledger, "patients", UNITS, epsilon=1.0)
        with pytest.raises(UsageError, match="DPS113"), reservation:
            evaluate_dp(
                patients_frame(60), absent, UNITS, ledger=book, dataset=dataset,
                reservation=reservation,
            )  # fmt: skip
    assert {str(line.state) for line in ledger.summary(compose=False).charges} == {"aborted"}


def test_what_is_too_dear_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    ledger = open_ledger(UNITS, Budget(epsilon=0.5, delta=1e-5))
    absent = tmp_path / "never-opened.csv"
    with pytest.raises(BudgetError) as refused:
        buy(patients_frame(60), absent, ledger=ledger, epsilon=4.0)
    assert refused.value.exit_code == 4
    assert ledger.summary(compose=False).charges == ()


def test_a_second_purchase_is_charged_again() -> None:
    ledger, data = open_ledger(UNITS, Budget(epsilon=1.0, delta=1e-5)), patients_frame(300)
    for _ in range(2):
        buy(patients_frame(60), data, ledger=ledger, epsilon=0.3, noise=None)
    assert len(ledger.summary(compose=False).charges) == 2
    with pytest.raises(BudgetError):
        buy(patients_frame(60), data, ledger=ledger, epsilon=0.9, noise=None)


@pytest.mark.parametrize(("whole", "price"), [(1.0, 0.05), (8.0, 0.1)])
def test_the_default_price_is_a_twentieth_and_at_most_a_tenth(whole: float, price: float) -> None:
    ledger = open_ledger(UNITS, Budget(epsilon=whole, delta=1e-6))
    report = evaluate_dp(
        patients_frame(60), patients_frame(90), UNITS, ledger=ledger, dataset="patients"
    )
    assert 0.99 * price < report.paid["epsilon"] <= price
    assert report.paid["delta"] == 1e-6


def test_the_plan_spends_what_it_says_and_names_the_table() -> None:
    budget = Budget(epsilon=0.05, delta=1e-5)
    plan = evaluation_plan(UNITS, budget, table_sha256="0" * 64)
    assert 0.0495 < Accountant(plan.mechanisms).certificate(1e-5) <= 0.05
    assert plan.parameters["table_sha256"] == "0" * 64
    rows, figures = plan.mechanisms
    assert isinstance(rows, DiscreteGaussian)
    assert isinstance(figures, DiscreteGaussian)
    assert (rows.count, figures.count) == (1, 4)
    assert rows.sensitivity == figures.sensitivity == 1
    assert rows.sigma == figures.sigma == pytest.approx(130, rel=0.05)


def test_evidence_holds_nothing_else_from_the_rows(tmp_path: Path) -> None:
    sentinel = "ZQXSENTINEL7"
    data = patients_frame(7919).assign(patient=np.arange(7919).astype(object))
    data.loc[5, ["ward", "patient"]] = [sentinel, sentinel]
    path = tmp_path / "synthetic.csv"
    patients_frame(800, seed=2).drop(columns="patient").to_csv(path, index=False)
    report = buy(path, data, noise=NoiseSource.from_entropy())
    evidence = report.evidence()
    assert evidence.disclosure == "dp"
    shown = evidence.to_json() + str(report) + repr(report) + json.dumps(report.to_dict())
    assert sentinel not in shown
    # The exact number of rows, that of units, and the exact figures.
    exact = {
        7919,
        7919 // 3,
        *true_figures(data, pd.read_csv(path, dtype=str), patients_schema()).values(),
    }
    assert exact.isdisjoint(numbers_in(json.loads(evidence.to_json())))
    assert set(evidence.metrics) == {"notice", "schema_sha256", "metrics", "compared", "paid"}
    assert set(evidence.metrics["metrics"]["tvd1.mean"]) <= {
        "value", "floor", "ci_low", "ci_high", "direction", "tier",
    }  # fmt: skip
    assert f"ε = {report.paid['epsilon']}" in evidence.metrics["notice"]
    assert Evidence.from_json(evidence.to_json()) == evidence


@pytest.mark.parametrize("epsilon", [2.0, 0.05])
def test_page_and_fragment_show_the_figures_and_what_was_paid(
    epsilon: float, tmp_path: Path
) -> None:
    report = buy(
        patients_frame(300, seed=1), patients_frame(900), epsilon=epsilon,
        noise=NoiseSource.from_entropy(),
    )  # fmt: skip
    report.save(tmp_path / "page.html")
    page = parse((tmp_path / "page.html").read_text())
    assert page.problems == []
    fragment = checked(report._repr_html_())
    for text in (page.text, fragment.text):
        assert f"ε = {report.paid['epsilon']}" in text
        assert "NOT RELEASABLE" not in text
        for metric in report.metrics:
            stated = "not stated" if math.isnan(metric.value) else f"{metric.value:.3f}"
            assert f"{stated}[{metric.ci_low:.3f}, {metric.ci_high:.3f}]" in text
        assert all(found.code in text for found in report.findings)
        # Neither rows nor units of the data are counted.
        assert not re.search(r"\b(900|300)\b", text)
    # With little to spend, noisy rows decide whether a figure is stated: either is shown above.
    assert epsilon < 1 or not any(math.isnan(metric.value) for metric in report.metrics)
    assert report.paid["ledger"]["charge"] in page.text
    assert list(report.figures()) == ["bought"]
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o644
    with pytest.raises(IntegrityError, match="DPS601"):
        report.save(tmp_path / "page.html")


def test_what_is_not_releasable_says_so_and_is_for_its_owner(tmp_path: Path) -> None:
    report = buy(patients_frame(60), patients_frame(300))
    report.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600
    assert "NOT RELEASABLE" in parse((tmp_path / "page.html").read_text()).text
    assert checked(report._repr_html_()).text.lstrip().startswith("NOT RELEASABLE")


def test_the_same_noise_gives_the_same_report_and_is_not_releasable(tmp_path: Path) -> None:
    path = tmp_path / "synthetic.csv"
    patients_frame(60).to_csv(path, index=False)
    first, second = (buy(path, patients_frame(300)) for _ in range(2))
    assert first.metrics == second.metrics
    assert first.metrics != buy(path, patients_frame(300), noise=NoiseSource.seeded(4)).metrics
    assert "NOT RELEASABLE" in str(first)
    with pytest.raises(GateError) as refused:
        first.evidence()
    assert refused.value.code == "DPS301"


def test_a_fact_that_was_read_off_the_rows_bars_the_figures(tmp_path: Path) -> None:
    document = UNITS.to_dict()
    document["columns"]["age"]["source"] = "data"
    schema = dp.Schema.from_dict(document)
    path = tmp_path / "synthetic.csv"
    patients_frame(60).to_csv(path, index=False)
    report = buy(path, patients_frame(90), schema=schema, noise=NoiseSource.from_entropy())
    with pytest.raises(GateError):
        report.evidence()


def test_a_report_that_is_bound_to_no_file_is_no_evidence() -> None:
    report = buy(patients_frame(60), patients_frame(90), noise=NoiseSource.from_entropy())
    assert report.table_sha256 is None
    with pytest.raises(UsageError, match="not bound"):
        report.evidence()


def test_few_rows_say_little_and_are_told_so() -> None:
    report = buy(patients_frame(60), patients_frame(30), epsilon=0.05)
    assert report.verdict == Verdict.INCONCLUSIVE
    assert [finding.code for finding in report.findings] == ["DPS351"]
    for metric in report.metrics:
        assert np.isnan(metric.value)
        assert metric.floor is None
        assert (metric.ci_low, metric.ci_high) == (0.0, 2.0 if "work" in metric.name else 1.0)
    assert report.frame()["value"].isna().all()
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_table_that_does_not_fit_the_schema_is_blocked() -> None:
    wrong = patients_frame(60).assign(age=999)
    report = buy(wrong, patients_frame(900))
    assert report.verdict == Verdict.FAIL
    assert report.findings[0].code == "DPS310"


def test_columns_that_are_left_out_are_named() -> None:
    document = UNITS.to_dict()
    document["columns"]["ward"] |= {"categories": "discover", "source": "dp"}
    report = buy(patients_frame(60), patients_frame(3000), schema=dp.Schema.from_dict(document))
    assert "DPS350" in [finding.code for finding in report.findings]
    assert report.compared["left_out"] == ["ward"]


def test_the_table_must_be_the_one_that_was_entered(tmp_path: Path) -> None:
    key = CustodianKey.create(tmp_path / "key")
    data, ledger = patients_frame(300), open_ledger(UNITS, WHOLE)
    ledger.recognise("patients", content_hmac(data, key))
    with pytest.raises(UsageError):
        buy(patients_frame(60), data, ledger=ledger)
    with pytest.raises(IntegrityError):
        buy(patients_frame(60), patients_frame(300, seed=5), ledger=ledger, key=key)
    assert {str(c.state) for c in ledger.summary(compose=False).charges} == {"aborted"}
    buy(patients_frame(60), data, ledger=ledger, key=key)


def test_a_wrong_form_spends_nothing() -> None:
    ledger = open_ledger(UNITS, WHOLE)
    with pytest.raises(DataError):
        buy(patients_frame(60), patients_frame(90).drop(columns="age"), ledger=ledger)
    assert {str(c.state) for c in ledger.summary(compose=False).charges} == {"aborted"}


def test_a_purchase_that_ran_something_else_is_not_committed() -> None:
    ledger = open_ledger(UNITS, WHOLE)
    real = Headline.release

    def another(self, table, synthetic, *, charges, noise):
        noisy, ran = real(self, table, synthetic, charges=charges, noise=noise)
        return noisy, ran[:1]

    with mock.patch.object(Headline, "release", another), pytest.raises(IntegrityError) as found:
        buy(patients_frame(60), patients_frame(90), ledger=ledger)
    assert found.value.code == "DPS110"
    (line,) = ledger.summary(compose=False).charges
    assert str(line.state) == "touched"
