"""The error of marginals that matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.discretise import Tables, conform_tables
from benchmarks.marginals import measure as marginals
from benchmarks.report import Metric
from benchmarks.workload import Workload, measure
from dpsynth.errors import UsageError
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables
from tests.conftest import patients_frame, patients_schema


def error(tables: Tables, workload: Workload | None = None) -> Metric:
    (metric,) = measure(tables, rng=np.random.default_rng(0), workload=workload).metrics
    return metric


def test_the_error_of_all_pairs_is_twice_their_distance() -> None:
    tables = pair_tables(corrupted(pair_frame(1500, 3), 0.5))
    found = {m.name: m for m in marginals(tables, rng=np.random.default_rng(0)).metrics}
    metric, distance = error(tables), found["tvd2.mean"]
    assert metric.value == pytest.approx(2 * distance.value)
    assert metric.floor == pytest.approx(2 * distance.floor)
    assert metric.reference == pytest.approx(2 * distance.reference)
    assert (metric.ci_low, metric.ci_high) == pytest.approx(
        (2 * distance.ci_low, 2 * distance.ci_high)
    )


def test_triples_with_the_target_are_in_the_default() -> None:
    frames = [patients_frame(300, seed=seed) for seed in (3, 1, 2)]
    tables = conform_tables(*frames, patients_schema())
    names = [column.name for column in tables.columns]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    triples = [(*pair, "died") for pair in pairs if "died" not in pair]
    chosen = Workload(marginals=(*pairs, *triples))
    assert error(tables).value == pytest.approx(error(tables, chosen).value)


def test_weights_and_columns_are_those_that_were_given() -> None:
    made = pair_frame(1500, 3)
    made["y"] += 3.0
    tables = pair_tables(made)
    alone = [error(tables, Workload(marginals=(names,))).value for names in (("g", "x"), ("y",))]
    assert alone[1] > 3 * alone[0]
    both = Workload(marginals=(("x", "g"), ("y",)), weights=(3.0, 0.5))
    metric = error(tables, both)
    assert metric.value == pytest.approx((3.0 * alone[0] + 0.5 * alone[1]) / 2)
    found = measure(tables, rng=np.random.default_rng(0), workload=both).worst["workload"]
    assert found[0].columns == ("y",)
    assert Workload.from_dict({"marginals": [["x", "g"], ["y"]], "weights": [3, 0.5]}) == both


def test_a_marginal_of_every_column_is_counted() -> None:
    frames = [patients_frame(60, seed=seed) for seed in (3, 1, 2)]
    tables = conform_tables(*frames, patients_schema())
    every = Workload(marginals=(tuple(column.name for column in tables.columns),))
    assert error(tables, every).value == pytest.approx(2.0)
    itself = conform_tables(frames[1], frames[1], frames[2], patients_schema())
    assert error(itself, every).value == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"marginals": []}, "at least one"),
        ({"marginals": [[]]}, "empty"),
        ({"marginals": [["x", "x"]]}, "twice"),
        ({"marginals": [["x"]], "weights": [1, 2]}, "as many weights"),
        ({"marginals": [["x"]], "weights": [-1]}, "from 0"),
        ({"marginals": [["x"]], "weights": [0]}, "not all 0"),
        ({"marginals": [["x"]], "weights": [float("nan")]}, "finite"),
        ({"marginals": [["x"]], "weights": ["1"]}, "list of numbers"),
        ({"marginals": ["x"]}, "list of lists"),
        ({"marginals": [[1]]}, "list of lists"),
        ({"marginal": [["x"]]}, "'marginal'"),
    ],
)
def test_a_wrong_workload_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Workload.from_dict(values)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(UsageError, match="not there: w") as refusal:
        error(pair_tables(pair_frame(50, 3), n=50), Workload(marginals=(("g", "w"),)))
    assert "g, x, y" in str(refusal.value)
