"""What the families that count have in common: identity, noise, order, odd tables, coverage."""

from __future__ import annotations

import json
import math
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import (
    dependence,
    details,
    marginals,
    numbers,
    queries,
    references,
    support,
    workload,
)
from benchmarks.discretise import Cells, Conformed, Tables, conform_tables, spread
from benchmarks.report import Metric
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables, schema_of, shuffled
from tests.conftest import patients_frame, patients_schema

FAMILIES = (marginals, workload, support, queries, numbers, dependence)
UNIFORM = ("tvd1", "ks", "wasserstein", "tails", "support.dropped")
NO_LANDMARK = ("support.recall", "dependence.spurious", "equivalent_share")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "QUERIES", 150)


def figures(tables: Tables, families: tuple[ModuleType, ...] = FAMILIES) -> dict[str, Metric]:
    found = [
        metric
        for number, family in enumerate(families)
        for metric in family.measure(tables, rng=np.random.default_rng(number)).metrics
    ]
    assert len({metric.name for metric in found}) == len(found)
    return {metric.name: metric for metric in found}


def patients(synthetic: pd.DataFrame, n: int = 400) -> Tables:
    return conform_tables(
        synthetic, patients_frame(n, seed=1), patients_frame(n, seed=2), patients_schema()
    )


def test_every_figure_has_an_interval_a_floor_references_and_a_landmark() -> None:
    for name, metric in figures(patients(patients_frame(400, seed=3))).items():
        assert metric.ci_low <= metric.value <= metric.ci_high, name
        assert math.isfinite(metric.floor), name
        assert metric.n == 400
        assert {"independent", "uniform", "holdout"} == set(metric.references), name
        assert all(math.isfinite(value) for value in metric.references.values()), name
        if any(part in name for part in NO_LANDMARK):
            assert metric.skill is None, name
        else:
            expected = "uniform" if name.startswith(UNIFORM) else "independent"
            assert metric.landmark == expected, name
        assert metric.tier == ("B" if name.startswith("tails") else "A"), name


def test_the_fitted_rows_themselves_are_at_zero() -> None:
    for name, metric in figures(patients(patients_frame(400, seed=1))).items():
        perfect = 1.0 if metric.direction == "higher" else 0.0
        assert metric.value == pytest.approx(perfect, abs=1e-9), name
        assert metric.skill in (None, 1.0), name


def test_a_fresh_sample_has_its_floor_in_the_interval() -> None:
    found = figures(pair_tables(pair_frame(1500, 4)))
    for name, metric in found.items():
        if not name.endswith(("max", "p95")):
            slack = 0.1 * metric.floor + 0.001  # an approximation, or another sample
            assert metric.ci_low - slack <= metric.floor <= metric.ci_high + slack, name
            assert metric.skill is None or metric.skill > 0.9, name


def test_the_order_of_rows_changes_nothing() -> None:
    frame = patients_frame(300, seed=3)
    assert figures(patients(frame)) == figures(patients(shuffled(frame)))


def test_figures_grow_with_corruption() -> None:
    base = pair_frame(1500, 3)
    found = [figures(pair_tables(corrupted(base, share))) for share in (0.0, 0.3, 0.6, 1.0)]
    for name in ("tvd2.mean", "tvd3.mean", "workload.error", "queries.mean", "dependence.lost",
                 "support.invented", "tvd2.equivalent_share"):  # fmt: skip
        values = [figure[name].value for figure in found]
        assert values == sorted(values, reverse=found[0][name].direction == "higher"), name
        skills = [figure[name].skill for figure in found]
        assert None in skills or skills == sorted(skills, reverse=True), name


SHAPES: dict[str, dict[str, Any]] = {
    "one column": {"a": {"kind": "boolean"}},
    "one number": {"x": {"kind": "real", "bounds": [0, 1], "missing": True}},
    "mixed": {
        "null": {"kind": "real", "bounds": [0, 1], "missing": True},
        "same": {"kind": "integer", "bounds": [0, 9]},
        "level": {"kind": "categorical", "categories": ["only", "never"]},
        "none": {"kind": "categorical", "categories": ["p", "q"], "missing": True},
        "t": {"kind": "boolean", "role": "target"},
    },
}


def odd_frame(shape: str, n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {
        "a": rng.random(n) < 0.5,
        "x": rng.random(n),
        "null": np.full(n, np.nan),
        "same": np.full(n, 4),
        "level": np.full(n, "only", dtype=object),
        "none": np.full(n, None, dtype=object),
        "t": rng.random(n) < 0.3,
    }
    return pd.DataFrame({name: values[name] for name in SHAPES[shape]})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [2, 3, 60])
