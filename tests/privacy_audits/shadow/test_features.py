"""Feature maps against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import UsageError
from privacy_audits.shadow import (
    DEFAULT_MAPS,
    Correlations,
    Histograms,
    Moments,
    Nearest,
    SubsetCounts,
)
from privacy_audits.typed import TypedSpace

SCHEMA = dp.Schema.from_dict(
    {
        "table": {"name": "small", "rows": "private"},
        "columns": {
            "x": {"kind": "real", "bounds": [0, 10], "missing": True, "source": "book"},
            "y": {"kind": "real", "bounds": [0, 10], "source": "book"},
            "c": {"kind": "categorical", "categories": ["a", "b"], "source": "book"},
        },
    }
)
SPACE = TypedSpace.of(SCHEMA, keep_outside=True)
SYNTHETIC = pd.DataFrame(
    {"x": [0.0, 10.0, 20.0, None], "y": [1.0, 2.0, 3.0, 4.0], "c": ["a", "a", "new", None]}
)
TARGETS = pd.DataFrame({"x": [20.2, 5.0], "y": [3.0, 3.0], "c": ["a", "b"]})


def features(feature, synthetic=SYNTHETIC):
    return feature(
        SPACE.rows(synthetic),
        SPACE.rows(TARGETS),
        space=SPACE,
        rng=np.random.default_rng(0),
    )


def test_moments_know_values_outside_the_domain():
    found = features(Moments())
    shares = [0.25, 0.5, 0.0, 0.0, 0.25]  # null, a, b, reserved, outside
    x = [0.25, 1.0, np.std([0, 1, 2]), 1.0, 0.0, 2.0]  # null, mean, spread, median, extremes
    y = [0.0, 0.25, np.std([0.1, 0.2, 0.3, 0.4]), 0.25, 0.1, 0.4]
    np.testing.assert_allclose(found, [[4.0, *x, *y, *shares]])


def test_histograms_have_bins_beyond_the_bounds():
    found = features(Histograms(bins=2))
    np.testing.assert_allclose(
        found, [[0, 0.25, 0.25, 0.25, 0, 1, 0, 0, 0.25, 0.5, 0.0, 0.0, 0.25]]
    )


def test_correlations_are_those_of_numpy():
    found = features(Correlations(), SYNTHETIC.dropna())
    columns = np.array([[0, 1, 2], [0.1, 0.2, 0.3], [1, 1, 0], [0, 0, 1]])
    expected = np.corrcoef(columns)
    # Levels that do not occur correlate with nothing: columns x, y, a, b, reserved, outside.
    whole = np.zeros((6, 6))
    whole[np.ix_([0, 1, 2, 5], [0, 1, 2, 5])] = expected
    np.testing.assert_allclose(found[0], whole[np.triu_indices(6, k=1)], atol=1e-12)


def test_of_many_levels_some_are_chosen_and_always_the_same():
    some = features(Correlations(most=4))
    assert some.shape == (1, 6)
    np.testing.assert_array_equal(some, features(Correlations(most=4)))


def test_subset_counts_count_rows_that_agree():
    found = features(SubsetCounts(queries=200))
    assert found.shape == (2, 200)
    # x agrees with the first target in one row, y in one, c in two; x and y in one, x and c in
    # none, y and c in none. Nothing but y agrees with the second one.
    assert set(np.round(found[0], 9)) == {0.0, 0.25, 0.5}
    assert set(np.round(found[1], 9)) == {0.0, 0.25}


def test_nearest_rows_are_on_a_logarithmic_scale():
    found = features(Nearest(k=2))
    assert found.shape == (2, 2)
    closest = (0.02 + 0.0 + 1.0) / 3  # the third row; levels differ
    assert found[0, 0] == pytest.approx(np.log(1e-3 + closest))


@pytest.mark.parametrize("feature", DEFAULT_MAPS, ids=lambda feature: feature.name)
def test_shapes_do_not_depend_on_the_table(feature):
    assert features(feature, SYNTHETIC.iloc[:1]).shape == features(feature).shape
    assert np.isfinite(features(feature, SYNTHETIC.iloc[:1])).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Histograms(bins=0),
        lambda: SubsetCounts(queries=0),
        lambda: SubsetCounts(tolerance=-1.0),
        lambda: Nearest(k=0),
        lambda: Correlations(most=1),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(UsageError):
        make()
