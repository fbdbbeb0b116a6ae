"""Total variation against its definition, floors against simulation, and growing corruption."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from benchmarks.counting import subsets
from benchmarks.discretise import Tables, conform_tables
from benchmarks.marginals import measure, sampling_floor, total_variation
from benchmarks.report import Metric, Section
from tests.benchmarks.conftest import (
    corrupted,
    pair_frame,
    pair_schema,
    pair_tables,
    schema_of,
    shuffled,
)
from tests.conftest import patients_frame, patients_schema


def run(tables: Tables, seed: int = 0) -> Section:
    return measure(tables, rng=np.random.default_rng(seed))


def figures(section: Section) -> dict[str, Metric]:
    return {metric.name: metric for metric in section.metrics}


def test_figures_are_those_of_the_definition() -> None:
    tables = pair_tables(pair_frame(700, 3), n=900)
    found = figures(run(tables))
    for way in (1, 2, 3):
        expected = []
        for places in combinations(range(3), way):
            counts = [
                pd.Series(list(map(tuple, table.codes[:, places]))).value_counts(normalize=True)
                for table in (tables.fit, tables.synthetic)
            ]
            both = pd.concat(counts, axis=1).fillna(0.0)
            expected.append(0.5 * float((both.iloc[:, 0] - both.iloc[:, 1]).abs().sum()))
        assert found[f"tvd{way}.mean"].value == pytest.approx(np.mean(expected))
        assert found[f"tvd{way}.p95"].value == pytest.approx(np.quantile(expected, 0.95))
        assert found[f"tvd{way}.max"].value == pytest.approx(np.max(expected))


def test_many_cells_are_counted_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = pair_tables(pair_frame(300, 3), n=300)
    dense = run(tables)
    monkeypatch.setattr("benchmarks.counting._DENSE", 1)
    sparse = run(tables)
    for a, b in zip(dense.metrics, sparse.metrics, strict=True):
        assert b.name == a.name
        assert b.value == pytest.approx(a.value)
        assert b.floor == pytest.approx(a.floor)
        assert b.reference == pytest.approx(a.reference)


def test_the_same_rows_have_distance_zero_in_any_order() -> None:
    found = figures(run(pair_tables(shuffled(pair_frame(1500, 1)))))
    for name in found:
        assert name.endswith("matched") or found[name].value == float("equivalent" in name)
    again = figures(run(pair_tables(pair_frame(1500, 1))))
    assert again == found


def test_distance_is_symmetric() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(9))
    assert total_variation(p, q) == total_variation(q, p) > 0
    assert total_variation(p, p) == 0
    ours, real, held = (pair_frame(400, seed) for seed in (3, 1, 2))
    there = figures(run(conform_tables(ours, real, held, pair_schema())))
    # With the same rows in the pool the bins are the same, and so is the way back.
    one = conform_tables(ours, real, ours, pair_schema())
    other = conform_tables(real, ours, real, pair_schema())
    assert figures(run(one))["tvd2.mean"].value == figures(run(other))["tvd2.mean"].value
    assert there["tvd2.mean"].value > 0


def test_a_fresh_sample_is_at_both_floors() -> None:
    found = figures(run(pair_tables(pair_frame(1500, 3))))
    for way in (1, 2, 3):
        mean, matched = found[f"tvd{way}.mean"], found[f"tvd{way}.mean.matched"]
        assert mean.value == pytest.approx(mean.floor, rel=0.25)
        assert matched.value == pytest.approx(matched.floor, abs=0.02, rel=0.1)


def test_the_matched_figure_does_not_profit_from_size() -> None:
    small = figures(
        run(conform_tables(*(pair_frame(n, n) for n in (4000, 900, 250)), pair_schema()))
    )
    mean, matched = small["tvd2.mean"], small["tvd2.mean.matched"]
    assert matched.n == 250
    assert matched.value > 1.3 * mean.value
    assert matched.value == pytest.approx(matched.floor, rel=0.25)


@pytest.mark.parametrize("cells", [4, 60, 3000])
def test_the_analytic_floor_is_what_simulation_gives(cells: int) -> None:
    rng = np.random.default_rng(cells)
    p = rng.dirichlet(np.full(cells, 0.5))
    n, m = 1000, 700
    drawn = [
        total_variation(rng.multinomial(n, p) / n, rng.multinomial(m, p) / m) for _ in range(200)
    ]
    assert sampling_floor(p, n, m) == pytest.approx(np.mean(drawn), rel=0.15)
    assert sampling_floor(p, n, m) == sampling_floor(p, m, n)


def test_the_floor_of_empty_cells_stays_below_one() -> None:
    assert sampling_floor(np.full(10**6, 1e-6), 10, 10) == pytest.approx(1.0, abs=1e-4)
    assert sampling_floor(np.array([1.0, 0.0]), 10, 10) == 0.0


def test_figures_grow_with_corruption() -> None:
    base = pair_frame(1500, 3)
    for name in ("tvd2.mean", "tvd3.mean", "tvd2.mean.matched"):
        values = [
            figures(run(pair_tables(corrupted(base, share))))[name].value
            for share in (0.0, 0.3, 0.6, 1.0)
        ]
        assert values == sorted(values)
        assert values[-1] > 1.3 * values[0]
    moved = [base.assign(x=base["x"] + shift) for shift in (0.0, 0.5, 2.0, 50.0)]
    values = [figures(run(pair_tables(frame)))["tvd1.max"].value for frame in moved]
    assert values == sorted(values)
    assert values[-1] > 0.6


def test_shuffled_columns_are_at_the_landmark() -> None:
    base = pair_frame(20_000, 1)
    rng = np.random.default_rng(0)
    independent = base.apply(rng.permutation)
    tables = conform_tables(independent, base, pair_frame(20_000, 2), pair_schema())
    found = figures(run(tables))
    for name in ("tvd2.max", "tvd3.mean"):
        assert found[name].value == pytest.approx(found[name].reference, abs=0.05)
    assert found["tvd2.max"].reference > 0.5
    assert found["tvd1.mean"].landmark == "uniform"
    assert found["tvd1.mean"].skill > 0.9


def test_a_scaled_column_is_found() -> None:
    """The table for which a suite with bins of its own per table reports a perfect score."""
    base = pair_frame(1500, 3)
    section = run(pair_tables(base.assign(x=base["x"] * 1000 + 1e6)))
    assert figures(section)["tvd1.max"].value > 0.9
    assert section.worst["tvd1"][0].columns == ("x",)
    assert section.worst["tvd2"][0].columns in {("g", "x"), ("x", "y")}
    (finding,) = section.findings
    assert finding.code == "DPS311"
    assert finding.message.endswith(": x.")


def test_a_good_table_has_no_finding() -> None:
    assert run(pair_tables(pair_frame(1500, 3))).findings == ()
    assert run(pair_tables(pair_frame(20, 3), n=20)).findings == ()


def test_a_poor_table_errs_more_than_a_hundredth_of_the_rows() -> None:
    base = pair_frame(1500, 3)
    poor = run(pair_tables(base.assign(x=base["x"].to_numpy()[::-1] * 1000, g="a")))
    assert figures(poor)["tvd2.equivalent_share"].value < 0.01
    assert "DPS325" in {finding.code for finding in poor.findings}


def test_the_equivalent_share_turns_the_interval_over() -> None:
    found = figures(run(pair_tables(corrupted(pair_frame(1500, 3), 0.3))))
    for way in (2, 3):
        share, distance = found[f"tvd{way}.equivalent_share"], found[f"tvd{way}.mean"]
        assert 0 < share.ci_low < share.value < share.ci_high < share.floor < 0.5
        assert share.references.keys() == distance.references.keys()
        assert share.references["independent"] < share.value
    assert found["tvd3.equivalent_share"].landmark is None


def test_the_holdout_stands_beside_figures_of_as_many_rows_only() -> None:
    few = pair_frame(400, 2)
    tables = conform_tables(pair_frame(900, 3), pair_frame(900, 1), few, pair_schema())
    found = figures(run(tables))
    assert "holdout" not in found["tvd2.mean"].references
    matched = found["tvd2.mean.matched"]
    assert matched.n == 400
    assert matched.references["holdout"] == matched.floor
    assert found["tvd2.mean"].floor < matched.floor


def test_subsets_are_all_of_them_or_different_ones() -> None:
    rng = np.random.default_rng(0)
    assert subsets(6, 2, 500, rng) == list(combinations(range(6), 2))
    many = subsets(60, 2, 500, rng)
    assert len(set(many)) == len(many) == 500
    assert all(a < b for a, b in many)
    assert subsets(60, 2, 500, np.random.default_rng(1)) != many
    assert subsets(2, 3, 300, rng) == []


def test_the_target_is_in_triples(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.marginals import _triples

    monkeypatch.setattr("benchmarks.marginals.MOST_TRIPLES", 5)
    frames = [patients_frame(40, seed=seed) for seed in (3, 1, 2)]
    tables = conform_tables(*frames, patients_schema())
    triples = _triples(tables, np.random.default_rng(0))
    assert sum(tables.target in triple for triple in triples) >= 5
    assert 5 <= len(triples) <= 10
    assert len(set(triples)) == len(triples)


def test_one_column_is_enough() -> None:
    schema = schema_of({"a": {"kind": "boolean"}})
    frame = pd.DataFrame({"a": [True, False, True]})
    found = figures(run(conform_tables(frame, frame, frame, schema)))
    assert set(found) == {"tvd1.mean", "tvd1.p95", "tvd1.max", "tvd1.mean.matched"}
