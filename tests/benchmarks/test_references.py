"""Tables that stand for no effort."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.discretise import GROUPS, conform_tables
from tests.benchmarks.conftest import pair_frame, pair_schema, pair_tables, schema_of


def test_independent_keeps_columns_and_nothing_else() -> None:
    tables = pair_tables(pair_frame(20_000, 3), n=20_000)
    for place, size in enumerate(tables.sizes):
        real, made = (
            np.bincount(t.codes[:, place], minlength=size) / len(t)
            for t in (tables.fit, tables.independent)
        )
        assert np.abs(real - made).max() < 0.02
    g, x = (tables.independent.features[:, i] for i in (0, 1))
    assert abs(np.corrcoef(g, x)[0, 1]) < 0.05
    assert np.corrcoef(tables.fit.features[:, 0], tables.fit.features[:, 1])[0, 1] > 0.9


def test_uniform_knows_the_schema_only() -> None:
    schema = schema_of(
        {
            "g": {"kind": "categorical", "categories": ["a", "b", "c"], "missing": True},
            "k": {"kind": "integer", "bounds": [1, 4]},
            "r": {"kind": "real", "bounds": [-1e6, 1e6]},
        }
    )
    frame = pd.DataFrame({"g": ["a"] * 50, "k": [2] * 50, "r": [0.0] * 50})
    many = pd.concat([frame] * 200, ignore_index=True)
    made = conform_tables(many, frame, frame, schema).uniform
    assert len(made) == 10_000
    # three levels and null, none reserved: each a quarter
    shares = np.bincount(made.codes[:, 0], minlength=6) / len(made)
    assert np.allclose(shares, [0.25, 0.25, 0.25, 0, 0.25, 0], atol=0.03)
    assert set(made.features[:, 1]) == {1.0, 2.0, 3.0, 4.0}
    assert np.quantile(made.features[:, 2], [0.25, 0.75]) / 1e6 == pytest.approx(
        [-0.5, 0.5], abs=0.05
    )


def test_groups_hold_whole_units_and_follow_the_seed() -> None:
    schema = schema_of(
        {"who": {"kind": "key"}, "z": {"kind": "real", "bounds": [0, 1]}},
        unit={"id": "who", "max_rows": 3},
    )
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"who": np.repeat(np.arange(100), 3), "z": rng.random(300)})
    held = frame.assign(who=frame["who"] + 100)
    one = conform_tables(frame[["z"]], frame, held, schema, seed=1).fit
    assert np.ptp(np.bincount(one.groups, minlength=GROUPS)) == 0
    assert all(len(np.unique(one.groups[one.units == unit])) == 1 for unit in range(100))
    again = conform_tables(frame[["z"]], frame, held, schema, seed=1).fit
    other = conform_tables(frame[["z"]], frame, held, schema, seed=2).fit
    assert (one.groups == again.groups).all()
    assert (one.groups != other.groups).any()


def test_references_have_as_many_rows_as_the_synthetic_table() -> None:
    tables = conform_tables(pair_frame(77, 3), pair_frame(50, 1), pair_frame(40, 2), pair_schema())
    assert len(tables.independent) == len(tables.uniform) == 77
