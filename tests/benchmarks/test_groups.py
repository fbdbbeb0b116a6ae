"""Groups cover the rows of protected columns and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import groups
from benchmarks.discretise import Tables, conform_tables
from benchmarks.groups import partitions, protected
from tests.benchmarks.conftest import schema_of

COLUMNS = {
    "sex": {"kind": "categorical", "categories": ["F", "M"], "role": "protected", "missing": True},
    "age": {"kind": "integer", "bounds": [0, 100]},
    "y": {"kind": "boolean", "role": "target"},
}


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sex = rng.choice(np.array(["F", "M", None], dtype=object), n, p=[0.6, 0.3, 0.1])
    return pd.DataFrame({"sex": sex, "age": rng.integers(0, 101, n), "y": rng.random(n) < 0.5})


def given(n: int = 1_000, extra: tuple[str, ...] = ("age",)) -> Tables:
    frames = [people(n, seed) for seed in (3, 1, 2)]
    document = schema_of(COLUMNS).to_dict()
    if extra:
        document["evaluation"] = {"protected": list(extra)}
    return conform_tables(*frames, type(schema_of(COLUMNS)).from_dict(document))


def test_both_ways_to_protect_a_column_count() -> None:
    assert protected(given()) == [0, 1]
    assert protected(given(extra=())) == [0]


def test_groups_are_levels_quarters_and_their_pairs() -> None:
    tables = given()
    found, cut = partitions(tables)
    assert not cut
    assert [partition.columns for partition in found] == [("sex",), ("age",), ("sex", "age")]
    assert found[0].labels == ("sex = F", "sex = M", "sex: null")
    assert found[1].labels == tuple(f"age: part {i} of 4" for i in (1, 2, 3, 4))
    assert "sex = F, age: part 2 of 4" in found[2].labels
    assert not any("null" in label for label in found[2].labels)  # too few rows in a quarter


def test_members_are_those_that_the_label_says() -> None:
    tables = given()
    women, ages, both = (partition.of(tables.fit) for partition in partitions(tables)[0])
    labels = partitions(tables)[0][2].labels
    assert ((women == 0) == (tables.fit.codes[:, 0] == 0)).all()
    age = tables.fit.features[:, 1]
    for part in range(3):
        assert age[ages == part].max() < age[ages == part + 1].min()
    group = labels.index("sex = M, age: part 3 of 4")
    assert ((both == group) == ((women == 1) & (ages == 2))).all()
    counts = partitions(tables)[0][2].counts(tables.fit)
    assert counts[group] == (both == group).sum()
    assert counts.min() >= groups.FEWEST_ROWS


def test_small_groups_are_left_out_and_the_largest_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert partitions(given(40))[0] == []
    monkeypatch.setattr(groups, "MOST_GROUPS", 4)
    found, cut = partitions(given())
    assert cut
    assert 0 < sum(len(partition) for partition in found) <= 4
    assert "sex = F" in found[0].labels


def test_nobody_is_protected() -> None:
    columns = {"x": {"kind": "real", "bounds": [0, 1]}}
    frame = pd.DataFrame({"x": np.linspace(0, 1, 60)})
    assert partitions(conform_tables(frame, frame, frame, schema_of(columns))) == ([], False)