def test_odd_tables_are_measured_where_figures_are_defined(shape: str, n: int) -> None:
    schema = schema_of(SHAPES[shape])
    frames = [odd_frame(shape, n + k, k) for k in (0, 1, 5)]
    tables = conform_tables(*frames, schema)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = figures(tables)
        rows = details.measure(tables, rng=np.random.default_rng(0)).tables
    json.dumps([list(part) for part in rows.values()], allow_nan=False)
    undefined = {"support.recall"} if n < 60 or shape == "one number" else set()  # none is common
    for name, metric in found.items():
        assert math.isfinite(metric.value) or name in undefined, name
        if math.isfinite(metric.value) and not math.isnan(metric.ci_low):
            assert metric.ci_low <= metric.value <= metric.ci_high, name
    assert ("tvd2.mean" in found) == (len(SHAPES[shape]) > 1)


def test_one_person_gives_no_interval_and_no_warning() -> None:
    schema = schema_of(
        {"who": {"kind": "key"}, "a": {"kind": "boolean"}, "x": {"kind": "real", "bounds": [0, 9]}},
        unit={"id": "who", "max_rows": 9},
    )
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"who": [1] * 9, "a": rng.random(9) < 0.5, "x": rng.random(9)})
    tables = conform_tables(frame.drop(columns="who"), frame, frame.assign(who=2), schema)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = figures(tables)
    for name, metric in found.items():
        if name != "support.recall":
            assert math.isfinite(metric.value), name
        assert math.isnan(metric.ci_low), name


class Law:
    """Correlated columns of three kinds; people have several rows of one hidden number."""

    schema = schema_of(
        {
            "a": {"kind": "categorical", "categories": ["0", "1", "2"]},
            "x": {"kind": "real", "bounds": [-9, 9]},
            "y": {"kind": "real", "bounds": [-9, 9]},
            "t": {"kind": "boolean", "role": "target"},
        }
    )
    cells = tuple(
        Cells(edges=np.linspace(-2, 2, 8) if column.is_numeric else np.empty(0), levels=levels)
        for column in schema.modelled
        for levels in [() if column.is_numeric else column.levels]
    )

    def sample(self, people: int, each: int, wrong: float, rng: np.random.Generator) -> Conformed:
        """``wrong``: share of values that do not belong to their row."""
        n = people * each
        units = np.repeat(np.arange(people), each)
        x = 0.7 * rng.normal(size=people)[units, np.newaxis] + 0.7 * rng.normal(size=(n, 4))
        moved = rng.random(x.shape) < wrong
        x = np.where(moved, rng.permuted(x, axis=0) + wrong, x)
        discrete = np.column_stack([np.clip(np.floor(x[:, 0] + 1.5), 0, 2), x[:, 3] > 0.3])
        features = np.column_stack([discrete[:, 0], x[:, 1], x[:, 2], discrete[:, 1]])
        codes = np.column_stack(
            [
                self.cells[k].code(features[:, k]) if k in (1, 2) else features[:, k]
                for k in range(4)
            ]
        )
        return Conformed(
            features=features,
            codes=codes.astype(np.int64),
            units=units,
            groups=spread(people, rng)[units],
        )

    def tables(self, each: int, wrong: float, rng: np.random.Generator) -> Tables:
        fit = self.sample(900 // each, each, 0.0, rng)
        columns = self.schema.modelled
        return Tables(
            schema=self.schema,
            columns=columns,
            cells=self.cells,
            synthetic=self.sample(700, 1, wrong, rng),
            fit=fit,
            holdout=self.sample(700 // each, each, 0.0, rng),
            independent=references.independent(fit, 700, rng),
            uniform=references.uniform(columns, self.cells, fit, 700, rng),
        )


@pytest.mark.parametrize("each", [1, 3])
def test_intervals_cover_the_expected_figure(each: int) -> None:
    """Over fresh people and fresh draws; deterministic, as the streams are."""
    runs = 60
    found: dict[str, list[tuple[float, ...]]] = {}
    for run in range(runs):
        tables = Law().tables(each, 0.4, np.random.default_rng([run, each]))
        for name, metric in figures(tables).items():
            found.setdefault(name, []).append((metric.value, metric.ci_low, metric.ci_high))
    for name, rows in found.items():
        value, low, high = np.array(rows).T
        covered = np.mean((low <= value.mean()) & (value.mean() <= high))
        if name.endswith((".mean", ".matched", ".error", ".lost", ".equivalent_share")):
            assert covered >= 0.88, name
