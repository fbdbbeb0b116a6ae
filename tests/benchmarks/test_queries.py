"""Counting queries against their definition, and growing corruption."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.discretise import Tables
from benchmarks.queries import LEAST_SHARE, QUERIES, Answers, draw_queries, measure
from benchmarks.report import Metric
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables, shuffled


def figures(tables: Tables) -> dict[str, Metric]:
    section = measure(tables, rng=np.random.default_rng(0))
    return {metric.name: metric for metric in section.metrics}


def test_answers_are_shares_of_the_rows_that_fulfil_every_part() -> None:
    tables = pair_tables(pair_frame(700, 3), n=900)
    queries = draw_queries(tables, 40, np.random.default_rng(0))
    answers = Answers.of(tables.fit, queries)
    for k, query in enumerate(queries):
        parts = list(zip(query.places, query.allowed, strict=True))
        fulfilled = np.array(
            [all(cells[row[place]] for place, cells in parts) for row in tables.fit.codes]
        )
        assert answers.shares[k] == pytest.approx(fulfilled.mean())
        left = [fulfilled[tables.fit.groups != group].mean() for group in range(20)]
        assert answers.left_out[:, k] == pytest.approx(left)


def test_figures_are_those_of_the_definition() -> None:
    tables = pair_tables(pair_frame(700, 3), n=900)
    queries = draw_queries(tables, QUERIES, np.random.default_rng(0))
    shares = [Answers.of(table, queries).shares for table in (tables.fit, tables.synthetic)]
    errors = np.abs(np.subtract(*shares))
    found = figures(tables)
    assert found["queries.mean"].value == pytest.approx(errors.mean())
    assert found["queries.p95"].value == pytest.approx(np.quantile(errors, 0.95))
    relative = errors / np.maximum(shares[0], LEAST_SHARE)
    assert found["queries.relative.mean"].value == pytest.approx(relative.mean())


def test_nobody_asks_for_null_or_for_values_outside() -> None:
    tables = pair_tables(pair_frame(100, 3), n=100)
    for query in draw_queries(tables, 200, np.random.default_rng(1)):
        assert len(set(query.places)) == len(query.places)
        for place, cells in zip(query.places, query.allowed, strict=True):
            assert len(cells) == tables.sizes[place]
            assert not cells[-2:].any()
            assert cells.any()


def test_a_fresh_sample_is_at_the_floor_and_corruption_above() -> None:
    good = figures(pair_tables(pair_frame(3000, 3), n=3000))
    for name in ("queries.mean", "queries.p95"):
        assert good[name].value < 1.5 * good[name].floor  # type: ignore[operator]
    errors = [
        figures(pair_tables(corrupted(pair_frame(3000, 3), share), n=3000))["queries.mean"].value
        for share in (0.0, 0.3, 1.0)
    ]
    assert errors == sorted(errors)
    assert errors[-1] > 3 * errors[0]


def test_the_order_of_rows_does_not_matter() -> None:
    frame = pair_frame(400, 3)
    assert figures(pair_tables(frame)) == figures(pair_tables(shuffled(frame)))
