"""Generators to attack: tables of the right form, no hidden randomness, the leak that is meant."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import UsageError
from dpsynth.table import conform, violations
from privacy_audits.shadow import DataDomain, ExactMarginals, Method, SmoothedBootstrap
from privacy_audits.typed import without_bounds
from tests.conftest import patients_frame, patients_schema

SCHEMA = patients_schema(id="patient", max_rows=3)
INDEPENDENT = partial(Method, method="independent", budget=dp.Budget(epsilon=1.0, delta=1e-5))
GENERATORS = {
    "bootstrap": SmoothedBootstrap(schema=SCHEMA),
    "marginals": ExactMarginals(schema=SCHEMA),
    "method": INDEPENDENT(schema=SCHEMA),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_tables_fit_the_schema_and_depend_on_the_generator_alone(name):
    fit, frame = GENERATORS[name], patients_frame(90)
    one, again = (fit(frame, rows=50, rng=np.random.default_rng(3)) for _ in range(2))
    assert len(one) == 50
    assert list(one.columns) == [column.name for column in SCHEMA.columns]
    assert violations(one, SCHEMA) == []
    pd.testing.assert_frame_equal(one, again)
    other = pickle.loads(pickle.dumps(fit))(frame, rows=50, rng=np.random.default_rng(4))
    assert not one.equals(other)
    assert len(fit(frame, rows=None, rng=np.random.default_rng(3))) > 0


def test_the_bootstrap_keeps_rows_together_and_marginals_do_not():
    frame = pd.DataFrame({"x": [1.0, 9.0] * 40, "c": ["a", "b"] * 40})
    schema = dp.Schema.from_dict(
        {
            "table": {"name": "pairs", "rows": "private"},
            "columns": {
                "x": {"kind": "real", "bounds": [0, 10], "source": "book"},
                "c": {"kind": "categorical", "categories": ["a", "b"], "source": "book"},
            },
        }
    )
    for make, together in ((SmoothedBootstrap, True), (ExactMarginals, False)):
        found = make(schema=schema)(frame, rows=200, rng=np.random.default_rng(0))
        assert ((found["x"] > 5) == (found["c"] == "b")).all() == together
        assert found["x"].nunique() > 100


@pytest.mark.parametrize("make", [ExactMarginals, INDEPENDENT])
def test_bounds_that_are_read_off_the_rows_are_the_extremes(make):
    frame = patients_frame(90)
    frame.loc[3, "age"] = 4_000
    fit = DataDomain(schema=SCHEMA, generator=make)
    found = conform(fit(frame, rows=400, rng=np.random.default_rng(0)), without_bounds(SCHEMA))
    assert 120 < found["age"].max() <= 4_000
    assert found["age"].min() >= frame["age"].min()


def test_a_column_of_one_value_has_bounds():
    frame = patients_frame(40)
    frame["age"], frame["stay"] = 50, np.nan
    fit = DataDomain(schema=SCHEMA, generator=ExactMarginals)
    found = fit(frame, rows=30, rng=np.random.default_rng(0))
    assert found["age"].between(50, 51).all()
    assert found["stay"].isna().all()


def test_a_negative_bandwidth_is_refused():
    with pytest.raises(UsageError, match="bandwidth"):
        SmoothedBootstrap(schema=SCHEMA, bandwidth=-0.1)
