"""What a comparison of dependence on both sides shows."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.dependence import measure
from benchmarks.discretise import Tables, conform_tables
from benchmarks.report import Metric, Section
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables, shuffled
from tests.conftest import patients_frame, patients_schema


def run(tables: Tables) -> Section:
    return measure(tables, rng=np.random.default_rng(0))


def figures(section: Section) -> dict[str, Metric]:
    return {metric.name: metric for metric in section.metrics}


def test_the_same_rows_lose_and_invent_nothing() -> None:
    found = figures(run(pair_tables(shuffled(pair_frame(1500, 1)))))
    assert found["dependence.lost"].value == pytest.approx(0.0, abs=1e-12)
    assert found["dependence.spurious"].value == pytest.approx(0.0, abs=1e-12)


def test_a_fresh_sample_is_at_the_floor() -> None:
    section = run(pair_tables(pair_frame(1500, 3)))
    for metric in section.metrics:
        assert metric.value < 0.03
        assert metric.floor < 0.03
        assert metric.ci_low <= metric.value <= metric.ci_high < 0.1
    assert section.findings == ()


def test_loss_grows_with_corruption() -> None:
    base = pair_frame(1500, 3)
    found = [figures(run(pair_tables(corrupted(base, s)))) for s in (0.0, 0.3, 0.6, 1.0)]
    values = [figure["dependence.lost"].value for figure in found]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(found[-1]["dependence.lost"].reference, abs=0.05)


def test_invented_dependence_is_seen_where_the_real_rows_have_none() -> None:
    """The table that a suite with a threshold on the real correlation gives 0.99."""
    section = run(pair_tables(pair_frame(1500, 3).assign(y=lambda frame: frame["x"])))
    found = figures(section)
    assert found["dependence.spurious"].value > 0.5
    assert found["dependence.lost"].value < 0.01
    (finding,) = section.findings
    assert finding.code == "DPS312"
    assert "x × y" in finding.message
    worst = section.worst["dependence.spurious"]
    assert {row.columns for row in worst[:2]} == {("g", "y"), ("x", "y")}


def test_lost_dependence_is_flagged() -> None:
    section = run(pair_tables(corrupted(pair_frame(1500, 3), 1.0)))
    (finding,) = section.findings
    assert finding.code == "DPS313"
    assert "g × x" in finding.message


def test_small_tables_are_not_accused_of_noise() -> None:
    for seed in range(3, 9):
        assert run(pair_tables(pair_frame(25, seed), n=25)).findings == ()


def test_nulls_and_every_kind_of_pair_are_measured() -> None:
    frames = [patients_frame(200, seed=seed) for seed in (3, 1, 2)]
    frames[0]["stay"] = np.nan
    section = run(conform_tables(*frames, patients_schema()))
    for metric in section.metrics:
        assert 0 <= metric.value < 0.2
    one = patients_frame(200, seed=1)
    ours = one.assign(stay=np.where(one["stay"].isna(), np.nan, one["age"] / 2))
    found = figures(run(conform_tables(ours, one, frames[2], patients_schema())))
    assert found["dependence.spurious"].value > 0.9 / 21


def test_independent_columns_lose_everything_and_invent_nothing() -> None:
    found = figures(run(pair_tables(pair_frame(1500, 3))))
    lost, spurious = found["dependence.lost"], found["dependence.spurious"]
    assert lost.reference == lost.references["independent"] > 0.3
    assert lost.skill > 0.95
    assert spurious.references["independent"] < 0.05
    assert spurious.skill is None
    assert set(lost.references) == {"independent", "uniform", "holdout"}
