"""Agreement on what is important: identity, corruption, and scipy's τ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from benchmarks import importance, training
from benchmarks.discretise import conform_tables
from benchmarks.importance import agreement, measure
from benchmarks.report import Section
from tests.benchmarks.conftest import schema_of, shuffled

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "DRAWS", 40)
    monkeypatch.setattr(training, "MODELS", ("boosting",))


def schema(target: dict | None = None):
    number = {"kind": "real", "bounds": [-9, 9]}
    target = target or {"kind": "boolean", "role": "target"}
    return schema_of({**dict.fromkeys(NAMES, number), "t": target})


def frame(n: int, seed: int, *, by: tuple[float, ...] = (3, 2, 1, 0.5, 0)) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    y = x @ np.array(by) + 0.3 * rng.normal(size=n)
    return pd.DataFrame(x, columns=list(NAMES)).assign(t=y > 0, y=y)


def run(synthetic: pd.DataFrame, *, n: int = 800, given=None, **changes: object) -> Section:
    real, held = (frame(n, seed).assign(**changes) for seed in (1, 2))
    tables = conform_tables(synthetic.assign(**changes), real, held, given or schema())
    trained = training.train(tables, rng=np.random.default_rng(0))
    return measure(tables, rng=np.random.default_rng(0), trained=trained)


def test_the_same_rows_agree_wholly_in_any_order() -> None:
    section = run(shuffled(frame(800, 1)))
    (metric,) = section.metrics
    assert metric.value == metric.ci_low == metric.ci_high == 1.0
    assert metric.tier == "B"
    for row in section.tables["importance"]:
        assert row["tstr"] == row["trtr"]
    assert run(frame(800, 1)) == section


def test_a_fresh_sample_agrees_and_a_table_of_another_law_does_not() -> None:
    fresh, reverse = run(frame(800, 3)), run(frame(800, 3, by=(0, 0.5, 1, 2, 3)))
    assert fresh.metrics[0].value >= 0.6
    assert fresh.metrics[0].floor >= 0.6
    assert reverse.metrics[0].value <= 0.0
    assert fresh.metrics[0].ci_low <= fresh.metrics[0].value <= fresh.metrics[0].ci_high
    assert fresh.tables["importance"][0]["column"] == "a"
    assert fresh.tables["importance"][0]["trtr"] > 0.1


def test_numbers_have_importances_too() -> None:
    given = schema({"kind": "real", "bounds": [-99, 99], "role": "target"})
    section = run(frame(600, 3), n=600, given=given, t=lambda f: f["y"])
    assert section.metrics[0].value >= 0.6


def test_a_table_that_teaches_nothing_agrees_with_nothing() -> None:
    section = run(frame(300, 3).assign(t=True), n=300)
    assert section.metrics[0].value == 0.0
    assert all(row["tstr"] == 0.0 for row in section.tables["importance"])


def test_where_there_is_no_order_nothing_is_claimed() -> None:
    one = schema_of(
        {"a": {"kind": "real", "bounds": [-9, 9]}, "t": {"kind": "boolean", "role": "target"}}
    )
    assert run(frame(60, 3), n=60, given=one) == Section()
    none = schema_of({name: {"kind": "real", "bounds": [-9, 9]} for name in NAMES})
    assert run(frame(60, 3), n=60, given=none) == Section()


def test_the_smallest_tables_do_not_crash() -> None:
    two = frame(40, 3).sort_values("y").iloc[[0, -1]]
    tables = conform_tables(two, two, two, schema())
    trained = training.train(tables, rng=np.random.default_rng(0))
    section = measure(tables, rng=np.random.default_rng(0), trained=trained)
    assert np.isfinite(section.metrics[0].value)


def test_agreement_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 5, (2, 8)).astype(float)
        assert agreement(one, other) == pytest.approx(kendalltau(one, other).statistic)
    assert agreement(np.zeros(4), np.arange(4.0)) == 0.0
