"""Learners take their categories from the schema and everything else from their own table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.discretise import Tables, conform_tables
from benchmarks.models import Constant, Inputs, boosting, fitted, linear, network, probabilities
from tests.benchmarks.conftest import schema_of
from tests.conftest import patients_frame, patients_schema


def patients(**synthetic: object) -> Tables:
    frames = [patients_frame(200, seed=seed) for seed in (3, 1, 2)]
    return conform_tables(frames[0].assign(**synthetic), *frames[1:], patients_schema())


def test_encoders_do_not_depend_on_other_tables() -> None:
    ours = patients_frame(200, seed=3)
    models = []
    for seed in (1, 8):
        held, real = patients_frame(200, seed=seed), patients_frame(300, seed=seed + 1)
        tables = conform_tables(ours, real, held.assign(ward="a"), patients_schema())
        inputs = Inputs.of(tables, without=tables.target)
        x = inputs.matrix(tables.synthetic.features)
        model = fitted(linear(inputs), x, tables.synthetic.codes[:, tables.target])
        models.append(probabilities(model, x, 2))
    np.testing.assert_array_equal(*models)


def test_the_schema_says_which_levels_there_are() -> None:
    widths = set()
    for changes in ({}, {"ward": "a", "sex": "F", "grade": "low"}):
        tables = patients(**changes)
        inputs = Inputs.of(tables, without=tables.target)
        x = inputs.matrix(tables.synthetic.features)
        model = fitted(linear(inputs), x, tables.synthetic.codes[:, tables.target])
        widths.add(model[:-1].transform(x).shape[1])
    assert len(widths) == 1


def learner(kind: str, inputs: Inputs, *, regression: bool = False):
    if kind == "boosting":
        return boosting(inputs, iterations=5, seed=0, regression=regression)
    if kind == "network":
        return network(inputs, rows=80, seed=0, regression=regression)
    return linear(inputs, regression=regression)


@pytest.mark.parametrize("kind", ["boosting", "linear", "network"])
def test_levels_that_training_lacks_and_empty_columns_are_no_obstacle(kind: str) -> None:
    tables = patients(ward="a", stay=np.nan, sex="F")
    inputs = Inputs.of(tables, without=tables.target)
    model = learner(kind, inputs)
    train = inputs.matrix(tables.synthetic.features)
    model = fitted(model, train, tables.synthetic.codes[:, tables.target])
    chances = probabilities(model, inputs.matrix(tables.holdout.features), 3)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert (chances[:, 2] == 0).all()
    assert np.ptp(chances[:, 0]) > 0


@pytest.mark.parametrize("kind", ["boosting", "linear", "network"])
def test_numbers_without_bounds_may_be_huge(kind: str) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=80), "y": rng.normal(size=80)})
    frame.loc[0, ["x", "y"]] = 1e308
    free = {"kind": "real", "bounds": "discover", "source": "dp"}
    tables = conform_tables(frame, frame, frame, schema_of({"x": free, "y": free}))
    inputs = Inputs.of(tables, without=1)
    x = inputs.matrix(tables.fit.features)
    y = np.clip(tables.fit.features[:, 1], -1e100, 1e100)
    model = learner(kind, inputs, regression=True)
    assert np.isfinite(fitted(model, x, y).predict(x)).all()


def test_columns_with_very_many_levels_are_taken() -> None:
    levels = [f"l{i}" for i in range(400)]
    schema = schema_of(
        {"c": {"kind": "categorical", "categories": levels}, "b": {"kind": "boolean"}}
    )
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 400, 500)
    frame = pd.DataFrame({"c": np.array(levels)[codes], "b": codes % 2 == 0})
    tables = conform_tables(frame, frame, frame, schema)
    inputs = Inputs.of(tables, without=1)
    x, y = inputs.matrix(tables.fit.features), tables.fit.codes[:, 1]
    for model in (learner(kind, inputs) for kind in ("boosting", "linear", "network")):
        assert fitted(model, x, y).predict(x).shape == (500,)


def test_a_network_is_the_same_each_time_and_trains_as_long_on_every_table() -> None:
    tables = patients()
    inputs = Inputs.of(tables, without=tables.target)
    said, steps = [], []
    for table in (tables.synthetic, tables.synthetic, tables.fit):
        model = fitted(
            network(inputs, rows=200, seed=5),
            inputs.matrix(table.features),
            table.codes[:, tables.target],
        )
        said.append(probabilities(model, inputs.matrix(tables.holdout.features), 2))
        steps.append(model[-1].n_iter_)
    np.testing.assert_array_equal(said[0], said[1])
    assert np.abs(said[0] - said[2]).max() > 0
    assert len(set(steps)) == 1


@pytest.mark.parametrize("rows", [1, 100, 5_000, 50_000, 5_000_000])
def test_the_work_of_a_network_is_limited(rows: int) -> None:
    tables = patients()
    last = network(Inputs.of(tables), rows=rows, seed=0)[-1]
    assert 5 <= last.max_iter <= 200
    assert last.max_iter * rows / last.batch_size <= 2_000 or last.max_iter == 5


def test_a_constant_says_the_same_of_every_row() -> None:
    x = np.zeros((3, 2))
    np.testing.assert_array_equal(Constant(2.5).predict(x), [2.5] * 3)
    model = Constant(np.array([0.25, 0.75]))
    np.testing.assert_array_equal(probabilities(model, x, 3), [[0.25, 0.75, 0.0]] * 3)
