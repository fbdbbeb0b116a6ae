"""Measures of dependence against their definitions, and what two-sided comparison shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.dependence import correlation_ratio, cramers_v, measure, rank_correlation
from benchmarks.discretise import Tables, conform_tables
from benchmarks.report import Metric, Section
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables, shuffled
from tests.conftest import patients_frame, patients_schema

RNG = np.random.default_rng(0)


def run(tables: Tables) -> Section:
    return measure(tables, rng=np.random.default_rng(0))


def figures(section: Section) -> dict[str, Metric]:
    return {metric.name: metric for metric in section.metrics}


def test_rank_correlation_agrees_with_scipy() -> None:
    x, y = RNG.normal(size=300), RNG.integers(0, 5, 300).astype(float)
    y += x > 0
    expected = abs(stats.spearmanr(x, y).statistic)
    assert rank_correlation(x, y) == pytest.approx(expected)
    assert rank_correlation(-x, y) == pytest.approx(expected)
    assert rank_correlation(y, x) == pytest.approx(expected)
    assert rank_correlation(np.exp(3 * x), y) == pytest.approx(expected)
    holes = x.copy()
    holes[::7] = np.nan
    kept = ~np.isnan(holes)
    expected = abs(stats.spearmanr(x[kept], y[kept]).statistic)
    assert rank_correlation(holes, y) == pytest.approx(expected)
    assert rank_correlation(x, np.ones(300)) == 0.0
    assert rank_correlation(x, np.full(300, np.nan)) == 0.0


def test_cramers_v_agrees_with_the_chi_squared_of_scipy() -> None:
    x, y = RNG.integers(0, 4, 900), RNG.integers(0, 3, 900)
    y[:200] = x[:200] % 3
    table = pd.crosstab(x, y).to_numpy()
    phi = stats.chi2_contingency(table, correction=False).statistic / 900
    phi = max(0, phi - 3 * 2 / 899)
    expected = np.sqrt(phi / min(4 - 9 / 899 - 1, 3 - 4 / 899 - 1))
    assert cramers_v(x, y, (4, 3)) == pytest.approx(expected)
    assert cramers_v(y, x, (9, 9)) == pytest.approx(expected)
    assert cramers_v(x, x, (4, 4)) == pytest.approx(1.0)
    assert cramers_v(x, np.zeros(900, dtype=int), (4, 1)) == 0.0


def test_cramers_v_is_not_lifted_by_many_levels() -> None:
    x, y = RNG.integers(0, 40, 2000), RNG.integers(0, 40, 2000)
    assert cramers_v(x, y, (40, 40)) < 0.05


def test_correlation_ratio_is_the_root_of_explained_variance() -> None:
    codes = RNG.integers(0, 3, 600)
    x = codes * 2.0 + RNG.normal(size=600)
    frame = pd.DataFrame({"x": x, "c": codes})
    explained = frame.groupby("c")["x"].transform("mean").var(ddof=0) / frame["x"].var(ddof=0)
    assert correlation_ratio(x, codes) == pytest.approx(np.sqrt(explained))
    assert correlation_ratio(1e150 * x + 1e149, codes) == pytest.approx(np.sqrt(explained))
    assert correlation_ratio(np.ones(600), codes) == 0.0
    assert correlation_ratio(np.full(600, np.nan), codes) == 0.0
    assert correlation_ratio(codes.astype(float), codes) == pytest.approx(1.0)


def test_the_same_rows_lose_and_invent_nothing() -> None:
    found = figures(run(pair_tables(shuffled(pair_frame(1500, 1)))))
    assert found["dependence.lost"].value == pytest.approx(0.0, abs=1e-12)
    assert found["dependence.spurious"].value == pytest.approx(0.0, abs=1e-12)


def test_a_fresh_sample_is_at_the_floor() -> None:
    section = run(pair_tables(pair_frame(1500, 3)))
    for metric in section.metrics:
        assert metric.value < 0.03
        assert metric.floor < 0.03
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
