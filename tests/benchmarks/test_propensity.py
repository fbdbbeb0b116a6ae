"""pMSE against its definition, and both nulls against simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import propensity
from benchmarks.discretise import Tables, conform_tables
from benchmarks.propensity import Linear, Tree, measure
from benchmarks.report import Metric, Section
from dpsynth.schema import Schema
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables, schema_of

NUMBER = {"kind": "real", "bounds": [-5, 5]}
LEVELS = {"kind": "categorical", "categories": list("abc")}


def law(n: int, seed: int) -> pd.DataFrame:
    """Two numbers that depend on a level; the schema fits them closely."""
    rng = np.random.default_rng([11, seed])
    level = rng.integers(0, 3, n)
    return pd.DataFrame(
        {
            "c": np.array(list("abc"))[level],
            "x": rng.normal(level - 1, 1, n).clip(-5, 5),
            "y": rng.normal(size=n).clip(-5, 5),
        }
    )


def law_schema() -> Schema:
    return schema_of({"c": LEVELS, "x": NUMBER, "y": NUMBER})


def law_tables(seed: int, n: int = 300) -> Tables:
    frames = [law(n, 3 * seed + part) for part in range(3)]
    return conform_tables(*frames, law_schema())


def run(tables: Tables) -> Section:
    return measure(tables, rng=np.random.default_rng(0))


def figures(section: Section) -> dict[str, Metric]:
    return {metric.name: metric for metric in section.metrics}


def test_the_figure_is_that_of_the_definition() -> None:
    """One column with two levels: p̂ is the share of synthetic rows among those with the level."""
    schema = schema_of({"c": {"kind": "categorical", "categories": ["a", "b"]}})
    frames = [pd.DataFrame({"c": ["a"] * a + ["b"] * (100 - a)}) for a in (30, 60, 60)]
    tables = conform_tables(*frames, schema)
    chances = {"a": 30 / 90, "b": 70 / 110}
    expected = (90 * (chances["a"] - 0.5) ** 2 + 110 * (chances["b"] - 0.5) ** 2) / 200
    for model in (Tree, Linear):
        found = model(tables, tables.synthetic, tables.holdout)
        assert found.pmse == pytest.approx(expected, rel=1e-4)


def test_the_closed_form_is_the_law_of_independent_samples() -> None:
    """And twice that of the other null, which is for rows that a model was fitted to."""
    found = []
    for seed in range(150):
        tables = law_tables(seed)
        model = Linear(tables, tables.synthetic, tables.holdout)
        null = model.null(np.random.default_rng(0))
        found.append((model.pmse / null.mean, null.low <= model.pmse <= null.high))
    ratios, inside = np.array(found).T
    # Four coefficients: the mean of 150 ratios has a standard error of √(2/4/150) = 0.058.
    assert ratios.mean() == pytest.approx(1.0, abs=0.2)
    assert inside.mean() > 0.9
    assert null.mean == pytest.approx(4 * 0.25 / 600)


def test_trees_under_permuted_labels_are_the_law_of_independent_samples() -> None:
    ratios = []
    for seed in range(25):
        tables = law_tables(seed)
        model = Tree(tables, tables.synthetic, tables.holdout)
        ratios.append(model.pmse / model.null(np.random.default_rng(seed)).mean)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.15)


def test_a_fresh_sample_is_at_the_floor() -> None:
    found = figures(run(law_tables(200, n=800)))
    assert set(found) == {"pmse.tree", "pmse.tree.ratio", "pmse.linear", "pmse.linear.ratio"}
    for metric in found.values():
        assert metric.ci_low <= metric.value <= metric.ci_high
        assert metric.ci_low <= metric.floor <= metric.ci_high
        assert metric.tier == "B"
    assert found["pmse.tree.ratio"].floor == 1.0


def test_the_tree_sees_lost_dependence_and_the_main_effects_do_not() -> None:
    found = [
        figures(run(pair_tables(corrupted(pair_frame(900, 3), share), n=900)))
        for share in (0.0, 0.5, 1.0)
    ]
    ratios = [figure["pmse.tree.ratio"].value for figure in found]
    assert ratios == sorted(ratios)
    assert found[-1]["pmse.tree.ratio"].ci_low > 2.0
    assert found[-1]["pmse.tree"].skill == pytest.approx(0.0, abs=0.2)
    assert found[-1]["pmse.linear.ratio"].value < 3.0


def test_intervals_of_the_logistic_model_are_those_of_fitting_anew() -> None:
    tables = law_tables(7)
    shifted = tables.synthetic.features.copy()
    shifted[:, 1] += 0.5
    moved = type(tables.synthetic)(
        features=shifted,
        codes=tables.synthetic.codes,
        units=tables.synthetic.units,
        groups=tables.synthetic.groups,
    )
    quick = Linear(tables, moved, tables.holdout).without()
    slow = [
        Linear(tables, moved.take(np.flatnonzero(moved.groups != g)), tables.holdout).pmse
        for g in range(20)
    ]
    np.testing.assert_allclose(quick[0], slow, rtol=0.02)
    assert np.std(slow) > 0


def test_the_table_shows_where_the_null_lies() -> None:
    tree, linear = run(law_tables(0)).tables["pmse"]
    for row in (tree, linear):
        assert row["null low"] < row["null mean"] < row["null high"]
    assert tree["Monte Carlo error"] > 0
    assert linear["Monte Carlo error"] == 0


def test_sides_that_are_fully_apart_reach_the_largest_value() -> None:
    frame = law(300, 5)
    tables = conform_tables(frame.assign(x=4.9), law(300, 1), law(300, 2), law_schema())
    found = figures(run(tables))
    assert found["pmse.linear"].value > 0.24
    assert found["pmse.tree"].value > 0.24


def test_rows_are_cut_to_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propensity, "MOST_ROWS", 120)
    assert {metric.n for metric in run(law_tables(0)).metrics} == {120}


@pytest.mark.parametrize("n", [2, 3, 7])
def test_the_smallest_tables_do_not_crash(n: int) -> None:
    for metric in run(pair_tables(pair_frame(n, 3), n=n)).metrics:
        assert metric.value >= 0 or np.isnan(metric.value)
