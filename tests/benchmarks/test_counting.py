"""Counts of subsets of columns against counting rows one by one."""

from __future__ import annotations

from collections import Counter as Tally

import numpy as np
import pytest

from benchmarks import counting
from benchmarks.counting import Counter, references
from benchmarks.discretise import Conformed, conform_tables, spread
from tests.benchmarks.conftest import pair_frame, pair_schema


def random_table(n: int, sizes: tuple[int, ...], seed: int) -> Conformed:
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(0, size, n) for size in sizes])
    return Conformed(
        features=codes.astype(float), codes=codes, units=np.arange(n), groups=spread(n, rng)
    )


@pytest.mark.parametrize("most", [10**6, 1])
def test_counts_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(counting, "_DENSE", most)
    sizes = (4, 3, 5)
    tables = {"a": random_table(300, sizes, 0), "b": random_table(170, sizes, 1)}
    counter = Counter(tables, sizes)
    for places in ((0,), (2, 1), (0, 1, 2)):
        marginal = counter.marginal(places)
        for name, table in tables.items():
            rows = list(map(tuple, table.codes[:, places]))
            assert sorted(c for c in marginal.counts(name) if c) == sorted(Tally(rows).values())
            assert marginal.shares(name).sum() == pytest.approx(1.0)
            left = marginal.left_out(name)
            for group in (0, 19):
                kept = table.groups != group
                expected = np.bincount(marginal.flat[name][kept], minlength=len(marginal.cells))
                assert left[group].tolist() == expected.tolist()
            assert marginal.shares_left_out(name).sum(axis=1) == pytest.approx(1.0)


def test_cells_of_a_pair_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    table = random_table(50, (4, 3), 0)
    for most in (100, 1):
        monkeypatch.setattr(counting, "_DENSE", most)
        marginal = Counter({"a": table}, (4, 3)).marginal((0, 1))
        numbers = marginal.cells[marginal.flat["a"]]
        assert numbers.tolist() == (table.codes[:, 0] * 3 + table.codes[:, 1]).tolist()


def test_more_cells_than_numbers_are_no_obstacle() -> None:
    sizes = (10**6,) * 12
    table = random_table(80, (2,) * 12, 0)
    marginal = Counter({"a": table}, sizes).marginal(range(12))
    expected = Tally(map(tuple, table.codes))
    assert sorted(marginal.counts("a")) == sorted(expected.values())


def test_references_have_as_many_rows() -> None:
    rng = np.random.default_rng(0)
    frames = [pair_frame(n, n) for n in (60, 80, 70)]
    found = references(conform_tables(*frames, pair_schema()), rng)
    assert {name: len(table) for name, table in found.items()} == {
        "independent": 60,
        "uniform": 60,
        "holdout": 60,
    }
    few = conform_tables(frames[0], frames[1], frames[2].head(59), pair_schema())
    assert set(references(few, rng)) == {"independent", "uniform"}
