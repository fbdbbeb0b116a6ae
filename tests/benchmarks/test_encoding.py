"""Distances between encoded rows are those the module promises."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.discretise import Tables, conform_tables
from benchmarks.encoding import MOST_LEVELS, Encoding, common_levels
from tests.benchmarks.conftest import pair_frame, pair_tables, schema_of

KINDS = {
    "n": {"kind": "real", "bounds": [0, 10], "missing": True},
    "o": {"kind": "ordinal", "categories": ["low", "mid", "high"]},
    "c": {"kind": "categorical", "categories": ["a", "b", "c"]},
}


def tables(rows: list[tuple[object, str, str]]) -> Tables:
    frame = pd.DataFrame(rows, columns=list(KINDS))
    real = pd.DataFrame({"n": [0.0, 5.0] * 3, "o": ["low"] * 6, "c": list("aabbcc")})
    return conform_tables(frame, real, real, schema_of(KINDS))


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ((2.0, "low", "a"), (2.0, "low", "a"), 0.0),
        ((0.0, "low", "a"), (10.0, "low", "a"), 1.0),
        ((2.0, "low", "a"), (4.5, "low", "a"), 0.25),
        ((2.0, "low", "a"), (2.0, "high", "a"), 1.0),
        ((2.0, "low", "a"), (2.0, "mid", "a"), 0.5),
        ((2.0, "low", "a"), (2.0, "low", "b"), 1.0),
        ((2.0, "low", "a"), (2.0, "low", "z"), 1.0),
        ((0.0, "low", "a"), (np.nan, "low", "a"), 1.0),
        ((10.0, "low", "a"), (np.nan, "low", "a"), 1.0),
        ((0.0, "low", "a"), (10.0, "low", "b"), np.sqrt(2.0)),
    ],
)
def test_columns_span_a_length_of_one(one: tuple, other: tuple, distance: float) -> None:
    found = tables([one, other])
    points = Encoding(found).matrix(found.synthetic)
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(distance)


def test_rare_levels_of_a_long_list_share_a_corner() -> None:
    def frame(seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        return pd.DataFrame({"c": [f"level {int(i)}" for i in rng.exponential(40, 900)]})

    schema = schema_of({"c": {"kind": "categorical", "categories": "discover", "source": "dp"}})
    found = conform_tables(frame(3), frame(1), frame(2), schema)
    kept = common_levels(found, 0)
    assert len(kept) == MOST_LEVELS
    counts = np.bincount(np.r_[found.fit.codes[:, 0], found.holdout.codes[:, 0]])
    assert counts[kept].min() >= np.delete(counts, kept).max()
    assert Encoding(found).matrix(found.synthetic).shape == (900, MOST_LEVELS + 1)
    most = common_levels(found, 0, least=0.02)
    assert 0 < len(most) < MOST_LEVELS
    assert (counts[most] >= 0.02 * 1800).all()


def test_the_synthetic_table_does_not_decide_how_it_is_encoded() -> None:
    far = pair_frame(60, 3).assign(x=1.9e6)
    one, other = (pair_tables(frame, n=60) for frame in (far, pair_frame(60, 4)))
    np.testing.assert_array_equal(Encoding(one).matrix(one.fit), Encoding(other).matrix(other.fit))


def test_what_was_discovered_is_scaled_by_the_real_rows_and_stays_finite() -> None:
    schema = schema_of(
        {
            "x": {"kind": "real", "bounds": "discover", "source": "dp"},
            "same": {"kind": "real", "bounds": "discover", "source": "dp"},
        }
    )
    real = pd.DataFrame({"x": [0.0, 4.0, 2.0], "same": [7.0] * 3})
    ours = pd.DataFrame({"x": [1.0, 3.0, 1e300], "same": [7.0, 8.0, 1e300]})
    found = conform_tables(ours, real, real, schema)
    points = Encoding(found).matrix(found.synthetic)
    assert np.sort(points[:, 0]) == pytest.approx([0.25, 0.75, 2.0])
    assert (points[:, 2] == 0.0).all()
