"""The Hellinger distance of copulas against its integral, and what it does not see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from benchmarks.copula import Moments, hellinger, measure, normal_scores
from benchmarks.discretise import Tables, conform_tables
from benchmarks.report import Metric
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables, shuffled
from tests.conftest import patients_frame, patients_schema


def figure(tables: Tables) -> Metric:
    (metric,) = measure(tables, rng=np.random.default_rng(0)).metrics
    return metric


def correlated(r: float) -> np.ndarray:
    return np.array([[1.0, r], [r, 1.0]])


@pytest.mark.parametrize(("r", "s"), [(0.0, 0.5), (-0.3, 0.8), (0.9, 0.7)])
def test_the_closed_form_is_the_integral(r: float, s: float) -> None:
    grid = np.linspace(-7, 7, 561)
    mesh = np.stack(np.meshgrid(grid, grid), axis=-1)
    p, q = (multivariate_normal([0, 0], correlated(c)).pdf(mesh) for c in (r, s))
    squared = 0.5 * ((np.sqrt(p) - np.sqrt(q)) ** 2).sum() * (grid[1] - grid[0]) ** 2
    assert hellinger(correlated(r), correlated(s)) == pytest.approx(np.sqrt(squared), rel=1e-4)
    assert hellinger(correlated(s), correlated(r)) == pytest.approx(np.sqrt(squared), rel=1e-4)


def test_it_is_stable_for_many_columns_and_small_distances() -> None:
    rng = np.random.default_rng(0)
    loads = rng.normal(size=(400, 400))
    wide = loads @ loads.T / 400 + 0.01 * np.eye(400)
    assert hellinger(wide, wide) == pytest.approx(0.0, abs=1e-6)
    assert 0.99 < hellinger(wide, np.eye(400)) <= 1.0
    # H² of two correlations near 0 is about their squared difference over 8.
    assert hellinger(correlated(0.0), correlated(1e-6)) == pytest.approx(
        1e-6 / np.sqrt(8), rel=1e-3
    )


def test_normal_scores_have_the_law_of_their_name() -> None:
    scores = normal_scores(np.random.default_rng(0).exponential(size=5000) ** 3)
    assert scores.mean() == pytest.approx(0.0, abs=1e-9)
    assert scores.std() == pytest.approx(1.0, abs=0.01)
    holes = normal_scores(np.array([3.0, np.nan, 1.0, 3.0]))
    assert holes[1] == 0.0
    assert holes[0] == holes[3] > 0 > holes[2]
    assert (normal_scores(np.full(4, np.nan)) == 0).all()


def test_the_same_rows_have_no_distance_in_any_order() -> None:
    frame = pair_frame(800, 1)
    assert figure(pair_tables(frame, n=800)).value == pytest.approx(0.0, abs=1e-6)
    assert figure(pair_tables(shuffled(frame), n=800)) == figure(pair_tables(frame, n=800))


def test_a_fresh_sample_is_at_the_floor() -> None:
    metric = figure(pair_tables(pair_frame(1500, 3)))
    assert metric.ci_low <= metric.floor <= metric.ci_high
    assert metric.skill == pytest.approx(1.0, abs=0.05)


def test_it_grows_with_what_is_lost() -> None:
    found = [
        figure(pair_tables(corrupted(pair_frame(1500, 3), share))) for share in (0.0, 0.2, 0.5, 1.0)
    ]
    values = [metric.value for metric in found]
    assert values == sorted(values)
    assert found[-1].skill == pytest.approx(0.0, abs=0.1)


def test_how_numbers_are_distributed_does_not_enter() -> None:
    frame = pair_frame(900, 3)
    bent = frame.assign(x=np.exp(frame["x"] / 5), y=frame["y"] ** 3)
    one, other = (figure(pair_tables(rows, n=900)) for rows in (frame, bent))
    assert other.value == pytest.approx(one.value)


def test_a_column_that_follows_from_another_is_far_but_finite() -> None:
    metric = figure(pair_tables(pair_frame(900, 3).assign(y=lambda rows: rows["x"]), n=900))
    assert 0.5 < metric.value < 1.0
    assert metric.ci_high - metric.ci_low < 0.1


def test_groups_are_left_out_as_if_they_had_never_been_there() -> None:
    tables = conform_tables(*(patients_frame(300, seed=s) for s in (3, 1, 2)), patients_schema())
    moments = Moments(tables, tables.fit)
    assert len(moments.without) == 20
    # Scores keep the ranks of the whole table, so that this holds closely, not exactly.
    for group in (0, 7):
        fewer = tables.fit.take(np.flatnonzero(tables.fit.groups != group))
        np.testing.assert_allclose(moments.without[group], Moments(tables, fewer).whole, atol=0.02)


def test_intervals_cover_what_repetition_shows() -> None:
    """Of a table that is wrong; 40 repetitions, of which 38 are expected inside."""
    found = []
    for seed in range(40):
        frames = [pair_frame(600, 100 + 3 * seed + part) for part in range(3)]
        frames[0] = corrupted(frames[0], 0.5)
        schema = pair_tables(frames[0], n=9).schema
        found.append(figure(conform_tables(*frames, schema)))
    truth = np.mean([metric.value for metric in found])
    assert sum(metric.ci_low <= truth <= metric.ci_high for metric in found) >= 33


def test_constant_columns_and_nulls_depend_on_nothing() -> None:
    frames = [patients_frame(120, seed=seed) for seed in (3, 1, 2)]
    frames[0] = frames[0].assign(stay=np.nan, sex="F")
    metric = figure(conform_tables(*frames, patients_schema()))
    assert 0 < metric.value < 0.5
